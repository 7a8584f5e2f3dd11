package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// attrInt makes an attribute of an integer.
func attrInt(name string, v int) *onnx.Attribute {
	return &onnx.Attribute{Name: name, Type: onnx.AttributeInt, I: int64(v)}
}

// attrBool makes an attribute of a truth value.
func attrBool(name string, v bool) *onnx.Attribute {
	if v {
		return attrInt(name, 1)
	}
	return attrInt(name, 0)
}

// attrFloat makes an attribute of a number.
func attrFloat(name string, v float32) *onnx.Attribute {
	return &onnx.Attribute{Name: name, Type: onnx.AttributeFloat, F: v}
}

// attrText makes an attribute of a string.
func attrText(name, v string) *onnx.Attribute {
	return &onnx.Attribute{Name: name, Type: onnx.AttributeString, S: []byte(v)}
}

// attrInts makes an attribute of integers.
func attrInts(name string, v ...int) *onnx.Attribute {
	a := &onnx.Attribute{Name: name, Type: onnx.AttributeInts, Ints: make([]int64, len(v))}
	for i, x := range v {
		a.Ints[i] = int64(x)
	}
	return a
}

// with is a list of attributes.
func with(attrs ...*onnx.Attribute) []*onnx.Attribute { return attrs }

// Constant adds a constant, of which equal ones are one value.
func (g *Gradient) Constant(t *tensor.Tensor) Value {
	key := t.String() + string(t.Bytes())
	if v, ok := g.constants[key]; ok {
		return v
	}
	v := g.Node("Constant", with(&onnx.Attribute{Name: "value", Type: onnx.AttributeTensor, T: t.ToONNX("")}))
	v.Value = t
	g.constants[key] = v
	return v
}

// Scalar is a constant of rank 0, of the type of like.
func (g *Gradient) Scalar(like Value, x float64) Value {
	t, err := tensor.New(like.Type)
	if err == nil {
		err = convert(t, tensor.Scalar(x), conversion{})
	}
	if err != nil {
		g.fail(err)
		return Value{}
	}
	return g.Constant(t)
}

// Ints is a constant vector of int64.
func (g *Gradient) Ints(v ...int) Value {
	t, err := tensor.New(onnx.Int64, len(v))
	if err != nil {
		g.fail(err)
		return Value{}
	}
	setIntegers(t, v)
	return g.Constant(t)
}

// zeros is a tensor of zeros of a type and shape.
func (g *Gradient) zeros(like Value, shape []int) Value { return g.Expand(g.Scalar(like, 0), shape) }

// apply adds a node of an operator without attributes.
func (g *Gradient) apply(op string, in ...Value) Value { return g.Node(op, nil, in...) }

// Add is a + b; it and its like broadcast.
func (g *Gradient) Add(a, b Value) Value { return g.Node("Add", nil, a, b) }

// Sub is a − b.
func (g *Gradient) Sub(a, b Value) Value { return g.Node("Sub", nil, a, b) }

// Mul is a·b.
func (g *Gradient) Mul(a, b Value) Value { return g.Node("Mul", nil, a, b) }

// Div is a/b.
func (g *Gradient) Div(a, b Value) Value { return g.Node("Div", nil, a, b) }

// Neg is −a.
func (g *Gradient) Neg(a Value) Value { return g.Node("Neg", nil, a) }

// Scale is a·x.
func (g *Gradient) Scale(a Value, x float64) Value {
	if x == 1 {
		return a
	}
	return g.Mul(a, g.Scalar(a, x))
}

// Where is a where the condition holds, else b.
func (g *Gradient) Where(condition, a, b Value) Value { return g.Node("Where", nil, condition, a, b) }

// Cast converts to the type of like.
func (g *Gradient) Cast(v, like Value) Value {
	if v.Type == like.Type {
		return v
	}
	return g.Node("Cast", with(attrInt("to", int(like.Type))), v)
}

// Reshape gives v another shape.
func (g *Gradient) Reshape(v Value, shape []int) Value {
	if slices.Equal(v.Dims(), shape) {
		return v
	}
	return g.Node("Reshape", with(attrInt("allowzero", 1)), v, g.Ints(shape...))
}

// Expand repeats v to a shape that it broadcasts to.
func (g *Gradient) Expand(v Value, shape []int) Value {
	if slices.Equal(v.Dims(), shape) {
		return v
	}
	return g.Node("Expand", nil, v, g.Ints(shape...))
}

// Transpose reorders dimensions.
func (g *Gradient) Transpose(v Value, perm ...int) Value {
	if slices.IsSorted(perm) {
		return v
	}
	return g.Node("Transpose", with(attrInts("perm", perm...)), v)
}

// ReduceSum sums over axes, which stay as 1.
func (g *Gradient) ReduceSum(v Value, axes ...int) Value {
	if len(axes) == 0 {
		return v
	}
	return g.Node("ReduceSum", nil, v, g.Ints(axes...))
}

// SumTo undoes broadcasting: it sums v to a shape that broadcasts to that of v. It is v itself where nothing was broadcast.
func (g *Gradient) SumTo(v Value, shape []int) Value {
	from := v.Dims()
	lead := len(from) - len(shape)
	if g.err == nil && lead < 0 {
		g.fail(fmt.Errorf("gradient of shape %v for %v", from, shape))
	}
	if g.err != nil {
		return v
	}
	var axes []int
	for i, d := range from {
		if i < lead && d != 1 || i >= lead && shape[i-lead] == 1 && d != 1 {
			axes = append(axes, i)
		}
	}
	return g.Reshape(g.ReduceSum(v, axes...), shape)
}

// SetSum sets the gradient of an input that was broadcast, see SumTo.
func (g *Gradient) SetSum(i int, v Value) { g.Set(i, g.SumTo(v, g.In(i).Dims())) }

// scatterRows undoes Gather along an axis of n elements: it adds what v has for each index to that row.
func (g *Gradient) scatterRows(v, index Value, axis, n int) Value {
	return g.Node("GatherGrad", with(attrInt("axis", axis), attrInt("length", n)), v, index)
}
