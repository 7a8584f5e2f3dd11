package onnx

import "fmt"

// Role says what a tensor is in a model.
type Role uint8

// The roles of a tensor.
const (
	Initializer    Role = iota // a dense initializer of a graph
	SparseValues               // the elements of a sparse initializer or sparse attribute
	SparseIndices              // and their positions
	AttributeValue             // the value of a node's attribute, or a function's default for one
)

// String returns the role as one word.
func (r Role) String() string {
	return [...]string{"initializer", "sparse-values", "sparse-indices", "attribute"}[r&3]
}

// TensorRef is a tensor and its place in the model.
type TensorRef struct {
	*Tensor
	Role Role
	// Path names the graph: "graph", "graph/If_3.then_branch" (node, attribute), "function:Name", "training[0].algorithm".
	Path string
	Node *Node // whose attribute it is; nil for initializers and function defaults
}

// Tensors returns every tensor of the model in the order in which the canonical encoding has them: of a graph the
// attributes of its nodes, with the sub-graphs where they occur, then initializers, then sparse initializers; the main graph
// first, then training information, then functions.
func (m *Model) Tensors() []TensorRef {
	var w walker
	if m.Graph != nil {
		w.graph(m.Graph, "graph")
	}
	for i, t := range m.TrainingInfo {
		if t.Initialization != nil {
			w.graph(t.Initialization, fmt.Sprintf("training[%d].initialization", i))
		}
		if t.Algorithm != nil {
			w.graph(t.Algorithm, fmt.Sprintf("training[%d].algorithm", i))
		}
	}
	for _, f := range m.Functions {
		path := "function:" + f.Name
		w.nodes(f.Nodes, path)
		w.attributes(nil, f.AttributeProtos, path, path)
	}
	return w
}

type walker []TensorRef

func (w *walker) graph(g *Graph, path string) {
	w.nodes(g.Nodes, path)
	for _, t := range g.Initializers {
		*w = append(*w, TensorRef{t, Initializer, path, nil})
	}
	for _, s := range g.SparseInitializers {
		w.sparse(s, path, nil)
	}
}

func (w *walker) nodes(nodes []*Node, path string) {
	for i, n := range nodes {
		w.attributes(n, n.Attributes, path, path+"/"+nodeName(n, i))
	}
}

// attributes walks the attributes of a node; path is that of its graph, inner that of a sub-graph but for the attribute.
func (w *walker) attributes(n *Node, attributes []*Attribute, path, inner string) {
	for _, a := range attributes {
		if a.T != nil {
			*w = append(*w, TensorRef{a.T, AttributeValue, path, n})
		}
		if a.G != nil {
			w.graph(a.G, inner+"."+a.Name)
		}
		for _, t := range a.Tensors {
			*w = append(*w, TensorRef{t, AttributeValue, path, n})
		}
		for i, g := range a.Graphs {
			w.graph(g, fmt.Sprintf("%s.%s[%d]", inner, a.Name, i))
		}
		if a.SparseTensor != nil {
			w.sparse(a.SparseTensor, path, n)
		}
		for _, s := range a.SparseTensors {
			w.sparse(s, path, n)
		}
	}
}

func (w *walker) sparse(s *SparseTensor, path string, n *Node) {
	if s.Values != nil {
		*w = append(*w, TensorRef{s.Values, SparseValues, path, n})
	}
	if s.Indices != nil {
		*w = append(*w, TensorRef{s.Indices, SparseIndices, path, n})
	}
}

// nodeName is the node's name, or its operator and position where it has none.
func nodeName(n *Node, i int) string {
	if n.Name != "" {
		return n.Name
	}
	return fmt.Sprintf("%s_%d", n.OpType, i)
}
