package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
)

// dequantizeLinear folds DequantizeLinear: y = (x - zero point)·scale, computed in float32 and rounded to the type of
// the scale (float, float16, bfloat16). Codes are integers of 4 to 32 bits. The scale is a scalar; or a vector along the axis
// (1 by default); or, with block_size, has the shape of x but for the axis, where one entry serves a block.
func (c *call) dequantizeLinear() (*onnx.Tensor, error) {
	if err := c.arity(2, 3); err != nil {
		return nil, err
	}
	x, scale := c.in[0], c.in[1]
	if c.has("output_dtype") || x.DataType == onnx.Int64 {
		return nil, errKeep
	}
	group, err := c.scaleOf(x.Dims, scale.Dims)
	if err != nil {
		return nil, err
	}
	scales, err := floats(scale)
	if err != nil {
		return nil, err
	}
	s, err := all(scales)
	if err != nil {
		return nil, err
	}
	codes, err := newIntegers(x)
	if err != nil {
		return nil, err
	}
	zero := func(int) int64 { return 0 }
	if len(c.in) == 3 && c.in[2] != nil {
		z, err := newIntegers(c.in[2])
		if err != nil {
			return nil, err
		}
		if c.in[2].DataType != x.DataType || z.n != len(s) {
			return nil, fmt.Errorf("zero point of %d %s for %d scales and codes of type %s", z.n, c.in[2].DataType, len(s), x.DataType)
		}
		zero = z.at
	}
	out, raw, err := c.result(scale.DataType, x.Dims)
	if err != nil {
		return nil, err
	}
	width := scale.DataType.Bits() / 8
	y := make([]float32, block)
	return out, blocks(codes.n, func(first, n int) error {
		for i := range n {
			k := group(first + i)
			y[i] = float32(codes.at(first+i)-zero(k)) * s[k]
		}
		onnx.PutFloats(raw[first*width:(first+n)*width], scale.DataType, y[:n])
		return nil
	})
}

// scaleOf returns the function from the position of a code to that of its scale.
func (c *call) scaleOf(x, scale []int64) (func(i int) int, error) {
	if volume(scale) == 1 && len(scale) <= 1 {
		return func(int) int { return 0 }, nil
	}
	axis, err := c.axis(1, len(x))
	if err != nil {
		return nil, err
	}
	inner := max(1, volume(x[axis+1:]))
	length := max(1, int(x[axis]))
	size := c.integer("block_size", 0)
	if size == 0 {
		if len(scale) != 1 || scale[0] != x[axis] {
			return nil, fmt.Errorf("scale of shape %v for axis %d of %v", scale, axis, x)
		}
		return func(i int) int { return i / inner % length }, nil
	}
	want := slices.Clone(x)
	if size > 0 {
		want[axis] = (x[axis]-1)/size + 1
	}
	if size < 0 || !slices.Equal(scale, want) {
		return nil, fmt.Errorf("scale of shape %v for blocks of %d along axis %d of %v", scale, size, axis, x)
	}
	blocks := max(1, int(want[axis]))
	return func(i int) int {
		outer, a, in := i/inner/length, i/inner%length, i%inner
		return (outer*blocks+a/int(size))*inner + in
	}, nil
}
