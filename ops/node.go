package ops

import (
	"cmp"
	"fmt"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Node is a node as an operator is made from it. The attribute methods return a default where the attribute is absent; an
// attribute of another type is recorded, and New reports it.
type Node struct {
	*onnx.Node
	Opset  int64           // the version of the operator's domain that the model imports
	Bodies map[string]Body // of the attributes that are graphs

	problem error
}

// Err returns the first wrong attribute that was asked for.
func (n *Node) Err() error { return n.problem }

// Attr returns an attribute, or nil.
func (n *Node) Attr(name string, want onnx.AttributeType) *onnx.Attribute {
	for _, a := range n.Attributes {
		if a.Name != name {
			continue
		}
		if a.Type != want && a.Type != onnx.AttributeUndefined {
			n.problem = cmp.Or(n.problem, fmt.Errorf("attribute %q is of type %s, not %s", name, a.Type, want))
			return nil
		}
		return a
	}
	return nil
}

// Has reports whether the attribute is there.
func (n *Node) Has(name string) bool {
	for _, a := range n.Attributes {
		if a.Name == name {
			return true
		}
	}
	return false
}

// Int returns an integer attribute.
func (n *Node) Int(name string, def int) int {
	if a := n.Attr(name, onnx.AttributeInt); a != nil {
		return int(a.I)
	}
	return def
}

// Bool returns an integer attribute that is a truth value.
func (n *Node) Bool(name string, def bool) bool {
	if a := n.Attr(name, onnx.AttributeInt); a != nil {
		return a.I != 0
	}
	return def
}

// Float returns a float attribute.
func (n *Node) Float(name string, def float32) float32 {
	if a := n.Attr(name, onnx.AttributeFloat); a != nil {
		return a.F
	}
	return def
}

// Text returns a string attribute.
func (n *Node) Text(name, def string) string {
	if a := n.Attr(name, onnx.AttributeString); a != nil {
		return string(a.S)
	}
	return def
}

// Ints returns a list of integers; nil where it is absent.
func (n *Node) Ints(name string) []int {
	a := n.Attr(name, onnx.AttributeInts)
	if a == nil {
		return nil
	}
	out := make([]int, len(a.Ints))
	for i, v := range a.Ints {
		out[i] = int(v)
	}
	return out
}

// Floats returns a list of floats; nil where it is absent.
func (n *Node) Floats(name string) []float32 {
	if a := n.Attr(name, onnx.AttributeFloats); a != nil {
		return a.Floats
	}
	return nil
}

// Texts returns a list of strings; nil where it is absent.
func (n *Node) Texts(name string) []string {
	a := n.Attr(name, onnx.AttributeStrings)
	if a == nil {
		return nil
	}
	out := make([]string, len(a.Strings))
	for i, s := range a.Strings {
		out[i] = string(s)
	}
	return out
}

// Tensor returns a tensor attribute; nil where it is absent.
func (n *Node) Tensor(name string) (*tensor.Tensor, error) {
	if a := n.Attr(name, onnx.AttributeTensor); a != nil && a.T != nil {
		return tensor.FromONNX(a.T)
	}
	return nil, nil //nolint:nilnil // absent is not an error
}

// freeNames lists the names that a graph uses and does not define.
func freeNames(g *onnx.Graph) []string {
	defined, free := map[string]bool{"": true}, []string{}
	use := func(names ...string) {
		for _, name := range names {
			if !defined[name] {
				free = append(free, name)
			}
		}
	}
	for _, t := range g.Initializers {
		defined[t.Name] = true
	}
	for _, v := range g.Inputs {
		defined[v.Name] = true
	}
	for _, n := range g.Nodes {
		use(n.Inputs...)
		for _, a := range n.Attributes {
			if a.G != nil {
				use(freeNames(a.G)...)
			}
		}
		for _, name := range n.Outputs {
			defined[name] = true
		}
	}
	for _, v := range g.Outputs {
		use(v.Name)
	}
	return free
}
