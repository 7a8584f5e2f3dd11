package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// gathering is Gather: along an axis the positions that the indices say, which may be of any rank, in place of the axis.
type gathering struct{ axis int }

func newGather(n *Node) (Op, error) { return &gathering{n.Int("axis", 0)}, nil }

// Infer implements Op.
func (o *gathering) Infer(in []Info) ([]Info, error) {
	if err := typesIndex.check(in, 1); err != nil {
		return nil, err
	}
	out := Info{Type: in[0].Type}
	x, index := in[0].Shape, in[1].Shape
	if x == nil {
		return []Info{out}, nil
	}
	axis, err := axisOf(o.axis, len(x))
	if err != nil {
		return nil, err
	}
	if index == nil {
		return []Info{out}, nil
	}
	out.Shape = joinShapes(x[:axis], index, x[axis+1:])
	if e := dimsOf(in[0]); e != nil && len(x) == 1 && in[1].Value != nil && len(out.Shape) <= 1 {
		at, _ := Integers(in[1].Value)
		picked := make([]Dim, len(at))
		for i, k := range at {
			if k < -len(e) || k >= len(e) {
				return nil, fmt.Errorf("index %d at position %d is outside of %d", k, i, len(e))
			}
			picked[i] = e[(k+len(e))%len(e)]
		}
		out = intsInfo(out.Type, out.Shape, picked)
	}
	return inferred(o, in, out)
}

// ChannelsLast implements ChannelsLaster: with a list of indices the rank stays.
func (o *gathering) ChannelsLast(in []Info) ([]bool, bool) {
	ok := allRank4(in, 1)
	ok[0] = ok[0] && len(in[1].Shape) == 1
	return ok, false
}

// Run implements Op.
func (o *gathering) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x, index := c.In[0], c.In[1]
	axis, err := axisOf(o.axis, len(x.Shape))
	if err != nil {
		return err
	}
	if err := checkPositions(index, x.Shape[axis]); err != nil {
		return err
	}
	shape := append(w.take(len(x.Shape) + len(index.Shape))[:0], x.Shape[:axis]...)
	shape = append(append(shape, index.Shape...), x.Shape[axis+1:]...)
	out, err := c.Out(0, x.Type, shape, x.Layout)
	if err != nil {
		return err
	}
	own := w.copyOf(x.Shape)
	physical(own, x.Layout)
	t := &w.gather
	*t = gatherTask{moving: movingOf(x.Type), dst: out, src: x, index: index, p: pileOf(own, physicalAxis(axis, x.Layout))}
	t.block = max(1, gatherBlock/max(1, t.p.inner))
	c.CPU.Parallel((index.Len()+t.block-1)/t.block, t)
	return nil
}

// gatherBlock is how many elements are gathered together: so many indices at most are in memory a second time.
const gatherBlock = 1 << 14

// gatherTask is a run of Gather, in pieces of block indices each.
type gatherTask struct {
	moving
	dst, src, index *tensor.Tensor
	p               pile
	block           int
}

// Piece implements kernel.Task.
func (t *gatherTask) Piece(i, _ int) {
	w := newWork()
	defer w.free()
	first := i * t.block
	at := w.take(min(t.block, t.index.Len()-first))
	positionsFrom(at, t.index, first, t.p.n)
	t.gather(t.dst, t.src, at, t.p, first, t.index.Len())
}

// gatherElements is GatherElements: element i of the output is that of the input at the same
// place but for the axis, where it is index i.
type gatherElements struct{ axis int }

func newGatherElements(n *Node) (Op, error) { return &gatherElements{n.Int("axis", 0)}, nil }

// Infer implements Op.
func (o *gatherElements) Infer(in []Info) ([]Info, error) {
	if err := typesIndex.check(in, 1); err != nil {
		return nil, err
	}
	if x := in[0].Shape; x != nil {
		if _, err := axisOf(o.axis, len(x)); err != nil {
			return nil, err
		}
		if in[1].Shape != nil && len(in[1].Shape) != len(x) {
			return nil, fmt.Errorf("indices of shape %s for %s", in[1].Shape, x)
		}
	}
	return inferred(o, in, Info{Type: in[0].Type, Shape: in[1].Shape})
}

// Run implements Op.
func (o *gatherElements) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x, index := c.In[0], c.In[1]
	at, err := w.elementIndex(x, index, o.axis)
	if err != nil {
		return err
	}
	out, err := c.Out(0, x.Type, index.Shape)
	if err != nil {
		return err
	}
	movingOf(x.Type).pick(out, x, at)
	return nil
}

