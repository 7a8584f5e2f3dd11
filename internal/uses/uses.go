// Package uses finds out where the tensors of a model go: through operators that only rearrange values, into
// sub-graphs and into functions.
package uses

import (
	"slices"

	"github.com/effml/effml/onnx"
)

// Use is one place where the value of a tensor goes: an input of a node, which may be in another graph or a function.
type Use struct {
	Node  *onnx.Node // nil for an output of a graph
	Input int
}

// Op names the operator, with its domain where that is not ONNX's own; "" for an output.
func (u Use) Op() string {
	if u.Node == nil {
		return ""
	}
	return OpName(u.Node)
}

// OpName names the operator of a node, with its domain where that is not ONNX's own.
func OpName(n *onnx.Node) string {
	if standard(n.Domain) {
		return n.OpType
	}
	return n.Domain + "." + n.OpType
}

// value is what a name stands for: a tensor, or an input of a function, with everything that happens to it.
type value struct {
	uses []Use
	seen map[Use]bool
}

func (v *value) add(u Use) {
	if v.seen == nil {
		v.seen = make(map[Use]bool)
	}
	if !v.seen[u] {
		v.seen[u] = true
		v.uses = append(v.uses, u)
	}
}

// scope maps the names of one graph to values; names that are computed map to nil. Inner graphs see the outer names.
type scope struct {
	names map[string]*value
	outer *scope
}

func (s *scope) lookup(name string) *value {
	for ; s != nil; s = s.outer {
		if v, ok := s.names[name]; ok {
			return v
		}
	}
	return nil
}

// summary is what a function does with its inputs, so that each function is walked once however often it is called.
type summary struct {
	inputs []*value
	passes []int // for each output the input whose value it is, or -1
	done   bool  // false while it is walked: a function that calls itself is not followed
}

type functionKey struct{ domain, name, overload string }

// tracer follows tensors to the nodes that use them, through operators that only rearrange values, sub-graphs and functions.
type tracer struct {
	tensors   map[*onnx.Tensor]*value
	names     map[*onnx.Tensor]string // of Constant outputs, where the tensor has no name of its own
	functions map[functionKey]*onnx.Function
	summaries map[functionKey]*summary
}

// Map tells the uses of tensors.
type Map struct{ t *tracer }

// Of returns the uses of a tensor in the order of the graph. Known is false for a tensor that is neither an initializer nor the value of
// a Constant: an attribute, or a part of a sparse tensor.
func (m Map) Of(t *onnx.Tensor) (uses []Use, known bool) {
	v := m.t.tensors[t]
	if v == nil {
		return nil, false
	}
	return v.uses, true
}

// Name returns the tensor's name, for the value of a Constant that of the node's output.
func (m Map) Name(t *onnx.Tensor) string {
	if name := m.t.names[t]; name != "" {
		return name
	}
	return t.Name
}

// Trace finds the uses of every initializer and of the value of every Constant.
func Trace(m *onnx.Model) Map {
	t := &tracer{
		tensors: map[*onnx.Tensor]*value{}, names: map[*onnx.Tensor]string{},
		functions: map[functionKey]*onnx.Function{}, summaries: map[functionKey]*summary{},
	}
	for _, f := range m.Functions {
		t.functions[functionKey{f.Domain, f.Name, f.Overload}] = f
	}
	t.graph(m.Graph, nil)
	for _, f := range m.Functions {
		t.summarise(functionKey{f.Domain, f.Name, f.Overload})
	}
	for _, info := range m.TrainingInfo {
		outer := t.graph(info.Initialization, nil)
		t.graph(info.Algorithm, outer)
	}
	return Map{t}
}

