package deepcompress

import (
	"strconv"
	"strings"
	"testing"

	"github.com/effml/effml/internal/uses"
	"github.com/effml/effml/onnx"
)

// Whether a tensor may lose precision follows from how it is used, directly, through operators that rearrange, in sub-graphs and
// in functions.
func TestRoles(t *testing.T) {
	n := newNet()
	for _, name := range []string{
		"conv", "transposed", "gemm.left", "embedding", "lstm.w", "lstm.r", "lstm.h0", "attention", "einsum", "positions", "both", "scale",
		"branch", "called", "added.in.function", "through", "out", "gamma", "unused", "slope", "cast", "cast.int", "loop.state",
	} {
		n.weight(name, 16, 16)
	}
	n.weight("vector", 256)
	n.weight("bias2d", 1, 64)
	n.node("Conv", "", []string{"1"}, []string{"x", "conv"})
	n.node("Transpose", "", []string{"t"}, []string{"transposed"})
	n.node("Unsqueeze", "", []string{"u"}, []string{"t", "axes"})
	n.node("MatMul", "", []string{"2"}, []string{"x", "u"})
	n.node("Gemm", "", []string{"3"}, []string{"gemm.left", "x", "bias2d"})
	n.node("Gather", "", []string{"4"}, []string{"embedding", "ids"})
	n.node("LSTM", "", []string{"5"}, []string{"x", "lstm.w", "lstm.r", "vector", "", "lstm.h0"})
	n.node("Einsum", "", []string{"7"}, []string{"x", "einsum"})
	n.node("Add", "", []string{"8"}, []string{"x", "positions"})
	n.node("MatMul", "", []string{"9"}, []string{"x", "both"})
	n.node("Mul", "", []string{"10"}, []string{"x", "both"})
	n.node("DequantizeLinear", "", []string{"11"}, []string{"q", "scale"})
	n.node("LayerNormalization", "", []string{"12"}, []string{"x", "gamma"})
	n.node("PRelu", "", []string{"13"}, []string{"x", "slope"})
	n.node("Cast", "", []string{"c"}, []string{"cast"}, intAttribute("to", int64(onnx.Float16)))
	n.node("MatMul", "", []string{"14"}, []string{"x", "c"})
	n.node("Cast", "", []string{"i"}, []string{"cast.int"}, intAttribute("to", int64(onnx.Int64)))
	n.model.Graph.Nodes = append(n.model.Graph.Nodes,
		&onnx.Node{OpType: "Attention", Domain: "com.microsoft", Inputs: []string{"x", "attention"}, Outputs: []string{"6"}},
		&onnx.Node{OpType: "Block", Domain: "local", Inputs: []string{"x", "called", "added.in.function", "through"}, Outputs: []string{"15", "p"}},
		&onnx.Node{OpType: "Conv", Inputs: []string{"x", "p"}, Outputs: []string{"16"}},
		&onnx.Node{OpType: "If", Inputs: []string{"cond"}, Outputs: []string{"17"}, Attributes: []*onnx.Attribute{{
			Name: "then_branch", Type: onnx.AttributeGraph, G: &onnx.Graph{
				Nodes:   []*onnx.Node{{OpType: "MatMul", Inputs: []string{"x", "branch"}, Outputs: []string{"b"}}},
				Outputs: []*onnx.ValueInfo{floatValue("b")},
			},
		}}},
		&onnx.Node{OpType: "Loop", Inputs: []string{"", "", "loop.state"}, Outputs: []string{"18"}},
	)
	n.model.Graph.Outputs = []*onnx.ValueInfo{floatValue("out")}
	constant := newTensor("", onnx.Float, n.laplace(256, 1), 16, 16)
	n.node("Constant", "", []string{"constant"}, nil, &onnx.Attribute{Name: "value", Type: onnx.AttributeTensor, T: constant})
	n.node("MatMul", "", []string{"19"}, []string{"x", "constant"})
	n.model.Functions = []*onnx.Function{{
		Name: "Block", Domain: "local", Inputs: []string{"a", "w", "s", "p"}, Outputs: []string{"r", "pt"},
		Nodes: []*onnx.Node{
			{OpType: "Inner", Domain: "local", Inputs: []string{"a", "w"}, Outputs: []string{"m"}},
			{OpType: "Add", Inputs: []string{"m", "s"}, Outputs: []string{"r"}},
			{OpType: "Identity", Inputs: []string{"p"}, Outputs: []string{"pt"}},
		},
	}, {
		Name: "Inner", Domain: "local", Inputs: []string{"a", "w"}, Outputs: []string{"m"},
		Nodes: []*onnx.Node{{OpType: "MatMul", Inputs: []string{"a", "w"}, Outputs: []string{"m"}}},
	}}
	want := map[string]string{ // "" is a weight
		"conv": "", "transposed": "", "gemm.left": "", "embedding": "", "lstm.w": "", "lstm.r": "", "attention": "", "einsum": "", "branch": "",
		"called": "", "through": "", "cast": "", "constant": "",
		"bias2d": "bias of Gemm", "vector": "bias of LSTM", "lstm.h0": "initial state", "positions": "input 1 of Add", "both": "input 1 of Mul",
		"scale": "parameter of DequantizeLinear", "added.in.function": "input 1 of Add", "out": "output of the graph",
		"gamma": "parameter of LayerNormalization", "unused": "not used", "slope": "parameter of PRelu", "cast.int": "input 0 of Cast",
		"loop.state": "state of Loop",
	}
	trace := uses.Trace(n.model)
	for _, ref := range n.model.Tensors() {
		d := decisionFor(ref, trace)
		reason, known := want[d.name]
		delete(want, d.name)
		if !known || (reason == "") != (d.class == classWeight) || !strings.Contains(d.reason, reason) || (reason == "") != (d.reason == "") {
			t.Errorf("%s: class %d, %q, want %q", d.name, d.class, d.reason, reason)
		}
	}
	if len(want) > 0 {
		t.Errorf("not met: %v", want)
	}
}

