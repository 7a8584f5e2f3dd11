package train

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/effml/effml/infer"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Engine compiles steps. What it has compiled for one serves the next: segments of the same structure, and all memory. It serves one
// goroutine.
type Engine struct {
	// Recompute makes steps keep only what passes between segments, and compute the rest again on the way back.
	Recompute bool

	compiler compiler
	spare    spare
	released int // steps
}

// NewEngine returns an engine that computes on cpu.
func NewEngine(cpu *kernel.CPU) *Engine {
	return &Engine{compiler: compiler{cpu: cpu, memory: &infer.Memory{}, segments: map[string]*segment{}, most: maxSegments}}
}

// step is a network in the form of an expression graph of Gorgonia, for batches of one shape.
type step struct {
	engine  *Engine
	network *network
	places  []*place
	fields  map[string]*tensor.Tensor // what the places read
	machine gorgonia.VM
	loss    *gorgonia.Node
	adapter *adapter

	rehearsed bool // in memory
}

// maxPieces is about the number of segments of a step. A segment is two nodes of Gorgonia's.
const maxPieces = 28

// compile makes a step of a network.
func (e *Engine) compile(n *network) (*step, error) {
	if err := n.infer(); err != nil {
		return nil, err
	}
	pieces, err := n.cut(maxPieces)
	if err != nil {
		return nil, err
	}
	s := &step{engine: e, network: n, fields: map[string]*tensor.Tensor{}}
	for name, info := range n.fields {
		dims, _ := info.Shape.Known()
		s.fields[name] = &tensor.Tensor{Type: info.Type, Shape: dims}
	}
	a, nodes, places := newAdapter(), map[string]*gorgonia.Node{}, map[string]*place{}
	for _, p := range pieces {
		at, err := s.place(p, places)
		if err != nil {
			return nil, err
		}
		in := make([]*gorgonia.Node, len(p.inputs))
		for i, name := range p.inputs {
			in[i] = nodes[name]
		}
		if nodes[p.output], err = a.apply(at, in...); err != nil {
			return nil, err
		}
		places[p.output] = at
		s.places = append(s.places, at)
	}
	for i, p := range s.places {
		p.link()
		p.recompute = e.Recompute && i < len(s.places)-1 // the last one goes back at once
	}
	s.loss = nodes[n.loss]
	s.machine, err = a.compile(s.loss)
	s.adapter = a
	return s, err
}

// nodes is the number of Gorgonia's nodes.
func (s *step) nodes() int { return len(s.adapter.graph.AllNodes()) }

// release gives back what the next steps may use. The step must not run any more. Engines of which steps are released run the garbage collector now
// and then: beside the memory that they hold, what a step leaves seems little to it, and would pile up until it is as much.
func (s *step) release() {
	for _, p := range s.places {
		p.segment.giveBack(p.seat)
	}
	s.places = nil
	const often = 32
	if s.engine.released++; s.engine.released%often == 0 {
		runtime.GC()
	}
}

// place makes the stage of a piece.
func (s *step) place(p *piece, places map[string]*place) (*place, error) {
	e := s.engine
	at := &place{ctx: context.Background(), piece: p, cpu: e.compiler.cpu, spare: &e.spare, grads: make([][]float32, len(p.inputs))}
	wants := make([]bool, len(p.inputs))
	for i, name := range p.inputs {
		f := places[name]
		if f == nil {
			return nil, fmt.Errorf("train: nothing computes %q", name)
		}
		at.from = append(at.from, f)
		wants[i] = f.trains() || slices.Contains(f.differentiable(), true)
	}
	var err error
	if at.segment, err = e.compiler.compile(s.network, p, wants); err != nil {
		return nil, err
	}
	if at.seat, err = at.segment.borrow(s.network, p, e.compiler.memory); err != nil {
		return nil, err
	}
	for _, name := range p.fields {
		at.rest = append(at.rest, s.fields[name])
	}
	for _, name := range p.parameters {
		q := s.network.parameters[name]
		at.params, at.rest = append(at.params, q), append(at.rest, q.value)
	}
	for _, name := range p.constants {
		if s.network.inside(name) == nil {
			at.rest = append(at.rest, s.network.constants[name])
		}
	}
	out := s.network.known[p.output]
	at.dims, _ = out.Shape.Known()
	at.late = []*tensor.Tensor{{Type: onnx.Float, Shape: at.dims}}
	return at, nil
}

// run computes the loss and adds its gradients to those of the parameters.
func (s *step) run(ctx context.Context, batch map[string]*tensor.Tensor) (float32, error) {
	for name, t := range s.fields {
		b := batch[name]
		if b == nil || b.Type != t.Type || !slices.Equal(b.Shape, t.Shape) {
			return 0, fmt.Errorf("train: field %q is %v in place of %s", name, b, t)
		}
		t.Share(b)
	}
	if !s.rehearsed { // so that memory comes in one piece
		if _, err := s.needs(); err != nil {
			return 0, fmt.Errorf("train: %w", err)
		}
	}
	defer s.rest()
	for _, p := range s.places {
		p.ctx = ctx
	}
	err := s.machine.RunAll()
	s.machine.Reset()
	if err != nil {
		return 0, fmt.Errorf("train: %w", err)
	}
	s.keepStates()
	return s.loss.Value().Data().(float32), nil
}

// rest gives all memory back, for the next step.
func (s *step) rest() {
	for _, p := range s.places {
		p.seat.runner.Rest()
	}
}

// keepStates copies what a step computes for the next ones, such as running means.
func (s *step) keepStates() {
	for _, p := range s.places {
		for i, name := range p.piece.also {
			if state, ok := s.network.states[name]; ok {
				state.replace(s.network.constants[state.tensor], tensor.Of[float32](p.seat.seen[i]))
			}
		}
	}
}

// tap returns a value of the last run that network.taps names, nil where there is none.
func (s *step) tap(name string) *tensor.Tensor {
	for _, p := range s.places {
		if i := slices.Index(p.piece.also, name); i >= 0 {
			return p.seat.seen[i]
		}
	}
	return nil
}