func (t *tracer) graph(g *onnx.Graph, outer *scope) *scope {
	if g == nil {
		return outer
	}
	s := &scope{names: map[string]*value{}, outer: outer}
	for _, in := range g.Inputs {
		s.names[in.Name] = nil
	}
	for _, tensor := range g.Initializers {
		v := &value{}
		t.tensors[tensor] = v
		s.names[tensor.Name] = v
	}
	t.nodes(g.Nodes, s)
	for _, out := range g.Outputs {
		if v := s.lookup(out.Name); v != nil {
			v.add(Use{})
		}
	}
	return s
}

func (t *tracer) nodes(nodes []*onnx.Node, s *scope) {
	for _, n := range nodes {
		for _, a := range n.Attributes {
			for _, g := range append([]*onnx.Graph{a.G}, a.Graphs...) {
				t.graph(g, s)
			}
		}
		for _, name := range n.Outputs {
			s.names[name] = nil
		}
		key := functionKey{n.Domain, n.OpType, n.Overload}
		switch {
		case t.functions[key] != nil:
			t.call(n, t.summarise(key), s)
		case isConstant(n):
			if tensor := constantTensor(n); tensor != nil {
				v := &value{}
				t.tensors[tensor], t.names[tensor] = v, n.Outputs[0]
				s.names[n.Outputs[0]] = v
			}
		default:
			t.operator(n, s)
		}
	}
}

func (t *tracer) operator(n *onnx.Node, s *scope) {
	for i, name := range n.Inputs {
		v := s.lookup(name)
		if name == "" || v == nil {
			continue
		}
		if i == 0 && rearranges(n) {
			s.names[n.Outputs[0]] = v
			continue
		}
		v.add(Use{n, i})
	}
}

// call hands the uses that a function makes of its inputs on to the values it is called with.
func (t *tracer) call(n *onnx.Node, f *summary, s *scope) {
	for i, name := range n.Inputs {
		v := s.lookup(name)
		if name == "" || v == nil {
			continue
		}
		if !f.done || i >= len(f.inputs) {
			v.add(Use{n, i})
			continue
		}
		for _, u := range f.inputs[i].uses {
			v.add(u)
		}
	}
	for i, from := range f.passes {
		if f.done && from >= 0 && from < len(n.Inputs) && i < len(n.Outputs) {
			s.names[n.Outputs[i]] = s.lookup(n.Inputs[from])
		}
	}
}

func (t *tracer) summarise(key functionKey) *summary {
	if f := t.summaries[key]; f != nil {
		return f
	}
	fn := t.functions[key]
	f := &summary{inputs: make([]*value, len(fn.Inputs)), passes: make([]int, len(fn.Outputs))}
	t.summaries[key] = f
	s := &scope{names: map[string]*value{}}
	for i, name := range fn.Inputs {
		f.inputs[i] = &value{}
		s.names[name] = f.inputs[i]
	}
	t.nodes(fn.Nodes, s)
	for i, name := range fn.Outputs {
		f.passes[i] = -1
		if v := s.lookup(name); v != nil {
			if f.passes[i] = slices.Index(f.inputs, v); f.passes[i] < 0 {
				v.add(Use{})
			}
		}
	}
	f.done = true
	return f
}

func isConstant(n *onnx.Node) bool {
	return n.OpType == "Constant" && standard(n.Domain) && len(n.Outputs) == 1
}

func constantTensor(n *onnx.Node) *onnx.Tensor {
	for _, a := range n.Attributes {
		if a.Name == "value" {
			return a.T
		}
	}
	return nil
}

// rearranges reports whether output 0 of n has the values of input 0, in another shape, order or width.
func rearranges(n *onnx.Node) bool {
	if !standard(n.Domain) || len(n.Outputs) != 1 {
		return false
	}
	switch n.OpType {
	case "Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten":
		return true
	case "Cast":
		for _, a := range n.Attributes {
			if a.Name == "to" {
				return onnx.DataType(a.I).IsFloat() && onnx.DataType(a.I).Bits() >= 16
			}
		}
	}
	return false
}

func standard(domain string) bool { return domain == "" || domain == "ai.onnx" }
