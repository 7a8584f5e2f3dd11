package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/tensor"
)

// viewKind says how an operator of type view makes the shape of its output.
type viewKind uint8

const (
	viewIdentity viewKind = iota
	viewReshape
	viewFlatten
	viewSqueeze
	viewUnsqueeze
)

// view is Identity, Reshape, Flatten, Squeeze and Unsqueeze: input 0 with another shape.
type view struct {
	kind      viewKind
	axes      []int // of Squeeze and Unsqueeze before opset 13, else input 1
	axis      int   // of Flatten
	allowZero bool  // of Reshape: 0 is 0, not the dimension of the input
}

func newIdentity(*Node) (Op, error) { return &view{kind: viewIdentity}, nil }

func newReshape(n *Node) (Op, error) {
	return &view{kind: viewReshape, allowZero: n.Bool("allowzero", false)}, nil
}

func newFlatten(n *Node) (Op, error) { return &view{kind: viewFlatten, axis: n.Int("axis", 1)}, nil }

func newSqueeze(n *Node) (Op, error) { return &view{kind: viewSqueeze, axes: n.Ints("axes")}, nil }

func newUnsqueeze(n *Node) (Op, error) {
	o := &view{kind: viewUnsqueeze, axes: n.Ints("axes")}
	if o.axes == nil && len(n.Inputs) < 2 {
		return nil, errors.New("attribute axes is missing")
	}
	return o, nil
}

// IsView implements Viewer.
func (o *view) IsView() {}

// InPlace implements InPlacer.
func (o *view) InPlace() []int { return []int{0} }

// ChannelsLast implements ChannelsLaster.
func (o *view) ChannelsLast(in []Info) ([]bool, bool) {
	ok := make([]bool, len(in))
	ok[0] = o.kind == viewIdentity
	return ok, false
}

// Infer implements Op.
func (o *view) Infer(in []Info) ([]Info, error) {
	if err := typesIndex.check(in, 1); err != nil {
		return nil, err
	}
	if o.kind == viewIdentity {
		return []Info{in[0]}, nil
	}
	out := Info{Type: in[0].Type}
	var err error
	if out.Shape, err = o.shapeInfo(in); err != nil {
		return nil, err
	}
	if in[0].Ints != nil && out.Shape != nil && len(out.Shape) <= 1 {
		out.Ints = in[0].Ints
	}
	return inferred(o, in, out)
}

func (o *view) shapeInfo(in []Info) (Shape, error) {
	x := in[0].Shape
	if o.kind == viewReshape {
		return o.reshapeInfo(x, in[1])
	}
	axes, ok := axisInfo(in, o.axes, 1)
	if x == nil || !ok {
		return nil, nil
	}
	switch o.kind {
	case viewFlatten:
		axis, err := o.flattenAt(len(x))
		if err != nil {
			return nil, err
		}
		return Shape{dimProduct(x[:axis]...), dimProduct(x[axis:]...)}, nil
	case viewUnsqueeze:
		axes, err := axesOf(axes, len(x)+len(axes))
		if err != nil {
			return nil, err
		}
		out := Shape{}
		for i := 0; len(out) < len(x)+len(axes); {
			if slices.Contains(axes, len(out)) {
				out = append(out, Known(1))
			} else {
				out = append(out, x[i])
				i++
			}
		}
		return out, nil
	}
	axes, err := axesOf(axes, len(x))
	if err != nil {
		return nil, err
	}
	out := Shape{}
	for i, d := range x {
		switch named := slices.Contains(axes, i); {
		case len(axes) == 0 && !d.IsKnown():
			return nil, nil
		case named && d.IsKnown() && d.N != 1:
			return nil, fmt.Errorf("axis %d of %s is not 1", i, x)
		case !named && (len(axes) > 0 || d.N != 1):
			out = append(out, d)
		}
	}
	return out, nil
}

// flattenAt is how many dimensions Flatten puts into the first; negative ones count from the rank.
func (o *view) flattenAt(rank int) (int, error) {
	if o.axis < -rank || o.axis > rank {
		return 0, fmt.Errorf("attribute axis is %d for rank %d", o.axis, rank)
	}
	if o.axis < 0 {
		return o.axis + rank, nil
	}
	return o.axis, nil
}

