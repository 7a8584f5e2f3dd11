package ops

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// topK is TopK: the k greatest or least elements along an axis and their positions, in order; of equals the first comes first, and
// NaN counts as greatest. Without sorting they come in the order of their positions. Before opset 10 k is an attribute.
type topK struct {
	axis, k       int // k −1: input 1
	least, sorted bool
}

func newTopK(n *Node) (Op, error) {
	o := &topK{axis: n.Int("axis", -1), k: -1, least: !n.Bool("largest", true), sorted: n.Bool("sorted", true)}
	if n.Opset < 10 {
		if o.k = n.Int("k", -1); o.k < 0 {
			return nil, fmt.Errorf("attribute k is %d", o.k)
		}
	} else if len(n.Inputs) < 2 {
		return nil, fmt.Errorf("k is missing")
	}
	return o, nil
}

// Infer implements Op.
func (o *topK) Infer(in []Info) ([]Info, error) {
	if err := typesNumber.check(in, 0); err != nil {
		return nil, err
	}
	x := in[0].Shape
	out := []Info{{Type: in[0].Type}, {Type: onnx.Int64}}
	if x == nil {
		return out, nil
	}
	axis, err := axisOf(o.axis, len(x))
	if err != nil {
		return nil, err
	}
	k := Known(o.k)
	if o.k < 0 {
		k = Unknown
		if d := dimsOf(in[1]); len(d) == 1 {
			k = d[0]
		}
	}
	if k.IsKnown() && x[axis].IsKnown() && k.N > x[axis].N {
		return nil, fmt.Errorf("k is %d for %d elements", k.N, x[axis].N)
	}
	for i := range out {
		out[i].Shape = slices.Clone(x)
		out[i].Shape[axis] = k
	}
	return out, nil
}

// Run implements Op.
func (o *topK) Run(c *Call) error { return half(c, o) }

func (o *topK) run(c *Call) error {
	w := newWork()
	defer w.free()
	x, k := c.In[0], o.k
	axis, err := axisOf(o.axis, len(x.Shape))
	if err != nil {
		return err
	}
	if k < 0 {
		if k, err = w.scalarOf(c.In[1]); err != nil {
			return fmt.Errorf("k: %w", err)
		}
	}
	if k < 0 || k > x.Shape[axis] {
		return fmt.Errorf("k is %d for %d elements", k, x.Shape[axis])
	}
	n, err := numericOf(x.Type)
	if err != nil {
		return err
	}
	shape := w.copyOf(x.Shape)
	shape[axis] = k
	values, err := c.Out(0, x.Type, shape)
	if err != nil {
		return err
	}
	var indices *tensor.Tensor
	if c.wants(1) {
		if indices, err = c.Out(1, onnx.Int64, shape); err != nil {
			return err
		}
	}
	n.top(o, values, indices, x, k, pileOf(x.Shape, axis), w)
	return nil
}

func (numbers[T]) top(o *topK, values, indices, src *tensor.Tensor, k int, p pile, w *work) {
	v, s := elements[T](values), elements[T](src)
	heap := w.take(k)
	for i := range p.outer * p.inner {
		if k == 0 {
			return
		}
		column := ranked[T]{s: s[i/p.inner*p.n*p.inner+i%p.inner:], step: p.inner, least: o.least}
		column.best(heap, p.n)
		if !o.sorted {
			slices.Sort(heap)
		}
		first := i/p.inner*k*p.inner + i%p.inner
		for j, at := range heap {
			v[first+j*p.inner] = column.s[at*p.inner]
		}
		if indices == nil {
			continue
		}
		for j, at := range heap {
			tensor.Of[int64](indices)[first+j*p.inner] = int64(at)
		}
	}
}

// ranked is a column of elements that are step apart.
type ranked[T number] struct {
	s     []T
	step  int
	least bool
}

// before reports whether element i comes before element j.
func (r *ranked[T]) before(i, j int) bool {
	a, b := r.s[i*r.step], r.s[j*r.step]
	switch {
	case a > b:
		return !r.least
	case a < b:
		return r.least
	case a == b || a != a && b != b:
		return i < j
	}
	return (a != a) != r.least // NaN is the greatest
}

// best fills heap with the positions of the first of n elements, in order: a heap of the best so far has the last of them on top.
func (r *ranked[T]) best(heap []int, n int) {
	k := len(heap)
	for i := range k {
		heap[i] = i
	}
	for i := k/2 - 1; i >= 0; i-- {
		r.sink(heap, i)
	}
	for i := k; i < n; i++ {
		if r.before(i, heap[0]) {
			heap[0] = i
			r.sink(heap, 0)
		}
	}
	for i := k - 1; i > 0; i-- {
		heap[0], heap[i] = heap[i], heap[0]
		r.sink(heap[:i], 0)
	}
}

