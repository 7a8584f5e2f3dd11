package infer

import (
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// lengths is the constant n, of sequences.
func lengths(v ...int32) constantInput { return constantInput{"n", tensor.From(v, len(v))} }

func activations(names ...string) *onnx.Attribute {
	a := &onnx.Attribute{Name: "activations", Type: onnx.AttributeStrings}
	for _, s := range names {
		a.Strings = append(a.Strings, []byte(s))
	}
	return a
}

func alphas(v ...float32) *onnx.Attribute {
	return &onnx.Attribute{Name: "activation_alpha", Type: onnx.AttributeFloats, Floats: v}
}

var recurrentGradients = []gradientCase{
	{node: "y = LSTM x, w, r", trials: trials("4,2,3;1,8,3;1,8,2", "1,1,1;1,4,1;1,4,1", "3,2,5;1,12,5;1,12,3", "7,1,2;1,16,2;1,16,4", "2,33,4;1,20,4;1,20,5")},
	{name: "LSTM, all inputs", node: "y, y1, y2 = LSTM x, w, r, b, n, h, c, p", trials: []gradientTrial{
		trial("4,2,3;1,8,3;1,8,2;1,16;1,2,2;1,2,2;1,6", lengths(4, 2)), trial("4,3,3;1,8,3;1,8,2;1,16;1,3,2;1,3,2;1,6", lengths(1, 0, 4), attr("direction", "reverse")),
		trial("4,2,3;2,8,3;2,8,2;2,16;2,2,2;2,2,2;2,6", lengths(3, 4), attr("direction", "bidirectional")),
		trial("2,4,3;1,8,3;1,8,2;1,16;2,1,2;2,1,2;1,6", lengths(4, 4), attr("layout", 1)),
		trial("3,2,3;1,8,3;1,8,2;1,16;1,2,2;1,2,2;1,6", lengths(3, 3), attr("input_forget", 1)),
	}},
	{name: "LSTM, last state only", node: "u, y1, v = LSTM x, w, r, b", trials: []gradientTrial{
		trial("4,2,3;1,8,3;1,8,2;1,16"), trial("4,2,3;2,8,3;2,8,2;2,16", attr("direction", "bidirectional")), trial("4,2,3;1,8,3;1,8,2;1,16", activations("HardSigmoid", "Softsign", "ScaledTanh")),
		trial("4,2,3;1,8,3;1,8,2;1,16", activations("Sigmoid", "Elu", "LeakyRelu")), trial("4,2,3;1,8,3;1,8,2;1,16", activations("Affine", "Softplus", "Relu"), alphas(0.5)),
	}},
	{node: "y, y1 = GRU x, w, r, b, n, h", trials: []gradientTrial{
		trial("4,2,3;1,6,3;1,6,2;1,12;1,2,2", lengths(4, 2)), trial("4,3,3;1,6,3;1,6,2;1,12;1,3,2", lengths(1, 0, 4), attr("direction", "reverse")),
		trial("4,2,3;2,6,3;2,6,2;2,12;2,2,2", lengths(3, 4), attr("direction", "bidirectional"), attr("linear_before_reset", 1)),
		trial("2,4,3;1,6,3;1,6,2;1,12;2,1,2", lengths(4, 4), attr("layout", 1), attr("linear_before_reset", 1)),
		trial("3,20,7;1,15,7;1,15,5;1,30;1,20,5", lengths(3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 0, 3)),
	}},
	{name: "GRU without bias", node: "y = GRU x, w, r", trials: []gradientTrial{
		trial("4,2,3;1,6,3;1,6,2"), trial("4,2,3;1,6,3;1,6,2", attr("linear_before_reset", 1)), trial("1,1,1;1,3,1;1,3,1"), trial("3,2,4;1,9,4;1,9,3", attr("direction", "reverse")),
		trial("3,2,4;1,9,4;1,9,3", activations("Softplus", "Softsign")),
	}},
	{node: "y, y1 = RNN x, w, r, b, n, h", trials: []gradientTrial{
		trial("4,2,3;1,2,3;1,2,2;1,4;1,2,2", lengths(4, 2)), trial("4,3,3;1,2,3;1,2,2;1,4;1,3,2", lengths(1, 0, 4), attr("direction", "reverse")),
		trial("4,2,3;2,2,3;2,2,2;2,4;2,2,2", lengths(3, 4), attr("direction", "bidirectional")), trial("2,4,3;1,2,3;1,2,2;1,4;2,1,2", lengths(4, 4), attr("layout", 1)),
		trial("3,1,2;1,3,2;1,3,3;1,6;1,1,3", lengths(3), activations("ThresholdedRelu"), alphas(0.1)),
	}},
}
