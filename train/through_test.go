package train

import (
	"slices"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// Normalisations take over a ReLU or ReLU6 that alone reads what they give, and nothing else.
func TestThroughNormalisations(t *testing.T) {
	norm := func(y string) *onnx.Node {
		return &onnx.Node{OpType: "BatchNormalizationTrain", Domain: ops.Domain, Inputs: []string{"x", "s", "b", "m", "v"}, Outputs: []string{y, y + "m", y + "v"}}
	}
	node := func(op, y string, in ...string) *onnx.Node {
		return &onnx.Node{OpType: op, Inputs: in, Outputs: []string{y}}
	}
	n := &network{known: map[string]ops.Info{}}
	for name, v := range map[string]float32{"zero": 0, "one": 1, "six": 6} {
		n.known[name] = ops.Of(tensor.Scalar(v))
	}
	for _, c := range []struct {
		name  string
		nodes []*onnx.Node
		also  string
		want  []string
	}{
		{"relu", []*onnx.Node{norm("a"), node("Relu", "y", "a")}, "", []string{"y"}},
		{"relu6", []*onnx.Node{norm("a"), node("Clip", "y", "a", "zero", "six")}, "", []string{"y"}},
		{"other limits", []*onnx.Node{norm("a"), node("Clip", "y", "a", "zero", "one")}, "", []string{"a", "y"}},
		{"no upper limit", []*onnx.Node{norm("a"), node("Clip", "y", "a", "zero")}, "", []string{"a", "y"}},
		{"another function", []*onnx.Node{norm("a"), node("Sigmoid", "y", "a")}, "", []string{"a", "y"}},
		{"two readers", []*onnx.Node{norm("a"), node("Relu", "z", "a"), node("Add", "y", "a", "z")}, "", []string{"a", "z", "y"}},
		{"seen", []*onnx.Node{norm("a"), node("Relu", "y", "a")}, "a", []string{"a", "y"}},
	} {
		var got []string
		for _, x := range throughNormalisations(n, &piece{nodes: c.nodes, output: "y", also: []string{c.also}}) {
			got = append(got, x.Outputs[0])
			if x.OpType == "BatchNormalizationTrain" && len(x.Outputs) != 3 {
				t.Errorf("%s: outputs %v", c.name, x.Outputs)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
