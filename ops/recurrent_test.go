package ops

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// rnnCase is a recurrent network with its inputs, for a transcription of the standard's formulas, number by number.
type rnnCase struct {
	op                    string
	seq, batch, in, n     int
	direction             string
	layout                int
	clip                  float64
	linear, forget        bool
	activations           []string
	alpha, beta           []float32
	x, w, r, b, h0, c0, p []float64
	lens                  []int
}

var gateCount = map[string]int{"RNN": 1, "GRU": 3, "LSTM": 4}

func (c *rnnCase) directions() int {
	if c.direction == "bidirectional" {
		return 2
	}
	return 1
}

// slow returns Y, Y_h and Y_c.
func (c *rnnCase) slow() (y, yh, yc []float64) {
	d, g, n := c.directions(), gateCount[c.op], c.n
	y, yh, yc = make([]float64, c.seq*d*c.batch*n), make([]float64, d*c.batch*n), make([]float64, d*c.batch*n)
	alphas, betas := c.alpha, c.beta
	for k := range d {
		per := len(c.activations) / d
		var acts []func(float64) float64
		for _, name := range c.activations[k*per : (k+1)*per] {
			acts = append(acts, slowGate(name, &alphas, &betas))
		}
		for b := range c.batch {
			h, cell := make([]float64, n), make([]float64, n)
			for j := range n {
				h[j], cell[j] = c.h0[c.state(k, b)*n+j], c.c0[c.state(k, b)*n+j]
			}
			for step := range c.lens[b] {
				t := step
				if c.direction == "reverse" || k == 1 {
					t = c.lens[b] - 1 - step
				}
				x := c.x[(t*c.batch+b)*c.in:][:c.in]
				at := (t*d+k)*c.batch + b
				if c.layout == 1 {
					x, at = c.x[(b*c.seq+t)*c.in:][:c.in], (b*c.seq+t)*d+k
				}
				// The sums of the input's and the state's part of a gate.
				part := func(gate, j int, h []float64) (float64, float64) {
					row := (k*g + gate) * n
					wx, rh := 0.0, 0.0
					for i, v := range x {
						wx += v * c.w[(row+j)*c.in+i]
					}
					for i, v := range h {
						rh += v * c.r[(row+j)*n+i]
					}
					return wx + c.b[2*k*g*n+gate*n+j], rh + c.b[(2*k+1)*g*n+gate*n+j]
				}
				h, cell = c.step(acts, h, cell, c.p[k*3*n:], part)
				copy(y[at*n:], h)
			}
			copy(yh[c.state(k, b)*n:], h)
			copy(yc[c.state(k, b)*n:], cell)
		}
	}
	return y, yh, yc
}

// state returns the row of a state tensor.
func (c *rnnCase) state(k, b int) int {
	if c.layout == 1 {
		return b*c.directions() + k
	}
	return k*c.batch + b
}

// step returns the next hidden state and cell.
func (c *rnnCase) step(acts []func(float64) float64, h, cell, p []float64, part func(gate, j int, h []float64) (float64, float64)) (next, nextCell []float64) {
	clip := func(v float64) float64 {
		if c.clip > 0 {
			return math.Max(-c.clip, math.Min(c.clip, v))
		}
		return v
	}
	gate := func(g, j int, f func(float64) float64, more float64) float64 {
		a, b := part(g, j, h)
		return f(clip(a + b + more))
	}
	n := c.n
	next, nextCell = make([]float64, n), make([]float64, n)
	switch c.op {
	case "RNN":
		for j := range n {
			next[j] = gate(0, j, acts[0], 0)
		}
	case "GRU":
		reset := make([]float64, n)
		for j := range n {
			reset[j] = gate(1, j, acts[0], 0) * h[j]
		}
		for j := range n {
			z := gate(0, j, acts[0], 0)
			a, b := part(2, j, reset)
			if c.linear {
				a, b = part(2, j, h)
				b *= gate(1, j, acts[0], 0)
			}
			next[j] = (1-z)*acts[1](clip(a+b)) + z*h[j]
		}
	case "LSTM":
		for j := range n {
			i := gate(0, j, acts[0], p[j]*cell[j])
			f := gate(2, j, acts[0], p[2*n+j]*cell[j])
			if c.forget {
				f = 1 - i
			}
			nextCell[j] = f*cell[j] + i*gate(3, j, acts[1], 0)
			next[j] = gate(1, j, acts[0], p[n+j]*nextCell[j]) * acts[2](nextCell[j])
		}
	}
	return next, nextCell
}

