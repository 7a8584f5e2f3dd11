package infer

import (
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
)

var otherGradients = []gradientCase{
	{node: "y = Cast x", trials: trialsOf([]any{attr("to", int(onnx.Double))}, "7", "3,4", "2,3,5", "1,2,3,4", "")},
	{node: "y = CastLike x, z", trials: trials("7;1", "3,4;2", "2,3,5;", "1,2,3,4;3", ";1")},
	{node: "y = Scatter x, i, u", opset: 9, trials: []gradientTrial{
		trial("5;2", fixed("i", 0, 3)), trial("3,2;2,2", fixedAs("i", []int{2, 2}, 1, 1, 0, 0)), trial("3,2;3,1", fixedAs("i", []int{3, 1}, 1, 1, 0), attr("axis", 1)),
		trial("1;1", fixed("i", 0)), trial("4,3;1,3", fixedAs("i", []int{1, 3}, 2, 0, 3)),
	}},
}

// TestEveryGradientIsTested looks for operators that pass gradients on and are in none of the tables of TestGradients.
func TestEveryGradientIsTested(t *testing.T) {
	tested := []string{
		"QuantizeLinear", "DequantizeLinear", // in TestQuantisedGradients
		"And", "Or", "Xor", "BitwiseAnd", "BitwiseOr", "BitwiseXor", // of no numbers
		"Mod", "Hardmax", "LpPool", // refused
	}
	for _, c := range gradientCases() {
		_, right, _ := strings.Cut(c.node, " = ")
		name, _, _ := strings.Cut(right, " ")
		tested = append(tested, name)
	}
	for _, name := range ops.Supported() {
		if !slices.Contains(tested, name) && passesGradients(name) {
			t.Errorf("%s is not tested", name)
		}
	}
}

func gradientCases() []gradientCase {
	return slices.Concat(elementGradients, arrayGradients, networkGradients, programGradients, recurrentGradients, imageGradients, otherGradients)
}

// passesGradients makes the operator with attributes that some need, in some operator sets, and with any number of inputs.
func passesGradients(name string) bool {
	needed := []*onnx.Attribute{
		nil, attr("kernel_shape", []int64{2, 2}), attr("hidden_size", 2), attr("blocksize", 2), attr("to", 1), attr("equation", "ij,jk->ik"), attr("size", 3),
		attr("num_groups", 2), attr("axis", 0),
	}
	for _, opset := range []int64{24, 20, 17, 13, 9} {
		for inputs := range 7 {
			for _, a := range needed {
				n := &onnx.Node{OpType: name, Inputs: slices.Repeat([]string{"x"}, inputs), Outputs: []string{"y"}}
				if a != nil {
					n.Attributes = []*onnx.Attribute{a}
				}
				op, err := ops.New(&ops.Node{Node: n, Opset: opset})
				if _, ok := op.(ops.Differentiable); ok && err == nil {
					return true
				}
			}
		}
	}
	return false
}