// elementIndex returns for each index where in x the element is that it speaks of.
func (w *work) elementIndex(x, index *tensor.Tensor, axis int) ([]int, error) {
	axis, err := axisOf(axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	if len(index.Shape) != len(x.Shape) {
		return nil, fmt.Errorf("indices of shape %v for %v", index.Shape, x.Shape)
	}
	at, err := w.positions(index, x.Shape[axis])
	if err != nil {
		return nil, err
	}
	steps := w.take(len(x.Shape))
	strides(steps, x)
	w.start()
	dense := 1
	for i, n := range slices.Backward(index.Shape) {
		if n > x.Shape[i] && i != axis {
			return nil, fmt.Errorf("indices of shape %v for %v", index.Shape, x.Shape)
		}
		step := steps[i]
		if i == axis {
			step = 0
		}
		w.add(n, dense, step)
		dense *= n
	}
	for row, ok := w.rows(); ok; ok = w.next() {
		for i := range row.n {
			k := w.walk.at[0] + i
			at[k] = at[k]*steps[axis] + w.walk.at[1] + i*row.step[1]
		}
	}
	return at, nil
}

// gatherND is GatherND: the last dimension of the indices is a place in the input, after some dimensions of the batch that both
// have in common; the output is what lies at these places.
type gatherND struct{ batch int }

func newGatherND(n *Node) (Op, error) {
	o := &gatherND{n.Int("batch_dims", 0)}
	if o.batch < 0 {
		return nil, fmt.Errorf("attribute batch_dims is %d", o.batch)
	}
	return o, nil
}

// Infer implements Op.
func (o *gatherND) Infer(in []Info) ([]Info, error) {
	if err := typesIndex.check(in, 1); err != nil {
		return nil, err
	}
	out := Info{Type: in[0].Type}
	x, index := in[0].Shape, in[1].Shape
	if x == nil || index == nil {
		return []Info{out}, nil
	}
	if len(index) <= o.batch {
		return nil, rankError(1, len(index), fmt.Sprintf("more than %d", o.batch))
	}
	depth := index[len(index)-1]
	if !depth.IsKnown() {
		return []Info{out}, nil
	}
	if depth.N < 1 || o.batch+depth.N > len(x) {
		return nil, fmt.Errorf("indices of shape %s for %s", index, x)
	}
	out.Shape = joinShapes(index[:len(index)-1], x[o.batch+depth.N:])
	return inferred(o, in, out)
}

// Run implements Op.
func (o *gatherND) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x, index := c.In[0], c.In[1]
	at, n, err := w.places(x, index, o.batch)
	if err != nil {
		return err
	}
	depth := index.Shape[len(index.Shape)-1]
	shape := append(w.take(len(index.Shape) + len(x.Shape))[:0], index.Shape[:len(index.Shape)-1]...)
	shape = append(shape, x.Shape[o.batch+depth:]...)
	out, err := c.Out(0, x.Type, shape)
	if err != nil {
		return err
	}
	if out.Len() > 0 {
		movingOf(x.Type).gather(out, x, at, pile{1, x.Len() / n, n}, 0, len(at))
	}
	return nil
}

// places returns where in x, in units of n elements, the parts are that the rows of index speak of.
func (w *work) places(x, index *tensor.Tensor, batch int) (at []int, n int, err error) {
	rank := len(index.Shape)
	if rank <= batch {
		return nil, 0, rankError(1, rank, fmt.Sprintf("more than %d", batch))
	}
	depth := index.Shape[rank-1]
	if depth < 1 || batch+depth > len(x.Shape) || !slices.Equal(index.Shape[:batch], x.Shape[:batch]) {
		return nil, 0, fmt.Errorf("indices of shape %v for %v", index.Shape, x.Shape)
	}
	v, err := w.intsOf(index)
	if err != nil {
		return nil, 0, fmt.Errorf("indices: %w", err)
	}
	at = w.take(len(v) / depth)
	each := max(1, product(index.Shape[batch:rank-1])) // places of an element of the batch
	for i := range at {
		at[i] = i / each
		for k, p := range v[i*depth : (i+1)*depth] {
			d := x.Shape[batch+k]
			if p < -d || p >= d {
				return nil, 0, fmt.Errorf("index %d of place %d is outside of %d", p, i, d)
			}
			if p < 0 {
				p += d
			}
			at[i] = at[i]*d + p
		}
	}
	return at, product(x.Shape[batch+depth:]), nil
}

