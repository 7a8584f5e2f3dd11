package score

import (
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// OutcomeOf tells from a graph what the numbers of its first output are, and which value they are the softmax of where they are one, else
// the output.
func OutcomeOf(g *onnx.Graph) (what Outcome, logits string) {
	if len(g.Outputs) == 0 {
		return Logits, ""
	}
	first := g.Outputs[0].Name
	for name := first; ; {
		i := slices.IndexFunc(g.Nodes, func(n *onnx.Node) bool { return slices.Contains(n.Outputs, name) })
		if i < 0 {
			return Logits, first
		}
		switch n := g.Nodes[i]; n.OpType {
		case "Softmax":
			return Probabilities, n.Inputs[0]
		case "LogSoftmax":
			return LogProbabilities, n.Inputs[0]
		case "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Dropout":
			name = n.Inputs[0]
		default:
			return Logits, first
		}
	}
}

// Numbers returns what a classifier says of the first n samples in its first output, which must be [N, classes], or that with dimensions
// of 1; false where it is not.
func Numbers(outputs []*tensor.Tensor, n int) ([]float32, bool) {
	if len(outputs) == 0 || !Shape(outputs[0].Shape) || outputs[0].Shape[0] < n {
		return nil, false
	}
	t := outputs[0]
	classes := t.Len() / t.Shape[0]
	if t.Type == onnx.Float {
		return tensor.Of[float32](t)[:n*classes], true
	}
	values := make([]float32, n*classes)
	return values, t.Type.IsFloat() && t.Floats(values, 0)
}

// Shape reports whether a shape, −1 where it is open, may be [N, classes], or that with dimensions of 1.
func Shape(shape []int) bool {
	wide := 0
	for _, d := range shape[min(1, len(shape)):] {
		if d > 1 {
			wide++
		}
	}
	return len(shape) > 1 && wide <= 1 && !slices.Contains(shape, 0)
}
