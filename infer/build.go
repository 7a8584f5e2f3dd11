package infer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// builder makes graphs of a model's: names become values, functions are inlined, what is known of each value is inferred, and nodes
// whose inputs are constant are computed. It goes on after a node that is wrong, so that all of them are reported at once.
type builder struct {
	s         *Session
	functions map[functionKey]*onnx.Function
	calling   []functionKey
	problems  []*NodeError
	nodes     int
	invented  int      // names of dimensions
	outline   *outline // nil unless the model is only described
}

type functionKey struct{ domain, name, overload string }

// maxNodes bounds what functions that call functions may grow to.
const maxNodes = 1 << 20

// scope gives names their meaning: those of a graph, seen from its sub-graphs too, or of a call of a function, in a graph that is
// the caller's.
type scope struct {
	names  map[string]*value // nil is an optional input that was left out
	outer  *scope
	graph  *graph
	opsets map[string]int64
	attrs  map[string]*onnx.Attribute // of the function that is called
	path   string                     // of names
}

func build(s *Session, m *onnx.Model) (*graph, error) {
	b := &builder{s: s, functions: map[functionKey]*onnx.Function{}}
	for _, f := range m.Functions {
		b.functions[functionKey{f.Domain, f.Name, f.Overload}] = f
	}
	sc := &scope{names: map[string]*value{}, graph: &graph{}, opsets: opsets(m.OpsetImports)}
	err := b.graph(sc, m.Graph, false)
	if len(b.problems) > 0 { // an output that nothing computes is but their consequence
		err = &job.ModelError{Err: &GraphError{b.problems}}
	}
	if err != nil {
		return nil, err
	}
	sc.graph.prune()
	return sc.graph, nil
}

func opsets(imports []*onnx.OperatorSet) map[string]int64 {
	versions := map[string]int64{}
	for _, i := range imports {
		versions[domain(i.Domain)] = i.Version
	}
	return versions
}

func domain(name string) string {
	if name == "ai.onnx" {
		return ""
	}
	return name
}

// graph fills the graph of an empty scope. A body gets a value for each of its inputs; of the main graph those that have an
// initializer are constants.
func (b *builder) graph(s *scope, g *onnx.Graph, isBody bool) error {
	constants, err := b.constants(g.Initializers)
	if err != nil {
		return err
	}
	for i, t := range g.Initializers {
		c := s.graph.add(t.Name, constantInfo(t, constants[i]))
		c.stored = t
		s.names[t.Name] = c
	}
	for _, sparse := range g.SparseInitializers {
		if sparse.Values != nil {
			b.node(s, &onnx.Node{
				OpType: "Constant", Outputs: []string{sparse.Values.Name},
				Attributes: []*onnx.Attribute{{Name: "sparse_value", Type: onnx.AttributeSparseTensor, SparseTensor: sparse}},
			})
		}
	}
	for _, in := range g.Inputs {
		if s.names[in.Name] != nil && !isBody {
			continue
		}
		info, err := declaredInfo(in)
		if err != nil {
			b.problem(s.path+"input "+in.Name, "graph", 0, err)
		}
		if b.outline != nil && !isBody {
			info.Shape = b.outline.inputs[in.Name]
		}
		for i := range info.Shape {
			d := &info.Shape[i]
			if isBody { // what is declared need not hold for every iteration
				*d = ops.Unknown
			}
			if *d == ops.Unknown {
				d.Name = b.invent()
			}
		}
		v := s.graph.add(in.Name, info)
		s.names[in.Name] = v
		s.graph.inputs = append(s.graph.inputs, v)
	}
	s.graph.formal = len(s.graph.inputs)
	for _, n := range g.Nodes {
		b.node(s, n)
	}
	for _, out := range g.Outputs {
		v := s.lookup(out.Name)
		if v == nil {
			return &job.ModelError{Err: fmt.Errorf("output %q of graph %q is computed by no node", out.Name, g.Name)}
		}
		if _, err := declaredInfo(out); err != nil {
			b.problem(s.path+"output "+out.Name, "graph", 0, err)
		}
		s.graph.outputs = append(s.graph.outputs, v)
	}
	return nil
}

