package fit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/rewrite"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// behindHead are operators between the last layer with weights and the output, which keep classes apart.
var behindHead = []string{"Softmax", "LogSoftmax", "Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Dropout", "GlobalAveragePool", "AveragePool", "ReduceMean", "Relu", "Cast", "Add"}

// head is the last layer of a classifier.
type head struct {
	model   *onnx.Model
	layer   *onnx.Node
	behind  []*onnx.Node // from the layer to the output
	weight  *onnx.Tensor
	axis    int // of the classes in the weight
	fanIn   int64
	biases  []*onnx.Tensor // [classes], or with dimensions of 1
	classes int64
}

// findHead looks for the last layer behind the first output. What it finds belongs to no other part of the network.
func findHead(m *onnx.Model) (*head, error) {
	g, h := m.Graph, &head{model: m}
	if len(g.Outputs) == 0 {
		return nil, h.missing("the model has no output")
	}
	for name := g.Outputs[0].Name; h.layer == nil; {
		i := slices.IndexFunc(g.Nodes, func(n *onnx.Node) bool { return slices.Contains(n.Outputs, name) })
		if i < 0 {
			return nil, h.missing(fmt.Sprintf("nothing but %q is behind the output", name))
		}
		switch n := g.Nodes[i]; {
		case slices.Contains([]string{"Gemm", "Conv", "MatMul"}, n.OpType) && len(n.Inputs) > 1:
			h.layer = n
		case slices.Contains(behindHead, n.OpType):
			h.behind = append(h.behind, n)
			name = n.Inputs[0]
			if n.OpType == "Add" && h.initializer(name) != nil {
				name = n.Inputs[1]
			}
		default:
			return nil, h.missing(fmt.Sprintf("node %q, %s, comes before it", n.Name, n.OpType))
		}
	}
	return h, h.read()
}

func (h *head) missing(why string) error {
	return &job.ModelError{Err: fmt.Errorf("classes: no last layer (Gemm, MatMul or Conv) to replace: %s", why)}
}

func (h *head) initializer(name string) *onnx.Tensor {
	t, err := rewrite.Initializer(h.model.Graph, name)
	if err != nil {
		return nil
	}
	return t
}

// read finds the tensors of the layer.
func (h *head) read() error {
	n := h.layer
	h.weight = h.initializer(n.Inputs[1])
	if h.weight == nil || len(h.weight.Dims) < 2 || h.weight.DataType != onnx.Float {
		return h.missing(fmt.Sprintf("the weight of node %q, %s, is no float32 initializer", n.Name, n.OpType))
	}
	h.axis = 1
	if n.OpType == "Conv" || attribute(n, "transB", 0) != 0 {
		h.axis = 0
	}
	if n.OpType == "Conv" && attribute(n, "group", 1) != 1 || n.OpType == "MatMul" && len(h.weight.Dims) != 2 {
		return h.missing(fmt.Sprintf("node %q, %s, mixes no channels", n.Name, n.OpType))
	}
	h.classes, h.fanIn = h.weight.Dims[h.axis], 1
	for i, d := range h.weight.Dims {
		if i != h.axis {
			h.fanIn *= d
		}
	}
	names := n.Inputs[2:]
	for _, b := range h.behind {
		if b.OpType == "Add" {
			names = append(slices.Clone(names), b.Inputs...)
		}
	}
	for _, name := range names {
		t := h.initializer(name)
		if t == nil {
			continue
		}
		if size, err := t.NumElements(); err != nil || size != h.classes || t.DataType != onnx.Float {
			return h.missing(fmt.Sprintf("initializer %q is no bias of %d classes", name, h.classes))
		}
		h.biases = append(h.biases, t)
	}
	for _, t := range append([]*onnx.Tensor{h.weight}, h.biases...) {
		uses := 0
		for _, n := range h.model.Graph.Nodes {
			for _, name := range n.Inputs {
				if name == t.Name {
					uses++
				}
			}
		}
		if uses != 1 {
			return h.missing(fmt.Sprintf("initializer %q serves other layers as well", t.Name))
		}
	}
	return nil
}

func attribute(n *onnx.Node, name string, otherwise int64) int64 {
	for _, a := range n.Attributes {
		if a.Name == name {
			return a.I
		}
	}
	return otherwise
}

