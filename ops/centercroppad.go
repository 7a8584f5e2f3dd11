package ops

import (
	"fmt"
	"slices"
)

// centerCropPad is CenterCropPad: axes made as long as input 1 says, taking away or adding zeros on both sides; where these are an
// odd number, one more at the end.
type centerCropPad struct{ axes []int }

func newCenterCropPad(n *Node) (Op, error) { return &centerCropPad{n.Ints("axes")}, nil }

// Infer implements Op.
func (o *centerCropPad) Infer(in []Info) ([]Info, error) {
	if err := typesIndex.check(in, 1); err != nil {
		return nil, err
	}
	out := Info{Type: in[0].Type, Shape: slices.Clone(in[0].Shape)}
	if out.Shape == nil {
		return []Info{out}, nil
	}
	lengths := shapeFrom(in[1])
	axes, err := axesOf(o.axes, len(out.Shape))
	switch {
	case err != nil:
		return nil, err
	case lengths == nil:
		out.Shape = unknownShape(len(out.Shape))
		return []Info{out}, nil
	case o.axes == nil && len(lengths) != len(out.Shape) || o.axes != nil && len(lengths) != len(axes):
		return nil, fmt.Errorf("%d lengths for %s and axes %v", len(lengths), out.Shape, o.axes)
	}
	for i, d := range lengths {
		if o.axes == nil {
			out.Shape[i] = d
		} else {
			out.Shape[axes[i]] = d
		}
	}
	return []Info{out}, nil
}

// ChannelsLast implements ChannelsLaster.
func (o *centerCropPad) ChannelsLast(in []Info) ([]bool, bool) { return allRank4(in, 1), false }

// Run implements Op.
func (o *centerCropPad) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x := c.In[0]
	lengths, err := w.intsOf(c.In[1])
	if err != nil {
		return err
	}
	n := len(o.axes)
	if o.axes == nil {
		n = len(x.Shape)
	}
	if len(lengths) != n {
		return fmt.Errorf("%d lengths for %v and axes %v", len(lengths), x.Shape, o.axes)
	}
	shape, before := w.copyOf(x.Shape), w.take(len(x.Shape))
	for i, d := range lengths {
		axis := i
		if o.axes != nil {
			if axis, err = axisOf(o.axes[i], len(shape)); err != nil {
				return err
			}
		}
		if shape[axis] = d; d < x.Shape[axis] {
			before[axis] = -((x.Shape[axis] - d) / 2)
		} else {
			before[axis] = (d - x.Shape[axis]) / 2
		}
	}
	out, err := c.Out(0, x.Type, shape, x.Layout)
	if err != nil {
		return err
	}
	own := w.copyOf(x.Shape)
	for _, s := range [][]int{own, shape, before} {
		physical(s, x.Layout)
	}
	return (&padding{}).surround(c, w, out, x, own, shape, before, nil)
}

// Gradient pads what was cropped and crops what was padded.
func (o *centerCropPad) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	x, y := g.In(0).Dims(), dy.Dims()
	pads := make([]int, 2*len(x))
	for i, d := range x {
		pads[i] = (d - y[i]) / 2
		pads[len(x)+i] = d - y[i] - pads[i]
	}
	g.Set(0, g.apply("Pad", dy, g.Ints(pads...)))
	return nil
}
