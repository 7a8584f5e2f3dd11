package dataset

import (
	"fmt"
	"math"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// convert gives a tensor the type and the shape that an input has.
func convert(t *tensor.Tensor, in Input) (*tensor.Tensor, error) {
	if t.Type != in.Type && in.Type != onnx.Undefined {
		var err error
		if t, err = retype(t, in.Type); err != nil {
			return nil, err
		}
	}
	return reshape(t, in.Shape)
}

// reshape views the elements of a batch in the shape of an input, where that has another rank: [N, 784] for [N, 1, 28, 28],
// [N, 1] for [N].
func reshape(t *tensor.Tensor, want []int) (*tensor.Tensor, error) {
	if len(want) == 0 || len(want) == len(t.Shape) || len(t.Shape) == 0 {
		return t, nil
	}
	n := t.Shape[0]
	shape, rest, open := []int{n}, t.Len()/max(n, 1), -1
	for i, d := range want[1:] {
		shape = append(shape, d)
		switch {
		case d > 0 && rest%d == 0:
			rest /= d
		case d <= 0 && open < 0:
			open = i + 1
		default:
			return nil, fmt.Errorf("%s is not of the shape %v", t, want)
		}
	}
	if open >= 0 {
		shape[open], rest = rest, 1
	}
	if rest != 1 {
		return nil, fmt.Errorf("%s is not of the shape %v", t, want)
	}
	return t.View(shape...), nil
}

// retype returns the elements of t as another type of numbers: rounded to nearest even; one that an integer type cannot hold
// is an error.
func retype(t *tensor.Tensor, dt onnx.DataType) (*tensor.Tensor, error) {
	out, err := tensor.New(dt, t.Shape...)
	if err != nil {
		return nil, err
	}
	values := make([]float32, t.Len())
	if t.Floats(values, 0) && out.SetFloats(0, values, false) {
		return out, nil
	}
	whole, err := rounded(t)
	if err != nil {
		return nil, err
	}
	var fit bool
	switch dt {
	case onnx.Int64:
		fit = narrow(tensor.Of[int64](out), whole)
	case onnx.Int32:
		fit = narrow(tensor.Of[int32](out), whole)
	case onnx.Int16:
		fit = narrow(tensor.Of[int16](out), whole)
	case onnx.Int8:
		fit = narrow(tensor.Of[int8](out), whole)
	case onnx.Uint64:
		fit = narrow(tensor.Of[uint64](out), whole)
	case onnx.Uint32:
		fit = narrow(tensor.Of[uint32](out), whole)
	case onnx.Uint16:
		fit = narrow(tensor.Of[uint16](out), whole)
	case onnx.Uint8:
		fit = narrow(tensor.Of[uint8](out), whole)
	default:
		return nil, fmt.Errorf("%s cannot become %s", t, tensor.TypeName(dt))
	}
	if !fit {
		return nil, fmt.Errorf("%s has a value that %s cannot hold", t, tensor.TypeName(dt))
	}
	return out, nil
}

// rounded returns numbers of any type as int64.
func rounded(t *tensor.Tensor) ([]int64, error) {
	if !t.Type.IsFloat() {
		return integers(t)
	}
	values, out := make([]float32, t.Len()), make([]int64, t.Len())
	if !t.Floats(values, 0) {
		return nil, fmt.Errorf("%s holds no numbers", t)
	}
	for i, v := range values {
		if v != v || math.Abs(float64(v)) >= 1<<63 {
			return nil, fmt.Errorf("element %d is %v, no whole number", i, v)
		}
		out[i] = int64(math.RoundToEven(float64(v)))
	}
	return out, nil
}

// narrow reports whether all values fit in dst.
func narrow[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](dst []T, values []int64) bool {
	for i, v := range values {
		dst[i] = T(v)
		if int64(dst[i]) != v || (v < 0) != (dst[i] < 0) {
			return false
		}
	}
	return true
}
