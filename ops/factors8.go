package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// factors8 are the two factors of an integer operator, of 8 bits. Without scales they are inputs 0 and 1, their zero points 2 and 3, and
// the result is int32. Those of a linear operator are inputs 0 and 3, each followed by its scale and its zero point; the result
// is quantised by inputs 6 and 7.
type factors8 struct {
	linear bool
	packed *factor8 // the second where it is constant
}

// second returns which input is the second factor.
func (f *factors8) second() int {
	if f.linear {
		return 3
	}
	return 1
}

// infer checks the types of the factors and returns that of the result.
func (f *factors8) infer(in []Info) (onnx.DataType, error) {
	for _, i := range []int{0, f.second()} {
		if !isCode8(in[i]) {
			return 0, fmt.Errorf("input %d is of type %s, not int8 or uint8", i, tensor.TypeName(in[i].Type))
		}
	}
	if f.linear {
		return in[7].Type, nil
	}
	return onnx.Int32, nil
}

// result returns the type of the result, of operands that were checked.
func (f *factors8) result(c *Call) onnx.DataType {
	if f.linear {
		return c.In[7].Type
	}
	return onnx.Int32
}

// pack widens the second factor if it, and its zero points if there are any, are constant; line tells of the elements of a shape which
// zero point they have. It returns nil if they are not.
func (f *factors8) pack(in []Info, line func(shape []int) func(i int) int) (*factors8, []int, error) {
	at := f.second()
	zero := at + 2
	t := in[at].Value
	if t == nil || codes8(t) != nil {
		return nil, nil, nil //nolint:nilerr // Run says what is wrong
	}
	var z *tensor.Tensor
	if zero < len(in) && !in[zero].Missing() {
		if z = in[zero].Value; z == nil {
			return nil, nil, nil
		}
	}
	zeros, err := zeroPoints(z, t.Type)
	if err != nil {
		return nil, nil, fmt.Errorf("input %d, a zero point, %w", zero, err)
	}
	p := &factors8{linear: f.linear, packed: new(factor8)}
	p.packed.set(t, zeros, line(slices.Clone(t.Shape)))
	return p, []int{at}, nil
}

// operands checks the factors and returns the type and the shape of the second.
func (f *factors8) operands(c *Call) (onnx.DataType, []int, error) {
	if err := codes8(c.In[0]); err != nil {
		return 0, nil, fmt.Errorf("input 0 %w", err)
	}
	if f.packed != nil {
		return f.packed.Type, f.packed.shape, nil
	}
	t := c.In[f.second()]
	if err := codes8(t); err != nil {
		return 0, nil, fmt.Errorf("input %d %w", f.second(), err)
	}
	return t.Type, t.Shape, nil
}

// widen returns the second factor: what is packed, or own, which it makes of the input.
func (f *factors8) widen(c *Call, own *factor8, zeros []int32, line func(shape []int) func(i int) int) *factor8 {
	if f.packed != nil {
		return f.packed
	}
	t := c.In[f.second()]
	own.set(t, zeros, line(t.Shape))
	return own
}

// parameters reads the scales and zero points of the factors, of types a and b, and of the result; without scales, the zero points of
// the factors.
func (f *factors8) parameters(c *Call, a, b onnx.DataType) (q [3]quantised, err error) {
	if !f.linear {
		for i, dt := range []onnx.DataType{a, b} {
			if q[i].zero, err = zeroPoints(c.input(2+i), dt); err != nil {
				return q, fmt.Errorf("input %d, a zero point, %w", 2+i, err)
			}
		}
		return q, nil
	}
	if err := codes8(c.In[7]); err != nil {
		return q, fmt.Errorf("input 7 %w", err)
	}
	for i, dt := range []onnx.DataType{a, b, c.In[7].Type} {
		if q[i], err = c.quantised([]int{1, 4, 6}[i], dt); err != nil {
			return q, err
		}
	}
	if len(q[2].scale) != 1 {
		return q, fmt.Errorf("the result has %d scales, not one", len(q[2].scale))
	}
	return q, nil
}

// quantised are the scale and the zero point of a value as they come in.
type quantised struct {
	scale []float32
	zero  []int32
}

// quantised reads inputs i and i+1: the scale and the zero point of values of type dt.
func (c *Call) quantised(i int, dt onnx.DataType) (q quantised, err error) {
	if c.In[i].Type.Bits() < 16 || !c.In[i].Type.IsFloat() {
		return q, fmt.Errorf("input %d, a scale, is %s", i, c.In[i])
	}
	if q.scale, err = decoded(nil, c.In[i]); err != nil {
		return q, err
	}
	if q.zero, err = zeroPoints(c.In[i+1], dt); err != nil {
		return q, fmt.Errorf("input %d, a zero point, %w", i+1, err)
	}
	if len(q.scale) != len(q.zero) {
		return q, fmt.Errorf("input %d has %d zero points for %d scales", i+1, len(q.zero), len(q.scale))
	}
	return q, nil
}

// factor8 is a constant or variable factor of 8 bits, widened.
type factor8 struct {
	Type   onnx.DataType
	shape  []int
	values []float32 // less the zero points
}

// set widens a tensor less the zero points; that of element i is zeros[line(i) % len(zeros)].
func (f *factor8) set(t *tensor.Tensor, zeros []int32, line func(i int) int) {
	f.Type, f.shape = t.Type, append(f.shape[:0], t.Shape...)
	f.values = resized(f.values, t.Len())
	if len(zeros) == 1 {
		newWidened(t.Type, zeros[0]).apply(f.values, t.Bytes())
		return
	}
	newWidened(t.Type, 0).apply(f.values, t.Bytes())
	for i := range f.values {
		f.values[i] -= float32(zeros[line(i)%len(zeros)])
	}
}
