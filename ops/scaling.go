package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/tensor"
)

// scaling says which elements of a tensor share a scale: all; those of one position of an axis; or blocks along an axis.
type scaling struct {
	axis      int
	blockSize int // 0: no blocks
}

func newScaling(n *Node) (scaling, error) {
	s := scaling{axis: n.Int("axis", 1), blockSize: n.Int("block_size", 0)}
	if s.blockSize < 0 {
		return s, fmt.Errorf("attribute block_size is %d", s.blockSize)
	}
	return s, nil
}

// spread is a scaling for known shapes.
type spread struct {
	kind                 spreadKind
	inner, length, block int
}

type spreadKind uint8

const (
	perTensor spreadKind = iota
	perAxis
	blocked
)

// of returns the spread of a scale over x.
func (s scaling) of(x *tensor.Tensor, scale []int) (spread, error) {
	if len(scale) == 0 || len(scale) == 1 && scale[0] == 1 && s.blockSize == 0 {
		return spread{kind: perTensor}, nil
	}
	axis, err := axisOf(s.axis, len(x.Shape))
	if err != nil {
		if len(x.Shape) == 1 && len(scale) == 1 && s.axis == 1 { // the default axis
			axis = 0
		} else {
			return spread{}, err
		}
	}
	shape, want := x.Shape, []int{x.Shape[axis]}
	kind := perAxis
	if s.blockSize > 0 {
		kind, want = blocked, slices.Clone(shape)
		want[axis] = (shape[axis] + s.blockSize - 1) / s.blockSize
	}
	if !slices.Equal(scale, want) {
		return spread{}, fmt.Errorf("scale of shape %v for axis %d of %v, block size %d", scale, axis, shape, s.blockSize)
	}
	if x.Layout == tensor.ChannelsLast {
		if kind == blocked {
			return spread{}, fmt.Errorf("blocked scale of a tensor in the layout %s", x.Layout)
		}
		shape, axis = x.Physical(), [4]int{0, 3, 1, 2}[axis]
	}
	p := pileOf(shape, axis)
	return spread{kind: kind, inner: p.inner, length: p.n, block: s.blockSize}, nil
}

// run describes the elements from i on: for n of them (or fewer, at the tensor's end), the scales have the indices k, k + step, …
func (s spread) run(i int) (n, k, step int) {
	if s.kind == perTensor {
		return 1 << 30, 0, 0
	}
	in, a := i%s.inner, i/s.inner%s.length
	switch {
	case s.kind == perAxis && s.inner > 1:
		return s.inner - in, a, 0
	case s.kind == perAxis:
		return s.length - a, a, 1
	}
	blocks := (s.length + s.block - 1) / s.block
	k = (i/s.inner/s.length*blocks + a/s.block) * s.inner
	if s.inner > 1 {
		return s.inner - in, k + in, 1
	}
	return min(s.block-a%s.block, s.length-a), k, 0
}

// layouts are ChannelsLast of QuantizeLinear and DequantizeLinear.
func (s scaling) layouts(in []Info) ([]bool, bool) {
	ok := make([]bool, len(in))
	ok[0] = s.blockSize == 0
	return ok, false
}

// decoded returns the elements of a tensor as float32, in buf where that is large enough.
func decoded(buf []float32, t *tensor.Tensor) ([]float32, error) {
	buf = resized(buf, t.Len())
	if !t.Floats(buf, 0) {
		return nil, fmt.Errorf("elements of type %s are no real numbers", t.Type)
	}
	return buf, nil
}

// parameters checks that a scale and a zero point, which may be left out, have one shape, and takes their values.
func (q *quantTask) parameters(scale, zero *tensor.Tensor) (err error) {
	if q.scale, err = decoded(q.scale, scale); err != nil {
		return fmt.Errorf("scale: %w", err)
	}
	q.zero = resized(q.zero, len(q.scale))
	clear(q.zero)
	if zero == nil {
		return nil
	}
	// A zero point of one element serves a scale of one element whatever their ranks.
	if !slices.Equal(zero.Shape, scale.Shape) && (zero.Len() != 1 || scale.Len() != 1) {
		return fmt.Errorf("zero point of shape %v for a scale of shape %v", zero.Shape, scale.Shape)
	}
	q.zero, err = decoded(q.zero, zero)
	return err
}