func slowGate(name string, alphas, betas *[]float32) func(float64) float64 {
	pop := func(list *[]float32, def float64) float64 {
		if len(*list) == 0 {
			return def
		}
		v := (*list)[0]
		*list = (*list)[1:]
		return float64(v)
	}
	switch strings.ToLower(name) {
	case "sigmoid":
		return func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	case "tanh":
		return math.Tanh
	case "relu":
		return func(x float64) float64 { return math.Max(0, x) }
	case "hardsigmoid":
		a, b := pop(alphas, 0.2), pop(betas, 0.5)
		return func(x float64) float64 { return math.Max(0, math.Min(1, a*x+b)) }
	case "affine":
		a, b := pop(alphas, 1), pop(betas, 0)
		return func(x float64) float64 { return a*x + b }
	case "leakyrelu":
		a := pop(alphas, 0.01)
		return func(x float64) float64 { return math.Max(0, x) + a*math.Min(0, x) }
	case "scaledtanh":
		a, b := pop(alphas, 1), pop(betas, 1)
		return func(x float64) float64 { return a * math.Tanh(b*x) }
	case "elu":
		a := pop(alphas, 1)
		return func(x float64) float64 { return math.Max(0, x) + math.Min(0, a*(math.Exp(x)-1)) }
	case "softsign":
		return func(x float64) float64 { return x / (1 + math.Abs(x)) }
	case "softplus":
		return func(x float64) float64 { return math.Log(1 + math.Exp(x)) }
	}
	panic(name)
}

// node returns the operator.
func (c *rnnCase) node(t *testing.T) Op {
	t.Helper()
	n := &onnx.Node{OpType: c.op, Inputs: []string{"x", "w", "r", "b", "lens", "h"}, Outputs: []string{"y", "yh"}}
	if c.op == "LSTM" {
		n.Inputs, n.Outputs = append(n.Inputs, "c", "p"), append(n.Outputs, "yc")
	}
	add := func(a *onnx.Attribute) { n.Attributes = append(n.Attributes, a) }
	add(&onnx.Attribute{Name: "direction", Type: onnx.AttributeString, S: []byte(c.direction)})
	add(&onnx.Attribute{Name: "layout", Type: onnx.AttributeInt, I: int64(c.layout)})
	add(&onnx.Attribute{Name: "hidden_size", Type: onnx.AttributeInt, I: int64(c.n)})
	if c.clip > 0 {
		add(&onnx.Attribute{Name: "clip", Type: onnx.AttributeFloat, F: float32(c.clip)})
	}
	for name, on := range map[string]bool{"linear_before_reset": c.linear, "input_forget": c.forget} {
		if on {
			add(&onnx.Attribute{Name: name, Type: onnx.AttributeInt, I: 1})
		}
	}
	acts := &onnx.Attribute{Name: "activations", Type: onnx.AttributeStrings}
	for _, a := range c.activations {
		acts.Strings = append(acts.Strings, []byte(a))
	}
	add(acts)
	add(&onnx.Attribute{Name: "activation_alpha", Type: onnx.AttributeFloats, Floats: c.alpha})
	add(&onnx.Attribute{Name: "activation_beta", Type: onnx.AttributeFloats, Floats: c.beta})
	op, err := New(&Node{Node: n, Opset: 22})
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func (c *rnnCase) fill(rng *rand.Rand) {
	values := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(float32(rng.NormFloat64() * 0.4))
		}
		return v
	}
	d, g := c.directions(), gateCount[c.op]
	c.x, c.w, c.r = values(c.seq*c.batch*c.in), values(d*g*c.n*c.in), values(d*g*c.n*c.n)
	c.b, c.h0, c.c0, c.p = values(2*d*g*c.n), values(d*c.batch*c.n), values(d*c.batch*c.n), values(3*d*c.n)
	for range c.batch {
		c.lens = append(c.lens, 1+rng.IntN(c.seq))
	}
}