// invented begins the names of dimensions that the model leaves without one.
const invented = "?"

func (b *builder) invent() string {
	b.invented++
	return invented + strconv.Itoa(b.invented)
}

// declaredInfo is what a model says of an input or output.
func declaredInfo(v *onnx.ValueInfo) (ops.Info, error) {
	var i ops.Info
	if v.Type == nil {
		return i, nil
	}
	t := v.Type.Tensor
	if t == nil {
		if v.Type.Sequence == nil && v.Type.Optional == nil && v.Type.Map == nil && v.Type.SparseTensor == nil && v.Type.Opaque == nil {
			return i, nil
		}
		return i, errors.New("values that are no tensors are not supported: sequences, maps, optional and sparse ones")
	}
	if i.Type = t.ElemType; i.Type != onnx.String && i.Type != onnx.Undefined && tensor.Width(i.Type) == 0 {
		return i, fmt.Errorf("elements of type %s are not supported", i.Type)
	}
	if t.Shape == nil {
		return i, nil
	}
	i.Shape = ops.Shape{}
	for _, d := range t.Shape.Dims {
		switch {
		case d.Value != nil && *d.Value >= 0:
			i.Shape = append(i.Shape, ops.Known(int(*d.Value)))
		default:
			i.Shape = append(i.Shape, ops.Dim{N: -1, Name: d.Param})
		}
	}
	return i, nil
}

// lookup returns the value of a name: nil if there is none. A value from around a sub-graph becomes one of its inputs, unless it is
// constant.
func (s *scope) lookup(name string) *value {
	if name == "" {
		return nil
	}
	if v, ok := s.names[name]; ok || s.outer == nil {
		return v
	}
	v := s.outer.lookup(name)
	if v == nil || s.outer.graph == s.graph {
		return v
	}
	own := s.graph.add(v.name, v.info)
	own.stored = v.stored
	if !v.constant() {
		s.graph.inputs = append(s.graph.inputs, own)
		s.graph.captures = append(s.graph.captures, v)
	}
	// The name belongs to the graph, not to a branch or function that was inlined into it.
	root := s
	for root.outer != nil && root.outer.graph == s.graph {
		root = root.outer
	}
	root.names[name] = own
	return own
}

func (b *builder) problem(name, kind string, opset int64, err error) {
	b.problems = append(b.problems, &NodeError{Node: name, Op: kind, Opset: opset, Err: err})
}

// node adds a node, or what it stands for.
func (b *builder) node(s *scope, n *onnx.Node) {
	written := n
	n = s.bind(n)
	x := &node{Node: n, kind: n.OpType, opset: s.opsets[domain(n.Domain)]}
	if newest, ok := ops.Standard(n); ok {
		x.opset = newest
	} else if d := domain(n.Domain); d != "" {
		x.kind = d + "." + n.OpType
	}
	x.name = s.path + cmp.Or(n.Name, n.OpType+"→"+firstName(n.Outputs))
	key := functionKey{n.Domain, n.OpType, n.Overload}
	if f := b.functions[key]; f != nil {
		b.call(s, x, key, f)
		return
	}
	if b.nodes++; b.nodes > maxNodes {
		if b.nodes == maxNodes+1 {
			b.problem(x.name, x.kind, x.opset, fmt.Errorf("the graph has more than %d nodes when functions are inlined", maxNodes))
		}
		return
	}
	for _, name := range n.Inputs {
		x.in = append(x.in, s.lookup(name))
	}
	if x.is("If") && len(x.in) == 1 && b.branch(s, x) {
		return
	}
	before := len(b.problems)
	out, err := b.operator(s, x)
	if err != nil {
		b.problem(x.name, x.kind, x.opset, err)
	}
	if b.outline != nil && s.graph == b.outline.graph {
		b.outline.add(written, x, out, b.problems[before:])
	}
	for i, name := range n.Outputs {
		if name == "" {
			x.out = append(x.out, nil)
			continue
		}
		var info ops.Info
		if i < len(out) {
			info = out[i]
		}
		// A dimension of which nothing is known has a name at least, so that what has the same is seen to be as large.
		for k, d := range info.Shape {
			if d == ops.Unknown {
				info.Shape = slices.Clone(info.Shape)
				info.Shape[k].Name = b.invent()
			}
		}
		v := s.graph.add(name, info)
		v.from = x
		x.out = append(x.out, v)
		s.names[name] = v
	}
	if err == nil && (x.is(late) || !b.s.fold(x)) {
		s.graph.nodes = append(s.graph.nodes, x)
	}
}

