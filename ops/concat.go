package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// concat is Concat: its inputs one after another along an axis.
type concat struct{ axis int }

func newConcat(n *Node) (Op, error) {
	if !n.Has("axis") {
		return nil, errors.New("attribute axis is missing")
	}
	if err := allThere(n); err != nil {
		return nil, err
	}
	return &concat{n.Int("axis", 0)}, nil
}

// allThere refuses to leave out one of any number of inputs.
func allThere(n *Node) error {
	if k := slices.Index(n.Inputs, ""); k >= 0 {
		return fmt.Errorf("input %d is missing", k)
	}
	return nil
}

// Infer implements Op.
func (o *concat) Infer(in []Info) ([]Info, error) {
	dt, err := typesAny.same(in, 0, len(in))
	if err != nil {
		return nil, err
	}
	out := Info{Type: dt}
	for i, x := range in {
		switch {
		case x.Shape == nil:
		case out.Shape == nil:
			out.Shape = slices.Clone(x.Shape)
		case len(x.Shape) != len(out.Shape):
			return nil, fmt.Errorf("input %d has shape %s after %s", i, x.Shape, out.Shape)
		}
	}
	if out.Shape == nil {
		return []Info{out}, nil
	}
	axis, err := axisOf(o.axis, len(out.Shape))
	if err != nil {
		return nil, err
	}
	length, unknown := Known(0), 0
	for i, x := range in {
		if x.Shape == nil {
			unknown++
			continue
		}
		for k, d := range x.Shape {
			switch have := &out.Shape[k]; {
			case k == axis && length.N == 0:
				length = d
			case k == axis && (!d.IsKnown() || !length.IsKnown()) && d.N != 0:
				length = Unknown
			case k == axis:
				length.N += max(d.N, 0)
			case d.IsKnown() && have.IsKnown() && d != *have:
				return nil, fmt.Errorf("input %d has shape %s after %s", i, x.Shape, out.Shape)
			case !have.IsKnown() && (d.IsKnown() || have.Name == ""):
				*have = d
			}
		}
	}
	if out.Shape[axis] = length; unknown > 0 {
		out.Shape[axis] = Unknown
	}
	if len(out.Shape) == 1 && typesIndex.has(dt) && unknown == 0 && length.IsKnown() {
		if e := o.ints(in); e != nil {
			out = intsInfo(dt, out.Shape, e)
		}
	}
	return inferred(o, in, out)
}

// ints joins the elements of vectors.
func (o *concat) ints(in []Info) []Dim {
	out := []Dim{}
	for _, x := range in {
		e := dimsOf(x)
		if n := x.Shape[0].N; e == nil && n <= maxInts { // of known length
			e = unknownShape(n)
		}
		if out = append(out, e...); len(out) > maxInts {
			return nil
		}
	}
	return out
}

// ChannelsLast implements ChannelsLaster.
func (o *concat) ChannelsLast(in []Info) ([]bool, bool) { return allRank4(in, len(in)), false }

// allRank4 is ChannelsLast of operators that take the layout in their first inputs when these are float32 of rank 4.
func allRank4(in []Info, first int) []bool {
	ok := make([]bool, len(in))
	for i := range min(first, len(in)) {
		if len(in[i].Shape) != 4 || in[i].Type != onnx.Float {
			return make([]bool, len(in))
		}
		ok[i] = true
	}
	return ok
}

// joinedRows is the number of rows from which on a thread copies some rows of all inputs, not some of every input in turn.
const joinedRows = 8

// Run implements Op.
func (o *concat) Run(c *Call) error {
	w := newWork()
	defer w.free()
	first := c.In[0]
	if err := c.check(typesAny, 0, len(c.In)); err != nil {
		return err
	}
	axis, err := axisOf(o.axis, len(first.Shape))
	if err != nil {
		return err
	}
	shape, layout := w.copyOf(first.Shape), first.Layout
	for i, t := range c.In[1:] {
		if len(t.Shape) != len(shape) || t.Layout != layout {
			return fmt.Errorf("input %d has shape %v after %v", i+1, t.Shape, shape)
		}
		for k, d := range t.Shape {
			if k == axis {
				shape[k] += d
			} else if d != shape[k] {
				return fmt.Errorf("input %d has shape %v after %v", i+1, t.Shape, shape)
			}
		}
	}
	out, err := c.Out(0, first.Type, shape, layout)
	if err != nil {
		return err
	}
	physical(shape, layout)
	whole, at := pileOf(shape, physicalAxis(axis, layout)), 0
	if width := tensor.Width(out.Type); width > 0 && whole.outer >= joinedRows {
		for _, t := range c.In {
			w.parts = append(w.parts, kernel.Part{Data: t.Bytes(), N: t.Shape[axis] * whole.inner * width})
		}
		kernel.Join(c.CPU, out.Bytes(), w.parts, whole.outer)
		return nil
	}
	for _, t := range c.In {
		row := t.Shape[axis] * whole.inner
		w.start(at, 0)
		w.add(row, 1, 1)
		w.add(whole.outer, whole.n*whole.inner, row)
		c.move(out, t, &w.walk)
		at += row
	}
	return nil
}

