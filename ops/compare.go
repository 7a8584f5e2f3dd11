package ops

import (
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// comparison is Equal, Less, LessOrEqual, Greater and GreaterOrEqual: of two tensors of one type, broadcast as NumPy does. A
// comparison with NaN is false.
type comparison struct {
	kind  binaryKind
	takes types
}

func comparisonOf(kind binaryKind, takes types) func(*Node) (Op, error) {
	return func(*Node) (Op, error) { return &comparison{kind, takes}, nil }
}

// Infer implements Op.
func (o *comparison) Infer(in []Info) ([]Info, error) {
	if _, err := o.takes.same(in, 0, 2); err != nil {
		return nil, err
	}
	shape, err := broadcastInfo(in)
	if err != nil {
		return nil, err
	}
	return inferred(o, in, Info{Type: onnx.Bool, Shape: shape})
}

// Run implements Op.
func (o *comparison) Run(c *Call) error { return half(c, o) }

func (o *comparison) run(c *Call) error {
	w := newWork()
	defer w.free()
	a, b := c.In[0], c.In[1]
	if err := c.check(o.takes, 0, 2); err != nil {
		return err
	}
	al, err := w.align(a, b)
	if err != nil {
		return err
	}
	out, err := c.Out(0, onnx.Bool, al.logical, al.layout)
	if err != nil {
		return err
	}
	w.walkAligned(&al)
	if a.Type == onnx.String {
		equal(elements[bool](out), a.Strings(), b.Strings(), &w.walk)
		return nil
	}
	n, err := numericOf(a.Type)
	if err != nil {
		return err
	}
	n.compare(o.kind, out, a, b, &w.walk)
	return nil
}

func equal[T comparable](d []bool, a, b []T, w *walk) {
	row, ok := w.rows()
	for ; ok; ok = w.next() {
		i, j := w.at[1], w.at[2]
		for k := range row.n {
			d[w.at[0]+k] = a[i] == b[j]
			i, j = i+row.step[1], j+row.step[2]
		}
	}
}

func (numbers[T]) compare(kind binaryKind, dst, a, b *tensor.Tensor, w *walk) {
	d, p, q := elements[bool](dst), elements[T](a), elements[T](b)
	row, ok := w.rows()
	if kind == kindEqual {
		equal(d, p, q, w)
		return
	}
	for ; ok; ok = w.next() {
		i, j := w.at[1], w.at[2]
		for k := range row.n {
			x, y := p[i], q[j]
			switch kind {
			case kindLess:
				d[w.at[0]+k] = x < y
			case kindLessOrEqual:
				d[w.at[0]+k] = x <= y
			case kindGreater:
				d[w.at[0]+k] = x > y
			default:
				d[w.at[0]+k] = x >= y
			}
			i, j = i+row.step[1], j+row.step[2]
		}
	}
}

// where is Where: the elements of X where the condition holds, else those of Y, broadcast as NumPy does.
type where struct{}

func newWhere(*Node) (Op, error) { return where{}, nil }

// Infer implements Op.
func (o where) Infer(in []Info) ([]Info, error) {
	if err := typesBool.check(in, 0); err != nil {
		return nil, err
	}
	dt, err := typesAny.same(in, 1, 3)
	if err != nil {
		return nil, err
	}
	shape, err := broadcastInfo(in)
	if err != nil {
		return nil, err
	}
	out := Info{Type: dt, Shape: shape}
	if cond := in[0].Value; cond != nil && cond.Len() <= maxInts && typesIndex.has(dt) && len(shape) == 1 && shape[0].IsKnown() {
		out = intsInfo(dt, shape, o.dims(cond, dimsOf(in[1]), dimsOf(in[2]), shape[0].N))
	}
	return inferred(o, in, out)
}

// dims chooses among dimensions.
func (where) dims(cond *tensor.Tensor, x, y []Dim, n int) []Dim {
	if len(x) == 0 || len(y) == 0 || cond.Len() == 0 || n > maxInts {
		return nil
	}
	out := make([]Dim, n)
	b := elements[bool](cond)
	for i := range out {
		if b[i%len(b)] {
			out[i] = x[i%len(x)]
		} else {
			out[i] = y[i%len(y)]
		}
	}
	return out
}

// ChannelsLast implements ChannelsLaster.
func (where) ChannelsLast(in []Info) ([]bool, bool) {
	ok := layoutBlind(in, 1)
	// The condition is no activation and comes Plain: which only fits where it has one order of elements.
	if len(in[0].Shape) == 4 && ok[0] {
		return make([]bool, len(in)), false
	}
	ok[0] = false
	return ok, false
}

// InPlace implements InPlacer.
func (where) InPlace() []int { return []int{1, 2} }

// Run implements Op.
func (where) Run(c *Call) error {
	w := newWork()
	defer w.free()
	cond, x, y := c.In[0], c.In[1], c.In[2]
	if err := c.check(typesAny, 1, 3); err != nil {
		return err
	}
	if err := c.check(typesBool, 0, 1); err != nil {
		return err
	}
	al, err := w.align(cond, x, y)
	if err != nil {
		return err
	}
	out, err := c.Out(0, x.Type, al.logical, al.layout)
	if err != nil {
		return err
	}
	w.walkAligned(&al)
	movingOf(x.Type).choose(out, cond, x, y, &w.walk)
	return nil
}

// Gradient goes to the operand that each element is from.
func (where) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	zero := g.Scalar(dy, 0)
	if g.Wants(1) {
		g.SetSum(1, g.Where(g.In(0), dy, zero))
	}
	if g.Wants(2) {
		g.SetSum(2, g.Where(g.In(0), zero, dy))
	}
	return nil
}
