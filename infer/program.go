package infer

import (
	"slices"
	"sync"

	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// program is a graph that can be run: a model's, or a body's.
type program struct {
	*graph
	s      *Session
	packed bool // guarded by s.planning of the main program, as everything that changes nodes

	mu    sync.Mutex
	plans []*plan // the latest used last
	made  *plan

	halves *halves // nil where a run is one piece
}

// maxPlans bounds the plans that are kept for inputs of other shapes.
const maxPlans = 16

func newProgram(s *Session, g *graph) *program {
	p := &program{graph: g, s: s}
	if !s.options.NoFuse {
		optimise(s, g)
	}
	for _, n := range g.nodes {
		p.count(n.in)
	}
	p.count(g.outputs)
	p.forget()
	return p
}

// count notes which tensors of the model have operands that need them.
func (p *program) count(list []*value) {
	for _, v := range list {
		if v.constant() && v.stored != nil {
			p.s.uses[v.stored]++
		}
	}
}

// infer returns what is known of every value, by its id, given what is known of the inputs, and of all outputs that operators
// speak of, by node.
func (p *program) infer(in []ops.Info) (known []ops.Info, outs [][]ops.Info, err error) {
	known = make([]ops.Info, len(p.values))
	p.mu.Lock() // a body may be asked while another run makes it let go of constants
	for _, v := range p.values {
		if v.from == nil {
			known[v.id] = v.info
		}
	}
	p.mu.Unlock()
	for i, v := range p.early() {
		known[v.id] = in[i]
	}
	for _, n := range p.nodes {
		out, err := n.infer(pick(known, n.in), pick(known, n.captured))
		if err != nil {
			return nil, nil, n.at(err)
		}
		outs = append(outs, out)
		for i, v := range n.out {
			if v != nil {
				known[v.id] = out[i]
			}
		}
	}
	return known, outs, nil
}

func pick(known []ops.Info, values []*value) []ops.Info {
	out := make([]ops.Info, len(values))
	for i, v := range values {
		if v != nil {
			out[i] = known[v.id]
		}
	}
	return out
}

// find returns the plan for inputs like in, or nil.
func (p *program) find(in []*tensor.Tensor) *plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, pl := range slices.Backward(p.plans) {
		if pl.suits(in) {
			copy(p.plans[i:], p.plans[i+1:])
			p.plans[len(p.plans)-1] = pl
			return pl
		}
	}
	return nil
}

// planFor returns a plan for inputs like in, unless done ends first.
func (p *program) planFor(done <-chan struct{}, in []*tensor.Tensor, limit int64) (*plan, error) {
	if pl := p.find(in); pl != nil {
		return pl, nil
	}
	known, laid := make([]ops.Info, len(in)), make([]tensor.Layout, len(in))
	for i, t := range in {
		laid[i] = t.Layout
		known[i] = ops.Info{Type: t.Type, Shape: ops.MakeShape(t.Shape...)}
	}
	// One at a time: packing changes nodes, and bodies are told of the values around them.
	p.s.planning.Lock()
	defer p.s.planning.Unlock()
	if pl := p.find(in); pl != nil {
		return pl, nil
	}
	all, outs, err := p.infer(known)
	if err != nil {
		return nil, err
	}
	if err := p.pack(done, all); err != nil {
		return nil, err
	}
	pl, err := newPlan(p, all, outs, laid, limit)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made = pl; len(p.plans) == maxPlans {
		p.plans = slices.Delete(p.plans, 0, 1)
	}
	p.plans = append(p.plans, pl)
	return pl, nil
}

func (p *program) newest() *plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

// pack lets operators prepare their constant inputs, once, for the shapes of the first plan, and lets go of each that nobody needs any
// more before the next is prepared: at no time are all weights in memory twice. Where done ended it, the next plan goes on with it.
func (p *program) pack(done <-chan struct{}, known []ops.Info) error {
	if p.packed || p.s.options.NoFuse {
		return nil
	}
	uses := p.uses()
	for _, n := range p.nodes {
		packer, ok := n.op.(ops.Packer)
		if !ok || !slices.ContainsFunc(n.in, (*value).constant) {
			continue
		}
		fresh := n.packed == nil
		if fresh {
			if over(done) {
				return errStopped
			}
			op, dropped, err := packer.Pack(p.s.cpu, pick(known, n.in))
			if err != nil {
				return n.at(err)
			}
			if op == nil {
				continue
			}
			n.packed, n.dropped = op, dropped
		}
		for _, i := range n.dropped {
			v := n.in[i]
			if v == nil {
				continue
			}
			uses[v.id]--
			if !fresh {
				continue // let go of then
			}
			p.drop(v)
			if v.constant() && uses[v.id] == 0 {
				known[v.id].Value = nil
				p.letGo(v)
			}
		}
	}
	p.packed = true
	return nil
}

// forget lets go of the constants that no operand needs.
func (p *program) forget() {
	uses := p.uses()
	for _, v := range p.values {
		if v.constant() && uses[v.id] == 0 {
			p.letGo(v)
		}
	}
}

// letGo lets go of a constant's values: decoded, computed, or those in the file, unless another graph needs these.
func (p *program) letGo(v *value) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v.info.Value = nil
	if v.stored != nil && p.s.uses[v.stored] == 0 {
		p.s.release(v.stored)
	}
}

// drop notes that an operand needs a constant no longer.
func (p *program) drop(v *value) {
	if v.info.Value != nil && v.stored != nil {
		p.s.uses[v.stored]--
	}
}
