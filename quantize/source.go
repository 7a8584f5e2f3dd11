package quantize

import (
	"fmt"

	"github.com/effml/effml/internal/weights"
	"github.com/effml/effml/onnx"
)

// Source is the weights of one tensor, read block by block: Read fills dst with the weights first…first+len(dst)-1. It is
// called from several goroutines at once.
type Source interface {
	Len() int
	Read(dst []float32, first int) error
}

// Floats returns weights in memory as a source.
func Floats(w []float32) Source { return weights.Floats(w) }

// Section returns the n weights of src from first on as a source of their own.
func Section(src Source, first, n int) Source {
	return weights.Section{Source: src, First: first, N: n}
}

// TensorSource returns the values of a float, float16, bfloat16 or double tensor. A tensor of a mapped file is read block
// by block from the map; the functions of this package turn a fault there into an error.
func TensorSource(t *onnx.Tensor) (Source, error) { return weights.Tensor(t) }

// RoundTo returns the rounding of values that are stored as dt; nil for Float and Double, which hold every float32.
func RoundTo(dt onnx.DataType) (Round, error) {
	switch dt {
	case onnx.Float, onnx.Double:
		return nil, nil
	case onnx.Float16, onnx.BFloat16:
	default:
		return nil, fmt.Errorf("quantize: values of type %s are not floating-point weights", dt)
	}
	return func(v []float32) {
		raw := make([]byte, 2*len(v))
		onnx.PutFloats(raw, dt, v)
		t := &onnx.Tensor{DataType: dt, Dims: []int64{int64(len(v))}}
		t.SetBytes(raw)
		_ = t.ReadFloats(v, 0) // neither type nor length can be wrong
	}, nil
}
