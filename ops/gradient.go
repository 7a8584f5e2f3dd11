package ops

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
)

// Differentiable is implemented by operators through which gradients flow. Gradient adds the nodes that compute the gradients of the
// inputs that are wanted from those of the outputs, and hands them to g.Set; an input that it sets none for gets none, which means 0.
// It refuses attributes that it has no gradient for.
type Differentiable interface{ Gradient(g *Gradient) error }

// Value is a value of the graph that grows: its name, and what is known of it, which includes its type and its shape.
type Value struct {
	Name string
	Info
}

// Dims returns the shape as numbers.
func (v Value) Dims() []int {
	dims, _ := v.Shape.Known()
	return dims
}

// Gradient is a node to differentiate, and the graph that grows. A method that cannot do what it is asked for remembers why, and
// Differentiate reports it; operators need not check. All shapes are known.
type Gradient struct {
	*sweep
	of  []Value
	set map[int]Value
}

// In returns an input of the node; a Value without a name if it was left out. Using it keeps it in memory until then: where an
// output will do, use that.
func (g *Gradient) In(i int) Value {
	if !g.Has(i) {
		return Value{}
	}
	v, err := g.value(g.at.node.Inputs[i])
	g.fail(err)
	return v
}

// Inputs is the number of inputs.
func (g *Gradient) Inputs() int { return len(g.at.node.Inputs) }

// Outputs is the number of outputs.
func (g *Gradient) Outputs() int { return len(g.at.node.Outputs) }

// Has reports whether the node has input i.
func (g *Gradient) Has(i int) bool { return i < len(g.at.node.Inputs) && g.at.node.Inputs[i] != "" }

// Out returns an output of the node. One that nothing has asked for yet is asked for.
func (g *Gradient) Out(i int) Value {
	n := g.at.node
	if i >= len(n.Outputs) || n.Outputs[i] == "" {
		c := *n
		c.Outputs = append(slices.Clone(n.Outputs), make([]string, max(0, i+1-len(n.Outputs)))...)
		c.Outputs[i] = g.fresh(n.OpType)
		op, err := New(&Node{Node: &c, Opset: g.version(&c)})
		if err != nil {
			g.fail(err)
			return Value{}
		}
		g.at.node, g.at.op = &c, op
		g.fail(g.infer(g.at))
	}
	v, err := g.value(g.at.node.Outputs[i])
	g.fail(err)
	return v
}

// Of returns the gradient that arrives at output i; false if there is none, which means 0.
func (g *Gradient) Of(i int) (Value, bool) {
	if i >= len(g.of) {
		return Value{}, false
	}
	return g.of[i], g.of[i].Name != ""
}

// OfOrZero is Of with zeros in place of none.
func (g *Gradient) OfOrZero(i int) Value {
	if v, ok := g.Of(i); ok {
		return v
	}
	out := g.Out(i)
	return g.zeros(out, out.Dims())
}

// Wants reports whether the gradient of input i is needed.
func (g *Gradient) Wants(i int) bool { return g.Has(i) && g.needed[g.at.node.Inputs[i]] }

// Set gives the gradient of input i, of that input's type and shape. It may be what arrives at an output, as it is.
func (g *Gradient) Set(i int, v Value) {
	if g.err != nil || !g.Has(i) {
		return
	}
	if err := alike(v, g.In(i)); err != nil {
		g.fail(fmt.Errorf("gradient of input %d: %w", i, err))
		return
	}
	g.set[i] = v
}

// Operator is the name of the node's operator.
func (g *Gradient) Operator() string { return g.at.node.OpType }

// list returns integers that are an attribute, or else constant elements of input i; nil if they are neither.
func (g *Gradient) list(i int, attribute []int) ([]int, error) {
	if attribute != nil || !g.Has(i) {
		return attribute, nil
	}
	v, ok := known(g.In(i).Info)
	if !ok {
		return nil, fmt.Errorf("input %d is not constant", i)
	}
	return v, nil
}

// Attributes returns those of the node that have one of the names.
func (g *Gradient) Attributes(names ...string) []*onnx.Attribute {
	var out []*onnx.Attribute
	for _, a := range g.at.node.Attributes {
		if slices.Contains(names, a.Name) {
			out = append(out, a)
		}
	}
	return out
}

// fail remembers the first error.
func (g *Gradient) fail(err error) { g.err = cmp.Or(g.err, err) }

// Node adds a node with one output, of one of ONNX's operators as the newest operator set has them, or of those of [Domain]. An input
// that is to be left out is a Value without a name.
func (g *Gradient) Node(op string, attrs []*onnx.Attribute, in ...Value) Value {
	return g.Nodes(op, 1, attrs, in...)[0]
}

// Nodes adds a node with a number of outputs.
func (g *Gradient) Nodes(op string, outputs int, attrs []*onnx.Attribute, in ...Value) []Value {
	out := make([]Value, outputs)
	if g.err != nil {
		return out
	}
	n := &onnx.Node{OpType: op, Domain: Domain, Attributes: attrs, Name: "gradients"}
	if g.at != nil {
		n.Name = g.at.name() + "/gradient"
	}
	infos := make([]Info, len(in))
	for i, v := range in {
		n.Inputs = append(n.Inputs, v.Name)
		infos[i] = v.Info
	}
	for i := range out {
		out[i].Name = g.fresh(op)
		n.Outputs = append(n.Outputs, out[i].Name)
	}
	made, err := New(&Node{Node: n, Opset: 1})
	if err != nil {
		g.fail(fmt.Errorf("%s: %w", op, err))
		return out
	}
	known, err := made.Infer(infos)
	if err == nil && len(known) < outputs {
		err = errors.New("fewer outputs than asked for")
	}
	if err != nil {
		g.fail(fmt.Errorf("%s: %w", op, err))
		return out
	}
	g.added = append(g.added, n)
	for i := range out {
		g.known[out[i].Name] = known[i]
		if out[i], err = g.value(out[i].Name); err != nil {
			g.fail(fmt.Errorf("%s: %w", op, err))
		}
	}
	return out
}
