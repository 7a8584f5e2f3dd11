package infer

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// Options says how a model runs.
type Options struct {
	Threads int     // 0: all processors
	ISA     isa.Set // used as given: [isa.FromEnv] chooses
	// NoFuse runs the graph as it is written, node by node, in plain layout and without sharing memory: slow, and what all
	// optimisations are compared with.
	NoFuse bool
	// MaxBytes bounds each tensor that is not a weight, and all memory that a plan gives to such; 0 means 512 MB and 64 times
	// the bytes of weights and inputs.
	MaxBytes int64
	// CPU, if there is one, computes in place of one of the session's own: Threads and ISA are then its. Sessions may share it.
	CPU *kernel.CPU
	// Halves makes runs stop halfway.
	Halves *Halves
	// Profile has every Runner time its nodes.
	Profile bool
	// Release, if there is one, is told of tensors of the model whose values are no longer needed, because they were packed.
	Release func(*onnx.Tensor)
}

// Value describes an input or output of a model.
type Value struct {
	Name  string
	Type  onnx.DataType
	Shape ops.Shape // dimensions may be open; nil where not even the rank is known
}

// Session is a model that is ready to run. Its methods may be called from several goroutines.
type Session struct {
	options Options
	cpu     *kernel.CPU
	file    *modelfile.File // of Load
	main    *program
	inputs  []Value
	outputs []Value
	weights int64 // bytes of the model's tensors
	// outlined: the model is only described.
	outlined bool

	// planning serialises what changes the graph: packing, and what is known of captured values while plans are made.
	planning sync.Mutex
	uses     map[*onnx.Tensor]int // how many operands still need a tensor of the model

	mu   sync.Mutex
	idle []*Runner
}

// Stats says what a session has made of its model. Figures of a run are those of the newest plan.
type Stats struct {
	Nodes       int   // that run
	Fused       int   // nodes that others do in passing
	PackedBytes int64 // weights that were rearranged
	ArenaBytes  int64 // the memory that activations share, at their peak
	Repacks     int   // changes of layout in a run
	RepackBytes int64 // that these read
	MACs        int64 // of a run
}

// Load opens an .onnx file, with its external data, or an .effml archive. The values stay in the mapped file where they can.
// Models that are invalid or ask for operators that do not exist are a [*job.ModelError], the latter around a [*GraphError]. Close the
// Session when it is no longer needed.
func Load(path string, o Options) (*Session, error) {
	f, err := modelfile.Open(path)
	if err != nil {
		return nil, err
	}
	if err := modelfile.Checked(path, f.Model); err != nil {
		f.Close()
		return nil, err
	}
	o.Release = f.Release
	s, err := prepare(f.Model, o)
	if err != nil {
		f.Close()
		return nil, modelfile.Explain(err)
	}
	s.file = f
	return s, nil
}

// New makes a session of a model, which must stay as it is, and open, for as long as the session is used. Errors are those of Load.
func New(m *onnx.Model, o Options) (*Session, error) {
	if err := modelfile.Checked("the model", m); err != nil {
		return nil, err
	}
	s, err := prepare(m, o)
	return s, modelfile.Explain(err)
}

