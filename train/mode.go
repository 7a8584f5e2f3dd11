package train

import (
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
)

// trainingMode returns nodes as they are in training: batch normalisation uses the statistics of the batch. States has what follows from a step:
// the names of running means and variances, and of the values that replace them. Variances are estimates of that of all data, as PyTorch has them.
func trainingMode(nodes []*onnx.Node) (trained []*onnx.Node, states map[string]string) {
	states = map[string]string{}
	for _, n := range nodes {
		if n.OpType == "BatchNormalization" && n.Domain != ops.Domain && len(n.Inputs) == 5 {
			n = batchStatistics(n, states)
		}
		trained = append(trained, n)
	}
	return trained, states
}

func batchStatistics(n *onnx.Node, states map[string]string) *onnx.Node {
	mean, variance := n.Inputs[3], n.Inputs[4]
	t := &onnx.Node{
		Name: n.Name, OpType: "BatchNormalizationTrain", Domain: ops.Domain, Inputs: n.Inputs,
		Outputs:    []string{n.Outputs[0], mean + "/next", variance + "/next"},
		Attributes: append(slices.Clone(n.Attributes), integer("unbiased", 1)),
	}
	t.Attributes = slices.DeleteFunc(t.Attributes, func(a *onnx.Attribute) bool { return a.Name == "training_mode" || a.Name == "spatial" })
	states[mean], states[variance] = t.Outputs[1], t.Outputs[2]
	return t
}
