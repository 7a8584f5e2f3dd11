package train

import (
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// seedField is the field that random operators draw from, an int64 scalar of each pass of a step.
const seedField = "effml/seed"

// mode rewrites nodes for training.
type mode struct {
	constants map[string]*tensor.Tensor // of the graph
	// states has what follows from a step: the names of running means and variances, and of the values that replace them. Variances are estimates of
	// that of all data, as PyTorch has them.
	states map[string]string
	drops  int // dropouts so far
}

// node returns a node as it is in training: batch normalisation uses the statistics of the batch, and dropout drops.
func (m *mode) node(n *onnx.Node) (*onnx.Node, error) {
	switch {
	case n.Domain != "" && n.Domain != "ai.onnx":
		return n, nil
	case n.OpType == "BatchNormalization" && len(n.Inputs) == 5:
		return m.batchStatistics(n)
	case n.OpType == "Dropout":
		return m.dropout(n)
	}
	return n, nil
}

func (m *mode) batchStatistics(n *onnx.Node) (*onnx.Node, error) {
	mean, variance := n.Inputs[3], n.Inputs[4]
	if m.states[mean] != "" {
		return nil, fmt.Errorf("train: node %q: the running mean %q belongs to another batch normalisation of the same pass; use the model in two passes", n.Name, mean)
	}
	t := &onnx.Node{
		Name: n.Name, OpType: "BatchNormalizationTrain", Domain: ops.Domain, Inputs: n.Inputs,
		Outputs:    []string{n.Outputs[0], n.Outputs[0] + "/mean", n.Outputs[0] + "/variance"},
		Attributes: append(slices.Clone(n.Attributes), integer("unbiased", 1)),
	}
	t.Attributes = slices.DeleteFunc(t.Attributes, func(a *onnx.Attribute) bool { return a.Name == "training_mode" || a.Name == "spatial" })
	m.states[mean], m.states[variance] = t.Outputs[1], t.Outputs[2]
	return t, nil
}

// dropout makes a Dropout drop, whatever it does in inference. One whose mask is used stays as it is.
func (m *mode) dropout(n *onnx.Node) (*onnx.Node, error) {
	if len(n.Outputs) > 1 && n.Outputs[1] != "" {
		return n, nil
	}
	ratio := float32(0.5)
	if len(n.Inputs) > 1 && n.Inputs[1] != "" {
		v := make([]float32, 1)
		if t := m.constants[n.Inputs[1]]; t == nil || t.Len() != 1 || !t.Floats(v, 0) {
			return nil, fmt.Errorf("train: node %q: the ratio of a Dropout must be constant", n.Name)
		}
		ratio = v[0]
	}
	for _, a := range n.Attributes {
		if a.Name == "ratio" {
			ratio = a.F
		}
	}
	if ratio == 0 {
		return &onnx.Node{Name: n.Name, OpType: "Identity", Inputs: n.Inputs[:1], Outputs: n.Outputs[:1]}, nil
	}
	m.drops++
	return &onnx.Node{
		Name: n.Name, OpType: "DropoutTrain", Domain: ops.Domain, Inputs: []string{n.Inputs[0], seedField}, Outputs: n.Outputs[:1],
		Attributes: []*onnx.Attribute{{Name: "ratio", Type: onnx.AttributeFloat, F: ratio}, integer("number", int64(m.drops))},
	}, nil
}
