// Package rewrite holds the edits that all graph rewrites share: fresh names, and the exchange of initializers.
package rewrite

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/effml/effml/onnx"
)

// Names are the value and node names in use in a model.
type Names map[string]bool

// NewNames collects the names of all graphs of m, sub-graphs and training graphs included.
func NewNames(m *onnx.Model) Names {
	n := Names{}
	_ = Graphs(m, func(g *onnx.Graph) error {
		n.graph(g)
		return nil
	})
	return n
}

func (n Names) graph(g *onnx.Graph) {
	for _, list := range [][]*onnx.ValueInfo{g.Inputs, g.Outputs, g.ValueInfo} {
		for _, v := range list {
			n[v.Name] = true
		}
	}
	for _, t := range g.Initializers {
		n[t.Name] = true
	}
	for _, s := range g.SparseInitializers {
		if s.Values != nil {
			n[s.Values.Name] = true
		}
	}
	for _, node := range g.Nodes {
		n[node.Name] = true
		for _, name := range node.Inputs {
			n[name] = true
		}
		for _, name := range node.Outputs {
			n[name] = true
		}
	}
}

// Fresh returns base, or base with the first number that makes it new, and marks it as used.
func (n Names) Fresh(base string) string {
	name := base
	for i := 1; n[name]; i++ {
		name = base + "." + strconv.Itoa(i)
	}
	n[name] = true
	return name
}

// Graphs calls do for every graph of the model outside functions, sub-graphs before the graph that they are in, and
// stops at the first error.
func Graphs(m *onnx.Model, do func(*onnx.Graph) error) error {
	graphs := []*onnx.Graph{m.Graph}
	for _, t := range m.TrainingInfo {
		graphs = append(graphs, t.Initialization, t.Algorithm)
	}
	for _, g := range graphs {
		if err := visit(g, do); err != nil {
			return err
		}
	}
	return nil
}

func visit(g *onnx.Graph, do func(*onnx.Graph) error) error {
	if g == nil {
		return nil
	}
	for _, n := range g.Nodes {
		for _, a := range n.Attributes {
			for _, sub := range append([]*onnx.Graph{a.G}, a.Graphs...) {
				if err := visit(sub, do); err != nil {
					return err
				}
			}
		}
	}
	return do(g)
}

// Opset returns the version of ONNX's own operators that the model imports; 1 where it imports none.
func Opset(m *onnx.Model) int64 {
	for _, o := range m.OpsetImports {
		if o.Domain == "" || o.Domain == "ai.onnx" {
			return o.Version
		}
	}
	return 1
}

// MissingError says that a graph has no initializer of a name.
type MissingError struct{ Graph, Tensor string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("graph %q has no initializer %q", e.Graph, e.Tensor)
}

// Initializer returns the initializer of the given name.
func Initializer(g *onnx.Graph, name string) (*onnx.Tensor, error) {
	for _, t := range g.Initializers {
		if t.Name == name {
			return t, nil
		}
	}
	return nil, &MissingError{Graph: g.Name, Tensor: name}
}

// Replace puts nodes that compute an initializer in its place: tensors take its place among the initializers, nodes come first
// in the graph, and the last of them has an output of the initializer's name, so that whatever reads it need not change.
func Replace(m *onnx.Model, g *onnx.Graph, name string, tensors []*onnx.Tensor, nodes []*onnx.Node) {
	Exchange(m, g, []string{name}, tensors)
	g.Nodes = slices.Concat(nodes, g.Nodes)
}

// Exchange takes initializers out of a graph and puts others in at the place of the first; where there is none, at the end. Graph inputs
// of the old names go: they offered the caller to supply another value. Up to IR version 3 every initializer
// is a graph input, so there the new ones take their place.
func Exchange(m *onnx.Model, g *onnx.Graph, old []string, tensors []*onnx.Tensor) {
	at := slices.IndexFunc(g.Initializers, func(t *onnx.Tensor) bool { return slices.Contains(old, t.Name) })
	if at < 0 {
		at = len(g.Initializers)
	}
	// The slices are made anew: a clone of the model may share the old ones.
	kept := slices.DeleteFunc(slices.Clone(g.Initializers[at:]), func(t *onnx.Tensor) bool { return slices.Contains(old, t.Name) })
	g.Initializers = slices.Concat(g.Initializers[:at], tensors, kept)

	at = slices.IndexFunc(g.Inputs, func(v *onnx.ValueInfo) bool { return slices.Contains(old, v.Name) })
	if at < 0 {
		return
	}
	rest := slices.DeleteFunc(slices.Clone(g.Inputs[at:]), func(v *onnx.ValueInfo) bool { return slices.Contains(old, v.Name) })
	var infos []*onnx.ValueInfo
	if m.IRVersion < 4 {
		for _, t := range tensors {
			infos = append(infos, Info(t))
		}
	}
	g.Inputs = slices.Concat(g.Inputs[:at], infos, rest)
}

// Info describes a tensor as a graph input.
func Info(t *onnx.Tensor) *onnx.ValueInfo {
	shape := new(onnx.Shape)
	for _, d := range t.Dims {
		shape.Dims = append(shape.Dims, &onnx.Dimension{Value: &d})
	}
	return &onnx.ValueInfo{Name: t.Name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: t.DataType, Shape: shape}}}
}

// NewTensor returns a tensor with values in raw layout.
func NewTensor(name string, dt onnx.DataType, dims []int64, raw []byte) *onnx.Tensor {
	t := &onnx.Tensor{Name: name, DataType: dt, Dims: slices.Clone(dims)}
	t.SetBytes(raw)
	return t
}

// Int returns an integer attribute.
func Int(name string, v int64) *onnx.Attribute {
	return &onnx.Attribute{Name: name, Type: onnx.AttributeInt, I: v}
}
