package ops

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Differentiation says what to differentiate: a program whose shapes are all known.
type Differentiation struct {
	Nodes []*onnx.Node // in topological order; they are not changed
	Opset int64        // of ONNX's own operators
	// Known is what is known of inputs and initializers: type and shape, and the contents of those that shapes depend on. It may
	// also tell of values that nodes compute; those are not inferred again.
	Known map[string]Info
	// Seeds maps values to the names of their gradients, which Known tells of; "" stands for ones, as for a loss.
	Seeds map[string]string
	// Wrt names the values that gradients are asked for: inputs, initializers or values between.
	Wrt []string
	// LearnedSteps has the gradients of scales of QuantizeLinear and DequantizeLinear multiplied by 1/√(n·q), where n numbers share a scale
	// and q is the largest code, so that scales learn at the pace of what they scale. S. Esser et al.: Learned Step Size Quantization, 2020,
	// section 2.2; there n of activations does not count the batch.
	LearnedSteps bool
}

// Derivative is a program with the nodes that compute gradients.
type Derivative struct {
	// Nodes are those of the program, some with more outputs than they had, and then those of the backward pass. The latter are all of
	// [Domain], also ONNX's own operators among them.
	Nodes []*onnx.Node
	// Gradients of the values of Wrt, each of its value's type and shape. Values that nothing depends on have none.
	Gradients map[string]Value
	// Known tells of all values.
	Known map[string]Info
}

// Differentiate adds to a program the nodes that compute the gradients of Σ seed·value with respect to some of its values, by a
// sweep over the nodes in reverse: what arrives at a value from several of its users is added up in the order of that sweep. Integer
// values pass no gradient on, but for the codes between QuantizeLinear and DequantizeLinear. Only nodes that lie between what is asked for and what is seeded are differentiated; those of them that cannot
// be are reported all at once, in an *UndifferentiableError.
func Differentiate(d Differentiation) (*Derivative, error) {
	s := &sweep{
		opset: d.Opset, known: map[string]Info{}, needed: map[string]bool{}, arriving: map[string][]Value{},
		constants: map[string]Value{}, taken: map[string]bool{}, learnedSteps: d.LearnedSteps,
	}
	maps.Copy(s.known, d.Known)
	for _, name := range d.Wrt {
		if dt := s.known[name].Type; dt != onnx.Undefined && !typesFloat.has(dt) {
			return nil, fmt.Errorf("%q is of type %s, which has no gradient", name, tensor.TypeName(dt))
		}
		s.needed[name] = true
	}
	if err := s.forward(d.Nodes); err != nil {
		return nil, err
	}
	if err := s.reach(d.Seeds); err != nil {
		return nil, err
	}
	if err := s.seed(d.Seeds); err != nil {
		return nil, err
	}
	if err := s.backward(); err != nil {
		return nil, err
	}
	out := &Derivative{Gradients: map[string]Value{}, Known: s.known}
	s.at = nil
	for _, name := range d.Wrt {
		v, ok := s.total(name)
		if ok {
			out.Gradients[name] = v
		}
	}
	for _, f := range s.nodes {
		out.Nodes = append(out.Nodes, f.node)
	}
	out.Nodes = append(out.Nodes, s.added...)
	return out, s.err
}

// sweep is the state of Differentiate.
type sweep struct {
	opset        int64
	learnedSteps bool
	nodes        []*forwardNode
	added        []*onnx.Node
	known        map[string]Info
	needed       map[string]bool    // values that depend on one that a gradient is asked for
	arriving     map[string][]Value // parts of the gradients of values
	constants    map[string]Value
	taken        map[string]bool // names
	count        int
	at           *forwardNode // whose gradient is made
	err          error        // the first, of nodes that are added
}

// forwardNode is a node of the program.
type forwardNode struct {
	node   *onnx.Node
	op     Op    // nil if there is none here
	why    error // why not
	needed bool
}

func (f *forwardNode) name() string {
	if f.node.Name == "" && len(f.node.Outputs) > 0 {
		return f.node.Outputs[0]
	}
	return f.node.Name
}

// forward infers the shapes of the program, and which of its values depend on those that gradients are asked for.
func (s *sweep) forward(nodes []*onnx.Node) error {
	for name := range s.known {
		s.taken[name] = true
	}
	for _, n := range nodes {
		f := &forwardNode{node: n}
		s.nodes = append(s.nodes, f)
		captures := false
		for _, a := range n.Attributes {
			captures = captures || a.G != nil && slices.ContainsFunc(freeNames(a.G), func(name string) bool { return s.needed[name] })
		}
		f.needed = captures || slices.ContainsFunc(n.Inputs, func(name string) bool { return s.needed[name] })
		if f.op, f.why = New(&Node{Node: n, Opset: s.version(n)}); f.why != nil {
			f.op = nil
		}
		if err := s.infer(f); err != nil {
			return fmt.Errorf("node %q (%s): %w", f.name(), n.OpType, err)
		}
		for _, name := range n.Outputs {
			s.taken[name] = true
			if f.needed && s.passes(f, s.known[name].Type) {
				s.needed[name] = true
			}
		}
	}
	return nil
}

// passes reports whether an output of a type may pass a gradient on. Floating-point numbers do; integers only as codes, which is what
// QuantizeLinear makes of numbers and what only moves those.
func (s *sweep) passes(f *forwardNode, dt onnx.DataType) bool {
	if dt == onnx.Undefined || typesFloat.has(dt) {
		return true
	}
	if _, ok := f.op.(*quantizeLinear); ok {
		return true
	}
	return slices.ContainsFunc(f.node.Inputs, func(name string) bool { return s.needed[name] && s.known[name].Type == dt })
}

