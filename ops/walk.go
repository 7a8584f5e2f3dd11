package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/internal/pages"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// work is what a run needs besides its tensors. It is taken from a pool and keeps its memory, so that runs after the first few
// allocate nothing.
type work struct {
	walk
	ints   []int // handed out by take
	used   int
	spare  *tensor.Tensor // handed out by scratch
	gather gatherTask
	parts  []kernel.Part
}

var works pages.Pool[work]

func newWork() *work { return works.Get() }

// free returns the memory for the next run.
func (w *work) free() {
	w.used = 0
	w.dims = w.dims[:0]
	w.gather = gatherTask{}
	clear(w.parts)
	w.parts = w.parts[:0]
	works.Put(w)
}

// take returns n zeros that stay until free.
func (w *work) take(n int) []int {
	if w.used+n > len(w.ints) {
		w.ints, w.used = make([]int, 2*len(w.ints)+n+64), 0 // what was handed out stays alive where it is
	}
	s := w.ints[w.used : w.used+n : w.used+n]
	w.used += n
	clear(s)
	return s
}

// copyOf is take with the contents of s.
func (w *work) copyOf(s []int) []int {
	c := w.take(len(s))
	copy(c, s)
	return c
}

// walk goes over the elements of up to four arrays that are seen as arrays of one shape, each with its strides, row after row.
type walk struct {
	dims  []walkDim // the innermost first
	at    [4]int    // where the row begins in each array
	empty bool
}

type walkDim struct {
	n, pos int
	step   [4]int // between neighbours, 0 to repeat
}

// start forgets the dimensions; the arrays begin at the given positions.
func (w *walk) start(at ...int) {
	w.dims, w.at, w.empty = w.dims[:0], [4]int{}, false
	copy(w.at[:], at)
}

// add adds a dimension outside of those that are there, and merges it where steps allow.
func (w *walk) add(n int, step ...int) {
	d := walkDim{n: n}
	copy(d.step[:], step)
	w.empty = w.empty || n == 0
	if n == 1 {
		return
	}
	if k := len(w.dims) - 1; k >= 0 {
		last := &w.dims[k]
		merged := true
		for i, s := range last.step {
			merged = merged && d.step[i] == s*last.n
		}
		if merged {
			last.n *= n
			return
		}
	}
	w.dims = append(w.dims, d)
}

// rows ends the adding, and returns the length of rows with the steps within them, and false when there is nothing to go over.
func (w *walk) rows() (row walkDim, ok bool) {
	if len(w.dims) == 0 {
		w.add(2) // a single element: a dimension of 1, which add would leave out
		w.dims[0].n = 1
	}
	return w.dims[0], !w.empty
}

// next goes to the next row, and returns false when there is none.
func (w *walk) next() bool {
	for i := 1; i < len(w.dims); i++ {
		d := &w.dims[i]
		d.pos++
		if d.pos < d.n {
			for k, s := range d.step {
				w.at[k] += s
			}
			return true
		}
		d.pos = 0
		for k, s := range d.step {
			w.at[k] -= s * (d.n - 1)
		}
	}
	return false
}

// moving holds the algorithms that only move elements, for those of any one size.
type moving interface {
	// copy copies array 1 of the walk, of src, to array 0, of dst.
	copy(dst, src *tensor.Tensor, w *walk)
	// fill sets all elements of dst to the first of value.
	fill(dst, value *tensor.Tensor)
	// choose sets array 0 of dst to array 2 of x where array 1 of cond, else to array 3 of y.
	choose(dst, cond, x, y *tensor.Tensor, w *walk)
	// gather copies, for each of p.outer, the positions index of p.n rows of p.inner elements; to rows first and on of total ones.
	gather(dst, src *tensor.Tensor, index []int, p pile, first, total int)
	// pick sets dst[i] = src[index[i]].
	pick(dst, src *tensor.Tensor, index []int)
	// set sets dst[index[i]] to the second element of values.
	set(dst *tensor.Tensor, index []int, values *tensor.Tensor)
	// put sets dst[index[i]·n + j] = src[i·n + j] for j below n.
	put(dst, src *tensor.Tensor, index []int, n int)
}

// moves is moving for elements like T.
type moves[T any] struct{}

// movingOf returns the algorithms for elements of a type.
func movingOf(dt onnx.DataType) moving {
	if dt == onnx.String {
		return moves[string]{}
	}
	switch tensor.Width(dt) {
	case 1:
		return moves[uint8]{}
	case 2:
		return moves[uint16]{}
	case 4:
		return moves[uint32]{}
	case 8:
		return moves[uint64]{}
	}
	return moves[complex128]{}
}

