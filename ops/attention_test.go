package ops

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// TestAttention compares with the definition in float64: grouped heads, a past, a causal window, a mask, more queries than a piece.
func TestAttention(t *testing.T) {
	const batch, heads, shared, seq, past, size, sizeV, left = 2, 4, 2, 150, 9, 8, 5, 20
	cpu := newTestCPU(t)
	rng := rand.New(rand.NewPCG(9, 9))
	random := func(shape ...int) *tensor.Tensor {
		v, _ := tensor.New(onnx.Float, shape...)
		for i := range tensor.Of[float32](v) {
			tensor.Of[float32](v)[i] = float32(rng.NormFloat64())
		}
		return v
	}
	q, k, v := random(batch, seq, heads*size), random(batch, seq, shared*size), random(batch, seq, shared*sizeV)
	pk, pv := random(batch, shared, past, size), random(batch, shared, past, sizeV)
	mask := random(batch, 1, seq, past+seq)
	for i := range tensor.Of[float32](mask) {
		if rng.IntN(3) == 0 || i/(past+seq) == 3 { // query 3 of the first sample sees nothing
			tensor.Of[float32](mask)[i] = float32(math.Inf(-1))
		}
	}
	n := &onnx.Node{OpType: "Attention", Inputs: []string{"q", "k", "v", "m", "pk", "pv"}, Outputs: []string{"y"}, Attributes: []*onnx.Attribute{
		intAttr("q_num_heads", heads), intAttr("kv_num_heads", shared), intAttr("is_causal", 1), intAttr("left_window_size", left),
		{Name: "softcap", Type: onnx.AttributeFloat, F: 3},
	}}
	op, err := New(&Node{Node: n, Opset: 25})
	if err != nil {
		t.Fatal(err)
	}
	c := &Call{CPU: cpu, In: []*tensor.Tensor{q, k, v, mask, pk, pv}, Outs: make([]*tensor.Tensor, 1)}
	if err := op.Run(c); err != nil {
		t.Fatal(err)
	}
	at := func(t, before *tensor.Tensor, b, h, j, i, n int) float64 {
		if j < past {
			return float64(tensor.Of[float32](before)[((b*shared+h)*past+j)*n+i])
		}
		return float64(tensor.Of[float32](t)[((b*seq+j-past)*shared+h)*n+i])
	}
	for b := range batch {
		for h := range heads {
			for i := range seq {
				sum, want := 0.0, make([]float64, sizeV)
				for j := max(0, i+past-left); j <= i+past; j++ {
					dot := 0.0
					for l := range size {
						dot += float64(tensor.Of[float32](q)[((b*seq+i)*heads+h)*size+l]) * at(k, pk, b, h/2, j, l, size)
					}
					e := math.Exp(3*math.Tanh(dot/math.Sqrt(size)/3) + float64(tensor.Of[float32](mask)[(b*seq+i)*(past+seq)+j]))
					sum += e
					for l := range want {
						want[l] += e * at(v, pv, b, h/2, j, l, sizeV)
					}
				}
				for l := range want {
					if sum > 0 {
						want[l] /= sum
					}
					if got := tensor.Of[float32](c.Outs[0])[((b*seq+i)*heads+h)*sizeV+l]; !(math.Abs(float64(got)-want[l]) < 1e-5) {
						t.Fatalf("sample %d, head %d, query %d, number %d: %g, want %g", b, h, i, l, got, want[l])
					}
				}
			}
		}
	}
}

func TestAttentionMalformed(t *testing.T) {
	cpu := newTestCPU(t)
	f := func(shape ...int) *tensor.Tensor { v, _ := tensor.New(onnx.Float, shape...); return v }
	for name, c := range map[string]struct {
		attr *onnx.Attribute
		in   []*tensor.Tensor
		want string
	}{
		"no heads":   {nil, []*tensor.Tensor{f(1, 2, 4), f(1, 2, 4), f(1, 2, 4)}, "q_num_heads"},
		"rank":       {nil, []*tensor.Tensor{f(2, 4), f(2, 4), f(2, 4)}, "dimensions"},
		"sizes":      {nil, []*tensor.Tensor{f(1, 1, 2, 4), f(1, 1, 2, 5), f(1, 1, 2, 4)}, "inputs"},
		"groups":     {nil, []*tensor.Tensor{f(1, 3, 2, 4), f(1, 2, 2, 4), f(1, 2, 2, 4)}, "heads"},
		"mask":       {nil, []*tensor.Tensor{f(1, 1, 2, 4), f(1, 1, 2, 4), f(1, 1, 2, 4), f(3, 2)}, "mask"},
		"past":       {nil, []*tensor.Tensor{f(1, 1, 2, 4), f(1, 1, 2, 4), f(1, 1, 2, 4), nil, f(1, 1, 3, 4)}, "past"},
		"window":     {intAttr("left_window_size", -5), nil, "window"},
		"mode":       {intAttr("qk_matmul_output_mode", 9), nil, "mode"},
		"heads attr": {intAttr("q_num_heads", -1), nil, "heads"},
	} {
		n := &onnx.Node{OpType: "Attention", Inputs: []string{"q", "k", "v", "m", "pk", "pv"}, Outputs: []string{"y"}}
		if c.attr != nil {
			n.Attributes = []*onnx.Attribute{c.attr}
		}
		op, err := New(&Node{Node: n, Opset: 25})
		if err == nil {
			err = op.Run(&Call{CPU: cpu, In: c.in, Outs: make([]*tensor.Tensor, 1)})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