// version is that of the operator set that a node belongs to.
func (s *sweep) version(n *onnx.Node) int64 {
	if n.Domain == Domain {
		return 1
	}
	return s.opset
}

// infer tells s.known of a node's outputs, as far as they can be inferred.
func (s *sweep) infer(f *forwardNode) error {
	told := !slices.ContainsFunc(f.node.Outputs, func(name string) bool { return name != "" && s.known[name].Missing() })
	if told || f.op == nil {
		return nil
	}
	in := make([]Info, len(f.node.Inputs))
	for i, name := range f.node.Inputs {
		if in[i] = s.known[name]; name != "" && in[i].Missing() {
			return nil // nothing is known of it, which is not the same as being left out
		}
	}
	out, err := f.op.Infer(in)
	for i, name := range f.node.Outputs {
		if i < len(out) && name != "" {
			s.known[name] = out[i]
		}
	}
	return err
}

// reach finds the needed nodes that the gradients of the seeds come to, and refuses those that are not differentiable.
func (s *sweep) reach(seeds map[string]string) error {
	reached := map[string]bool{}
	for name := range seeds {
		reached[name] = true
	}
	var problems UndifferentiableError
	for _, f := range slices.Backward(s.nodes) {
		is := func(name string) bool { return reached[name] && s.needed[name] }
		if f.needed = f.needed && slices.ContainsFunc(f.node.Outputs, is); !f.needed {
			continue
		}
		if _, ok := f.op.(Differentiable); !ok {
			problems.Nodes = append(problems.Nodes, UndifferentiableNode{f.name(), operatorName(f.node), f.why})
		}
		for _, name := range f.node.Inputs {
			reached[name] = true
		}
	}
	return problems.orNil()
}

func operatorName(n *onnx.Node) string {
	if n.Domain != "" && n.Domain != "ai.onnx" {
		return n.Domain + "." + n.OpType
	}
	return n.OpType
}

// seed begins the gradients.
func (s *sweep) seed(seeds map[string]string) error {
	g := &Gradient{sweep: s}
	for _, name := range slices.Sorted(maps.Keys(seeds)) {
		of, err := s.value(name)
		if err != nil {
			return fmt.Errorf("seeded value %w", err)
		}
		v := g.Expand(g.Scalar(of, 1), of.Dims())
		if from := seeds[name]; from != "" {
			if v, err = s.value(from); err != nil {
				return fmt.Errorf("seed %w", err)
			}
		}
		if err := alike(v, of); err != nil {
			return fmt.Errorf("seed of %q: %w", name, err)
		}
		s.arriving[name] = []Value{v}
	}
	return s.err
}

// value looks a name up, whose shape must be known.
func (s *sweep) value(name string) (Value, error) {
	v := Value{name, s.known[name]}
	if _, ok := v.Shape.Known(); !ok || v.Type == onnx.Undefined {
		return v, fmt.Errorf("%q: its type or shape %s is not known", name, v.Shape)
	}
	return v, nil
}

// alike checks that a gradient has the type and shape of its value. That of codes is of any floating-point type.
func alike(v, want Value) error {
	same := v.Type == want.Type || typesFloat.has(v.Type) && !typesFloat.has(want.Type)
	if !same || !slices.Equal(v.Dims(), want.Dims()) {
		return fmt.Errorf("%s in place of %s", tensor.Describe(v.Type, v.Dims()), tensor.Describe(want.Type, want.Dims()))
	}
	return nil
}

// backward differentiates the needed nodes, the last first.
func (s *sweep) backward() error {
	var problems UndifferentiableError
	for _, f := range slices.Backward(s.nodes) {
		if !f.needed {
			continue
		}
		s.at = f
		g := &Gradient{sweep: s, set: map[int]Value{}}
		there := false
		for _, name := range f.node.Outputs {
			v, ok := s.total(name)
			g.of = append(g.of, v)
			there = there || ok
		}
		if !there {
			continue
		}
		err := f.op.(Differentiable).Gradient(g)
		if err = cmp.Or(err, s.err); err != nil {
			problems.Nodes = append(problems.Nodes, UndifferentiableNode{f.name(), operatorName(f.node), err})
			s.err = nil
			continue
		}
		for i, name := range f.node.Inputs {
			if v, ok := g.set[i]; ok {
				s.arriving[name] = append(s.arriving[name], v)
			}
		}
	}
	return problems.orNil()
}

// total returns the gradient of a value, the sum of its parts.
func (s *sweep) total(name string) (Value, bool) {
	parts := s.arriving[name]
	if name == "" || len(parts) == 0 {
		return Value{}, false
	}
	if len(parts) > 1 {
		op := "Sum"
		if len(parts) == 2 {
			op = "Add"
		}
		g := &Gradient{sweep: s}
		parts = []Value{g.Node(op, nil, parts...)}
		s.arriving[name] = parts
	}
	return parts[0], true
}

// fresh returns a name that nothing has.
func (s *sweep) fresh(op string) string {
	for {
		s.count++
		name := fmt.Sprintf("grad/%d/%s", s.count, op)
		if !s.taken[name] {
			s.taken[name] = true
			return name
		}
	}
}