func numbersTensor[T floating](v []float64, shape ...int) *tensor.Tensor {
	out := make([]T, len(v))
	for i, x := range v {
		out[i] = T(x)
	}
	switch o := any(out).(type) {
	case []float32:
		return tensor.From(o, shape...)
	case []float64:
		return tensor.From(o, shape...)
	}
	return nil
}

func checkRecurrent[T floating](t *testing.T, cpu *kernel.CPU, c *rnnCase, tolerance float64) {
	t.Helper()
	d, g := c.directions(), gateCount[c.op]
	x, state := []int{c.seq, c.batch, c.in}, []int{d, c.batch, c.n}
	if c.layout == 1 {
		x, state = []int{c.batch, c.seq, c.in}, []int{c.batch, d, c.n}
	}
	lens := make([]int32, c.batch)
	for i, n := range c.lens {
		lens[i] = int32(n)
	}
	in := []*tensor.Tensor{
		numbersTensor[T](c.x, x...), numbersTensor[T](c.w, d, g*c.n, c.in), numbersTensor[T](c.r, d, g*c.n, c.n),
		numbersTensor[T](c.b, d, 2*g*c.n), tensor.From(lens, c.batch), numbersTensor[T](c.h0, state...),
	}
	if c.op == "LSTM" {
		in = append(in, numbersTensor[T](c.c0, state...), numbersTensor[T](c.p, d, 3*c.n))
	}
	y, yh, yc := c.slow()
	call := &Call{CPU: cpu, In: in, Outs: make([]*tensor.Tensor, len(in)/4+1)}
	if c.op == "LSTM" {
		call.Outs = make([]*tensor.Tensor, 3)
	} else {
		call.Outs = make([]*tensor.Tensor, 2)
	}
	if err := c.node(t).Run(call); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]float64{y, yh, yc}[:len(call.Outs)] {
		got := make([]float32, len(want))
		call.Outs[i].Floats(got, 0)
		for j, w := range want {
			if math.Abs(float64(got[j])-w) > tolerance*(1+math.Abs(w)) {
				t.Fatalf("output %d, element %d: %g, want %g", i, j, got[j], w)
			}
		}
	}
}

func TestRecurrent(t *testing.T) {
	set, err := isa.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	cpu := kernel.NewCPU(kernel.Options{Threads: 2, ISA: set})
	defer cpu.Close()
	rng := rand.New(rand.NewPCG(7, 8))
	defaults := map[string][]string{"RNN": {"Tanh"}, "GRU": {"Sigmoid", "Tanh"}, "LSTM": {"Sigmoid", "Tanh", "Tanh"}}
	others := []string{"Sigmoid", "tanh", "Relu", "HardSigmoid", "Affine", "LeakyRelu", "ScaledTanh", "Elu", "Softsign", "Softplus"}
	for _, op := range []string{"RNN", "GRU", "LSTM"} {
		for _, direction := range []string{"forward", "reverse", "bidirectional"} {
			for trial := range 8 {
				c := &rnnCase{
					op: op, direction: direction, layout: trial % 2, seq: 1 + rng.IntN(6), batch: 1 + rng.IntN(7), in: 1 + rng.IntN(20), n: 1 + rng.IntN(20),
					linear: op == "GRU" && trial/2%2 == 1, forget: op == "LSTM" && trial == 5,
				}
				for range c.directions() {
					c.activations = append(c.activations, defaults[op]...)
				}
				if trial >= 4 {
					for i := range c.activations {
						c.activations[i] = others[rng.IntN(len(others))]
					}
					c.alpha, c.beta = []float32{0.3, 0.4}, []float32{0.6}
				}
				if trial%4 == 3 && op != "LSTM" {
					c.clip = 0.5
				}
				c.fill(rng)
				t.Run(fmt.Sprintf("%s/%s/%d", op, direction, trial), func(t *testing.T) {
					checkRecurrent[float32](t, cpu, c, 2e-4)
					checkRecurrent[float64](t, cpu, c, 1e-6)
				})
			}
		}
	}
}

