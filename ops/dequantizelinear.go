package ops

import (
	"fmt"
	"slices"
	"sync"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// dequantizeLinear is DequantizeLinear: y = (x − zero point)·scale, computed in float32 and rounded to the type of the result:
// that of the scale or what the attribute says.
type dequantizeLinear struct {
	scaling
	to   onnx.DataType // Undefined: of the scale
	pool *sync.Pool    // of *quantTask
}

func newDequantizeLinear(n *Node) (Op, error) {
	s, err := newScaling(n)
	o := &dequantizeLinear{scaling: s, to: onnx.DataType(n.Int("output_dtype", 0)), pool: quantPool()}
	if _, problem := o.result(onnx.Float); problem != nil {
		return nil, problem
	}
	return o, err
}

// result returns the type of the result for that of the scale.
func (o *dequantizeLinear) result(scale onnx.DataType) (onnx.DataType, error) {
	dt := scale
	if o.to != onnx.Undefined {
		dt = o.to
	}
	switch dt {
	case onnx.Float, onnx.Float16, onnx.BFloat16, onnx.Undefined:
		return dt, nil
	}
	return 0, fmt.Errorf("result would be of type %s, not a floating-point type", dt)
}

func (o *dequantizeLinear) Infer(in []Info) ([]Info, error) {
	if dt := in[0].Type; dt != onnx.Undefined && dt != onnx.Int32 && !isCode(dt) {
		return nil, fmt.Errorf("input 0 is of type %s, no type of quantised values", dt)
	}
	if len(in) > 2 && in[2].Type != onnx.Undefined && in[0].Type != onnx.Undefined && in[2].Type != in[0].Type {
		return nil, fmt.Errorf("zero point is of type %s, the input of %s", in[2].Type, in[0].Type)
	}
	dt, err := o.result(in[1].Type)
	return []Info{{Type: dt, Shape: in[0].Shape}}, err
}

// ChannelsLast takes the layout of input 0 for scales that are not blocked.
func (o *dequantizeLinear) ChannelsLast(in []Info) ([]bool, bool) { return o.layouts(in) }

func (o *dequantizeLinear) Run(c *Call) error {
	x, scale := c.In[0], c.In[1]
	var zero *tensor.Tensor
	if len(c.In) > 2 {
		zero = c.In[2]
	}
	if x.Type != onnx.Int32 && !isCode(x.Type) {
		return fmt.Errorf("input 0 is of type %s, no type of quantised values", x.Type)
	}
	dt, err := o.result(scale.Type)
	if err != nil {
		return err
	}
	q := o.pool.Get().(*quantTask)
	defer o.pool.Put(q)
	if err := q.parameters(scale, zero); err != nil {
		return err
	}
	if q.spread, err = o.of(x, scale.Shape); err != nil {
		return err
	}
	if q.y, err = c.Out(0, dt, x.Shape, x.Layout); err != nil {
		return err
	}
	q.x, q.do = x, (*quantTask).dequantise
	q.run(c.CPU)
	return nil
}

// dequantise computes n elements from first on, whose scales are k, k + step, …
func (q *quantTask) dequantise(first, n, k, step int, buf []float32) {
	y := buf
	if q.y.Type == onnx.Float {
		y = tensor.Of[float32](q.y)[first : first+n]
	}
	q.x.Floats(y, first)
	if step == 0 {
		s, z := q.scale[k], q.zero[k]
		for i := range y {
			y[i] = (y[i] - z) * s
		}
	} else {
		s, z := q.scale[k:k+n], q.zero[k:k+n]
		for i := range y {
			y[i] = (y[i] - z[i]) * s[i]
		}
	}
	if q.y.Type != onnx.Float {
		q.y.SetFloats(first, buf, false)
	}
}

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