// reshapeInfo is the shape that a target makes of x.
func (o *view) reshapeInfo(x Shape, target Info) (Shape, error) {
	shape, certain := known(target)
	if dims, ok := x.Known(); ok && certain {
		out, err := o.reshape(make([]int, len(shape)), dims, shape)
		return MakeShape(out...), err
	}
	want := dimsOf(target)
	if want == nil {
		if len(target.Shape) == 1 && target.Shape[0].IsKnown() && target.Shape[0].N <= maxInts {
			return unknownShape(target.Shape[0].N), nil
		}
		return nil, nil
	}
	out, open := slices.Clone(Shape(want)), -1
	for i, d := range out {
		switch {
		case d.N == 0 && !o.allowZero:
			if x == nil {
				out[i] = Unknown
				continue
			}
			if i >= len(x) {
				return nil, fmt.Errorf("shape has 0 at position %d and the input only %d dimensions", i, len(x))
			}
			out[i] = x[i]
		case d == Unknown && open < 0: // −1, or unknown: either way it follows from the others
			open = i
		case d == Unknown:
			open = len(out)
		}
	}
	if x != nil && open >= 0 && open < len(out) {
		out[open] = quotient(x, slices.Concat(out[:open], out[open+1:]))
	}
	return out, nil
}

// reshape fills out with the dimensions that target makes of those of x.
func (o *view) reshape(out, x, target []int) ([]int, error) {
	total, err := tensor.Count(x)
	if err != nil {
		return nil, err
	}
	open := -1
	for i, d := range target {
		switch {
		case d == 0 && !o.allowZero:
			if i >= len(x) {
				return nil, fmt.Errorf("shape %v has 0 at position %d and the input only %d dimensions", target, i, len(x))
			}
			d = x[i]
		case d < -1 || d == -1 && open >= 0:
			return nil, fmt.Errorf("shape %v is none", target)
		case d == -1:
			open, d = i, 1
		}
		out[i] = d
	}
	rest, err := tensor.Count(out)
	if err != nil {
		return nil, err
	}
	if open >= 0 && rest > 0 {
		out[open], rest = total/rest, total/rest*rest
	}
	if rest != total {
		return nil, fmt.Errorf("%v does not reshape to %v", x, target)
	}
	return out, nil
}

// Run implements Op.
func (o *view) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x := c.In[0]
	layout := tensor.Plain
	if o.kind == viewIdentity {
		layout = x.Layout
	}
	shape, err := o.shape(c, w)
	if err != nil {
		return err
	}
	out, err := c.Out(0, x.Type, shape, layout)
	if err != nil {
		return err
	}
	c.copyTo(out, x)
	return nil
}

func (o *view) shape(c *Call, w *work) ([]int, error) {
	x := c.In[0].Shape
	arg, err := w.axisInput(c, o.axes, 1)
	if err != nil {
		return nil, err
	}
	switch o.kind {
	case viewIdentity:
		return x, nil
	case viewReshape:
		return o.reshape(w.take(len(arg)), x, arg)
	case viewFlatten:
		axis, err := o.flattenAt(len(x))
		if err != nil {
			return nil, err
		}
		shape := w.take(2)
		shape[0], shape[1] = product(x[:axis]), product(x[axis:])
		return shape, nil
	case viewUnsqueeze:
		shape := w.take(len(x) + len(arg))
		for _, a := range arg {
			k, err := axisOf(a, len(shape))
			if err != nil {
				return nil, err
			}
			if shape[k] != 0 {
				return nil, fmt.Errorf("axis %d is named twice", k)
			}
			shape[k] = -1
		}
		for k := range shape {
			if shape[k] == -1 {
				shape[k] = 1
			} else {
				shape[k], x = x[0], x[1:]
			}
		}
		return shape, nil
	}
	gone := w.take(len(x))
	for _, a := range arg {
		k, err := axisOf(a, len(x))
		if err != nil {
			return nil, err
		}
		if x[k] != 1 {
			return nil, fmt.Errorf("axis %d of %v is not 1", k, x)
		}
		gone[k] = 1
	}
	shape := w.take(len(x))[:0]
	for i, d := range x {
		if gone[i] == 0 && (len(arg) > 0 || d != 1) {
			shape = append(shape, d)
		}
	}
	return shape, nil
}

// Gradient gives what arrives the shape of the input.
func (o *view) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	g.Set(0, g.Reshape(dy, g.In(0).Dims()))
	return nil
}
