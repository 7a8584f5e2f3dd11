package train

import (
	"context"
	"slices"
	"unsafe"

	"github.com/effml/effml/infer"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// place is a segment in its place in a step: a stage.
type place struct {
	ctx     context.Context
	segment *segment
	piece   *piece
	seat    *seat
	cpu     *kernel.CPU
	from    []*place // whose outputs are the inputs
	rest    []*tensor.Tensor
	params  []*parameter
	spare   *spare
	dims    []int

	in    []*tensor.Tensor
	out   *tensor.Tensor
	late  []*tensor.Tensor // the gradient of out
	seed  *float32         // where it lies
	given []*tensor.Tensor
	grads [][]float32

	// With Engine.Recompute, of all places but the last:
	memory *infer.Memory // nil: values are kept
	mark   []int
	saved  *tensor.Tensor // the output
	back   [][]float32    // gradients of inputs
}

// spare is memory for gradients that are added to others.
type spare struct{ data []byte }

func (s *spare) like(t *tensor.Tensor) *tensor.Tensor {
	if n := t.Size(); n > len(s.data) {
		s.data = tensor.Buffer(n)
	}
	return tensor.Over(s.data, t.Type, t.Shape, t.Layout)
}

func (p *place) String() string { return "the segment of " + p.piece.output }
func (p *place) shape() []int   { return p.dims }

func (p *place) differentiable() []bool { return p.segment.wants }
func (p *place) trains() bool           { return slices.Contains(p.segment.trained, true) }

func (p *place) forward([][]float32) ([]float32, error) {
	p.in = p.in[:0]
	for _, f := range p.from {
		p.in = append(p.in, f.out)
	}
	p.in = append(p.in, p.rest...)
	if p.memory != nil {
		p.mark = p.memory.Mark(p.mark)
		defer p.memory.Rewind(p.mark)
	}
	out, err := p.seat.runner.Run(p.ctx, p.in)
	if err != nil {
		return nil, err
	}
	p.out = out[0]
	also := 1
	for i, name := range p.piece.also { // the memory is used again before the step is over
		t := p.out
		if name != p.piece.output {
			t = out[also]
			also++
		}
		copy(p.seat.seen[i].Bytes(), t.Bytes())
		p.seat.seen[i].Layout = t.Layout
	}
	if p.memory != nil {
		copy(p.saved.Bytes(), p.out.Bytes())
		p.saved.Layout, p.out = p.out.Layout, p.saved
	}
	return tensor.Of[float32](p.out), nil
}

func (p *place) backward(grad []float32) ([][]float32, error) {
	if p.memory != nil {
		p.mark = p.memory.Mark(p.mark)
		defer p.memory.Rewind(p.mark)
		if _, err := p.seat.runner.Run(p.ctx, p.in); err != nil {
			return nil, err
		}
	}
	seed := p.late[0]
	if seed.Layout = p.out.Layout; p.seed != unsafe.SliceData(grad) {
		p.seed = unsafe.SliceData(grad)
		seed.Share(tensor.From(grad, len(grad)))
	}
	p.given = p.given[:0]
	for _, w := range p.segment.wants {
		if w {
			p.given = append(p.given, nil)
		}
	}
	first := len(p.given)
	for i, q := range p.params {
		switch {
		case !p.segment.trained[i]:
		case q.fresh:
			p.given = append(p.given, p.spare.like(q.grad))
		default:
			p.given = append(p.given, q.grad)
		}
	}
	out, err := p.seat.runner.Resume(p.ctx, p.late, p.given)
	if err != nil {
		return nil, err
	}
	k := first
	for i, q := range p.params {
		if !p.segment.trained[i] {
			continue
		}
		if t := out[k]; t != q.grad {
			add(p.cpu, tensor.Of[float32](q.grad), tensor.Of[float32](t))
		}
		q.fresh = true
		k++
	}
	k = 0
	for i, w := range p.segment.wants {
		p.grads[i] = nil
		if w {
			p.grads[i] = tensor.Of[float32](out[k])
			if p.memory != nil { // what is kept now is not kept any longer
				copy(p.back[i], p.grads[i])
				p.grads[i] = p.back[i]
			}
			k++
		}
	}
	return p.grads, nil
}

// recompute makes the place keep nothing but its output.
func (p *place) recompute(m *infer.Memory) error {
	var err error
	if p.saved, err = tensor.New(onnx.Float, p.dims...); err != nil {
		return err
	}
	p.memory, p.back = m, make([][]float32, len(p.from))
	for i, w := range p.segment.wants {
		if w {
			n, err := tensor.Count(p.from[i].dims)
			if err != nil {
				return err
			}
			p.back[i] = make([]float32, n)
		}
	}
	return nil
}

func add(cpu *kernel.CPU, dst, src []float32) {
	one := []int{1}
	kernel.Binary(cpu, kernel.Add, dst, dst, src, []int{len(dst)}, one, one, kernel.Activation{})
}
