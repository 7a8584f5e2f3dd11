package conformance

import (
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// The tolerances of ONNX's own runner: |got − want| ≤ Absolute + Relative·|want|.
const (
	Relative = 1e-3
	Absolute = 1e-7
)

// Compare returns an error that says where got, in Plain layout, is not what is wanted. Type and shape must agree, and so must the
// elements: floating-point and complex numbers within the tolerances, where NaN equals NaN and ∞ itself; all others exactly.
func Compare(got, want *tensor.Tensor) error {
	if got == nil {
		return fmt.Errorf("no value where %s is wanted", want)
	}
	if got.Type != want.Type || !slices.Equal(got.Shape, want.Shape) {
		return fmt.Errorf("%s where %s is wanted", got, want)
	}
	switch {
	case got.Type == onnx.String:
		return compare(got.Strings(), want.Strings(), func(a, b string) bool { return a == b })
	case got.Type == onnx.Double:
		return compare(tensor.Of[float64](got), tensor.Of[float64](want), near)
	case got.Type == onnx.Complex64:
		return compare(tensor.Of[complex64](got), tensor.Of[complex64](want), func(a, b complex64) bool {
			return near(float64(real(a)), float64(real(b))) && near(float64(imag(a)), float64(imag(b)))
		})
	case got.Type == onnx.Complex128:
		return compare(tensor.Of[complex128](got), tensor.Of[complex128](want), func(a, b complex128) bool {
			return near(real(a), real(b)) && near(imag(a), imag(b))
		})
	case got.Type.IsFloat():
		a, b := make([]float32, got.Len()), make([]float32, want.Len())
		got.Floats(a, 0)
		want.Floats(b, 0)
		return compare(a, b, func(a, b float32) bool { return near(float64(a), float64(b)) })
	}
	// The bytes of an element are compared together, so that the message can say which element it is.
	w := tensor.Width(got.Type)
	return compare(slices.Collect(slices.Chunk(got.Bytes(), w)), slices.Collect(slices.Chunk(want.Bytes(), w)), slices.Equal)
}

func near(got, want float64) bool {
	if got == want || math.IsNaN(got) && math.IsNaN(want) {
		return true
	}
	return !math.IsInf(want, 0) && math.Abs(got-want) <= Absolute+Relative*math.Abs(want)
}

func compare[T any](got, want []T, same func(a, b T) bool) error {
	wrong, first := 0, 0
	for i := range want {
		if same(got[i], want[i]) {
			continue
		}
		if wrong == 0 {
			first = i
		}
		wrong++
	}
	if wrong == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d elements are wrong, the first at %d: %v where %v is wanted", wrong, len(want), first, got[first], want[first])
}
