package evaluate

import (
	"fmt"
	"strings"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/internal/uses"
	"github.com/effml/effml/onnx"
)

// model is an open file with its tensors and what is known of them without looking at values.
type model struct {
	*modelfile.File
	tensors []held
	sizes   *archive.Sizes // nil for ONNX
}

// held is one tensor of a model.
type held struct {
	onnx.TensorRef
	name     string // its own, or that of the Constant's output or of the node whose attribute it is
	uses     []uses.Use
	elements int64
	bytes    int64               // of its values
	stored   *archive.TensorSize // nil where it has no record in an archive
	packed   bool                // an archive stores it as codes
}

func openModel(path string) (*model, error) {
	f, err := modelfile.Open(path)
	if err != nil {
		return nil, err
	}
	m := &model{File: f}
	if f.Archive != nil {
		if m.sizes, err = f.Archive.Sizes(); err != nil {
			f.Close()
			return nil, modelfile.Explain(err)
		}
	}
	m.collect()
	return m, nil
}

func (m *model) collect() {
	trace := uses.Trace(m.Model)
	next := 0
	for _, ref := range m.Model.Tensors() {
		t := held{TensorRef: ref, name: trace.Name(ref.Tensor)}
		t.uses, _ = trace.Of(ref.Tensor)
		if t.name == "" && ref.Node != nil {
			t.name = strings.Join(ref.Node.Outputs, ",")
		}
		t.elements, _ = ref.NumElements() // the checker reports what is wrong with it
		if t.bytes, _ = ref.ByteSize(); ref.DataType == onnx.String {
			t.bytes = ref.Size()
		}
		// Both lists are in one order; the second lacks those that have no record.
		if m.sizes != nil && next < len(m.sizes.Tensors) {
			if s := &m.sizes.Tensors[next]; s.Name == ref.Name && s.Path == ref.Path && s.Role == ref.Role &&
				s.DataType == ref.DataType && s.Weights == t.elements {
				t.stored, t.packed = s, m.Archive.Packed(s.Index) != nil
				next++
			}
		}
		m.tensors = append(m.tensors, t)
	}
}

// graph is the path of the graph that holds t, empty for the main one.
func (t *held) graph() string {
	if t.Path == "graph" {
		return ""
	}
	return t.Path
}

// node returns the node that uses t first, or whose attribute it is.
func (t *held) node() *onnx.Node {
	for _, u := range t.uses {
		if u.Node != nil {
			return u.Node
		}
	}
	if len(t.uses) == 0 {
		return t.Node
	}
	return nil
}

// op names the operator that uses t first.
func (t *held) op() string {
	if n := t.node(); n != nil {
		return uses.OpName(n)
	}
	return ""
}

// parameter reports whether the elements of t are parameters: floating-point numbers, or integers that a quantised operator uses.
func (t *held) parameter() bool {
	if t.DataType.IsFloat() {
		return true
	}
	for _, u := range t.uses {
		switch u.Op() {
		case "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "com.microsoft.MatMulNBits",
			"com.microsoft.QAttention", "com.microsoft.QGemm", "com.microsoft.GatherBlockQuantized":
			return true
		}
	}
	return false
}

// storage says which field or file holds the values of t.
func (t *held) storage() string {
	if t.Storage == onnx.StorageExternal && t.External != nil {
		return t.External.Location
	}
	return t.Storage.String()
}

// size is what t takes in the file: in an archive as stored, else its values.
func (t *held) size() int64 {
	if t.stored != nil {
		return t.stored.Bytes
	}
	return t.bytes
}

func typeName(dt onnx.DataType) string { return strings.ToLower(dt.String()) }

// describeType writes a type and the shape of a tensor type.
func describeType(t *onnx.TypeProto) (kind, shape string) {
	switch {
	case t == nil:
		return "", ""
	case t.Tensor != nil:
		return typeName(t.Tensor.ElemType), describeShape(t.Tensor.Shape)
	case t.SparseTensor != nil:
		return "sparse " + typeName(t.SparseTensor.ElemType), describeShape(t.SparseTensor.Shape)
	case t.Sequence != nil:
		return "sequence of " + joinType(t.Sequence.ElemType), ""
	case t.Optional != nil:
		return "optional " + joinType(t.Optional.ElemType), ""
	case t.Map != nil:
		return fmt.Sprintf("map of %s to %s", typeName(t.Map.KeyType), joinType(t.Map.ValueType)), ""
	case t.Opaque != nil:
		return "opaque " + strings.Trim(t.Opaque.Domain+"."+t.Opaque.Name, "."), ""
	}
	return "", ""
}

func joinType(t *onnx.TypeProto) string {
	kind, shape := describeType(t)
	return kind + shape
}

func describeShape(s *onnx.Shape) string {
	if s == nil {
		return ""
	}
	dims := make([]string, len(s.Dims))
	for i, d := range s.Dims {
		switch {
		case d.Value != nil:
			dims[i] = fmt.Sprint(*d.Value)
		case d.Param != "":
			dims[i] = d.Param
		default:
			dims[i] = "?"
		}
	}
	return "[" + strings.Join(dims, ",") + "]"
}

// eachGraph calls fn with every graph and the nodes of every function, with paths as onnx.TensorRef has them.
func eachGraph(m *onnx.Model, fn func(path string, g *onnx.Graph, nodes []*onnx.Node)) {
	var graph func(path string, g *onnx.Graph)
	nodes := func(path string, list []*onnx.Node) {
		for i, n := range list {
			inner := fmt.Sprintf("%s/%s", path, nodeName(n, i))
			for _, a := range n.Attributes {
				if a.G != nil {
					graph(inner+"."+a.Name, a.G)
				}
				for k, g := range a.Graphs {
					graph(fmt.Sprintf("%s.%s[%d]", inner, a.Name, k), g)
				}
			}
		}
	}
	graph = func(path string, g *onnx.Graph) {
		fn(path, g, g.Nodes)
		nodes(path, g.Nodes)
	}
	if m.Graph != nil {
		graph("graph", m.Graph)
	}
	for i, t := range m.TrainingInfo {
		if t.Initialization != nil {
			graph(fmt.Sprintf("training[%d].initialization", i), t.Initialization)
		}
		if t.Algorithm != nil {
			graph(fmt.Sprintf("training[%d].algorithm", i), t.Algorithm)
		}
	}
	for _, f := range m.Functions {
		path := "function:" + f.Name
		fn(path, nil, f.Nodes)
		nodes(path, f.Nodes)
	}
}

func nodeName(n *onnx.Node, i int) string {
	if n.Name != "" {
		return n.Name
	}
	return fmt.Sprintf("%s_%d", n.OpType, i)
}