// TestRecurrentPacked compares constant weights with others, bit by bit.
func TestRecurrentPacked(t *testing.T) {
	cpu := kernel.NewCPU(kernel.Options{Threads: 2})
	defer cpu.Close()
	rng := rand.New(rand.NewPCG(3, 4))
	for _, op := range []string{"RNN", "GRU", "LSTM"} {
		c := &rnnCase{op: op, direction: "bidirectional", seq: 5, batch: 3, in: 17, n: 33, linear: true}
		c.fill(rng)
		g := gateCount[op]
		in := []*tensor.Tensor{
			numbersTensor[float32](c.x, c.seq, c.batch, c.in), numbersTensor[float32](c.w, 2, g*c.n, c.in), numbersTensor[float32](c.r, 2, g*c.n, c.n),
		}
		for range 2 {
			c.activations = append(c.activations, map[string][]string{"RNN": {"Tanh"}, "GRU": {"Sigmoid", "Tanh"}, "LSTM": {"Sigmoid", "Tanh", "Tanh"}}[op]...)
		}
		plain := c.node(t)
		info := []Info{describe(in[0]), Of(in[1]), Of(in[2])}
		packed, dropped, err := plain.(Packer).Pack(cpu, info)
		if err != nil || len(dropped) != 2 {
			t.Fatalf("%s: packs %v, %v", op, dropped, err)
		}
		a, b := &Call{CPU: cpu, In: in, Outs: make([]*tensor.Tensor, 1)}, &Call{CPU: cpu, In: []*tensor.Tensor{in[0], nil, nil}, Outs: make([]*tensor.Tensor, 1)}
		if err := plain.Run(a); err != nil {
			t.Fatal(err)
		}
		if err := packed.Run(b); err != nil {
			t.Fatal(err)
		}
		if string(a.Outs[0].Bytes()) != string(b.Outs[0].Bytes()) {
			t.Errorf("%s: packed weights give other numbers", op)
		}
	}
}

func TestRecurrentMalformed(t *testing.T) {
	cpu := kernel.NewCPU(kernel.Options{Threads: 1})
	defer cpu.Close()
	zeros := func(shape ...int) *tensor.Tensor {
		v, err := tensor.New(onnx.Float, shape...)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for name, c := range map[string]struct {
		attr *onnx.Attribute
		in   []*tensor.Tensor
		want string
	}{
		"direction":   {&onnx.Attribute{Name: "direction", Type: onnx.AttributeString, S: []byte("up")}, nil, "direction"},
		"activations": {&onnx.Attribute{Name: "activations", Type: onnx.AttributeStrings, Strings: [][]byte{[]byte("Sin")}}, nil, "Sin"},
		"rank":        {nil, []*tensor.Tensor{zeros(2, 3), zeros(1, 4, 3), zeros(1, 4, 4)}, "three dimensions"},
		"weights":     {nil, []*tensor.Tensor{zeros(2, 1, 3), zeros(1, 4, 2), zeros(1, 4, 4)}, "input 1"},
		"state":       {nil, []*tensor.Tensor{zeros(2, 1, 3), zeros(1, 4, 3), zeros(1, 4, 4), nil, nil, zeros(1, 2, 4)}, "input 5"},
		"lengths":     {nil, []*tensor.Tensor{zeros(2, 1, 3), zeros(1, 4, 3), zeros(1, 4, 4), nil, tensor.From([]int32{3}, 1)}, "length"},
		"hidden": {
			&onnx.Attribute{Name: "hidden_size", Type: onnx.AttributeInt, I: 5},
			[]*tensor.Tensor{zeros(2, 1, 3), zeros(1, 4, 3), zeros(1, 4, 4)},
			"hidden",
		},
		"type": {nil, []*tensor.Tensor{zeros(2, 1, 3), zeros(1, 4, 3), tensor.From(make([]float64, 16), 1, 4, 4)}, "input 2"},
	} {
		n := &onnx.Node{OpType: "RNN", Inputs: []string{"x", "w", "r", "b", "l", "h"}, Outputs: []string{"y"}}
		if c.attr != nil {
			n.Attributes = []*onnx.Attribute{c.attr}
		}
		op, err := New(&Node{Node: n, Opset: 14})
		if err == nil {
			err = op.Run(&Call{CPU: cpu, In: c.in, Outs: make([]*tensor.Tensor, 1)})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