func prepare(m *onnx.Model, o Options) (*Session, error) {
	s := &Session{options: o, uses: map[*onnx.Tensor]int{}}
	if s.cpu = o.CPU; s.cpu == nil {
		s.cpu = kernel.NewCPU(kernel.Options{Threads: o.Threads, ISA: o.ISA})
	}
	err := mapped.Guard(func() error {
		for _, t := range m.Tensors() {
			s.weights += t.Size()
		}
		g, err := build(s, m)
		if err != nil {
			return err
		}
		s.main = newProgram(s, g)
		return nil
	})
	if err != nil {
		s.Close()
		return nil, err
	}
	for _, v := range s.main.inputs {
		s.inputs = append(s.inputs, Value{v.name, v.info.Type, public(v.info.Shape)})
	}
	for i, v := range s.main.outputs {
		s.outputs = append(s.outputs, Value{m.Graph.Outputs[i].Name, v.info.Type, public(v.info.Shape)})
	}
	if o.Halves != nil {
		if err := s.bindHalves(); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// public returns a shape without the names that the builder invented.
func public(s ops.Shape) ops.Shape {
	s = slices.Clone(s)
	for i, d := range s {
		if strings.HasPrefix(d.Name, invented) {
			s[i].Name = ""
		}
	}
	return s
}

// Close ends the threads and closes the file of a session that Load opened. No run may be going on.
func (s *Session) Close() {
	if s.options.CPU == nil {
		s.cpu.Close()
	}
	if s.file != nil {
		s.file.Close()
	}
}

// Inputs lists the inputs that a run needs: those without an initializer.
func (s *Session) Inputs() []Value { return slices.Clone(s.inputs) }

// Outputs lists the outputs.
func (s *Session) Outputs() []Value { return slices.Clone(s.outputs) }

// Files lists the files of a session that Load opened.
func (s *Session) Files() []onnx.FileInfo {
	if s.file == nil {
		return nil
	}
	return s.file.Files
}

// Stats describes the session.
func (s *Session) Stats() Stats {
	s.planning.Lock()
	defer s.planning.Unlock()
	st := Stats{Nodes: len(s.main.nodes)}
	for _, n := range s.main.nodes {
		st.Fused += n.fused
		if p, ok := n.packed.(ops.Sizer); ok {
			st.PackedBytes += p.PackedBytes()
		}
	}
	if p := s.main.newest(); p != nil {
		st.ArenaBytes, st.Repacks, st.RepackBytes, st.MACs, st.Nodes = p.arena(), p.repacks, p.repackBytes, p.macs, p.computed
	}
	return st
}

// Run computes the outputs by name from the inputs by name. The results are the caller's. It may be called from several goroutines:
// each gets memory of its own, which is kept for later calls.
func (s *Session) Run(ctx context.Context, inputs map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error) {
	in := make([]*tensor.Tensor, len(s.inputs))
	for i, v := range s.inputs {
		if in[i] = inputs[v.Name]; in[i] == nil {
			return nil, job.Usagef("infer: input %q is missing", v.Name)
		}
	}
	if len(inputs) > len(in) {
		for name := range inputs {
			if !slices.ContainsFunc(s.inputs, func(v Value) bool { return v.Name == name }) {
				return nil, job.Usagef("infer: the model has no input %q", name)
			}
		}
	}
	r := s.borrow()
	defer s.giveBack(r)
	out, err := r.Run(ctx, in)
	if err != nil {
		return nil, err
	}
	results := make(map[string]*tensor.Tensor, len(out))
	for i, t := range out {
		results[s.outputs[i].Name] = t.Clone()
	}
	return results, nil
}

// borrow takes a runner that nobody uses.
func (s *Session) borrow() *Runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.idle); n > 0 {
		r := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return r
	}
	return s.NewRunner()
}

// giveBack keeps a runner for the next call, as many as can compute at once.
func (s *Session) giveBack(r *Runner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) < max(4, 2*runtime.GOMAXPROCS(0)) {
		s.idle = append(s.idle, r)
	}
}

// check compares the inputs of a run with those of the model.
func (s *Session) check(in []*tensor.Tensor) error {
	early := 0
	for i, v := range s.inputs {
		if s.main.isLate(i) {
			continue
		}
		if early == len(in) {
			return job.Usagef("infer: input %q is missing", v.Name)
		}
		t := in[early]
		early++
		switch {
		case t == nil:
			return job.Usagef("infer: input %q is missing", v.Name)
		case t.Layout != tensor.Plain && s.options.Halves == nil:
			return job.Usagef("infer: input %q is in layout %s", v.Name, t.Layout)
		case v.Type != onnx.Undefined && v.Type != t.Type || !fits(t.Shape, v.Shape):
			return job.Usagef("infer: input %q is %s, but the model takes %s%s", v.Name, t, tensor.TypeName(v.Type), v.Shape)
		}
	}
	if early < len(in) {
		return job.Usagef("infer: %d inputs for a model that has %d", len(in), early)
	}
	return nil
}

func fits(shape []int, want ops.Shape) bool {
	if want == nil {
		return true
	}
	if len(shape) != len(want) {
		return false
	}
	for i, d := range want {
		if d.IsKnown() && d.N != shape[i] {
			return false
		}
	}
	return true
}

// release tells the owner of the model that the values of a tensor are no longer needed.
func (s *Session) release(t *onnx.Tensor) {
	if s.options.Release != nil {
		s.options.Release(t)
	}
}

// limit bounds the bytes of what is not a weight, given those of the inputs.
func (s *Session) limit(inputs int64) int64 {
	if s.options.MaxBytes > 0 {
		return s.options.MaxBytes
	}
	return 512<<20 + 64*(s.weights+inputs)
}

// String describes the value as the model declares it.
func (v Value) String() string {
	return fmt.Sprintf("%s: %s%s", v.Name, tensor.TypeName(v.Type), v.Shape)
}
