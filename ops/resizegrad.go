package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// resizeGrad is ResizeGrad of [Domain], the adjoint of Resize, whose attributes and inputs it has, with what arrives in the place of the
// numbers, whose shape is an attribute. As Resize makes each position of the output from some of the input, here those of the input
// are made from those of the output that they had a part in, with the same weights.
type resizeGrad struct {
	*resize
	shape  []int
	turned *states[resizeState]
}

func newResizeGrad(n *Node) (Op, error) {
	o, err := newResize(n)
	if err != nil {
		return nil, err
	}
	g := &resizeGrad{o.(*resize), n.Ints("shape"), new(states[resizeState])}
	if g.shape == nil {
		return nil, errors.New("attribute shape is missing")
	}
	return g, nil
}

// Gradient is an operator of its own.
func (o *resize) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	attrs := with(attrText("mode", [...]string{"nearest", "linear", "cubic"}[o.mode]), attrText("coordinate_transformation_mode", o.coordinate),
		attrText("nearest_mode", o.nearest), attrText("keep_aspect_ratio_policy", o.policy), attrFloat("cubic_coeff_a", float32(o.cubic)),
		attrBool("exclude_outside", o.exclude), attrBool("antialias", o.antialias), attrInts("shape", g.In(0).Dims()...))
	if o.axes != nil {
		attrs = append(attrs, attrInts("axes", o.axes...))
	}
	in := make([]Value, 4)
	in[0] = dy
	for i, at := range [...]int{o.roiAt, o.scalesAt, o.sizesAt} {
		if at > 0 {
			in[i+1] = g.In(at)
		}
	}
	if o.scales != nil {
		in[2] = g.Constant(tensor.From(slices.Clone(o.scales), len(o.scales)))
	}
	g.Set(0, g.Node("ResizeGrad", attrs, in...))
	return nil
}

// Infer implements Op.
func (o *resizeGrad) Infer(in []Info) ([]Info, error) {
	return []Info{{Type: in[0].Type, Shape: MakeShape(o.shape...)}}, typesFloat.check(in, 0)
}

// ChannelsLast takes images whose samples and channels stay.
func (o *resizeGrad) ChannelsLast(in []Info) ([]bool, bool) {
	x := slices.Clone(in)
	x[0].Shape = MakeShape(o.shape...)
	return o.resize.ChannelsLast(x)
}

// Run implements Op.
func (o *resizeGrad) Run(c *Call) error { return throughFloat32(c, o) }

func (o *resizeGrad) run(c *Call) error {
	s, t := o.states.get(), o.turned.get()
	defer func() { o.states.put(s); o.turned.put(t) }()
	dy := c.In[0]
	if err := o.plan(c, s, o.shape); err != nil {
		return err
	}
	for i := range s.axes {
		if len(dy.Shape) != len(s.axes) || dy.Shape[i] != s.axes[i].out {
			return fmt.Errorf("what arrives has shape %v", dy.Shape)
		}
	}
	dx, err := c.Out(0, dy.Type, o.shape, dy.Layout)
	if err != nil || dx.Len() == 0 {
		return err
	}
	if dy.Len() == 0 {
		clear(dx.Bytes())
		return nil
	}
	for len(t.axes) < len(s.axes) {
		t.axes = append(t.axes, resizeAxis{})
	}
	t.axes = t.axes[:len(s.axes)]
	for i := range s.axes {
		o.tap(&s.axes[i])
		t.axes[i].turn(&s.axes[i])
	}
	switch {
	case dy.Layout == tensor.ChannelsLast:
		kernel.Resize(c.CPU, elements[float32](dx), elements[float32](dy), dy.Shape[0], dy.Shape[1], dy.Shape[2], dy.Shape[3], t.axes[2].taps, t.axes[3].taps)
	case dy.Type == onnx.Float:
		interpolate(t, elements[float32](dx), elements[float32](dy))
	case dy.Type == onnx.Double:
		interpolate(t, elements[float64](dx), elements[float64](dy))
	default:
		return typeError(dy.Type)
	}
	return nil
}

// turn makes the axis whose taps are those of a, seen from the positions that they are of; what is outside of the region has none.
func (t *resizeAxis) turn(a *resizeAxis) {
	if t.made == a.resizeKey && t.taps.N > 0 {
		return
	}
	t.made, t.resizeKey = a.resizeKey, a.resizeKey
	t.in, t.out = a.out, a.in
	if a.identity() {
		t.taps, t.weights = a.taps, nil
		return
	}
	used := func(i int) bool { return len(a.outside) == 0 || !a.outside[i] }
	count := make([]int, t.out)
	for i, k := range a.taps.Index {
		if used(i / a.taps.N) {
			count[k]++
		}
	}
	n := max(1, slices.Max(count))
	t.taps = kernel.Taps{N: n, Index: make([]int32, t.out*n), Weight: make([]float32, t.out*n)}
	t.weights = make([]float64, t.out*n)
	clear(count)
	for i, k := range a.taps.Index {
		if !used(i / a.taps.N) {
			continue
		}
		at := int(k)*n + count[k]
		count[k]++
		t.taps.Index[at], t.weights[at] = int32(i/a.taps.N), 1
		if a.weights != nil {
			t.weights[at] = a.weights[i]
		}
	}
	narrow(t.taps.Weight, t.weights)
}
