package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/tensor"
)

// repeat is Expand, which broadcasts the input and the shape that input 1 is to one another, and Tile, which repeats the input
// along each dimension as often as input 1 says.
type repeat struct{ tile bool }

func newExpand(*Node) (Op, error) { return repeat{}, nil }
func newTile(*Node) (Op, error)   { return repeat{tile: true}, nil }

// Infer implements Op.
func (o repeat) Infer(in []Info) ([]Info, error) {
	if err := typesIndex.check(in, 1); err != nil {
		return nil, err
	}
	out := Info{Type: in[0].Type}
	x, arg := in[0].Shape, shapeFrom(in[1])
	var err error
	switch {
	case o.tile && x != nil && arg == nil:
		out.Shape = unknownShape(len(x))
	case o.tile && x != nil:
		if len(arg) != len(x) {
			return nil, fmt.Errorf("%d repeats for rank %d", len(arg), len(x))
		}
		out.Shape = make(Shape, len(x))
		for i, d := range x {
			out.Shape[i] = dimProduct(d, arg[i])
		}
	case !o.tile && x != nil && arg != nil:
		// An unknown element may be −1 here, as exporters write for a dimension that stays: it broadcasts as a 1.
		out.Shape, err = broadcastInfo([]Info{in[0], {Shape: arg}})
	}
	if err != nil {
		return nil, err
	}
	if s, ok := out.Shape.Known(); ok {
		if _, err := tensor.Count(s); err != nil {
			return nil, err
		}
	}
	return inferred(o, in, out)
}

// Run implements Op.
func (o repeat) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x := c.In[0]
	arg, err := w.intsOf(c.In[1])
	if err != nil {
		return err
	}
	if o.tile && len(arg) != len(x.Shape) {
		return fmt.Errorf("%d repeats for rank %d", len(arg), len(x.Shape))
	}
	shape := w.take(max(len(arg), len(x.Shape)))
	if err := o.shape(shape, x.Shape, arg); err != nil {
		return err
	}
	out, err := c.Out(0, x.Type, shape)
	if err != nil {
		return err
	}
	from := w.take(len(shape))
	strides(from, x)
	w.start()
	step := 1
	for i, n := range slices.Backward(shape) {
		own := 1
		if k := i - len(shape) + len(x.Shape); k >= 0 {
			own = x.Shape[k]
		}
		w.add(own, step, from[i])
		if own > 0 {
			w.add(n/own, step*own, 0)
		}
		step *= n
	}
	if out.Len() > 0 {
		c.move(out, x, &w.walk)
	}
	return nil
}

// shape fills s.
func (o repeat) shape(s, x, arg []int) error {
	for i := range s {
		d, a := 1, 1
		if k := i - len(s) + len(x); k >= 0 {
			d = x[k]
		}
		if k := i - len(s) + len(arg); k >= 0 {
			a = arg[k]
		}
		switch {
		case o.tile:
			n, err := tensor.Count([]int{a, d})
			if err != nil {
				return err
			}
			s[i] = n
		case d == a || a == 1 || a == -1:
			s[i] = d
		case d == 1 && a >= 0:
			s[i] = a
		default:
			return fmt.Errorf("%v does not expand to %v", x, arg)
		}
	}
	return nil
}

// transposition is Transpose: dimension i of the output is dimension perm[i] of the input; without perm they are reversed.
type transposition struct{ perm []int }

func newTranspose(n *Node) (Op, error) { return &transposition{n.Ints("perm")}, nil }

// permutation fills p.
func (o *transposition) permutation(p []int) error {
	if o.perm == nil {
		for i := range p {
			p[i] = len(p) - 1 - i
		}
		return nil
	}
	if len(o.perm) != len(p) {
		return fmt.Errorf("attribute perm is %v for rank %d", o.perm, len(p))
	}
	for i, a := range o.perm {
		if a < 0 || a >= len(p) || slices.Contains(o.perm[:i], a) {
			return fmt.Errorf("attribute perm is %v, no permutation", o.perm)
		}
		p[i] = a
	}
	return nil
}

// Infer implements Op.
func (o *transposition) Infer(in []Info) ([]Info, error) {
	x := in[0].Shape
	if x == nil && o.perm == nil {
		return []Info{{Type: in[0].Type}}, nil
	}
	rank := len(x)
	if x == nil {
		x, rank = unknownShape(len(o.perm)), len(o.perm)
	}
	perm := make([]int, rank)
	if err := o.permutation(perm); err != nil {
		return nil, err
	}
	out := Info{Type: in[0].Type, Shape: make(Shape, rank)}
	for i, p := range perm {
		out.Shape[i] = x[p]
	}
	if rank <= 1 {
		out.Ints = in[0].Ints
	}
	return inferred(o, in, out)
}

// Run implements Op.
func (o *transposition) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x := c.In[0]
	perm, shape := w.take(len(x.Shape)), w.take(len(x.Shape))
	if err := o.permutation(perm); err != nil {
		return err
	}
	for i, p := range perm {
		shape[i] = x.Shape[p]
	}
	out, err := c.Out(0, x.Type, shape)
	if err != nil {
		return err
	}
	c.transpose(out, x, x.Shape, perm, w)
	return nil
}

// Gradient sums over the repeats.
func (o repeat) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	if !o.tile {
		g.SetSum(0, dy)
		return nil
	}
	x, y := g.In(0).Dims(), dy.Dims()
	var shape, axes []int
	for i, d := range x {
		axes = append(axes, len(shape))
		shape = append(shape, y[i]/max(d, 1), d)
	}
	g.Set(0, g.Reshape(g.ReduceSum(g.Reshape(dy, shape), axes...), x))
	return nil
}

// Gradient turns back.
func (o *transposition) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	perm := make([]int, len(dy.Dims()))
	if err := o.permutation(perm); err != nil {
		return err
	}
	back := make([]int, len(perm))
	for i, p := range perm {
		back[p] = i
	}
	g.Set(0, g.Transpose(dy, back...))
	return nil
}
