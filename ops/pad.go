package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// padding is Pad: elements before and after each axis, or taken away where the number is negative; a constant (mode constant),
// the nearest element (edge), or those that mirroring at the first and last element (reflect) or repeating (wrap) bring there.
// Before opset 11 numbers and value are attributes.
type padding struct {
	mode       string
	attributes bool
	pads       []int
	value      float32
}

func newPad(n *Node) (Op, error) {
	o := &padding{mode: n.Text("mode", "constant"), attributes: n.Opset < 11, value: n.Float("value", 0)}
	if !slices.Contains([]string{"constant", "reflect", "edge", "wrap"}, o.mode) {
		return nil, fmt.Errorf("attribute mode is %q", o.mode)
	}
	if o.attributes {
		if o.pads = n.Ints("pads"); o.pads == nil {
			return nil, errors.New("attribute pads is missing")
		}
	} else if present(n.Inputs) < 2 {
		return nil, errors.New("pads are missing")
	}
	return o, nil
}

// both sets before and after of a rank from a list of numbers for some axes, all if axes is nil.
func (o *padding) both(before, after, pads, axes []int) error {
	n := len(before)
	if axes != nil {
		n = len(axes)
	}
	if len(pads) != 2*n {
		return fmt.Errorf("%d pads for %d axes", len(pads), n)
	}
	for i := range n {
		axis := i
		if axes != nil {
			var err error
			if axis, err = axisOf(axes[i], len(before)); err != nil {
				return err
			}
		}
		before[axis], after[axis] = pads[i], pads[n+i]
	}
	return nil
}

// padded returns the length of an axis of d elements.
func padded(d, before, after int) (int, error) {
	const most = 1 << 46 // of which tensor.Count makes an error
	if before > most || after > most || before < -most || after < -most || d+before+after < 0 {
		return 0, fmt.Errorf("pads of %d and %d for %d elements", before, after, d)
	}
	return d + before + after, nil
}

// Infer implements Op.
func (o *padding) Infer(in []Info) ([]Info, error) {
	for _, i := range []int{1, 3} {
		if err := typesIndex.check(in, i); err != nil {
			return nil, err
		}
	}
	x := in[0].Shape
	out := Info{Type: in[0].Type}
	if x == nil {
		return []Info{out}, nil
	}
	out.Shape = unknownShape(len(x))
	axes, ok := axisInfo(in, nil, 3)
	pads, certain := axisInfo(in, o.pads, 1)
	if !ok || !certain {
		return []Info{out}, nil
	}
	before, after := make([]int, len(x)), make([]int, len(x))
	if err := o.both(before, after, pads, axes); err != nil {
		return nil, err
	}
	for i, d := range x {
		switch {
		case d.IsKnown():
			n, err := padded(d.N, before[i], after[i])
			if err != nil {
				return nil, err
			}
			out.Shape[i] = Known(n)
		case before[i] == 0 && after[i] == 0:
			out.Shape[i] = d
		}
	}
	return inferred(o, in, out)
}

// ChannelsLast implements ChannelsLaster.
func (o *padding) ChannelsLast(in []Info) ([]bool, bool) { return allRank4(in, 1), false }

// Run implements Op.
func (o *padding) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x := c.In[0]
	pads, err := w.axisInput(c, o.pads, 1)
	if err != nil {
		return err
	}
	axes, err := w.axisInput(c, nil, 3)
	if err != nil {
		return err
	}
	rank := len(x.Shape)
	before, after, shape := w.take(rank), w.take(rank), w.take(rank)
	if err := o.both(before, after, pads, axes); err != nil {
		return err
	}
	for i, d := range x.Shape {
		if shape[i], err = padded(d, before[i], after[i]); err != nil {
			return err
		}
		if d == 0 && shape[i] > 0 && o.mode != "constant" {
			return fmt.Errorf("axis %d has no element to pad with", i)
		}
	}
	out, err := c.Out(0, x.Type, shape, x.Layout)
	if err != nil {
		return err
	}
	own := w.copyOf(x.Shape)
	for _, s := range [][]int{own, shape, before, after} {
		physical(s, x.Layout)
	}
	if o.mode != "constant" {
		o.bend(w, out, x, own, shape, before)
		return nil
	}
	return o.surround(c, w, out, x, own, shape, before, c.input(2))
}

