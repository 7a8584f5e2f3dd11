package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// gatherGrad is GatherGrad of [Domain], the adjoint of Gather: of what arrives, dy, and the indices it returns a tensor whose axis has the
// length that the attribute says, with at each position the sum of what dy has for the indices that name it; 0 where there are none.
// The order of a sum depends on the shapes alone.
type gatherGrad struct {
	axis, length int
	one          *states[gatherGradTask[float32]]
	two          *states[gatherGradTask[float64]]
}

func newGatherGrad(n *Node) (Op, error) {
	return &gatherGrad{
		axis: n.Int("axis", 0), length: n.Int("length", 0), one: new(states[gatherGradTask[float32]]), two: new(states[gatherGradTask[float64]]),
	}, nil
}

// Infer implements Op.
func (o *gatherGrad) Infer(in []Info) ([]Info, error) {
	out := Info{Type: in[0].Type}
	if err := typesFloat.check(in, 0); err != nil {
		return nil, err
	}
	if err := typesIndex.check(in, 1); err != nil {
		return nil, err
	}
	dy, index := in[0].Shape, in[1].Shape
	if dy == nil || index == nil {
		return []Info{out}, nil
	}
	if o.axis < 0 || o.axis+len(index) > len(dy) {
		return nil, fmt.Errorf("indices of shape %s at axis %d for %s", index, o.axis, dy)
	}
	out.Shape = joinShapes(dy[:o.axis], Shape{Known(o.length)}, dy[o.axis+len(index):])
	return []Info{out}, nil
}

// Run implements Op.
func (o *gatherGrad) Run(c *Call) error { return throughFloat32(c, o) }

func (o *gatherGrad) run(c *Call) error {
	w := newWork()
	defer w.free()
	dy, index := c.In[0], c.In[1]
	end := o.axis + len(index.Shape)
	if o.axis < 0 || end > len(dy.Shape) || !slices.Equal(dy.Shape[o.axis:end], index.Shape) {
		return fmt.Errorf("indices of shape %v at axis %d for %v", index.Shape, o.axis, dy.Shape)
	}
	if err := checkPositions(index, o.length); err != nil {
		return err
	}
	shape := append(w.take(len(dy.Shape) + 1)[:0], dy.Shape[:o.axis]...)
	shape = append(append(shape, o.length), dy.Shape[end:]...)
	out, err := c.Out(0, dy.Type, shape)
	if err != nil || out.Len() == 0 {
		return err
	}
	p := pileOf(shape, o.axis)
	switch dy.Type {
	case onnx.Float:
		runGatherGrad(c, o.one, elements[float32](out), elements[float32](dy), index, p)
	case onnx.Double:
		runGatherGrad(c, o.two, elements[float64](out), elements[float64](dy), index, p)
	default:
		return typeError(dy.Type)
	}
	return nil
}

// gatherGradTask is a run, cut into pieces. Where there are many indices for few positions, as of a codebook, each piece has some of
// the indices and makes sums of its own, which are added afterwards; else each has some of the positions and looks at all indices.
type gatherGradTask[T floating] struct {
	dst, src []T
	index    *tensor.Tensor
	p        pile // of dst
	pieces   int
	partial  []float64 // of each piece; empty if pieces have positions
}

const (
	gatherGradPieces = 16
	gatherGradLeast  = 1 << 13 // elements of a piece
)

func runGatherGrad[T floating](c *Call, s *states[gatherGradTask[T]], dst, src []T, index *tensor.Tensor, p pile) {
	t := s.get()
	defer s.put(t)
	t.dst, t.src, t.index, t.p = dst, src, index, p
	t.pieces = max(1, min(gatherGradPieces, len(src)/gatherGradLeast))
	t.partial = t.partial[:0]
	if p.outer == 1 && 4*p.n*t.pieces <= index.Len() {
		t.partial = resized(t.partial, t.pieces*len(dst))
		clear(t.partial)
	} else {
		t.pieces = min(t.pieces, p.n)
	}
	c.CPU.Parallel(t.pieces, t)
	if len(t.partial) > 0 {
		for i := range dst {
			sum := 0.0
			for k := range t.pieces {
				sum += t.partial[k*len(dst)+i]
			}
			dst[i] = T(sum)
		}
	}
	t.dst, t.src, t.index = nil, nil, nil
}

// Piece implements [kernel.Task].
func (t *gatherGradTask[T]) Piece(i, _ int) {
	share := func(n int) (lo, hi int) { return n * i / t.pieces, n * (i + 1) / t.pieces }
	var buf [256]int
	if len(t.partial) > 0 {
		lo, hi := share(t.index.Len())
		sums := t.partial[i*len(t.dst):][:len(t.dst)]
		for first := lo; first < hi; first += len(buf) {
			at := buf[:min(len(buf), hi-first)]
			positionsFrom(at, t.index, first, t.p.n)
			scatterAdd(sums, t.src[first*t.p.inner:], at, t.p.inner)
		}
		return
	}
	lo, hi := share(t.p.n)
	m, inner := t.index.Len(), t.p.inner
	for o := range t.p.outer {
		dst := t.dst[o*t.p.n*inner:][:t.p.n*inner]
		clear(dst[lo*inner : hi*inner])
		for first := 0; first < m; first += len(buf) {
			at := buf[:min(len(buf), m-first)]
			positionsFrom(at, t.index, first, t.p.n)
			for j, k := range at {
				if k >= lo && k < hi {
					addTo(dst[k*inner:][:inner], t.src[(o*m+first+j)*inner:])
				}
			}
		}
	}
}

// scatterAdd adds rows of n elements to those of dst that the index names.
func scatterAdd[T floating](dst []float64, src []T, index []int, n int) {
	for i, k := range index {
		for j, v := range src[i*n:][:n] {
			dst[k*n+j] += float64(v)
		}
	}
}

// addTo adds what src begins with.
func addTo[T floating](dst, src []T) {
	for i, v := range src[:len(dst)] {
		dst[i] += v
	}
}
