package train

import (
	"math"
	"testing"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// TestRecalibrate compares running states with the statistics of batches, computed in float64. The second normalisation sees what the first, by
// the batch, made of it.
func TestRecalibrate(t *testing.T) {
	two := func(a, b float32) *tensor.Tensor { return tensor.From([]float32{a, b}, 2) }
	m := modelOf(t, map[string]*tensor.Tensor{
		"s1": two(2, 3), "b1": two(1, -1), "m1": two(9, 9), "v1": two(9, 9), "s2": two(1, 1), "b2": two(0, 0), "m2": two(9, 9), "v2": two(9, 9),
	}, nil, "n = BatchNormalization x, s1, b1, m1, v1", "y = BatchNormalization n, s2, b2, m2, v2")
	x := [][]float32{{1, 2, 3, 6, 5, -2}, {0, 1, 4, 4, 2, 4}, {100, 100, 0, 0, 1, 1}} // [3, 2] each
	var s batches
	for _, v := range x {
		s = append(s, map[string]*tensor.Tensor{"x": tensor.From(v, 3, 2)})
	}
	cpu := kernel.NewCPU(kernel.Options{Threads: 2})
	defer cpu.Close()
	got, err := Recalibrate(t.Context(), cpu, m, s, 2) // the third is beyond
	if err != nil {
		t.Fatal(err)
	}
	var m1, v1, v2 [2]float64
	for _, v := range x[:2] {
		for c := range 2 {
			mean, square := 0.0, 0.0
			for i := range 3 {
				mean += float64(v[2*i+c]) / 3
			}
			for i := range 3 {
				d := float64(v[2*i+c]) - mean
				square += d * d
			}
			m1[c] += mean / 2
			v1[c] += square / 2 / 2
			scale := []float64{2, 3}[c]
			v2[c] += scale * scale * square / (square/3 + 1e-5) / 2 / 2
		}
	}
	for name, want := range map[string][2]float64{"m1": m1, "v1": v1, "m2": {1, -1}, "v2": v2, "s1": {2, 3}} {
		for c, v := range valueOf(t, got, name) {
			if math.Abs(float64(v)-want[c]) > 1e-5*max(1, math.Abs(want[c])) {
				t.Errorf("%s[%d] is %v, not %v", name, c, v, want[c])
			}
		}
	}
	if v := valueOf(t, m, "m1"); v[0] != 9 {
		t.Error("the model that was given has changed")
	}
	plain := modelOf(t, map[string]*tensor.Tensor{"w": column(1)}, nil, "y = MatMul x, w")
	if same, err := Recalibrate(t.Context(), cpu, plain, s, 1); err != nil || same != plain {
		t.Errorf("without normalisation: %v", err)
	}
	if _, err := Recalibrate(t.Context(), cpu, m, batches{}, 1); err == nil || !isData(err) {
		t.Errorf("no data: %v", err)
	}
	if got.Graph.Nodes[0].OpType != "BatchNormalization" || got.OpsetImports[0].Version != 17 || onnx.Check(got) != nil {
		t.Error("the model is in training mode")
	}
}