// compress is Compress: the positions along an axis, or of all elements in order, where a condition holds.
type compress struct {
	axis int
	flat bool
}

func newCompress(n *Node) (Op, error) {
	return &compress{n.Int("axis", 0), !n.Has("axis")}, nil
}

// Infer implements Op.
func (o *compress) Infer(in []Info) ([]Info, error) {
	if err := typesBool.check(in, 1); err != nil {
		return nil, err
	}
	out := Info{Type: in[0].Type}
	if o.flat {
		out.Shape = unknownShape(1)
	} else if x := in[0].Shape; x != nil {
		axis, err := axisOf(o.axis, len(x))
		if err != nil {
			return nil, err
		}
		out.Shape = slices.Clone(x)
		out.Shape[axis] = Unknown
	}
	return inferred(o, in, out)
}

// Run implements Op.
func (o *compress) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x := c.In[0]
	if err := c.check(typesBool, 1, 2); err != nil {
		return err
	}
	p := pile{1, x.Len(), 1}
	shape := w.take(1)
	axis := 0
	if !o.flat {
		var err error
		if axis, err = axisOf(o.axis, len(x.Shape)); err != nil {
			return err
		}
		p, shape = pileOf(x.Shape, axis), w.copyOf(x.Shape)
	}
	cond := elements[bool](c.In[1])
	at := w.take(len(cond))[:0]
	for i, b := range cond {
		if b && i >= p.n {
			return fmt.Errorf("condition of %d elements for %d", len(cond), p.n)
		}
		if b {
			at = append(at, i)
		}
	}
	shape[axis] = len(at)
	out, err := c.Out(0, x.Type, shape)
	if err != nil {
		return err
	}
	movingOf(x.Type).gather(out, x, at, p, 0, len(at))
	return nil
}

// nonZeros is NonZero: the coordinates [rank, count] of the elements that are not zero, in order. A scalar counts as a vector.
type nonZeros struct{}

func newNonZero(*Node) (Op, error) { return nonZeros{}, nil }

// Infer implements Op.
func (o nonZeros) Infer(in []Info) ([]Info, error) {
	out := Info{Type: onnx.Int64}
	if err := (typesNumber | typesBool).check(in, 0); err != nil {
		return nil, err
	}
	if x := in[0].Shape; x != nil {
		out.Shape = Shape{Known(max(len(x), 1)), Unknown}
	}
	return inferred(o, in, out)
}

// Run implements Op.
func (o nonZeros) Run(c *Call) error { return half(c, o) }

func (nonZeros) run(c *Call) error {
	w := newWork()
	defer w.free()
	x := c.In[0]
	n, err := numericOf(x.Type)
	if err != nil {
		return err
	}
	at := n.nonZero(w.take(x.Len())[:0], x)
	shape := w.take(2)
	shape[0], shape[1] = max(len(x.Shape), 1), len(at)
	out, err := c.Out(0, onnx.Int64, shape)
	if err != nil {
		return err
	}
	d := tensor.Of[int64](out)
	clear(d)
	for k, n := range slices.Backward(x.Shape) {
		for i, p := range at {
			d[k*len(at)+i] = int64(p % n)
			at[i] = p / n
		}
	}
	return nil
}

func (numbers[T]) nonZero(index []int, src *tensor.Tensor) []int {
	for i, x := range elements[T](src) {
		if x != 0 {
			index = append(index, i)
		}
	}
	return index
}

// Gradient adds up what was gathered from the same place.
func (o *gathering) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	x := g.In(0).Dims()
	axis, err := axisOf(o.axis, len(x))
	if err == nil {
		g.Set(0, g.scatterRows(dy, g.In(1), axis, x[axis]))
	}
	return err
}

// Gradient adds up what was taken from the same place.
func (o *gatherElements) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	g.Set(0, g.Node("ScatterElements", with(attrInt("axis", o.axis), attrText("reduction", "add")), g.zeros(dy, g.In(0).Dims()), g.In(1), dy))
	return nil
}

// Gradient adds up what was taken from the same place.
func (o *gatherND) Gradient(g *Gradient) error {
	if o.batch > 0 {
		return fmt.Errorf("attribute batch_dims of %d is not supported", o.batch)
	}
	dy, _ := g.Of(0)
	g.Set(0, g.Node("ScatterND", with(attrText("reduction", "add")), g.zeros(dy, g.In(0).Dims()), g.In(1), dy))
	return nil
}