// replace gives the layer so many outputs, with weights uniform in ±1/√fanIn, as PyTorch begins, and biases 0. It returns the names of the tensors.
func (h *head) replace(classes int, rng *rand.Rand) []string {
	n, bound := int64(classes), 1/math.Sqrt(float64(h.fanIn))
	var names []string
	for i, old := range append([]*onnx.Tensor{h.weight}, h.biases...) {
		shape := make([]int, len(old.Dims))
		for k, d := range old.Dims {
			if shape[k] = int(d); d == h.classes && (i > 0 || k == h.axis) {
				shape[k] = classes
			}
		}
		t, _ := tensor.New(onnx.Float, shape...) // the old one was no smaller problem
		if i == 0 {
			for k, w := 0, tensor.Of[float32](t); k < len(w); k++ {
				w[k] = float32(bound * (2*rng.Float64() - 1))
			}
		}
		at := slices.Index(h.model.Graph.Initializers, old)
		h.model.Graph.Initializers[at] = t.ToONNX(old.Name)
		names = append(names, old.Name)
	}
	stale := slices.Clone(h.layer.Outputs)
	for _, b := range h.behind {
		stale = append(stale, b.Outputs...)
		if b.OpType == "Reshape" {
			h.reshape(b, n)
		}
	}
	for _, o := range h.model.Graph.Outputs {
		if slices.Contains(stale, o.Name) && o.Type != nil && o.Type.Tensor != nil && o.Type.Tensor.Shape != nil {
			for i, d := range o.Type.Tensor.Shape.Dims {
				if i > 0 && d.Value != nil && *d.Value == h.classes {
					o.Type.Tensor.Shape.Dims[i] = &onnx.Dimension{Value: &n}
				}
			}
		}
	}
	forget(h.model.Graph, stale)
	h.classes = n
	return names
}

// reshape changes the number of classes in the shape that a Reshape makes.
func (h *head) reshape(n *onnx.Node, classes int64) {
	changeShape(h.model, n, func(dims []int64) {
		for i, d := range dims {
			if i > 0 && d == h.classes {
				dims[i] = classes
			}
		}
	})
}

// changeShape gives a Reshape with a constant shape another one, of its own.
func changeShape(m *onnx.Model, n *onnx.Node, change func(dims []int64)) {
	old, err := rewrite.Initializer(m.Graph, n.Inputs[1])
	if err != nil {
		return
	}
	t, err := tensor.FromONNX(old)
	if err != nil || t.Type != onnx.Int64 {
		return
	}
	t = t.Clone()
	change(tensor.Of[int64](t))
	name := rewrite.NewNames(m).Fresh(old.Name)
	m.Graph.Initializers = append(m.Graph.Initializers, t.ToONNX(name))
	n.Inputs[1] = name
}

// forget takes away what a graph says of the shapes of values that have changed.
func forget(g *onnx.Graph, names []string) {
	g.ValueInfo = slices.DeleteFunc(slices.Clone(g.ValueInfo), func(v *onnx.ValueInfo) bool { return slices.Contains(names, v.Name) })
}

// openBatch lets a model whose batch is fixed take batches of any size, and reports whether it was fixed. Training wants batches; a model that cannot have
// them is refused where its shapes are inferred.
func openBatch(m *onnx.Model) bool {
	g, fixed := m.Graph, int64(0)
	isWeight := map[string]bool{}
	for _, t := range g.Initializers {
		isWeight[t.Name] = true
	}
	for _, list := range [][]*onnx.ValueInfo{g.Inputs, g.Outputs} {
		for _, v := range list {
			if isWeight[v.Name] || v.Type == nil || v.Type.Tensor == nil || v.Type.Tensor.Shape == nil || len(v.Type.Tensor.Shape.Dims) < 2 {
				continue
			}
			if d := v.Type.Tensor.Shape.Dims[0]; d.Value != nil {
				fixed = max(fixed, *d.Value)
				v.Type.Tensor.Shape.Dims[0] = &onnx.Dimension{Param: "N"}
			}
		}
	}
	if fixed == 0 {
		return false
	}
	g.ValueInfo = nil
	for _, n := range g.Nodes {
		if n.OpType == "Reshape" && len(n.Inputs) > 1 && attribute(n, "allowzero", 0) == 0 {
			changeShape(m, n, func(dims []int64) {
				if len(dims) > 1 && dims[0] == fixed {
					dims[0] = 0 // as the input has it
				}
			})
		}
	}
	return true
}
