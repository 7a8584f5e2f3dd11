package fit

import (
	"reflect"
	"testing"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
	"github.com/effml/effml/train"
)

// TestFixed names what a training leaves as it is.
func TestFixed(t *testing.T) {
	vector := func(v ...float32) *tensor.Tensor { return tensor.From(v, len(v)) }
	g := &onnx.Graph{Nodes: []*onnx.Node{
		{OpType: "Mul", Inputs: []string{"w", "mask"}, Outputs: []string{"m"}},
		{OpType: "MatMul", Inputs: []string{"x", "m"}, Outputs: []string{"a"}},
		{OpType: "BatchNormalization", Inputs: []string{"a", "s", "b", "mean", "var"}, Outputs: []string{"n"}},
		{OpType: "Clip", Inputs: []string{"n", "lo"}, Outputs: []string{"y"}},
	}}
	for _, x := range []struct {
		name string
		t    *tensor.Tensor
	}{
		{"w", tensor.From([]float32{1, 2, 3, 4}, 2, 2)},
		{"mask", tensor.From([]float32{1, 0, 1, 0}, 2, 2)},
		{"s", vector(1, 1)},
		{"b", vector(0, 0)},
		{"mean", vector(0, 0)},
		{"var", vector(1, 1)},
		{"lo", tensor.Scalar(float32(0))},
		{"old", vector(1, 2, 3)},
	} {
		g.Initializers = append(g.Initializers, x.t.ToONNX(x.name))
	}
	got := fixed(&onnx.Model{Graph: g}, train.SolverConfig{Groups: []train.Group{{Match: "^s$", Frozen: true}}})
	want := []Fixed{
		{"a constant: a mask, or no weight of a layer", []string{"mask"}, 4}, {"frozen by the recipe", []string{"s"}, 2}, {"a constant, one number", []string{"lo"}, 1}, {"no layer reads it", []string{"old"}, 3},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

// TestSuit gives images the size that a model takes.
func TestSuit(t *testing.T) {
	for _, c := range []struct {
		shape        []int64
		crop, resize int
	}{
		{[]int64{1, 3, 227, 227}, 227, 259},
		{[]int64{1, 112, 112, 3}, 112, 128},
		{[]int64{1, 3, 224, 224}, 224, 256},
		{[]int64{1, 3, 100, 200}, 224, 256},
	} {
		shape := &onnx.Shape{}
		for _, d := range c.shape {
			shape.Dims = append(shape.Dims, &onnx.Dimension{Value: &d})
		}
		x := &onnx.ValueInfo{Name: "x", Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float, Shape: shape}}}
		r := &run{model: &onnx.Model{Graph: &onnx.Graph{Inputs: []*onnx.ValueInfo{x}}}, recipe: &Recipe{Preprocess: dataset.Preprocess{Crop: 224, Resize: 256}}}
		if r.suit(); r.recipe.Preprocess.Crop != c.crop || r.recipe.Preprocess.Resize != c.resize || (len(r.notes) > 0) != (c.crop != 224) {
			t.Errorf("%v: %+v, %q", c.shape, r.recipe.Preprocess, r.notes)
		}
	}
}
