package train

import (
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
)

// seedField is the field that random operators draw from, an int64 scalar of each pass of a step.
const seedField = "effml/seed"

// mode rewrites nodes for training.
type mode struct {
	origins
	// states follow from a step. Variances are estimates of that of all data, as PyTorch has them.
	states []state
	drops  int // dropouts so far
}

// node returns a node as it is in training: batch normalisation uses the statistics of the batch, and dropout drops.
func (m *mode) node(n *onnx.Node) (*onnx.Node, error) {
	m.add(n)
	switch {
	case normalises(n):
		return m.batchStatistics(n)
	case n.OpType == "Dropout" && standard(n):
		return m.dropout(n)
	}
	return n, nil
}

func (m *mode) batchStatistics(n *onnx.Node) (*onnx.Node, error) {
	t := &onnx.Node{
		Name: n.Name, OpType: "BatchNormalizationTrain", Domain: ops.Domain, Inputs: n.Inputs,
		Outputs:    []string{n.Outputs[0], n.Outputs[0] + "/mean", n.Outputs[0] + "/variance"},
		Attributes: append(slices.Clone(n.Attributes), integer("unbiased", 1)),
	}
	t.Attributes = slices.DeleteFunc(t.Attributes, func(a *onnx.Attribute) bool { return a.Name == "training_mode" || a.Name == "spatial" })
	for i, name := range n.Inputs[3:5] {
		p, ok := m.of(name)
		if !ok {
			continue // the store says so
		}
		if slices.ContainsFunc(m.states, func(s state) bool { return s.meets(p) }) {
			return nil, fmt.Errorf("train: node %q: the running %s %q belongs to another batch normalisation of the same pass; use the model in two passes", n.Name, []string{"mean", "variance"}[i], p.tensor)
		}
		m.states = append(m.states, state{p, t.Outputs[1+i]})
	}
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
		if t := m.constant(n.Inputs[1]); t == nil || t.Len() != 1 || !t.Floats(v, 0) {
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
