package train

import (
	"context"
	"slices"
	"unsafe"

	"github.com/effml/effml/kernel"
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
	readers []reader // of the output
	params  []*parameter
	spare   *spare
	dims    []int

	in    []*tensor.Tensor
	out   *tensor.Tensor
	late  []*tensor.Tensor // the gradient of out
	seed  *float32         // where it lies
	given []*tensor.Tensor
	grads [][]float32

	recompute bool // keep nothing but the output
	users     int  // that are not done with the output: readers, and the place itself
	owed      int  // gradients of inputs that are still to be used
}

// reader is a place that reads the output of another.
type reader struct {
	place *place
	input int
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

// goesBack reports whether the place runs back.
func (p *place) goesBack() bool { return p.trains() || slices.Contains(p.segment.wants, true) }

// link notes who reads what, when all places are there.
func (p *place) link() {
	for i, f := range p.from {
		f.readers = append(f.readers, reader{p, i})
	}
}

// ran gives back the memory that is needed no longer after the place ran forward.
func (p *place) ran() {
	p.users = len(p.readers) + 1
	if p.recompute || !p.goesBack() {
		p.seat.runner.Forget()
	}
	if !p.goesBack() {
		p.done()
	}
}

// wentBack gives back the memory that is needed no longer after the place ran back: what it kept, and the gradient of its output.
func (p *place) wentBack() {
	p.owed = 0
	for _, w := range p.segment.wants {
		if w {
			p.owed++
		}
	}
	for _, r := range p.readers {
		if !r.place.segment.wants[r.input] {
			continue
		}
		if r.place.owed--; r.place.owed == 0 {
			r.place.seat.runner.Done(true)
		}
	}
	p.done()
}

// done notes that the place needs neither its output nor its inputs any more.
func (p *place) done() {
	p.used()
	for _, f := range p.from {
		f.used()
	}
}

func (p *place) used() {
	if p.users--; p.users == 0 {
		p.seat.runner.Done(false)
	}
}

func (p *place) forward([][]float32) ([]float32, error) {
	p.in = p.in[:0]
	for _, f := range p.from {
		p.in = append(p.in, f.out)
	}
	p.in = append(p.in, p.rest...)
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
	p.ran()
	return tensor.Of[float32](p.out), nil
}

func (p *place) backward(grad []float32) ([][]float32, error) {
	if p.recompute {
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
			k++
		}
	}
	p.wentBack()
	return p.grads, nil
}

func add(cpu *kernel.CPU, dst, src []float32) {
	one := []int{1}
	kernel.Binary(cpu, kernel.Add, dst, dst, src, []int{len(dst)}, one, one, kernel.Activation{})
}
