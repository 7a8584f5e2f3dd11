package ops

import (
	"math"
	"slices"
	"testing"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// TestDropoutTrain drops the right share, by the seed and the number alone, and the gradient drops the same.
func TestDropoutTrain(t *testing.T) {
	const n = 3*dropoutBlock + 5
	run := func(x *tensor.Tensor, threads int, ratio float32, number, seed int64) []float32 {
		t.Helper()
		cpu := kernel.NewCPU(kernel.Options{Threads: threads})
		defer cpu.Close()
		attrs := []*onnx.Attribute{{Name: "ratio", Type: onnx.AttributeFloat, F: ratio}, {Name: "number", Type: onnx.AttributeInt, I: number}}
		op, err := New(&Node{Node: &onnx.Node{OpType: "DropoutTrain", Domain: Domain, Inputs: []string{"x", "s"}, Outputs: []string{"y"}, Attributes: attrs}})
		if err != nil {
			t.Fatal(err)
		}
		c := &Call{CPU: cpu, In: []*tensor.Tensor{x, tensor.Scalar(seed)}, Outs: make([]*tensor.Tensor, 1)}
		if err := op.Run(c); err != nil {
			t.Fatal(err)
		}
		y := c.Outs[0]
		out := make([]float32, n)
		if !y.Floats(out, 0) {
			t.Fatal(y)
		}
		return out
	}
	ones, wide := tensor.From(slices.Repeat([]float32{3}, n), n), tensor.From(slices.Repeat([]float64{3}, n), n)
	base := run(ones, 1, 0.25, 1, 5)
	dropped := 0
	for _, v := range base {
		if v == 0 {
			dropped++
		} else if v != 4 {
			t.Fatalf("3 became %v", v)
		}
	}
	if share := float64(dropped) / n; math.Abs(share-0.25) > 5*math.Sqrt(0.25*0.75/n) {
		t.Errorf("%v are dropped", share)
	}
	if !slices.Equal(base, run(ones, 7, 0.25, 1, 5)) || !slices.Equal(base, run(wide, 2, 0.25, 1, 5)) {
		t.Error("others are dropped on other threads, or in float64")
	}
	for name, other := range map[string][]float32{"seed": run(ones, 2, 0.25, 1, 6), "number": run(ones, 2, 0.25, 2, 5)} {
		both := 0
		for i, v := range other {
			if v == 0 && base[i] == 0 {
				both++
			}
		}
		if share := float64(both) / n; math.Abs(share-1./16) > 5*math.Sqrt(1./16/n) {
			t.Errorf("another %s: %v are dropped in both", name, share)
		}
	}
	if y := run(ones, 2, 0, 1, 5); slices.ContainsFunc(y, func(v float32) bool { return v != 3 }) {
		t.Error("a ratio of 0 changes something")
	}
}