func (moves[T]) copy(dst, src *tensor.Tensor, w *walk) {
	row, ok := w.rows()
	d, s := elements[T](dst), elements[T](src)
	for ; ok; ok = w.next() {
		to, from := w.at[0], w.at[1]
		if row.step[0] == 1 && row.step[1] == 1 {
			copy(d[to:to+row.n], s[from:from+row.n])
			continue
		}
		for i := range row.n {
			d[to+i*row.step[0]] = s[from+i*row.step[1]]
		}
	}
}

func (moves[T]) fill(dst, value *tensor.Tensor) {
	v := elements[T](value)[0]
	d := elements[T](dst)
	for i := range d {
		d[i] = v
	}
}

func (moves[T]) choose(dst, cond, x, y *tensor.Tensor, w *walk) {
	row, ok := w.rows()
	d, c, p, q := elements[T](dst), elements[bool](cond), elements[T](x), elements[T](y)
	for ; ok; ok = w.next() {
		to, s := d[w.at[0]:][:row.n], row.step
		for i := range to {
			if c[w.at[1]+i*s[1]] {
				to[i] = p[w.at[2]+i*s[2]]
			} else {
				to[i] = q[w.at[3]+i*s[3]]
			}
		}
	}
}

func (moves[T]) gather(dst, src *tensor.Tensor, index []int, p pile, first, total int) {
	for o := range p.outer {
		d := elements[T](dst)[(o*total+first)*p.inner:]
		s := elements[T](src)[o*p.n*p.inner:]
		if p.inner == 1 {
			for i, k := range index {
				d[i] = s[k]
			}
			continue
		}
		for i, k := range index {
			copy(d[i*p.inner:(i+1)*p.inner], s[k*p.inner:])
		}
	}
}

func (moves[T]) pick(dst, src *tensor.Tensor, index []int) {
	d, s := elements[T](dst), elements[T](src)
	for i, k := range index {
		d[i] = s[k]
	}
}

func (moves[T]) set(dst *tensor.Tensor, index []int, values *tensor.Tensor) {
	d, v := elements[T](dst), elements[T](values)[1]
	for _, k := range index {
		d[k] = v
	}
}

func (moves[T]) put(dst, src *tensor.Tensor, index []int, n int) {
	d, s := elements[T](dst), elements[T](src)
	for i, k := range index {
		copy(d[k*n:(k+1)*n], s[i*n:])
	}
}

// manyBytes is how much is copied before more than one thread is worth it.
const manyBytes = 1 << 17

// move copies array 1 of the walk, of src, to array 0, of dst, with all threads where that is much.
func (c *Call) move(dst, src *tensor.Tensor, w *walk) {
	row, ok := w.rows()
	width := tensor.Width(dst.Type)
	if ok && len(w.dims) <= 2 && row.step[0] == 1 && row.step[1] == 1 && row.n*width >= 64 && dst.Type != onnx.String {
		rows, d, s := 1, row.n, row.n
		if len(w.dims) == 2 {
			rows, d, s = w.dims[1].n, w.dims[1].step[0], w.dims[1].step[1]
		}
		if s >= 0 && d >= 0 && rows*row.n*width >= manyBytes {
			kernel.CopyRows(c.CPU, dst.Bytes()[w.at[0]*width:], src.Bytes()[w.at[1]*width:], rows, row.n*width, d*width, s*width)
			return
		}
	}
	movingOf(dst.Type).copy(dst, src, w)
}

// copyTo copies the elements of src, in the order of memory, to dst, which has as many of the same type.
func (c *Call) copyTo(dst, src *tensor.Tensor) {
	if dst.Type == onnx.String {
		copy(dst.Strings(), src.Strings())
		return
	}
	a, b := dst.Bytes(), src.Bytes()
	switch {
	case len(a) == 0 || &a[0] == &b[0]: // the output has taken the memory of the input
	case len(a) < manyBytes:
		copy(a, b)
	default:
		kernel.Copy(c.CPU, a, b)
	}
}

// strides writes the distances between neighbours of t in memory along each of its dimensions, filled up with leading ones to the
// rank of s and 0 where a dimension is 1, so that it repeats.
func strides(s []int, t *tensor.Tensor) {
	clear(s)
	lead := len(s) - len(t.Shape)
	step := 1
	for i := range t.Shape {
		k := len(t.Shape) - 1 - i
		if t.Layout == tensor.ChannelsLast {
			k = [4]int{1, 3, 2, 0}[i] // the innermost in memory first
		}
		if d := t.Shape[k]; d != 1 {
			s[lead+k] = step
			step *= d
		}
	}
}

