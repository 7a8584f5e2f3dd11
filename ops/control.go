package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// body returns the sub-graph of an attribute, and its declared inputs and outputs, of which none is a sequence or optional.
func (n *Node) body(name string) (Body, *onnx.Graph, error) {
	a, b := n.Attr(name, onnx.AttributeGraph), n.Bodies[name]
	if a == nil || a.G == nil || b == nil {
		return nil, nil, fmt.Errorf("attribute %q, a graph, is missing", name)
	}
	for _, v := range slices.Concat(a.G.Inputs, a.G.Outputs) {
		if t := v.Type; t != nil && t.Tensor == nil && (t.Sequence != nil || t.Optional != nil || t.Map != nil || t.SparseTensor != nil) {
			return nil, nil, &UnsupportedError{
				Domain: n.Domain, Name: n.OpType, Opset: n.Opset,
				Detail: fmt.Sprintf("value %q of graph %q is no tensor (sequences, optionals, maps and sparse tensors are not supported)", v.Name, name),
			}
		}
	}
	return b, a.G, nil
}

// unite returns what is known of a value that is either a or b: what both say.
func unite(a, b Info) (Info, error) {
	switch {
	case a.Type == onnx.Undefined:
		a.Type = b.Type
	case b.Type != onnx.Undefined && a.Type != b.Type:
		return Info{}, fmt.Errorf("is %s in one case and %s in another", tensor.TypeName(a.Type), tensor.TypeName(b.Type))
	}
	out := Info{Type: a.Type}
	if a.Shape != nil && b.Shape != nil && len(a.Shape) == len(b.Shape) {
		out.Shape = uniteDims(a.Shape, b.Shape)
	}
	if a.Ints != nil && b.Ints != nil && len(a.Ints) == len(b.Ints) {
		out.Ints = uniteDims(a.Ints, b.Ints)
	}
	if a.Value != nil && a.Value == b.Value {
		out.Value = a.Value
	}
	return out, nil
}

func uniteDims(a, b []Dim) []Dim {
	out := slices.Clone(a)
	for i := range out {
		if !a[i].Same(b[i]) {
			out[i] = Unknown
		}
	}
	return out
}

// uniteStates widens before to what holds before every iteration when the body makes after of it, and reports whether it changed.
func uniteStates(before, after []Info) (changed bool, err error) {
	for i := range before {
		u, err := unite(before[i], after[i])
		if err != nil {
			return false, fmt.Errorf("loop-carried value %d %w", i, err)
		}
		changed = changed || !sameInfo(u, before[i])
		before[i] = u
	}
	return changed, nil
}

func sameInfo(a, b Info) bool {
	// Dimensions of which nothing is known count as the same here.
	return a.Type == b.Type && (a.Shape == nil) == (b.Shape == nil) && slices.Equal(a.Shape, b.Shape) &&
		(a.Ints == nil) == (b.Ints == nil) && slices.Equal(a.Ints, b.Ints) && a.Value == b.Value
}

// variable removes from what is known the things that hold for one iteration only.
func variable(i Info) Info {
	return Info{Type: i.Type, Shape: slices.Clone(i.Shape), Ints: slices.Clone(i.Ints)}
}

// settle calls infer for one iteration until what is known of the states before and after it agrees, and returns what the
// body then gives. States are widened in place.
func settle(states []Info, infer func(states []Info) ([]Info, error)) ([]Info, error) {
	for i := range states {
		states[i] = variable(states[i])
	}
	// A step forgets a dimension or a rank at the least, so this ends; a few steps are all that real models take.
	for range 8 {
		out, err := infer(states)
		if err != nil {
			return nil, err
		}
		changed, err := uniteStates(states, out[:len(states)])
		if err != nil {
			return nil, err
		}
		if !changed {
			return out, nil
		}
	}
	for i := range states {
		states[i] = Info{Type: states[i].Type}
	}
	return infer(states)
}

// truth reads a tensor of one bool.
func truth(t *tensor.Tensor) (bool, error) {
	if t.Type != onnx.Bool || t.Len() != 1 {
		return false, fmt.Errorf("condition is %s, not one bool", t)
	}
	return tensor.Of[bool](t)[0], nil
}

