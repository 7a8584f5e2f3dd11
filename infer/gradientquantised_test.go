package infer

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// TestQuantisedGradients compares the gradients through QuantizeLinear and DequantizeLinear with their definition, for each element.
func TestQuantisedGradients(t *testing.T) {
	for _, c := range []struct {
		name         string
		shape, scale []int
		zero         *tensor.Tensor
		lo, hi       float64
		attrs        []*onnx.Attribute
		of           func(i int) int // the scale of element i
	}{
		{"one", []int{2, 3, 4}, nil, tensor.Scalar(int8(3)), -128, 127, nil, func(int) int { return 0 }},
		{"one, many elements", []int{300, 211}, nil, tensor.Scalar(uint8(128)), 0, 255, nil, func(int) int { return 0 }},
		{"each channel", []int{2, 3, 4, 5}, []int{3}, tensor.From([]int8{0, 0, 0}, 3), -128, 127, []*onnx.Attribute{attr("axis", 1)}, func(i int) int { return i / 20 % 3 }},
		{"last axis", []int{4, 3}, []int{3}, tensor.From([]uint8{0, 100, 255}, 3), 0, 255, []*onnx.Attribute{attr("axis", -1)}, func(i int) int { return i % 3 }},
		{
			"blocks",
			[]int{5, 3},
			[]int{3, 3},
			tensor.From([]int8{1, 2, 3, 4, 5, 6, 7, 8, 9}, 3, 3), -128, 127,
			[]*onnx.Attribute{attr("axis", 0), attr("block_size", 2)},
			func(i int) int { return i/3/2*3 + i%3 },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			x := narrowAll([]*tensor.Tensor{randomDoubles(r, c.shape, func(r *rand.Rand) float64 { return 200 * r.NormFloat64() })})[0]
			dy := narrowAll([]*tensor.Tensor{randomDoubles(r, c.shape, anyNumber)})[0]
			s := narrowAll([]*tensor.Tensor{randomDoubles(r, c.scale, positive)})[0]
			for _, learned := range []bool{false, true} {
				dx, ds := quantisedGradients(t, x, s, c.zero, dy, c.attrs, learned)
				wantX, wantS := make([]float64, x.Len()), make([]float64, s.Len())
				zero := make([]float32, s.Len())
				c.zero.Floats(zero, 0)
				for i, v := range tensor.Of[float32](x) {
					k := c.of(i)
					g := float64(tensor.Of[float32](dy)[i])
					v := float64(v / tensor.Of[float32](s)[k])
					code := math.RoundToEven(v) + float64(zero[k])
					clipped := min(max(code, c.lo), c.hi)
					wantS[k] += g * (clipped - float64(zero[k]))
					if code == clipped {
						wantX[i] = g
						wantS[k] -= g * v
					}
				}
				if learned {
					for k := range wantS {
						wantS[k] /= math.Sqrt(float64(x.Len()) / float64(s.Len()) * c.hi)
					}
				}
				near(t, "dx", dx, wantX)
				near(t, "ds", ds, wantS)
			}
		})
	}
}

// near compares the norms.
func near(t *testing.T, name string, got *tensor.Tensor, want []float64) {
	t.Helper()
	sum, diff := 1e-9, 0.0
	for i, v := range tensor.Of[float32](got) {
		sum, diff = sum+want[i]*want[i], diff+(float64(v)-want[i])*(float64(v)-want[i])
	}
	if e := math.Sqrt(diff / sum); !(e <= 2e-6) {
		t.Errorf("%s is off by %.1e", name, e)
	}
}

func quantisedGradients(t *testing.T, x, s, zero, dy *tensor.Tensor, attrs []*onnx.Attribute, learned bool) (dx, ds *tensor.Tensor) {
	t.Helper()
	d := ops.Differentiation{
		Nodes: []*onnx.Node{nd("q = QuantizeLinear x, s, z", attrs...), nd("p = Identity q"), nd("y = DequantizeLinear p, s, z", attrs...)},
		Opset: 21, Known: map[string]ops.Info{"z": ops.Of(zero)}, Seeds: map[string]string{"y": "dy"}, Wrt: []string{"x", "s"}, LearnedSteps: learned,
	}
	out := gradients(t, d, []*onnx.Tensor{zero.ToONNX("z")}, []string{"x", "s", "dy"}, x, s, dy)
	return out[0], out[1]
}
