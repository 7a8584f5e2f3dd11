package infer

import (
	"math"
	"slices"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// gradients runs a derivative of inputs with names, and returns what belongs to d.Wrt, nil where there is no gradient.
func gradients(t *testing.T, d ops.Differentiation, constants []*onnx.Tensor, names []string, in ...*tensor.Tensor) []*tensor.Tensor {
	t.Helper()
	g := &onnx.Graph{Name: "g", Initializers: constants}
	for i, name := range names {
		d.Known[name] = ops.Info{Type: in[i].Type, Shape: ops.MakeShape(in[i].Shape...)}
		g.Inputs = append(g.Inputs, describeValue(name, in[i].Type, in[i].Shape))
	}
	derivative, err := ops.Differentiate(d)
	if err != nil {
		t.Fatal(err)
	}
	g.Nodes = derivative.Nodes
	out := make([]*tensor.Tensor, len(d.Wrt))
	for _, name := range d.Wrt {
		if v, ok := derivative.Gradients[name]; ok {
			g.Outputs = append(g.Outputs, typed(v.Type, v.Name))
		}
	}
	m := &onnx.Model{IRVersion: 10, OpsetImports: []*onnx.OperatorSet{{Version: d.Opset}, {Domain: ops.Domain, Version: 1}}, Graph: g}
	results, err := session(t, m, Options{ISA: best(t), Threads: 2}).NewRunner().Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range d.Wrt {
		if _, ok := derivative.Gradients[name]; ok {
			out[i], results = results[0].Clone(), results[1:]
		}
	}
	return out
}

// TestGradientRules compares gradients of a sum of elements with values worked out by hand, where the derivative is a matter of convention or
// the formula has an exception.
func TestGradientRules(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes []*onnx.Node
		in    [][]float32 // of x, w, …
		want  [][]float64 // nil for no gradient
	}{
		{"Abs at 0", []*onnx.Node{nd("y = Abs x")}, [][]float32{{-2, 0, 3}}, [][]float64{{-1, 0, 1}}},
		{"Max of equals", []*onnx.Node{nd("y = Max x, w")}, [][]float32{{1, 5, 2}, {1, 4, 3}}, [][]float64{{0.5, 1, 0}, {0.5, 0, 1}}},
		{"Min of three equals", []*onnx.Node{nd("y = Min x, w, v")}, [][]float32{{1}, {1}, {1}}, [][]float64{{1. / 3}, {1. / 3}, {1. / 3}}},
		{"ReduceMax of equals", []*onnx.Node{nd("y = ReduceMax x")}, [][]float32{{4, 1, 4, 4, 0}}, [][]float64{{1. / 3, 0, 1. / 3, 1. / 3, 0}}},
		{"ReduceProd with a zero", []*onnx.Node{nd("y = ReduceProd x")}, [][]float32{{2, 0, 3}}, [][]float64{{0, 6, 0}}},
		{"ReduceProd with zeros", []*onnx.Node{nd("y = ReduceProd x")}, [][]float32{{2, 0, 0}}, [][]float64{{0, 0, 0}}},
		{"ReduceL2 of zeros", []*onnx.Node{nd("y = ReduceL2 x")}, [][]float32{{0, 0}}, [][]float64{{0, 0}}},
		{"ReduceL1", []*onnx.Node{nd("y = ReduceL1 x")}, [][]float32{{-3, 0, 2}}, [][]float64{{-1, 0, 1}}},
		{"Clip at its limits", []*onnx.Node{nd("y = Clip x, lo, hi")}, [][]float32{{-2, -1, 0, 1, 2}}, [][]float64{{0, 1, 1, 1, 0}}},
		{"ReLU6 at its limits", []*onnx.Node{nd("y = Clip x, zero, six")}, [][]float32{{-1, 0, 3, 6, 7}}, [][]float64{{0, 0, 1, 0, 0}}},
		{"PRelu at 0", []*onnx.Node{nd("y = PRelu x, w")}, [][]float32{{-2, 0, 3}, {0.5, 0.5, 0.5}}, [][]float64{{0.5, 0.5, 1}, {-2, 0, 0}}},
		{"Pow of 0", []*onnx.Node{nd("y = Pow x, w")}, [][]float32{{0, 0, 2}, {0, 2, 3}}, [][]float64{{0, 0, 12}, {0, 0, 8 * math.Ln2}}},
		{"squares", []*onnx.Node{nd("y = Pow x, two")}, [][]float32{{-3, 0, 2}}, [][]float64{{-6, 0, 4}}},
		{"Round is 0 everywhere", []*onnx.Node{nd("y = Round x")}, [][]float32{{0.2, 1.7}}, [][]float64{nil}},
		{"straight through", []*onnx.Node{nd("r = Round x"), nd("e = Sub r, x"), nd("d = effml.Detach e"), nd("y = Add x, d")}, [][]float32{{0.2, 1.7}}, [][]float64{{1, 1}}},
		{"used three times", []*onnx.Node{nd("a = Mul x, x"), nd("b = Mul a, x"), nd("y = Sum b, a, x")}, [][]float32{{2, -1}}, [][]float64{{17, 2}}},
		{"through integers there is none", []*onnx.Node{nd("i = Cast x", attr("to", int(onnx.Int64))), nd("f = Cast i", attr("to", int(onnx.Float))), nd("y = Mul f, x")}, [][]float32{{2.5, 3.5}}, [][]float64{{2, 3}}},
		{"masked weights", []*onnx.Node{nd("m = Mul x, mask"), nd("y = Mul m, w")}, [][]float32{{1, 2, 3, 4}, {5, 6, 7, 8}}, [][]float64{{5, 0, 7, 0}, {1, 0, 3, 0}}},
		{"shared values", []*onnx.Node{nd("g = Gather x, codes"), nd("y = Mul g, w")}, [][]float32{{10, 20, 30}, {1, 2, 3, 4, 5}}, [][]float64{{9, 0, 6}, {10, 30, 10, 30, 10}}},
		{"a slice of shared weights", []*onnx.Node{nd("g = Slice x, from, to"), nd("y = Mul g, w")}, [][]float32{{10, 20, 30, 40}, {1, 2}}, [][]float64{{0, 1, 2, 0}, {20, 30}}},
		{"a gate", []*onnx.Node{nd("g = Mul x, gate"), nd("y = Mul g, w")}, [][]float32{{1, 2}, {3, 4}}, [][]float64{{1.5, 2}, {0.5, 1}}},
		{"not used", []*onnx.Node{nd("z = Mul x, w"), nd("y = Identity x")}, [][]float32{{1, 2}, {3, 4}}, [][]float64{{1, 1}, nil}},
	} {
		t.Run(c.name, func(t *testing.T) {
			constants := map[string]*tensor.Tensor{
				"zero": tensor.Scalar(float32(0)), "six": tensor.Scalar(float32(6)), "two": tensor.Scalar(int64(2)), "lo": tensor.Scalar(float32(-1)), "hi": tensor.Scalar(float32(1)), "mask": tensor.From([]float32{1, 0, 1, 0}, 4), "gate": tensor.From([]float32{0.5}, 1),
				"codes": tensor.From([]int64{0, 2, 0, 2, 0}, 5), "from": tensor.From([]int64{1}, 1), "to": tensor.From([]int64{3}, 1),
			}
			d := ops.Differentiation{Nodes: c.nodes, Opset: 20, Known: map[string]ops.Info{}, Seeds: map[string]string{"y": ""}}
			var list []*onnx.Tensor
			for _, name := range sorted(constants) {
				d.Known[name] = ops.Of(constants[name])
				list = append(list, constants[name].ToONNX(name))
			}
			var in []*tensor.Tensor
			for i, v := range c.in {
				d.Wrt = append(d.Wrt, []string{"x", "w", "v"}[i])
				in = append(in, tensor.From(v, len(v)))
			}
			for i, got := range gradients(t, d, list, slices.Clone(d.Wrt), in...) {
				if (got == nil) != (c.want[i] == nil) {
					t.Errorf("gradient of %s is %v", d.Wrt[i], got)
					continue
				}
				for k, v := range c.want[i] {
					if g := tensor.Of[float32](got)[k]; !(math.Abs(float64(g)-v) <= 1e-5) {
						t.Errorf("gradient of %s[%d] is %g, not %g", d.Wrt[i], k, g, v)
					}
				}
			}
		})
	}
}
