package train

import (
	"math"
	"testing"

	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// TestLosses compares values and gradients with what PyTorch 2.15 computes in float64.
func TestLosses(t *testing.T) {
	logits := []float32{.5, -1, 2, 0, 3, -2}
	teacher := tensor.From([]float32{1, .25, -.5, 2, -1, .75}, 2, 3)
	parts := tensor.From([]float32{1, 0, .25, .5, 1, 0}, 2, 3)
	signs := tensor.From([]float32{1, -1, 1, -1, 1, 1}, 2, 3)
	labels := tensor.From([]int64{2, 0}, 2)
	sixth := 1. / 6
	for _, c := range []struct {
		name  string
		shape []int
		z     []float32
		field *tensor.Tensor
		loss  func(f *Formula) string
		want  float64
		grad  []float64
	}{
		{
			"cross entropy",
			[]int{2, 3},
			logits, labels, func(f *Formula) string { return f.CrossEntropy("z", "y", 3, 0) },
			1.6481482660171523,
			[]float64{0.087645196, 0.019556287, -0.107201483, -0.476438292, 0.473249561, 0.00318873},
		},
		{
			"cross entropy, smoothed",
			[]int{2, 3},
			logits, labels, func(f *Formula) string { return f.CrossEntropy("z", "y", 3, 0.1) },
			1.7064815993504858,
			[]float64{0.070978529, 0.00288962, -0.073868149, -0.443104958, 0.456582895, -0.013477936},
		},
		{
			"cross entropy of images",
			[]int{1, 2, 1, 2},
			[]float32{.5, 1, -1, .25},
			tensor.From([]int64{1, 0}, 1, 1, 2),
			func(f *Formula) string { return f.CrossEntropy("z", "y", 2, 0) },
			1.0441421420488262,
			[]float64{0.4087872380968218, -0.1604106504123035, -0.4087872380968218, 0.1604106504123035},
		},
		{
			"binary cross entropy",
			[]int{2, 3},
			logits, parts, func(f *Formula) string { return f.BinaryCrossEntropy("z", "y") },
			0.547154870986327,
			[]float64{-0.062923445, 0.04482357, 0.105132846, 0.0, -0.007904312, 0.019867154},
		},
		{
			"MSE",
			[]int{2, 3},
			logits, teacher, func(f *Formula) string { return f.MSE("z", "y") },
			5.9375,
			[]float64{-0.166666667, -0.416666667, 0.833333333, -0.666666667, 1.333333333, -0.916666667},
		},
		{
			"L1",
			[]int{2, 3},
			logits, teacher, func(f *Formula) string { return f.L1("z", "y") },
			2.1666666666666665,
			[]float64{-sixth, -sixth, sixth, -sixth, sixth, -sixth},
		},
		{
			"hinge",
			[]int{2, 3},
			logits, signs, func(f *Formula) string { return f.Hinge("z", "y") },
			0.75,
			[]float64{-sixth, 0, 0, sixth, 0, -sixth},
		},
		{
			"distillation",
			[]int{2, 3},
			logits, teacher, func(f *Formula) string { return f.Distillation("z", "y", 4) },
			2.7539005802664622,
			[]float64{-0.1583316, -0.221476133, 0.379807733, -0.370323733, 0.70844458, -0.338120847},
		},
		{
			"two losses",
			[]int{2, 3},
			logits, teacher, func(f *Formula) string { return f.Sum(f.Scale(f.MSE("z", "y"), 2), f.L1("z", f.Detach("y"))) },
			2*5.9375 + 2.1666666666666665,
			[]float64{-0.5, -1, 11 * sixth, -1.5, 17 * sixth, -2},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			z, err := newParameter("z", tensor.From(c.z, c.shape...))
			if err != nil {
				t.Fatal(err)
			}
			f := NewFormula("loss")
			n := &network{
				opset: 20, parameters: map[string]*parameter{"z": z}, fields: map[string]ops.Info{"y": {Type: c.field.Type, Shape: ops.MakeShape(c.field.Shape...)}},
				loss: c.loss(f), nodes: f.Nodes, constants: f.Constants,
			}
			n.nodes = f.Nodes
			s, err := NewEngine(testCPU(t, 2)).compile(n)
			if err != nil {
				t.Fatal(err)
			}
			loss, err := s.run(t.Context(), map[string]*tensor.Tensor{"y": c.field})
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(float64(loss)-c.want) > 1e-6*c.want {
				t.Errorf("loss %v, want %v", loss, c.want)
			}
			for i, g := range z.gradient() {
				if math.Abs(float64(g)-c.grad[i]) > 2e-6 {
					t.Errorf("gradient %d is %v, want %v", i, g, c.grad[i])
				}
			}
		})
	}
}
