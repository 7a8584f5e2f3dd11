package infer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// reluConvolution is z = Relu(Conv(x, w)) with the gradients of x, and of w summed over all but its outputs, as the second half.
func reluConvolution() *onnx.Model {
	pads, axes := attr("pads", []int64{1, 1, 1, 1}), tensor.From([]int64{0, 2, 3}, 3)
	return graphOf([]*onnx.ValueInfo{val("x", 2, 8, 6, 5), val("w", 8, 8, 3, 3), val("dz", 2, 8, 6, 5)}, []*onnx.ValueInfo{val("z"), val("dx"), val("db"), val("mean")},
		map[string]*tensor.Tensor{"zero": floats(nil, 0), "axes": axes},
		nd("y = Conv x, w", pads), nd("z = Relu y"), nd("mean = GlobalAveragePool z"),
		nd("on = Greater z, zero"), nd("dy = Where on, dz, zero"),
		nd("dx = ConvTranspose dy, w", pads), nd("db = ReduceSum dy, axes"))
}

func TestHalves(t *testing.T) {
	m, src := reluConvolution(), rand.New(rand.NewPCG(1, 2))
	cpu := kernel.NewCPU(kernel.Options{Threads: 2, ISA: best(t)})
	t.Cleanup(cpu.Close)
	whole := session(t, m, Options{NoFuse: true})
	s := session(t, m, Options{CPU: cpu, Halves: &Halves{
		Late: []string{"dz"}, Like: map[string]string{"dz": "z", "dx": "x"}, Given: []string{"db"},
	}})
	memory, held := &Memory{}, 0
	runners := []*Runner{s.NewRunnerIn(memory), s.NewRunnerIn(memory)}
	db := floats([]int{1, 8, 1, 1}, 0)
	for step := range 4 {
		var want, early [2][]*tensor.Tensor
		var late [2]*tensor.Tensor
		for i, r := range runners { // both first halves before the second ones, as a step of training has them
			x, w, dz := gaussian(src, 2, 8, 6, 5), gaussian(src, 8, 8, 3, 3), gaussian(src, 2, 8, 6, 5)
			want[i] = clones(run(t, whole, []*tensor.Tensor{x, w, dz}))
			if step > 1 {
				x = relaid(cpu, x)
			}
			out, err := r.Run(t.Context(), []*tensor.Tensor{x, w})
			if err != nil {
				t.Fatal(err)
			}
			early[i], late[i] = clones(out), dz
			if out[0].Layout == tensor.ChannelsLast {
				late[i] = relaid(cpu, dz)
			}
		}
		for i, r := range slices.Backward(runners) {
			out, err := r.Resume(t.Context(), []*tensor.Tensor{late[i]}, []*tensor.Tensor{nil, db})
			if err != nil {
				t.Fatal(err)
			}
			if layout := out[0].Layout; (layout == tensor.ChannelsLast) != (step > 1) {
				t.Errorf("the gradient of the input is %s", layout)
			}
			if out[1] != db {
				t.Error("a result is not in the memory that was given")
			}
			for k, got := range []*tensor.Tensor{early[i][0], out[0], db, early[i][1]} {
				if got.Layout == tensor.ChannelsLast {
					got = plainly(cpu, got)
				}
				if d, err := distance(got, want[i][k]); err != nil || d > 1e-5 {
					t.Errorf("step %d, runner %d: output %d differs by %g, %v", step, i, k, d, err)
				}
			}
		}
		for _, r := range runners {
			r.Rest()
		}
		if step == 1 { // from then on it is in one piece
			held = memory.Bytes()
		}
	}
	if memory.Bytes() != held {
		t.Errorf("memory went from %d to %d bytes", held, memory.Bytes())
	}
}

