package infer

import (
	"sync"
	"sync/atomic"

	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// body is a sub-graph of a node, an ops.Body: a program whose inputs are the formal ones and the values that it captures.
type body struct {
	program  *program
	captured []int // of the program's captured inputs the positions among those of the node
	outer    atomic.Pointer[[]ops.Info]
	mu       sync.Mutex
	idle     []*Runner

	// What Infer found out last, where the model is only described.
	known []ops.Info
	outs  [][]ops.Info
}

// know tells what is known of the values that the node captures; it holds for the next calls of Infer.
func (b *body) know(captured []ops.Info) {
	own := make([]ops.Info, len(b.captured))
	for i, at := range b.captured {
		own[i] = captured[at]
	}
	b.outer.Store(&own)
}

// NumIn returns the number of formal inputs.
func (b *body) NumIn() int { return b.program.formal }

// NumOut returns the number of outputs.
func (b *body) NumOut() int { return len(b.program.outputs) }

// Infer returns what is known of the outputs.
func (b *body) Infer(in []ops.Info) ([]ops.Info, error) {
	all := append(append(make([]ops.Info, 0, len(b.program.inputs)), in...), *b.outer.Load()...)
	known, outs, err := b.program.infer(all)
	if err != nil {
		return nil, err
	}
	if b.program.s.outlined {
		b.known, b.outs = known, outs
	}
	out := make([]ops.Info, len(b.program.outputs))
	for i, v := range b.program.outputs {
		out[i] = known[v.id]
	}
	return out, nil
}

// Run runs the sub-graph. The results are the caller's.
func (b *body) Run(c *ops.Call, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	b.mu.Lock()
	var r *Runner
	if n := len(b.idle); n > 0 {
		r, b.idle = b.idle[n-1], b.idle[:n-1]
	} else {
		r = &Runner{program: b.program, memory: &Memory{}}
	}
	b.mu.Unlock()
	r.in = append(r.in[:0], in...)
	for _, at := range b.captured {
		r.in = append(r.in, c.Captured[at])
	}
	out, err := r.run(c.Done, r.in, c.Limit)
	var own []*tensor.Tensor
	if err == nil {
		own = make([]*tensor.Tensor, len(out))
		for i, t := range out {
			own[i] = t.Clone()
		}
	}
	clear(r.in)
	b.mu.Lock()
	b.idle = append(b.idle, r)
	b.mu.Unlock()
	return own, err
}
