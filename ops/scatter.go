package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// scatter is ScatterElements (Scatter) and ScatterND: input 0 with elements, or parts, replaced by or combined with updates at the
// places that the indices say. Where a place is named more than once the updates are taken in order.
type scatter struct {
	nd     bool
	axis   int
	kind   binaryKind
	reduce bool
}

func newScatter(n *Node) (Op, error) {
	o := &scatter{nd: n.OpType == "ScatterND", axis: n.Int("axis", 0)}
	kinds := map[string]binaryKind{"add": kindAdd, "mul": kindMul, "min": kindMin, "max": kindMax}
	if name := n.Text("reduction", "none"); name != "none" {
		if o.kind, o.reduce = kinds[name]; !o.reduce {
			return nil, fmt.Errorf("attribute reduction is %q", name)
		}
	}
	return o, nil
}

// Infer implements Op.
func (o *scatter) Infer(in []Info) ([]Info, error) {
	if err := typesIndex.check(in, 1); err != nil {
		return nil, err
	}
	dt, err := typesAny.same([]Info{in[0], in[2]}, 0, 2)
	if err != nil {
		return nil, err
	}
	if x := in[0].Shape; x != nil && !o.nd {
		if _, err := axisOf(o.axis, len(x)); err != nil {
			return nil, err
		}
	}
	return inferred(o, in, Info{Type: dt, Shape: in[0].Shape})
}

// InPlace implements InPlacer.
func (o *scatter) InPlace() []int { return []int{0} }

// Run implements Op.
func (o *scatter) Run(c *Call) error {
	if o.reduce {
		return half(c, o)
	}
	return o.run(c)
}

func (o *scatter) run(c *Call) error {
	w := newWork()
	defer w.free()
	x, index, updates := c.In[0], c.In[1], c.In[2]
	var at []int
	var err error
	part := 1
	if o.nd {
		if at, part, err = w.places(x, index, 0); err == nil && len(at)*part != updates.Len() {
			err = fmt.Errorf("updates of shape %v for %v at indices of shape %v", updates.Shape, x.Shape, index.Shape)
		}
	} else if at, err = w.elementIndex(x, index, o.axis); err == nil && !slices.Equal(index.Shape, updates.Shape) {
		err = fmt.Errorf("updates of shape %v at indices of shape %v", updates.Shape, index.Shape)
	}
	if err == nil && updates.Type != x.Type {
		err = fmt.Errorf("updates of %s to %s", updates, x)
	}
	if err != nil {
		return err
	}
	out, err := c.Out(0, x.Type, x.Shape)
	if err != nil {
		return err
	}
	c.copyTo(out, x)
	if !o.reduce {
		movingOf(x.Type).put(out, updates, at, part)
		return nil
	}
	n, err := numericOf(x.Type)
	if err != nil {
		return err
	}
	return n.scatter(o.kind, out, updates, at, part)
}

func (numbers[T]) scatter(kind binaryKind, dst, src *tensor.Tensor, index []int, n int) error {
	d, s := elements[T](dst), elements[T](src)
	for i, k := range index {
		for j := range n {
			d[k*n+j] = combine(kind, d[k*n+j], s[i*n+j])
		}
	}
	return nil
}

// oneHot is OneHot: a new axis of depth elements, of which the one that the index says is the second of values and the others are
// the first. Negative indices count from the end, and those that are out of range give none. (Before opset 11 ONNX's text has negative
// ones give none as well; ONNX's reference and ONNX Runtime count them all the same.)
type oneHot struct{ axis int }

func newOneHot(n *Node) (Op, error) { return &oneHot{n.Int("axis", -1)}, nil }

// Infer implements Op.
func (o *oneHot) Infer(in []Info) ([]Info, error) {
	for i := range 2 {
		if err := typesNumber.check(in, i); err != nil {
			return nil, err
		}
	}
	out := Info{Type: in[2].Type}
	x := in[0].Shape
	if x == nil {
		return []Info{out}, nil
	}
	axis, err := axisOf(o.axis, len(x)+1)
	if err != nil {
		return nil, err
	}
	depth := Unknown
	if d := dimsOf(in[1]); len(d) == 1 {
		depth = d[0]
	}
	out.Shape = slices.Insert(slices.Clone(x), axis, depth)
	return inferred(o, in, out)
}