// scalar reads an int64 or int32 tensor of one element.
func scalar(t *tensor.Tensor) (int, error) {
	if t.Len() == 1 {
		if v, ok := Integers(t); ok {
			return v[0], nil
		}
	}
	return 0, fmt.Errorf("%s is not one integer", t)
}

// describe says what is known of a tensor at run time.
func describe(t *tensor.Tensor) Info {
	if t == nil {
		return Info{}
	}
	return Info{Type: t.Type, Shape: MakeShape(t.Shape...)}
}

func describeAll(ts []*tensor.Tensor) []Info {
	out := make([]Info, len(ts))
	for i, t := range ts {
		out[i] = describe(t)
	}
	return out
}

// give copies t into output i.
func (c *Call) give(i int, t *tensor.Tensor) error {
	out, err := c.Out(i, t.Type, t.Shape, t.Layout)
	if err != nil {
		return err
	}
	copy(out.Strings(), t.Strings())
	copy(out.Bytes(), t.Bytes())
	return nil
}

// wants reports whether output i is read by anyone.
func (c *Call) wants(i int) bool { return i < len(c.Outs) && (i >= len(c.Wanted) || c.Wanted[i]) }

// pile is a tensor seen along one axis: outer × n × inner elements.
type pile struct{ outer, n, inner int }

func pileOf(shape []int, axis int) pile {
	p := pile{1, shape[axis], 1}
	for _, d := range shape[:axis] {
		p.outer *= d
	}
	for _, d := range shape[axis+1:] {
		p.inner *= d
	}
	return p
}

// layer returns the elements of t at position i of an axis, as a tensor without that axis: a view where they lie together.
func layer(t *tensor.Tensor, axis, i int) (*tensor.Tensor, error) {
	p := pileOf(t.Shape, axis)
	shape := slices.Delete(slices.Clone(t.Shape), axis, axis+1)
	w := p.inner * tensor.Width(t.Type)
	switch {
	case t.Type == onnx.String:
		out := make([]string, p.outer*p.inner)
		for o := range p.outer {
			copy(out[o*p.inner:(o+1)*p.inner], t.Strings()[(o*p.n+i)*p.inner:])
		}
		return tensor.FromStrings(out, shape...), nil
	case p.outer == 1:
		return tensor.Over(t.Bytes()[i*w:(i+1)*w:(i+1)*w], t.Type, shape, tensor.Plain), nil
	}
	out, err := tensor.New(t.Type, shape...)
	if err != nil {
		return nil, err
	}
	for o := range p.outer {
		copy(out.Bytes()[o*w:(o+1)*w], t.Bytes()[(o*p.n+i)*w:])
	}
	return out, nil
}

// setLayer stores src at position i of an axis of dst.
func setLayer(dst *tensor.Tensor, axis, i int, src *tensor.Tensor) {
	p := pileOf(dst.Shape, axis)
	w := p.inner * tensor.Width(dst.Type)
	for o := range p.outer {
		if dst.Type == onnx.String {
			copy(dst.Strings()[(o*p.n+i)*p.inner:], src.Strings()[o*p.inner:(o+1)*p.inner])
			continue
		}
		copy(dst.Bytes()[(o*p.n+i)*w:], src.Bytes()[o*w:(o+1)*w])
	}
}

// errSlices refuses what cannot be stacked.
var errSlices = errors.New("slices of a scan output differ in type or shape between iterations")

// stack puts layers one after another along a new first axis, as output i. They may be none if what is known of one is given.
func (c *Call) stack(i int, layers []*tensor.Tensor, one Info) error {
	dt, shape := one.Type, []int{len(layers)}
	if len(layers) > 0 {
		dt, shape = layers[0].Type, append(shape, layers[0].Shape...)
	} else {
		for _, d := range one.Shape {
			shape = append(shape, max(d.N, 0)) // an unknown dimension has no elements here either
		}
	}
	out, err := c.Out(i, dt, shape)
	if err != nil {
		return err
	}
	for k, l := range layers {
		if l.Type != dt || !slices.Equal(l.Shape, shape[1:]) || l.Layout != tensor.Plain {
			return errSlices
		}
		setLayer(out, 0, k, l)
	}
	return nil
}