// surround fills out with the constant and copies x into it.
func (o *padding) surround(c *Call, w *work, out, x *tensor.Tensor, own, shape, before []int, value *tensor.Tensor) error {
	if !slices.Equal(own, shape) || slices.ContainsFunc(before, func(n int) bool { return n != 0 }) {
		if err := o.fill(out, value); err != nil {
			return err
		}
	}
	to, from, n := w.take(len(shape)), w.take(len(shape)), w.take(len(shape))
	strides(to, &tensor.Tensor{Shape: shape})
	strides(from, &tensor.Tensor{Shape: own})
	d, s := 0, 0
	for i := range shape {
		lo := max(0, -before[i]) // the first element that stays
		n[i] = max(0, min(own[i], shape[i]-before[i])-lo)
		d += (lo + before[i]) * to[i]
		s += lo * from[i]
	}
	w.start(d, s)
	empty := false
	for i, n := range slices.Backward(n) {
		w.add(n, to[i], from[i])
		empty = empty || n == 0
	}
	if !empty {
		c.move(out, x, &w.walk)
	}
	return nil
}

// fill stores the constant, which is an input or an attribute, everywhere.
func (o *padding) fill(out, value *tensor.Tensor) error {
	if value == nil && o.value == 0 && out.Type != onnx.String {
		clear(out.Bytes())
		return nil
	}
	if value == nil {
		var err error
		if value, err = tensor.New(out.Type); err != nil {
			return err
		}
		if o.value != 0 {
			if err := convert(value, tensor.Scalar(o.value), conversion{}); err != nil {
				return err
			}
		}
	}
	if value.Type != out.Type || value.Len() != 1 {
		return fmt.Errorf("constant value %s for %s", value, tensor.TypeName(out.Type))
	}
	movingOf(out.Type).fill(out, value)
	return nil
}

// bend fills out with elements of x: each axis has a list of where they are.
func (o *padding) bend(w *work, out, x *tensor.Tensor, own, shape, before []int) {
	same := func(k int) bool { return own[k] == shape[k] && before[k] == 0 }
	lo, hi := 0, len(shape) // the axes that are padded
	for hi > 0 && same(hi-1) {
		hi--
	}
	for lo < hi && same(lo) {
		lo++
	}
	if out.Len() == 0 {
		return
	}
	// The list of what goes where grows axis by axis, from the outermost: positions in units of inner.
	inner := product(own[hi:])
	list := append(w.take(product(shape[lo:hi]) + 1)[:0], 0)
	next := w.take(product(shape[lo:hi]) + 1)
	for k := lo; k < hi; k++ {
		next = next[:0]
		for _, at := range list {
			for i := range shape[k] {
				next = append(next, at*own[k]+o.source(i-before[k], own[k]))
			}
		}
		list, next = next, list
	}
	movingOf(x.Type).gather(out, x, list, pile{product(own[:lo]), product(own[lo:hi]), inner}, 0, len(list))
}

// source is the element, of n, that position i, which may be outside, gets.
func (o *padding) source(i, n int) int {
	switch {
	case o.mode == "edge":
		return max(0, min(i, n-1))
	case o.mode == "wrap":
		return ((i % n) + n) % n
	case n == 1:
		return 0
	}
	period := 2 * (n - 1)
	i = ((i % period) + period) % period
	return min(i, period-i)
}

// Gradient takes the padding away, and adds it to the elements that it was made of.
func (o *padding) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	x := g.In(0).Dims()
	pads, err := g.list(1, o.pads)
	if err != nil {
		return err
	}
	axes, err := g.list(3, nil)
	if err != nil {
		return err
	}
	before, after := make([]int, len(x)), make([]int, len(x))
	if err := o.both(before, after, pads, axes); err != nil {
		return err
	}
	dx := dy
	if o.mode == "constant" {
		away := make([]int, 2*len(x))
		for i := range x {
			away[i], away[len(x)+i] = -before[i], -after[i]
		}
		dx = g.apply("Pad", dy, g.Ints(away...))
	}
	for axis := range x {
		if o.mode == "constant" || before[axis] == 0 && after[axis] == 0 {
			continue
		}
		at := make([]int, dy.Dims()[axis])
		for i := range at {
			at[i] = o.source(i-before[axis], x[axis])
		}
		dx = g.scatterRows(dx, g.Ints(at...), axis, x[axis])
	}
	g.Set(0, dx)
	if g.Wants(2) {
		g.Set(2, g.Reshape(g.Sub(g.SumTo(dy, nil), g.SumTo(dx, nil)), g.In(2).Dims()))
	}
	return nil
}