// sink moves entry i down to where it belongs.
func (r *ranked[T]) sink(heap []int, i int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && r.before(heap[child], heap[child+1]) {
			child++
		}
		if !r.before(heap[i], heap[child]) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

// unique is Unique: the different elements, or slices along an axis, in ascending order or that of their first occurrence; with the
// positions of the first ones, for each input which of them it is, and how often each occurs.
type unique struct {
	axis         int
	flat, sorted bool
}

func newUnique(n *Node) (Op, error) {
	return &unique{axis: n.Int("axis", 0), flat: !n.Has("axis"), sorted: n.Bool("sorted", true)}, nil
}

// Infer implements Op.
func (o *unique) Infer(in []Info) ([]Info, error) {
	out := slices.Repeat([]Info{{Type: onnx.Int64, Shape: unknownShape(1)}}, 4)
	out[0] = Info{Type: in[0].Type, Shape: unknownShape(1)}
	if err := (typesNumber | typesBool | typesString).check(in, 0); err != nil {
		return nil, err
	}
	x := in[0].Shape
	if !o.flat {
		if out[0].Shape = slices.Clone(x); x != nil {
			axis, err := axisOf(o.axis, len(x))
			if err != nil {
				return nil, err
			}
			out[0].Shape[axis] = Unknown
			out[2].Shape = Shape{x[axis]}
		}
	} else if x != nil {
		out[2].Shape = Shape{dimProduct(x...)}
	}
	return out, nil
}

// Run implements Op.
func (o *unique) Run(c *Call) error { return half(c, o) }

func (o *unique) run(c *Call) error {
	w := newWork()
	defer w.free()
	x := c.In[0]
	p, axis, shape := pile{1, x.Len(), 1}, 0, w.take(1)
	if !o.flat {
		var err error
		if axis, err = axisOf(o.axis, len(x.Shape)); err != nil {
			return err
		}
		p, shape = pileOf(x.Shape, axis), w.copyOf(x.Shape)
	}
	order := w.take(p.n)
	for i := range order {
		order[i] = i
	}
	// After sorting equal ones are neighbours, the first of them in front; same[k] says that order[k] equals its predecessor.
	if x.Type == onnx.String {
		orderRows(order, x.Strings(), p)
	} else {
		n, err := numericOf(x.Type)
		if err != nil {
			return err
		}
		n.order(order, x, p)
	}
	var groups [][2]int // first position, count
	of := w.take(p.n)   // the group of each position
	for k, i := range order {
		if k == 0 || !sameRow(x, p, order[k-1], i) {
			groups = append(groups, [2]int{i, 0})
		}
		of[i] = len(groups) - 1
		groups[len(groups)-1][1]++
	}
	return o.give(c, w, x, p, groups, of, shape, axis)
}

// give fills the outputs.
func (o *unique) give(c *Call, w *work, x *tensor.Tensor, p pile, groups [][2]int, of, shape []int, axis int) error {
	rank := w.take(len(groups)) // the place of each group
	sorted := make([]int, len(groups))
	for g := range groups {
		sorted[g] = g
	}
	if !o.sorted {
		slices.SortFunc(sorted, func(a, b int) int { return groups[a][0] - groups[b][0] })
	}
	first, counts := w.take(len(groups)), w.take(len(groups))
	for place, g := range sorted {
		rank[g], first[place], counts[place] = place, groups[g][0], groups[g][1]
	}
	for i, g := range of {
		of[i] = rank[g]
	}
	shape[axis] = len(groups)
	out, err := c.Out(0, x.Type, shape)
	if err != nil {
		return err
	}
	movingOf(x.Type).gather(out, x, first, p, 0, len(first))
	for k, list := range [...][]int{first, of, counts} {
		if !c.wants(k + 1) {
			continue
		}
		t, err := c.Out(k+1, onnx.Int64, []int{len(list)})
		if err != nil {
			return err
		}
		setIntegers(t, list)
	}
	return nil
}

func (numbers[T]) order(index []int, src *tensor.Tensor, p pile) {
	orderRows(index, elements[T](src), p)
}

// orderRows sorts positions along the axis by what lies there, equal ones by the position.
func orderRows[T cmp.Ordered](index []int, s []T, p pile) {
	slices.SortStableFunc(index, func(a, b int) int {
		for o := range p.outer {
			x, y := s[(o*p.n+a)*p.inner:][:p.inner], s[(o*p.n+b)*p.inner:][:p.inner]
			for i := range x {
				if c := cmp.Compare(x[i], y[i]); c != 0 {
					if x[i] != x[i] || y[i] != y[i] { // NaN goes last
						return -c
					}
					return c
				}
			}
		}
		return 0
	})
}

// sameRow reports whether what lies at two positions of the axis is equal. NaN equals nothing.
func sameRow(x *tensor.Tensor, p pile, a, b int) bool {
	for o := range p.outer {
		for i := range p.inner {
			if !sameElement(x, (o*p.n+a)*p.inner+i, (o*p.n+b)*p.inner+i) {
				return false
			}
		}
	}
	return true
}

// sameElement compares two elements.
func sameElement(x *tensor.Tensor, i, j int) bool {
	switch x.Type {
	case onnx.String:
		return x.Strings()[i] == x.Strings()[j]
	case onnx.Float:
		return elements[float32](x)[i] == elements[float32](x)[j]
	case onnx.Double:
		return elements[float64](x)[i] == elements[float64](x)[j]
	}
	w := tensor.Width(x.Type)
	return string(x.Bytes()[i*w:(i+1)*w]) == string(x.Bytes()[j*w:(j+1)*w])
}

// Gradient goes to the elements that were chosen.
func (o *topK) Gradient(g *Gradient) error {
	if dy, ok := g.Of(0); ok {
		g.Set(0, g.Node("ScatterElements", with(attrInt("axis", o.axis)), g.zeros(dy, g.In(0).Dims()), g.Out(1), dy))
	}
	return nil
}