// late is the operator that is computed only once the optimiser has seen what its result is for.
const late = "DequantizeLinear"

func firstName(names []string) string {
	if len(names) > 0 {
		return names[0]
	}
	return ""
}

// bind puts the attributes of the function that is called in the place of references to them.
func (s *scope) bind(n *onnx.Node) *onnx.Node {
	if !slices.ContainsFunc(n.Attributes, func(a *onnx.Attribute) bool { return a.RefAttrName != "" }) {
		return n
	}
	c := withInputs(n, n.Inputs)
	c.Attributes = nil
	for _, a := range n.Attributes {
		if a.RefAttrName != "" {
			given := s.attrs[a.RefAttrName]
			if given == nil {
				continue // absent: the operator has its default
			}
			a = renamed(given, a.Name)
		}
		c.Attributes = append(c.Attributes, a)
	}
	return c
}

// withInputs returns a node like n with other inputs.
func withInputs(n *onnx.Node, inputs []string) *onnx.Node {
	return &onnx.Node{
		Inputs: inputs, Outputs: n.Outputs, Name: n.Name, OpType: n.OpType, Domain: n.Domain, Overload: n.Overload, Attributes: n.Attributes,
	}
}

func renamed(a *onnx.Attribute, name string) *onnx.Attribute {
	return &onnx.Attribute{
		Name: name, F: a.F, I: a.I, S: a.S, T: a.T, G: a.G, Floats: a.Floats, Ints: a.Ints, Strings: a.Strings, Tensors: a.Tensors,
		Graphs: a.Graphs, TypeProto: a.TypeProto, TypeProtos: a.TypeProtos, Type: a.Type, SparseTensor: a.SparseTensor, SparseTensors: a.SparseTensors,
	}
}

// call inlines a function.
func (b *builder) call(s *scope, n *node, key functionKey, f *onnx.Function) {
	if slices.Contains(b.calling, key) {
		b.problem(n.name, n.kind, n.opset, errors.New("the function calls itself"))
		return
	}
	b.calling = append(b.calling, key)
	inner := &scope{names: map[string]*value{}, graph: s.graph, opsets: opsets(f.OpsetImports), attrs: map[string]*onnx.Attribute{}, path: n.name + "/"}
	if len(f.OpsetImports) == 0 {
		inner.opsets = s.opsets
	}
	for _, a := range f.AttributeProtos {
		inner.attrs[a.Name] = a
	}
	for _, a := range n.Attributes {
		inner.attrs[a.Name] = a
	}
	for i, name := range f.Inputs {
		inner.names[name] = nil
		if i < len(n.Inputs) {
			inner.names[name] = s.lookup(n.Inputs[i])
		}
	}
	if len(n.Inputs) > len(f.Inputs) || len(n.Outputs) > len(f.Outputs) {
		b.problem(n.name, n.kind, n.opset, fmt.Errorf("%d inputs and %d outputs of a function that has %d and %d", len(n.Inputs), len(n.Outputs), len(f.Inputs), len(f.Outputs)))
	}
	for _, x := range f.Nodes {
		b.node(inner, x)
	}
	for i, name := range n.Outputs {
		if i < len(f.Outputs) && name != "" {
			s.names[name] = inner.lookup(f.Outputs[i])
		}
	}
	b.calling = b.calling[:len(b.calling)-1]
}

