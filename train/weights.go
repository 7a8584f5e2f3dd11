package train

import (
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// weightInputs lists, by operator, the inputs that are weights where they are initializers; −1 stands for all inputs of more than one element.
var weightInputs = map[string][]int{
	"Conv": {1, 2}, "ConvTranspose": {1, 2}, "Gemm": {1, 2}, "MatMul": {0, 1}, "Einsum": {-1},
	"BatchNormalization": {1, 2}, "InstanceNormalization": {1, 2}, "GroupNormalization": {1, 2}, "LayerNormalization": {1, 2}, "RMSNormalization": {1},
	"PRelu": {1}, "Gather": {0}, "LSTM": {1, 2, 3}, "GRU": {1, 2, 3}, "RNN": {1, 2, 3}, "Attention": {-1},
	"Add": {-1}, "Sub": {-1}, "Mul": {-1}, "Div": {-1},
}

// passing are operators that turn a weight into what another operator uses as a weight.
var passing = []string{"Mul", "Gather", "GatherElements", "Slice", "Reshape", "Transpose", "MatMul", "QuantizeLinear", "DequantizeLinear", "Concat", "Identity", "Cast", "Pad", "Squeeze", "Unsqueeze", "Flatten"}

// Weights lists the initializers of a graph that training changes, in its order: float32 tensors in the place of weights of layers, also
// behind what computes these, such as the product of a weight with its mask, which is what has nothing but 0 and 1. Frozen ones are left out.
func Weights(g *onnx.Graph, frozen func(name string) bool) []*onnx.Tensor {
	wanted, from := map[string]bool{}, map[string]*onnx.Node{}
	fixed := map[string]bool{}
	for _, t := range g.Initializers {
		fixed[t.Name] = true
	}
	for _, n := range g.Nodes {
		if slices.ContainsFunc(n.Inputs, func(name string) bool { return name != "" && !fixed[name] }) || len(n.Inputs) == 0 {
			wantWeights(n, wanted)
			continue
		}
		for _, name := range n.Outputs {
			fixed[name], from[name] = true, n
		}
	}
	for _, n := range slices.Backward(g.Nodes) {
		if slices.Contains(passing, n.OpType) && slices.ContainsFunc(n.Outputs, func(name string) bool { return wanted[name] && from[name] == n }) {
			if n.OpType == "Mul" && !slices.ContainsFunc(n.Inputs, func(name string) bool { return !isMask(g, name) }) {
				wanted[n.Inputs[0]] = true // a weight may look like a mask as well
			}
			for _, name := range n.Inputs {
				wanted[name] = wanted[name] || n.OpType != "Mul" || !isMask(g, name)
			}
		}
	}
	var out []*onnx.Tensor
	for _, t := range g.Initializers {
		if n, err := t.NumElements(); wanted[t.Name] && t.DataType == onnx.Float && err == nil && n > 1 && (frozen == nil || !frozen(t.Name)) {
			out = append(out, t)
		}
	}
	return out
}

func wantWeights(n *onnx.Node, wanted map[string]bool) {
	for i, name := range n.Inputs {
		if at := weightInputs[n.OpType]; slices.Contains(at, i) || slices.Contains(at, -1) {
			wanted[name] = true
		}
	}
}

// isMask reports whether a tensor says which weights are kept: it has nothing but 0 and 1.
func isMask(g *onnx.Graph, name string) bool {
	i := slices.IndexFunc(g.Initializers, func(t *onnx.Tensor) bool { return t.Name == name })
	if i < 0 {
		return false
	}
	v, err := tensor.FromONNX(g.Initializers[i])
	return err == nil && v.Type == onnx.Float && !slices.ContainsFunc(tensor.Of[float32](v), func(x float32) bool { return x != 0 && x != 1 })
}
