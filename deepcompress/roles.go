package deepcompress

import (
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
)

// class says how free the pipeline is with a tensor.
type class uint8

const (
	classWeight  class = iota // used as a weight everywhere: may lose precision
	classUnknown              // some use is not known to bear it: only a plan that names the tensor changes it
	classKept                 // must keep every bit
)

// use is one place where the value of a tensor goes.
type use struct {
	node  *onnx.Node // nil for an output of a graph
	input int
}

// value is what a name stands for: a tensor, or an input of a function, with everything that happens to it.
type value struct {
	uses []use
	seen map[use]bool
}

func (v *value) add(u use) {
	if v.seen == nil {
		v.seen = make(map[use]bool)
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

// traceUses finds the uses of every initializer and every tensor of a Constant node.
func traceUses(m *onnx.Model) *tracer {
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
	return t
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
			v.add(use{})
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
		v.add(use{n, i})
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
			v.add(use{n, i})
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
				v.add(use{})
			}
		}
	}
	f.done = true
	return f
}

func standard(domain string) bool { return domain == "" || domain == "ai.onnx" }

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

// weightInputs says at which inputs an operator takes weights: factors of long sums of products, in which errors of many weights
// average out. -1 stands for all inputs.
var weightInputs = map[string][]int{
	"Conv": {1}, "ConvTranspose": {1}, "DeformConv": {1}, "Gemm": {0, 1}, "MatMul": {0, 1}, "Einsum": {-1},
	"Gather": {0}, "LSTM": {1, 2}, "GRU": {1, 2}, "RNN": {1, 2},
	"com.microsoft.FusedConv": {1}, "com.microsoft.NhwcFusedConv": {1}, "com.microsoft.FusedGemm": {0, 1},
	"com.microsoft.FusedMatMul": {0, 1}, "com.microsoft.FusedMatMulActivation": {0, 1}, "com.microsoft.GemmFastGelu": {1},
	"com.microsoft.TransposeMatMul": {0, 1}, "com.microsoft.GemmFloat8": {0, 1},
	"com.microsoft.Attention": {1}, "com.microsoft.LongformerAttention": {1, 4}, "com.microsoft.MoE": {2, 4, 6},
	"com.microsoft.EmbedLayerNormalization": {2, 3, 4},
	"com.ms.internal.nhwc.Conv":             {1}, "com.ms.internal.nhwc.ConvTranspose": {1},
}

// biasInputs are inputs that are added to the result.
var biasInputs = map[string]int{
	"Conv": 2, "ConvTranspose": 2, "DeformConv": 3, "Gemm": 2, "LSTM": 3, "GRU": 3, "RNN": 3,
	"com.microsoft.FusedConv": 2, "com.microsoft.FusedGemm": 2, "com.microsoft.Attention": 2, "com.ms.internal.nhwc.Conv": 2,
}

// normalisations have only inputs, beside the first, that must keep their precision.
var normalisations = map[string]bool{
	"BatchNormalization": true, "InstanceNormalization": true, "LayerNormalization": true, "GroupNormalization": true,
	"RMSNormalization": true, "com.microsoft.SkipLayerNormalization": true, "com.microsoft.GroupNorm": true,
	"com.microsoft.SkipSimplifiedLayerNormalization": true, "SimplifiedLayerNormalization": true,
	"com.microsoft.SimplifiedLayerNormalization": true, "com.microsoft.BiasGelu": true, "PRelu": true,
}

func opName(n *onnx.Node) string {
	if standard(n.Domain) {
		return n.OpType
	}
	return n.Domain + "." + n.OpType
}

// judge classifies one use; the reason is for a table's cell.
func (u use) judge() (class, string) {
	if u.node == nil {
		return classKept, "output of the graph"
	}
	op := opName(u.node)
	if inputs := weightInputs[op]; slices.Contains(inputs, u.input) || slices.Contains(inputs, -1) {
		return classWeight, ""
	}
	if bias, ok := biasInputs[op]; ok && bias == u.input {
		return classKept, "bias of " + op
	}
	switch {
	case normalisations[op] && u.input > 0:
		return classKept, "parameter of " + op
	case isQuantisation(u.node.OpType):
		return classKept, "parameter of " + op
	case op == "LSTM" || op == "GRU" || op == "RNN":
		return classKept, "initial state or peephole of " + op
	case op == "If" || op == "Loop" || op == "Scan":
		return classKept, "state of " + op
	}
	return classUnknown, fmt.Sprintf("input %d of %s is not known to bear a loss", u.input, op)
}

// isQuantisation reports whether all inputs of an operator are already quantised or are parameters of that.
func isQuantisation(op string) bool {
	switch op {
	case "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger",
		"MatMulNBits", "QAttention", "QGemm", "QLinearAdd", "QLinearMul", "GatherBlockQuantized":
		return true
	}
	return false
}
