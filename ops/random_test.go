package ops

import (
	"math"
	"slices"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// TestRandom checks mean and deviation, that a seed gives the same numbers again, and that another node gives others.
func TestRandom(t *testing.T) {
	cpu := newTestCPU(t)
	const n = 1 << 16
	quarter, _ := tensor.New(onnx.Float, n)
	for i := range tensor.Of[float32](quarter) {
		tensor.Of[float32](quarter)[i] = 0.25
	}
	logs := tensor.From([]float32{0, float32(math.Log(3)), float32(math.Inf(-1))}, 1, 3)
	float := func(name string, v float32) *onnx.Attribute {
		return &onnx.Attribute{Name: name, Type: onnx.AttributeFloat, F: v}
	}
	for _, c := range []struct {
		op              string
		attrs           []*onnx.Attribute
		in              []*tensor.Tensor
		mean, deviation float64
	}{
		{"RandomNormal", []*onnx.Attribute{intsAttr("shape", n), float("mean", 3), float("scale", 2)}, nil, 3, 2},
		{"RandomNormalLike", nil, []*tensor.Tensor{quarter}, 0, 1},
		{"RandomUniform", []*onnx.Attribute{intsAttr("shape", n), float("low", -2), float("high", 4)}, nil, 1, 6 / math.Sqrt(12)},
		{"RandomUniformLike", nil, []*tensor.Tensor{quarter}, 0.5, 1 / math.Sqrt(12)},
		{"Bernoulli", nil, []*tensor.Tensor{quarter}, 0.25, math.Sqrt(0.25 * 0.75)},
		{"Multinomial", []*onnx.Attribute{intAttr("sample_size", n)}, []*tensor.Tensor{logs}, 0.75, math.Sqrt(0.25 * 0.75)},
	} {
		draw := func(output string, seed uint64) []float32 {
			node := &onnx.Node{OpType: c.op, Attributes: c.attrs, Outputs: []string{output}, Inputs: []string{"x"}[:len(c.in)]}
			op, err := New(&Node{Node: node, Opset: 22})
			if err != nil {
				t.Fatal(err)
			}
			call := &Call{CPU: cpu, In: c.in, Outs: make([]*tensor.Tensor, 1), Seed: seed}
			if err := op.Run(call); err != nil {
				t.Fatal(err)
			}
			v := make([]float32, call.Outs[0].Len())
			call.Outs[0].Floats(v, 0)
			return v
		}
		v := draw("y", 1)
		sum, squares := 0.0, 0.0
		for _, x := range v {
			sum += float64(x)
			squares += (float64(x) - c.mean) * (float64(x) - c.mean)
		}
		mean, deviation := sum/n, math.Sqrt(squares/n)
		if len(v) != n || math.Abs(mean-c.mean) > 0.02*c.deviation || math.Abs(deviation/c.deviation-1) > 0.02 {
			t.Errorf("%s: %d numbers of mean %g and deviation %g, want %g and %g", c.op, len(v), mean, deviation, c.mean, c.deviation)
		}
		if !slices.Equal(v, draw("y", 1)) {
			t.Errorf("%s does not repeat", c.op)
		}
		if slices.Equal(v, draw("z", 1)) || slices.Equal(v, draw("y", 2)) {
			t.Errorf("%s gives the same numbers to another node or seed", c.op)
		}
	}
}
