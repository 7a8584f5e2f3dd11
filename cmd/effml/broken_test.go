package main

import "github.com/effml/effml/onnx"

// broken makes denseModel wrong, at one node each.
var broken = map[string]func(m *onnx.Model){
	"dangling": func(m *onnx.Model) { m.Graph.Nodes[1].Inputs[0] = "nowhere" },
	"unheard":  func(m *onnx.Model) { m.Graph.Nodes[1].OpType = "Unheard" },
	"opset":    func(m *onnx.Model) { m.OpsetImports[0].Version = 99 },
	"rank": func(m *onnx.Model) {
		m.Graph.Nodes[1].OpType, m.Graph.Nodes[1].Attributes = "Transpose", []*onnx.Attribute{{Name: "perm", Type: onnx.AttributeInts, Ints: []int64{0, 2, 1}}}
	},
	"attribute": func(m *onnx.Model) {
		m.Graph.Nodes[2].Attributes = []*onnx.Attribute{{Name: "transB", Type: onnx.AttributeString, S: []byte("yes")}}
	},
	"cycle": func(m *onnx.Model) { m.Graph.Nodes[0].Inputs[0] = "y" },
	"sum":   func(m *onnx.Model) { m.Graph.Nodes[2].Inputs[1] = "fc1.weight" },
	"giant": func(m *onnx.Model) {
		shape := &onnx.Tensor{Name: "shape", DataType: onnx.Int64, Dims: []int64{3}}
		raw := make([]byte, 24)
		raw[3], raw[11], raw[16] = 1, 1, 10 // 2²⁴, 2²⁴, 10
		shape.SetBytes(raw)
		m.Graph.Initializers = append(m.Graph.Initializers, shape)
		m.Graph.Nodes[1] = &onnx.Node{Name: "relu", OpType: "Expand", Inputs: []string{"fc2.bias", "shape"}, Outputs: []string{"r"}}
	},
}
