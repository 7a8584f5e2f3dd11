package ops

import (
	"errors"
	"fmt"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Products of integers of 8 bits are computed exactly by products of float32: a sum of integers is exact in float32, in whatever
// order, with and without fused multiplication, as long as no partial sum reaches 2²⁴. So the inner dimension is cut where
// that could happen, and the parts are added as int32, which wraps around as the standard allows.

// codes8 checks that a tensor holds integers of 8 bits.
func codes8(t *tensor.Tensor) error {
	if t.Type != onnx.Int8 && t.Type != onnx.Uint8 {
		return fmt.Errorf("is %s, not int8 or uint8", t)
	}
	return nil
}

// isCode8 is codes8 for what is known of a value.
func isCode8(i Info) bool {
	return i.Type == onnx.Int8 || i.Type == onnx.Uint8 || i.Type == onnx.Undefined
}

// widened is a table from a byte to the number that it stands for, less a zero point.
type widened [256]float32

// newWidened makes the table of a type, int8 or uint8.
func newWidened(dt onnx.DataType, zero int32) *widened {
	var w widened
	for b := range w {
		v := int32(b)
		if dt == onnx.Int8 {
			v = int32(int8(b))
		}
		w[b] = float32(v - zero)
	}
	return &w
}

// apply widens bytes.
func (w *widened) apply(dst []float32, src []byte) {
	dst = dst[:len(src)]
	for i, b := range src {
		dst[i] = w[b]
	}
}

// largest returns the largest magnitude of codes of a type less any of the zero points.
func largest(dt onnx.DataType, zeros []int32) int {
	lo, hi := int32(0), int32(255)
	if dt == onnx.Int8 {
		lo, hi = -128, 127
	}
	m := int32(1)
	for _, z := range zeros {
		m = max(m, hi-z, z-lo)
	}
	return int(m)
}

// exactDepth returns how many products of numbers up to a and b can be added exactly in float32.
func exactDepth(a, b int) int { return (1<<24 - 1) / (a * b) }

// zeroPoints returns a zero point tensor's elements; one 0 where it is left out.
func zeroPoints(t *tensor.Tensor, dt onnx.DataType) ([]int32, error) {
	if t == nil {
		return []int32{0}, nil
	}
	if t.Type != dt {
		return nil, fmt.Errorf("is %s for codes of type %s", t, tensor.TypeName(dt))
	}
	if t.Len() == 0 {
		return nil, errors.New("is empty")
	}
	out := make([]int32, t.Len())
	for i, b := range t.Bytes() {
		out[i] = int32(b)
		if dt == onnx.Int8 {
			out[i] = int32(int8(b))
		}
	}
	return out, nil
}

// multiply adds A·B to the int32 matrix acc, all with no gaps: A [m, k] with rows lda apart, B [k, n]; part has m·n elements of scratch.
// Sums of depth products are exact in float32.
func multiply(cpu *kernel.CPU, acc []int32, a []float32, lda int, b, part []float32, m, n, k, depth int) {
	for first := 0; first < k; first += depth {
		p := kernel.Product{
			M: m, N: n, K: min(depth, k-first), Alpha: 1,
			A: a[first:], LDA: lda, B: b[first*n:], LDB: n, C: part, LDC: n,
		}
		kernel.Gemm(cpu, &p)
		addInts(acc[:m*n], part)
	}
}

// addInts adds numbers that are integers.
func addInts(acc []int32, v []float32) {
	v = v[:len(acc)]
	for i, x := range v {
		acc[i] += int32(x)
	}
}

// requantise stores saturate(round(acc·scale) + zero), halves to even: float32 arithmetic, as ONNX Runtime does it. Scales are
// scale[0], scale[step], … The type of dst is int8 if signed, else uint8.
func requantise(dst []byte, acc []int32, scale []float32, step int, zero int32, signed bool) {
	lo, hi := float32(-zero), float32(255-zero)
	if signed {
		lo, hi = float32(-128-zero), float32(127-zero)
	}
	dst = dst[:len(acc)]
	for i, v := range acc {
		dst[i] = byte(roundWithin(float32(v)*scale[i*step], lo, hi) + zero)
	}
}