// split is Split: the parts of its input along an axis, of given lengths, else equal ones; from opset 18 on the last may be
// shorter.
type split struct {
	axis   int
	parts  []int // attribute before opset 13
	num    int
	uneven bool
}

func newSplit(n *Node) (Op, error) {
	o := &split{axis: n.Int("axis", 0), num: len(n.Outputs)}
	if n.Opset < 13 {
		o.parts = n.Ints("split")
	}
	if n.Opset >= 18 && len(n.Inputs) < 2 {
		o.num, o.uneven = n.Int("num_outputs", o.num), true
		if o.num != len(n.Outputs) {
			return nil, fmt.Errorf("attribute num_outputs is %d for %d outputs", o.num, len(n.Outputs))
		}
	}
	return o, nil
}

// lengths fills s, which has the length of the given lengths or of the number of parts, for an axis of n elements.
func (o *split) lengths(s, given []int, n int) error {
	if given == nil {
		length := (n + len(s) - 1) / len(s)
		if n%len(s) != 0 && !o.uneven {
			return fmt.Errorf("%d elements do not split into %d equal parts", n, len(s))
		}
		for i := range s {
			s[i] = max(0, min(length, n-i*length))
		}
		return nil
	}
	sum := 0
	for i, d := range given {
		if d < 0 || d > n-sum {
			return fmt.Errorf("parts of %v for %d elements", given, n)
		}
		s[i], sum = d, sum+d
	}
	if sum != n {
		return fmt.Errorf("parts of %v for %d elements", given, n)
	}
	return nil
}

// Infer implements Op.
func (o *split) Infer(in []Info) ([]Info, error) {
	if err := typesIndex.check(in, 1); err != nil {
		return nil, err
	}
	out := make([]Info, o.num)
	for i := range out {
		out[i].Type = in[0].Type
	}
	x := in[0].Shape
	if x == nil {
		return out, nil
	}
	axis, err := axisOf(o.axis, len(x))
	if err != nil {
		return nil, err
	}
	given, isKnown := axisInfo(in, o.parts, 1)
	if isKnown && given != nil && len(given) != o.num {
		return nil, fmt.Errorf("%d lengths for %d outputs", len(given), o.num)
	}
	var s []int
	if isKnown && x[axis].IsKnown() {
		s = make([]int, o.num)
		if err := o.lengths(s, given, x[axis].N); err != nil {
			return nil, err
		}
	}
	at := 0
	for i := range out {
		out[i].Shape = slices.Clone(x)
		switch {
		case s != nil:
			out[i].Shape[axis] = Known(s[i])
			if e := dimsOf(in[0]); e != nil {
				out[i] = intsInfo(out[i].Type, out[i].Shape, slices.Clone(e[at:at+s[i]]))
			}
			at += s[i]
		case isKnown && given != nil:
			out[i].Shape[axis] = Known(max(given[i], 0))
		case o.num > 1:
			out[i].Shape[axis] = Unknown
		}
	}
	return out, nil
}

// ChannelsLast implements ChannelsLaster.
func (o *split) ChannelsLast(in []Info) ([]bool, bool) { return allRank4(in, 1), false }

// Run implements Op.
func (o *split) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x := c.In[0]
	axis, err := axisOf(o.axis, len(x.Shape))
	if err != nil {
		return err
	}
	given, err := w.axisInput(c, o.parts, 1)
	if err != nil {
		return err
	}
	if given != nil && len(given) != o.num {
		return fmt.Errorf("%d lengths for %d outputs", len(given), o.num)
	}
	parts := w.take(o.num)
	if err := o.lengths(parts, given, x.Shape[axis]); err != nil {
		return err
	}
	shape, own := w.copyOf(x.Shape), w.copyOf(x.Shape)
	physical(own, x.Layout)
	whole, at := pileOf(own, physicalAxis(axis, x.Layout)), 0
	for i := range parts {
		row := parts[i] * whole.inner
		if c.wants(i) {
			shape[axis] = parts[i]
			out, err := c.Out(i, x.Type, shape, x.Layout)
			if err != nil {
				return err
			}
			w.start(0, at)
			w.add(row, 1, 1)
			w.add(whole.outer, row, whole.n*whole.inner)
			c.move(out, x, &w.walk)
		}
		at += row
	}
	return nil
}

// Gradient splits what arrives.
func (o *concat) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	axis, err := axisOf(o.axis, len(dy.Dims()))
	if err != nil {
		return err
	}
	first := 0
	for i := range g.Inputs() {
		last := first + g.In(i).Dims()[axis]
		if g.Wants(i) {
			g.Set(i, g.Node("Slice", nil, dy, g.Ints(first), g.Ints(last), g.Ints(axis)))
		}
		first = last
	}
	return nil
}

// Gradient puts the gradients of the parts together.
func (o *split) Gradient(g *Gradient) error {
	var parts []Value
	for i := range g.Outputs() {
		parts = append(parts, g.OfOrZero(i))
	}
	g.Set(0, g.Node("Concat", with(attrInt("axis", o.axis)), parts...))
	return nil
}
