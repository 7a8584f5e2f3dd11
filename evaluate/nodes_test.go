package evaluate

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
)

// convNet is two convolutions with one kernel, [n, 2, h, 6] to [n, 2, h, 6], and an operator that does not exist.
func convNet() *onnx.Model {
	n := int64(6)
	c := int64(2)
	x := &onnx.Shape{Dims: []*onnx.Dimension{{Param: "n"}, {Value: &c}, {Param: "h"}, {Value: &n}}}
	value := func(name string) *onnx.ValueInfo {
		return &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float, Shape: x}}}
	}
	conv := func(in, out string) *onnx.Node {
		return &onnx.Node{OpType: "Conv", Name: out + "_conv", Inputs: []string{in, "w"}, Outputs: []string{out}, Attributes: []*onnx.Attribute{
			{Name: "pads", Type: onnx.AttributeInts, Ints: []int64{1, 1, 1, 1}},
		}}
	}
	return &onnx.Model{
		IRVersion: 8, OpsetImports: []*onnx.OperatorSet{{Version: 17}, {Domain: "own", Version: 1}},
		Graph: &onnx.Graph{
			Name: "net", Inputs: []*onnx.ValueInfo{value("x")}, Outputs: []*onnx.ValueInfo{value("z")},
			Initializers: []*onnx.Tensor{tensorOf("w", onnx.Float, random(36, 1), 2, 2, 3, 3)},
			Nodes:        []*onnx.Node{conv("x", "y"), conv("y", "v"), {OpType: "Odd", Domain: "own", Inputs: []string{"v"}, Outputs: []string{"z"}}},
		},
	}
}

func TestInspectMACs(t *testing.T) {
	m := convNet()
	for _, path := range []string{save(t, m), pack(t, m, archive.Options{})} {
		for _, c := range []struct {
			shapes  map[string][]int
			macs    int64
			unknown int
			shape   string
		}{
			{nil, 0, 3, "[n,2,h,6]"},
			{map[string][]int{"x": {-1, 2, 5, 6}}, 2 * 2 * 5 * 6 * 18, 1, "[n,2,5,6]"},
			{map[string][]int{"x": {3, 2, 5, 6}}, 3 * 2 * 2 * 5 * 6 * 18, 1, "[3,2,5,6]"},
		} {
			r, err := Inspect(t.Context(), InspectConfig{Path: path, NoStats: true, Shapes: c.shapes}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.MACs != c.macs || r.MACsUnknown != c.unknown || len(r.Nodes) != 3 {
				t.Fatalf("%v: %d MACs, %d nodes unknown of %d", c.shapes, r.MACs, r.MACsUnknown, len(r.Nodes))
			}
			if want := []Value{{"y", "float", c.shape}}; !reflect.DeepEqual(r.Nodes[0].Outputs, want) {
				t.Errorf("%v: outputs %v, want %v", c.shapes, r.Nodes[0].Outputs, want)
			}
			if a, b := r.Nodes[0].Parameters, r.Nodes[1].Parameters; a != 36 || b != 0 {
				t.Errorf("%d and %d parameters", a, b)
			}
			if o := r.Operators[0]; o.Op != "Conv" || o.MACs != c.macs || o.Moved != r.MovedBytes || o.Parameters != 36 {
				t.Errorf("%+v", o)
			}
			if n := r.Nodes[2]; n.Op != "own.Odd" || !strings.Contains(n.Unknown, "own.Odd of opset 1 is not supported") {
				t.Errorf("%+v", n)
			}
		}
		var usage *job.UsageError
		if _, err := Inspect(t.Context(), InspectConfig{Path: path, Shapes: map[string][]int{"x": {1}}}, nil); !errors.As(err, &usage) {
			t.Errorf("a shape of another rank: %v", err)
		}
	}
}
