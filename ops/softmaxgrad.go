package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
)

// softmaxGrad is SoftmaxGrad and LogSoftmaxGrad of [Domain], of the result y of Softmax or LogSoftmax along an axis and what arrives
// at it: y·(dy − Σ dy·y), or dy − exp(y)·Σ dy.
type softmaxGrad struct {
	log  bool
	axis int
	one  *states[softmaxGradTask[float32]]
	two  *states[softmaxGradTask[float64]]
}

func newSoftmaxGrad(n *Node) (Op, error) {
	return &softmaxGrad{
		log: n.OpType == "LogSoftmaxGrad", axis: n.Int("axis", -1),
		one: new(states[softmaxGradTask[float32]]), two: new(states[softmaxGradTask[float64]]),
	}, nil
}

// Infer implements Op.
func (o *softmaxGrad) Infer(in []Info) ([]Info, error) {
	dt, err := typesFloat.same(in, 0, 2)
	if s := in[0].Shape; s != nil && err == nil {
		_, err = axisOf(o.axis, len(s))
	}
	return []Info{{Type: dt, Shape: in[0].Shape}}, err
}

// Run implements Op.
func (o *softmaxGrad) Run(c *Call) error { return throughFloat32(c, o) }

func (o *softmaxGrad) run(c *Call) error {
	y, dy := c.In[0], c.In[1]
	axis, err := axisOf(o.axis, len(y.Shape))
	if err != nil {
		return err
	}
	if !slices.Equal(y.Shape, dy.Shape) || y.Type != dy.Type {
		return fmt.Errorf("%s arrives at %s", dy, y)
	}
	out, err := c.Out(0, y.Type, y.Shape)
	if err != nil || out.Len() == 0 {
		return err
	}
	p := pileOf(y.Shape, axis)
	switch y.Type {
	case onnx.Float:
		if o.log {
			kernel.Unary(c.CPU, kernel.Exp, elements[float32](out), elements[float32](y))
		}
		runSoftmaxGrad(c, o.one, softmaxGradTask[float32]{elements[float32](out), elements[float32](y), elements[float32](dy), p, o.log})
	case onnx.Double:
		if o.log {
			dst := elements[float64](out)
			for i, v := range elements[float64](y) {
				dst[i] = math.Exp(v)
			}
		}
		runSoftmaxGrad(c, o.two, softmaxGradTask[float64]{elements[float64](out), elements[float64](y), elements[float64](dy), p, o.log})
	default:
		return typeError(y.Type)
	}
	return nil
}

// softmaxGradTask is a run. Of LogSoftmaxGrad dst holds exp(y).
type softmaxGradTask[T floating] struct {
	dst, y, dy []T
	pile
	log bool
}

const (
	softmaxGradColumns = 64      // columns that are summed together
	softmaxGradPiece   = 1 << 12 // elements, about
)

func runSoftmaxGrad[T floating](c *Call, s *states[softmaxGradTask[T]], task softmaxGradTask[T]) {
	t := s.get()
	*t = task
	c.CPU.Parallel((t.blocks()+t.each()-1)/t.each(), t)
	*t = softmaxGradTask[T]{}
	s.put(t)
}

// blocks is the number of blocks of columns, each the work of each() in a piece.
func (t *softmaxGradTask[T]) blocks() int {
	return t.outer * ((t.inner + softmaxGradColumns - 1) / softmaxGradColumns)
}

func (t *softmaxGradTask[T]) each() int {
	return max(1, softmaxGradPiece/(t.n*min(t.inner, softmaxGradColumns)))
}

// Piece implements [kernel.Task].
func (t *softmaxGradTask[T]) Piece(i, _ int) {
	wide := (t.inner + softmaxGradColumns - 1) / softmaxGradColumns
	for b := i * t.each(); b < min((i+1)*t.each(), t.blocks()); b++ {
		col := b % wide * softmaxGradColumns
		at := b/wide*t.n*t.inner + col
		if t.inner == 1 {
			t.row(at)
		} else {
			t.columns(at, min(softmaxGradColumns, t.inner-col))
		}
	}
}

// row does a row whose elements are neighbours.
func (t *softmaxGradTask[T]) row(at int) {
	dst, y, dy := t.dst[at:][:t.n], t.y[at:][:t.n], t.dy[at:][:t.n]
	var sum T
	if t.log {
		for _, d := range dy {
			sum += d
		}
		for k, d := range dy {
			dst[k] = d - dst[k]*sum
		}
		return
	}
	for k, d := range dy {
		sum += d * y[k]
	}
	for k, d := range dy {
		dst[k] = y[k] * (d - sum)
	}
}

// columns does n columns.
func (t *softmaxGradTask[T]) columns(at, n int) {
	var buf [softmaxGradColumns]T
	sum := buf[:n]
	for k := range t.n {
		y, dy := t.y[at+k*t.inner:][:n], t.dy[at+k*t.inner:][:n]
		for j, d := range dy {
			if t.log {
				sum[j] += d
			} else {
				sum[j] += d * y[j]
			}
		}
	}
	for k := range t.n {
		dst, y, dy := t.dst[at+k*t.inner:][:n], t.y[at+k*t.inner:][:n], t.dy[at+k*t.inner:][:n]
		for j, d := range dy {
			if t.log {
				dst[j] = d - dst[j]*sum[j]
			} else {
				dst[j] = y[j] * (d - sum[j])
			}
		}
	}
}