// physical reorders dimensions of rank 4, or what belongs to them, from [N, C, H, W] to the order of memory.
func physical[T any](s []T, l tensor.Layout) {
	if l == tensor.ChannelsLast {
		s[1], s[2], s[3] = s[2], s[3], s[1]
	}
}

// physicalAxis is where in memory's order an axis is.
func physicalAxis(axis int, l tensor.Layout) int {
	if l == tensor.ChannelsLast {
		return [4]int{0, 3, 1, 2}[axis]
	}
	return axis
}

// layoutOf is ChannelsLast if any of the tensors is.
func layoutOf(ts []*tensor.Tensor) tensor.Layout {
	for _, t := range ts {
		if t != nil && t.Layout == tensor.ChannelsLast {
			return tensor.ChannelsLast
		}
	}
	return tensor.Plain
}

// aligned holds operands that were broadcast to one shape: the shape and the strides of each, in the order of memory of the layout.
type aligned struct {
	logical, shape []int
	strides        [3][]int
	layout         tensor.Layout
}

// align broadcasts up to three operands as NumPy does.
func (w *work) align(ts ...*tensor.Tensor) (aligned, error) {
	rank := 0
	for _, t := range ts {
		rank = max(rank, len(t.Shape))
	}
	a := aligned{logical: w.take(rank), layout: layoutOf(ts)}
	for i := range a.logical {
		a.logical[i] = 1
	}
	for _, t := range ts {
		for i, d := range t.Shape {
			switch o := &a.logical[rank-len(t.Shape)+i]; {
			case *o == 1:
				*o = d
			case d != 1 && d != *o:
				return a, fmt.Errorf("shapes %s do not broadcast", shapesOf(ts))
			}
		}
	}
	a.shape = w.copyOf(a.logical)
	physical(a.shape, a.layout)
	for i, t := range ts {
		a.strides[i] = w.take(rank)
		strides(a.strides[i], t)
		physical(a.strides[i], a.layout)
	}
	return a, nil
}

func shapesOf(ts []*tensor.Tensor) string {
	s := ""
	for i, t := range ts {
		if i > 0 {
			s += " and "
		}
		s += fmt.Sprint(t.Shape)
	}
	return s
}

// walkAligned sets the walk to go over a dense result (array 0) and the operands (arrays 1, 2 and 3).
func (w *work) walkAligned(a *aligned) {
	w.start()
	step := 1
	for i, n := range slices.Backward(a.shape) {
		s := [4]int{0: step}
		for k, o := range a.strides {
			if o != nil {
				s[k+1] = o[i]
			}
		}
		w.add(n, s[:]...)
		step *= n
	}
}

// check returns an error unless inputs from to to−1 are of one type of the set.
func (c *Call) check(takes types, from, to int) error {
	for i := from; i < min(to, len(c.In)); i++ {
		if t := c.In[i].Type; !takes.has(t) || t != c.In[from].Type {
			return fmt.Errorf("input %d: elements of type %s", i, tensor.TypeName(t))
		}
	}
	return nil
}

// scratch returns a tensor of the pool; it is for one use at a time.
func (w *work) scratch(dt onnx.DataType, shape []int) (*tensor.Tensor, error) {
	if w.spare != nil && w.spare.Reuse(dt, shape, tensor.Plain) {
		return w.spare, nil
	}
	t, err := tensor.New(dt, shape...)
	if err == nil && dt != onnx.String {
		w.spare = t
	}
	return t, err
}

// transpose permutes the dimensions of src, whose dimensions in memory are shape: dimension i of dst is dimension perm[i].
func (c *Call) transpose(dst, src *tensor.Tensor, shape, perm []int, w *work) {
	switch {
	case dst.Type == onnx.String:
		from := w.take(len(shape))
		strides(from, &tensor.Tensor{Shape: shape})
		w.start()
		step := 1
		for _, p := range slices.Backward(perm) {
			w.add(shape[p], step, from[p])
			step *= shape[p]
		}
		movingOf(dst.Type).copy(dst, src, &w.walk)
	case tensor.Width(dst.Type) == 1:
		kernel.Transpose(c.CPU, elements[uint8](dst), elements[uint8](src), shape, perm)
	case tensor.Width(dst.Type) == 2:
		kernel.Transpose(c.CPU, elements[uint16](dst), elements[uint16](src), shape, perm)
	case tensor.Width(dst.Type) == 4:
		kernel.Transpose(c.CPU, elements[uint32](dst), elements[uint32](src), shape, perm)
	case tensor.Width(dst.Type) == 8:
		kernel.Transpose(c.CPU, elements[uint64](dst), elements[uint64](src), shape, perm)
	default:
		kernel.Transpose(c.CPU, elements[complex128](dst), elements[complex128](src), shape, perm)
	}
}