// branch inlines the branch of an If whose condition is constant.
func (b *builder) branch(s *scope, n *node) bool {
	c := n.in[0]
	if !c.constant() || c.info.Type != onnx.Bool || c.info.Value.Len() != 1 {
		return false
	}
	name := "else_branch"
	if tensor.Of[bool](c.info.Value)[0] {
		name = "then_branch"
	}
	i := slices.IndexFunc(n.Attributes, func(a *onnx.Attribute) bool { return a.Name == name && a.G != nil })
	if i < 0 || len(n.Attributes[i].G.Inputs) > 0 || len(n.Attributes[i].G.Outputs) != len(n.Outputs) {
		return false
	}
	g := n.Attributes[i].G
	inner := &scope{names: map[string]*value{}, outer: s, graph: s.graph, opsets: s.opsets, attrs: s.attrs, path: n.name + "." + name + "/"}
	outputs, inputs, formal := s.graph.outputs, s.graph.inputs, s.graph.formal
	s.graph.outputs = nil
	err := b.graph(inner, g, true)
	results := s.graph.outputs
	s.graph.outputs, s.graph.formal = outputs, formal
	if err != nil {
		s.graph.inputs = inputs
		b.problem(n.name, n.kind, n.opset, err)
		return true
	}
	for i, name := range n.Outputs {
		if name != "" {
			s.names[name] = results[i]
		}
	}
	return true
}

// operator makes the operator of a node, with its bodies, and infers what it gives.
func (b *builder) operator(s *scope, n *node) ([]ops.Info, error) {
	if t := storedConstant(n); b.outline != nil && n.is("Constant") && t != nil && t.Size() > outlineBytes {
		n.op = described(constantInfo(t, nil))
		return n.op.Infer(nil)
	}
	bodies := map[string]ops.Body{}
	for _, a := range n.Attributes {
		if a.G == nil {
			continue
		}
		inner := &scope{names: map[string]*value{}, outer: s, graph: &graph{}, opsets: s.opsets, attrs: s.attrs, path: n.name + "." + a.Name + "/"}
		known := len(b.problems)
		if err := b.graph(inner, a.G, true); err != nil {
			return nil, err
		}
		if len(b.problems) > known {
			return nil, errors.New("the graph " + a.Name + " cannot be run")
		}
		body := &body{}
		for _, v := range inner.graph.captures {
			at := slices.Index(n.captured, v)
			if at < 0 {
				at = len(n.captured)
				n.captured = append(n.captured, v)
			}
			body.captured = append(body.captured, at)
		}
		inner.graph.prune()
		body.program = newProgram(b.s, inner.graph)
		bodies[a.Name] = body
		n.bodies = append(n.bodies, body)
	}
	for i, name := range n.Inputs {
		if name != "" && i < len(n.in) && n.in[i] == nil && s.undefined(name) {
			return nil, fmt.Errorf("input %q is computed by no node before it", name)
		}
	}
	n.leaveOut()
	op, err := ops.New(&ops.Node{Node: n.Node, Opset: n.opset, Bodies: bodies})
	if err != nil {
		return nil, err
	}
	n.op = op
	if ops.BroadcastsAlongAxis(op) {
		n.kind += " along an axis" // so that no pattern takes it for today's
	}
	return n.infer(infos(n.in), infos(n.captured))
}

// leaveOut takes away the names of inputs that the call of a function left out, so that the operator sees that they are.
func (n *node) leaveOut() {
	for i, name := range n.Inputs {
		if name == "" || i >= len(n.in) || n.in[i] != nil {
			continue
		}
		inputs := slices.Clone(n.Inputs)
		inputs[i] = ""
		n.Node = withInputs(n.Node, inputs)
	}
}

// undefined reports whether a name means nothing, not even an input that was left out or what a wrong node would have given.
func (s *scope) undefined(name string) bool {
	for ; s != nil; s = s.outer {
		if _, ok := s.names[name]; ok {
			return false
		}
	}
	return true
}

// infer returns what is known of the outputs.
func (n *node) infer(in, captured []ops.Info) (out []ops.Info, err error) {
	defer caught(&err)
	for _, b := range n.bodies {
		b.know(captured)
	}
	for i, v := range n.in {
		if v != nil && in[i].Missing() { // of which so little is known that it looks as if it were left out
			return make([]ops.Info, len(n.Outputs)), nil
		}
	}
	if out, err = n.op.Infer(in); err != nil {
		return nil, err
	}
	if len(out) < len(n.Outputs) {
		out = append(slices.Clip(out), make([]ops.Info, len(n.Outputs)-len(out))...)
	}
	return out, nil
}