// Calls that double at each level must not take exponential time, and a function that calls itself must end.
func TestFunctionsAreFollowedOnce(t *testing.T) {
	n := newNet()
	n.weight("w", 16, 16)
	n.model.Graph.Nodes = []*onnx.Node{{OpType: "f0", Domain: "d", Inputs: []string{"x", "w"}, Outputs: []string{"y"}}}
	const depth = 60
	for i := range depth {
		name, inner := "f"+strconv.Itoa(i), "f"+strconv.Itoa(i+1)
		n.model.Functions = append(n.model.Functions, &onnx.Function{
			Name: name, Domain: "d", Inputs: []string{"a", "w"}, Outputs: []string{"c"},
			Nodes: []*onnx.Node{
				{OpType: inner, Domain: "d", Inputs: []string{"a", "w"}, Outputs: []string{"b"}},
				{OpType: inner, Domain: "d", Inputs: []string{"b", "w"}, Outputs: []string{"c"}},
			},
		})
	}
	n.model.Functions = append(n.model.Functions, &onnx.Function{
		Name: "f" + strconv.Itoa(depth), Domain: "d", Inputs: []string{"a", "w"}, Outputs: []string{"c"},
		Nodes: []*onnx.Node{{OpType: "MatMul", Inputs: []string{"a", "w"}, Outputs: []string{"c"}}},
	})
	d := decisionFor(n.model.Tensors()[0], uses.Trace(n.model))
	if d.class != classWeight || d.op != "MatMul" {
		t.Errorf("class %d, op %s, %s", d.class, d.op, d.reason)
	}
	n.model.Functions[depth].Nodes[0].OpType, n.model.Functions[depth].Nodes[0].Domain = "f0", "d"
	if d := decisionFor(n.model.Tensors()[0], uses.Trace(n.model)); d.class == classWeight {
		t.Error("the weight of a function that calls itself is not known to be one")
	}
}