// Run implements Op.
func (o *oneHot) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x, values := c.In[0], c.In[2]
	axis, err := axisOf(o.axis, len(x.Shape)+1)
	if err != nil {
		return err
	}
	if c.In[1].Len() != 1 || values.Len() != 2 {
		return fmt.Errorf("depth %s and values %s", c.In[1], values)
	}
	depth, err := w.wholeNumbers(c.In[1])
	if err != nil {
		return fmt.Errorf("depth: %w", err)
	}
	at, err := w.wholeNumbers(x)
	if err != nil {
		return fmt.Errorf("indices: %w", err)
	}
	n := depth[0]
	if n < 1 {
		return fmt.Errorf("depth is %d", n)
	}
	shape := append(w.take(len(x.Shape) + 1)[:0], x.Shape[:axis]...)
	shape = append(append(shape, n), x.Shape[axis:]...)
	out, err := c.Out(0, values.Type, shape)
	if err != nil {
		return err
	}
	inner, on := product(x.Shape[axis:]), at[:0]
	for i, k := range at {
		if k < 0 {
			k += n
		}
		if k >= 0 && k < n {
			on = append(on, (i/inner*n+k)*inner+i%inner)
		}
	}
	m := movingOf(values.Type)
	m.fill(out, values)
	m.set(out, on, values)
	return nil
}

// wholeNumbers reads a tensor of any numbers, rounded towards zero.
func (w *work) wholeNumbers(t *tensor.Tensor) ([]int, error) {
	if typesIndex.has(t.Type) {
		return w.intsOf(t)
	}
	whole, err := w.scratch(onnx.Int64, t.Shape)
	if err != nil {
		return nil, err
	}
	if err := convert(whole, t, conversion{}); err != nil {
		return nil, err
	}
	return w.intsOf(whole)
}

// tensorScatter is TensorScatter: a cache [batch, …] with the update written along an axis from the write index of each batch
// element on, from the beginning again where the mode is circular.
type tensorScatter struct {
	axis     int
	circular bool
}

func newTensorScatter(n *Node) (Op, error) {
	o := &tensorScatter{axis: n.Int("axis", -2)}
	switch mode := n.Text("mode", "linear"); mode {
	case "linear":
	case "circular":
		o.circular = true
	default:
		return nil, fmt.Errorf("attribute mode is %q", mode)
	}
	return o, nil
}

// Infer implements Op.
func (o *tensorScatter) Infer(in []Info) ([]Info, error) {
	dt, err := typesAny.same(in, 0, 2)
	if err == nil {
		err = typesIndex.check(in, 2)
	}
	return []Info{{Type: dt, Shape: in[0].Shape}}, err
}

// InPlace implements InPlacer.
func (o *tensorScatter) InPlace() []int { return []int{0} }

// Run implements Op.
func (o *tensorScatter) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x, update := c.In[0], c.In[1]
	axis, err := axisOf(o.axis, len(x.Shape))
	if err != nil {
		return err
	}
	if axis == 0 {
		return errors.New("axis 0 is the batch")
	}
	if err := c.check(typesAny, 0, 2); err != nil {
		return err
	}
	for i, d := range x.Shape {
		if len(update.Shape) != len(x.Shape) || d != update.Shape[i] && i != axis || update.Shape[i] > d {
			return fmt.Errorf("update of shape %v for %v", update.Shape, x.Shape)
		}
	}
	first := w.take(x.Shape[0])
	if t := c.input(2); t != nil {
		if first, err = w.intsOf(t); err != nil || len(first) != x.Shape[0] {
			return fmt.Errorf("write indices %s for a batch of %d", t, x.Shape[0])
		}
	}
	p, q := pileOf(x.Shape, axis), pileOf(update.Shape, axis)
	at := w.take(q.outer * q.n)
	for i := range at {
		row, k := i/q.n, i%q.n
		k += first[row/(q.outer/x.Shape[0])]
		if o.circular {
			k = (k%p.n + p.n) % p.n
		}
		if k < 0 || k >= p.n {
			return fmt.Errorf("position %d is outside of %d", k, p.n)
		}
		at[i] = row*p.n + k
	}
	out, err := c.Out(0, x.Type, x.Shape)
	if err != nil {
		return err
	}
	c.copyTo(out, x)
	movingOf(x.Type).put(out, update, at, p.inner)
	return nil
}

// Gradient goes to the elements where they stay, or where something is added to them, and to the updates; places that are named more
// than once without reduction are taken for ones that are named once.
func (o *scatter) Gradient(g *Gradient) error {
	if o.reduce && o.kind != kindAdd {
		return errors.New("attribute reduction is neither none nor add")
	}
	dy, _ := g.Of(0)
	op, gather, attrs := "ScatterElements", "GatherElements", with(attrInt("axis", o.axis))
	if o.nd {
		op, gather, attrs = "ScatterND", "GatherND", nil
	}
	if g.Wants(0) && o.reduce {
		g.Set(0, dy)
	} else if g.Wants(0) {
		g.Set(0, g.Node(op, attrs, dy, g.In(1), g.zeros(dy, g.In(2).Dims())))
	}
	if g.Wants(2) {
		g.Set(2, g.Node(gather, attrs, dy, g.In(1)))
	}
	return nil
}