// TestHalvesRefuse has misuse reported.
func TestHalvesRefuse(t *testing.T) {
	m := reluConvolution()
	for _, c := range []struct {
		halves Halves
		want   string
	}{
		{Halves{Late: []string{"dz"}, Like: map[string]string{"dz": "y"}}, `"dz" is to be laid out like "y"`},
		{Halves{Late: []string{"dz"}, Like: map[string]string{"q": "z"}}, `"q" is to be laid out like "z"`},
	} {
		if _, err := New(m, Options{Halves: &c.halves}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.halves, err)
		}
	}
	open := reluConvolution()
	open.Graph.Inputs[2] = val("dz", "n", 8, 6, 5)
	if _, err := New(open, Options{Halves: &Halves{Late: []string{"dz"}}}); err == nil || !strings.Contains(err.Error(), `late input "dz"`) {
		t.Errorf("a late input of unknown shape: %v", err)
	}
	r := session(t, m, Options{Halves: &Halves{Late: []string{"dz"}, Given: []string{"db"}}}).NewRunner()
	src := rand.New(rand.NewPCG(1, 2))
	dz, db := gaussian(src, 2, 8, 6, 5), floats([]int{1, 8, 1, 1}, 0)
	resume := func(late, given []*tensor.Tensor, want string) {
		t.Helper()
		if _, err := r.Run(t.Context(), []*tensor.Tensor{gaussian(src, 2, 8, 6, 5), gaussian(src, 8, 8, 3, 3)}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Resume(t.Context(), late, given); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	resume([]*tensor.Tensor{dz}, nil, "0 places for results")
	resume([]*tensor.Tensor{db}, []*tensor.Tensor{nil, db}, "late input 0")
	resume([]*tensor.Tensor{dz}, []*tensor.Tensor{nil, dz}, "memory for result 1")
	if _, err := r.Resume(t.Context(), []*tensor.Tensor{dz}, []*tensor.Tensor{nil, db}); err == nil {
		t.Error("a run was resumed twice")
	}
	if _, err := r.Run(t.Context(), []*tensor.Tensor{dz}); err == nil || !strings.Contains(err.Error(), `"w" is missing`) {
		t.Errorf("an early input too few: %v", err)
	}
	if _, err := r.Run(t.Context(), []*tensor.Tensor{dz, dz, dz}); err == nil {
		t.Error("a late input was taken by the first half")
	}
}

// TestHalvesAllocateNothing counts what a step takes after the first.
func TestHalvesAllocateNothing(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	m, src := reluConvolution(), rand.New(rand.NewPCG(1, 2))
	m.Graph.Inputs = slices.Delete(m.Graph.Inputs, 1, 2)
	m.Graph.Initializers = append(m.Graph.Initializers, gaussian(src, 8, 8, 3, 3).ToONNX("w"))
	s := session(t, m, Options{ISA: best(t), Threads: 1, Halves: &Halves{
		Late: []string{"dz"}, Like: map[string]string{"dz": "z", "dx": "x"}, Given: []string{"db"},
	}})
	memory := &Memory{}
	runners := []*Runner{s.NewRunnerIn(memory), s.NewRunnerIn(memory)}
	in, dz := []*tensor.Tensor{gaussian(src, 2, 8, 6, 5)}, gaussian(src, 2, 8, 6, 5)
	late, given := []*tensor.Tensor{dz}, []*tensor.Tensor{nil, floats([]int{1, 8, 1, 1}, 0)}
	ctx := t.Context()
	step := func() {
		for _, r := range runners {
			out, err := r.Run(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			dz.Layout = out[0].Layout
			if _, err := r.Resume(ctx, late, given); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range runners {
			r.Rest()
		}
	}
	step()
	step()
	if n := testing.AllocsPerRun(10, step); n > 0 {
		t.Errorf("%g allocations a step", n)
	}
}

func gaussian(src *rand.Rand, shape ...int) *tensor.Tensor {
	t := floats(shape, 0)
	for i := range tensor.Of[float32](t) {
		tensor.Of[float32](t)[i] = float32(src.NormFloat64())
	}
	return t
}

func clones(list []*tensor.Tensor) []*tensor.Tensor {
	list = slices.Clone(list)
	for i, x := range list {
		list[i] = x.Clone()
	}
	return list
}

func relaid(cpu *kernel.CPU, x *tensor.Tensor) *tensor.Tensor {
	return (&program{s: &Session{cpu: cpu}}).relaid(x, tensor.ChannelsLast)
}

func plainly(cpu *kernel.CPU, x *tensor.Tensor) *tensor.Tensor {
	return (&program{s: &Session{cpu: cpu}}).relaid(x, tensor.Plain)
}
