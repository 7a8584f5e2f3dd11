package ops

import (
	"github.com/effml/effml/onnx"
)

// cast folds Cast between float, float16, bfloat16 and from them to double, rounding to nearest even, and from integers to int32 or int64
// that hold them. Others are kept.
func (c *call) cast() (*onnx.Tensor, error) {
	if err := c.arity(1, 1); err != nil {
		return nil, err
	}
	x, to := c.in[0], onnx.DataType(c.integer("to", 0))
	if x.DataType == to {
		return renamed(x)
	}
	switch to {
	case onnx.Float, onnx.Float16, onnx.BFloat16, onnx.Double:
		v, err := floats(x)
		if err != nil {
			return nil, err
		}
		out, raw, err := c.result(to, x.Dims)
		if err != nil {
			return nil, err
		}
		width := to.Bits() / 8
		buf := make([]float32, block)
		return out, blocks(v.Len(), func(first, n int) error {
			err := v.Read(buf[:n], first)
			onnx.PutFloats(raw[first*width:(first+n)*width], to, buf[:n])
			return err
		})
	case onnx.Int32, onnx.Int64:
		return c.castInteger(to)
	}
	return nil, errKeep
}

func (c *call) castInteger(to onnx.DataType) (*onnx.Tensor, error) {
	x := c.in[0]
	if x.DataType.Bits() >= to.Bits() { // uint32 to int32, and narrowing
		return nil, errKeep
	}
	v, err := newIntegers(x)
	if err != nil {
		return nil, err
	}
	out, raw, err := c.result(to, x.Dims)
	if err != nil {
		return nil, err
	}
	width := to.Bits() / 8
	for i := range v.n {
		n := v.at(i)
		for j := range width {
			raw[i*width+j] = byte(n >> (8 * j))
		}
	}
	return out, nil
}
