package train

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// batches is a Stream of given batches.
type batches []map[string]*tensor.Tensor

func (s batches) PerEpoch() int                { return len(s) }
func (s batches) Fingerprint() (string, error) { return fmt.Sprint(len(s)), nil }

func (s batches) Batches(_ context.Context, _, first int) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		for i := first; i < len(s); i++ {
			if !yield(&Batch{Fields: s[i], Samples: 1, Number: i}, nil) {
				return
			}
		}
	}
}

func row(v ...float32) *tensor.Tensor    { return tensor.From(v, 1, len(v)) }
func column(v ...float32) *tensor.Tensor { return tensor.From(v, len(v), 1) }

// squares is the loss mean (y − t)².
func squares(f *Formula, _ *Values) (string, error) { return f.MSE("y", "t"), nil }

// phaseOf is a phase of plain gradient descent.
func phaseOf(rate float64, passes ...Pass) Phase {
	return Phase{Stream: "s", Passes: passes, Schedule: Schedule{Rate: rate}}
}

// valueOf returns an initializer.
func valueOf(t testing.TB, m *onnx.Model, name string) []float32 {
	t.Helper()
	for _, x := range m.Graph.Initializers {
		if x.Name == name {
			v, err := tensor.FromONNX(x)
			if err != nil {
				t.Fatal(err)
			}
			return tensor.Of[float32](v)
		}
	}
	t.Fatalf("there is no tensor %q", name)
	return nil
}

func near(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Abs(float64(x-y)) <= 1e-6*max(1, math.Abs(float64(y))) })
}

// TestRewrites trains what compression makes of a network, as it stands, and compares with values computed by hand.
func TestRewrites(t *testing.T) {
	ints := func(v ...int64) *tensor.Tensor { return tensor.From(v, len(v)) }
	for _, c := range []struct {
		name    string
		tensors map[string]*tensor.Tensor
		attrs   map[string][]*onnx.Attribute
		also    string
		lines   []string
		x       *tensor.Tensor
		solver  SolverConfig
		rate    float64
		steps   int
		learned bool
		want    map[string][]float32
	}{
		{
			// y = w₀: gradients 2·1 and 2·0.79, with decay 2.1 and 1.659, with momentum 2.1 and 3.549.
			name: "a mask", x: row(1, 1), rate: 0.1, steps: 2, solver: SolverConfig{Momentum: 0.9, Decay: 0.1},
			tensors: map[string]*tensor.Tensor{"w": column(1, 0), "mask": column(1, 0)},
			lines:   []string{"m = Mul w, mask", "y = MatMul x, m"},
			want:    map[string][]float32{"w": {0.4351, 0}, "mask": {1, 0}},
		},
		{
			// y = 1·1 + 2·2 + 3·1 = 8: the gradients of the weights are 16·(1, 2, 3), those of the codebook 16·(1 + 3) and 16·2.
			name: "a codebook", x: row(1, 2, 3), rate: 0.01, steps: 1,
			tensors: map[string]*tensor.Tensor{"codebook": tensor.From([]float32{1, 2}, 2), "codes": tensor.From([]int64{0, 1, 0}, 3, 1)},
			lines:   []string{"w = Gather codebook, codes", "y = MatMul x, w"},
			want:    map[string][]float32{"codebook": {0.36, 1.68}},
		},
		{
			// Weights are 0.5 and 0, y is 1: straight through the rounding the gradient is 2·(2, 1).
			name: "fake quantisation", x: row(2, 1), rate: 0.1, steps: 1,
			tensors: map[string]*tensor.Tensor{"w": column(0.7, 0.2), "step": tensor.Scalar(float32(0.5)), "zero": tensor.Scalar(int8(0))},
			lines:   []string{"q = QuantizeLinear w, step, zero", "d = DequantizeLinear q, step, zero", "y = MatMul x, d"},
			want:    map[string][]float32{"w": {0.3, 0}, "step": {0.5}},
		},
		{
			// Rounding moves both weights by −0.4 steps: the gradient of the step is −0.4·(4 + 2), by 1/√(2·127) where it is learned.
			name: "learned steps", x: row(2, 1), rate: 0.1, steps: 1, also: "step", learned: true,
			tensors: map[string]*tensor.Tensor{"w": column(0.7, 0.2), "step": tensor.Scalar(float32(0.5)), "zero": tensor.Scalar(int8(0))},
			lines:   []string{"q = QuantizeLinear w, step, zero", "d = DequantizeLinear q, step, zero", "y = MatMul x, d"},
			want:    map[string][]float32{"w": {0.3, 0}, "step": {float32(0.5 + 0.24/math.Sqrt(254))}},
		},
		{
			// The kernel T·W[:2] is ((4, 6), (3, 4)) and y (7, 10), of which each row of the kernel's gradient is one.
			name: "super-weights", x: row(1, 1), rate: 0.01, steps: 1,
			tensors: map[string]*tensor.Tensor{
				"W": tensor.From([]float32{1, 2, 3, 4, 5, 6}, 3, 2), "T": tensor.From([]float32{1, 1, 0, 1}, 2, 2), "from": ints(0), "to": ints(2), "axis": ints(0),
			},
			lines: []string{"s = Slice W, from, to, axis", "k = MatMul T, s", "y = MatMul x, k"},
			want:  map[string][]float32{"W": {0.93, 1.9, 2.86, 3.8, 5, 6}, "T": {0.73, 0.39, -0.27, 0.39}},
		},
		{
			// y = 1·11 + 3 = 14, its gradient 28: the gate's is 28·11.
			name: "a gate", x: row(1, 2), rate: 0.001, steps: 1, also: "^gate$",
			tensors: map[string]*tensor.Tensor{"w1": column(3, 4), "w2": column(1, 1), "gate": tensor.Scalar(float32(1))},
			lines:   []string{"a = MatMul x, w1", "g = Mul a, gate", "b = MatMul x, w2", "y = Add g, b"},
			want:    map[string][]float32{"gate": {1 - 0.308}, "w1": {3 - 0.028, 4 - 0.056}, "w2": {1 - 0.028, 1 - 0.056}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := tensor.From(make([]float32, 1), 1, 1)
			if c.name == "super-weights" {
				target = row(0, 0)
			}
			p := phaseOf(c.rate, Pass{Loss: squares})
			p.Solver, p.LearnedSteps = c.solver, c.learned
			task := &Task{
				Models: []Model{{Model: modelOf(t, c.tensors, c.attrs, c.lines...), Also: c.also}}, Phases: []Phase{p},
				Streams: map[string]Stream{"s": batches{{"x": c.x, "t": target}}},
			}
			r, err := Run(t.Context(), Config{Steps: c.steps, Threads: 2}, task, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range c.want {
				if got := valueOf(t, r.Models[""], name); !near(got, want) {
					t.Errorf("%s is %v, not %v", name, got, want)
				}
			}
		})
	}
}

// TestAccumulate averages the gradients of batches: of (w·x)² they are 2·w·x² = 2 and 18.
func TestAccumulate(t *testing.T) {
	zero := row(0)
	run := func(solver SolverConfig) []float32 {
		p := phaseOf(0.05, Pass{Loss: squares})
		p.Accumulate, p.Solver = 2, solver
		task := &Task{
			Models: []Model{{Model: modelOf(t, map[string]*tensor.Tensor{"w": column(1)}, nil, "y = MatMul x, w"), Also: "w"}}, Phases: []Phase{p},
			Streams: map[string]Stream{"s": batches{{"x": row(1), "t": zero}, {"x": row(3), "t": zero}}},
		}
		r, err := Run(t.Context(), Config{Epochs: 1}, task, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Steps != 1 || r.Metrics[0].Samples != 2 || math.Abs(float64(r.Metrics[0].Loss)-5) > 1e-6 {
			t.Errorf("%d steps, row %+v", r.Steps, r.Metrics[0])
		}
		return valueOf(t, r.Models[""], "w")
	}
	if got := run(SolverConfig{}); !near(got, []float32{0.5}) {
		t.Errorf("w is %v", got)
	}
	if got := run(SolverConfig{ClipNorm: 1}); !near(got, []float32{0.95}) {
		t.Errorf("clipped: w is %v", got)
	}
	half := 0.5
	if got := run(SolverConfig{Groups: []Group{{Match: "^w", Rate: &half}}}); !near(got, []float32{0.75}) {
		t.Errorf("at half the rate: w is %v", got)
	}
	if got := run(SolverConfig{Average: 0.5}); !near(got, []float32{0.75}) {
		t.Errorf("averaged: w is %v", got)
	}
}

// TestDistillation trains by what a teacher says, without labels. The student says ½ and ½ at temperature 2, the teacher ¾ and ¼, so the
// gradient of the logits is T·(½ − ¾, ½ − ¼).
func TestDistillation(t *testing.T) {
	student := modelOf(t, map[string]*tensor.Tensor{"v": row(1, 1), "w": tensor.From(make([]float32, 4), 2, 2)}, nil, "h = MatMul x, v", "z = MatMul h, w")
	log9 := float32(2 * math.Log(3))
	teacher := modelOf(t, map[string]*tensor.Tensor{"v": row(2, 0), "w": tensor.From([]float32{log9 / 2, 0, 5, 5}, 2, 2)}, nil,
		"h = MatMul image, v", "z = MatMul h, w", "p = Softmax z")
	teacher.OpsetImports[0].Version = 13 // teachers may be of another time
	task, err := Supervised{
		Model: student, Teacher: teacher, Train: feedOf(t, &samples{x: []*tensor.Tensor{tensor.From([]float32{1}, 1)}}, 0),
		Loss: []Term{{Kind: Distillation, Temperature: 2}, {Kind: MSE, Of: "h", Weight: 3}}, Schedule: Schedule{Rate: 1},
	}.Task()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), Config{Steps: 1}, task, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Features are (1, 1) and (2, 0): mean square 1, whose gradient at v is (−1, 1), times 3.
	if want := 4*(0.75*math.Log(1.5)+0.25*math.Log(0.5)) + 3; math.Abs(float64(r.Metrics[0].Loss)-want) > 1e-5 {
		t.Errorf("loss %v, not %v", r.Metrics[0].Loss, want)
	}
	if got := valueOf(t, r.Models[""], "w"); !near(got, []float32{0.5, -0.5, 0.5, -0.5}) {
		t.Errorf("w is %v", got)
	}
	if got := valueOf(t, r.Models[""], "v"); !near(got, []float32{4, -2}) {
		t.Errorf("v is %v", got)
	}
	if r.Models[TeacherName] != nil {
		t.Error("the teacher is among what was trained")
	}
}

// TestTwoStreams trains weights on one stream in every step, and alphas on another in every second one.
func TestTwoStreams(t *testing.T) {
	m := modelOf(t, map[string]*tensor.Tensor{"w": row(1, 2), "alpha": row(0.5, 0.5)}, nil, "k = Mul w, alpha", "y = Mul x, k")
	stream := func(x ...float32) batches {
		var s batches
		for _, v := range x {
			s = append(s, map[string]*tensor.Tensor{"x": row(v, v), "t": row(1, 1)})
		}
		return s
	}
	weights, alphas := phaseOf(0.1, Pass{Loss: squares}), phaseOf(0.2, Pass{Loss: squares})
	weights.Name, weights.Stream, weights.Parameters = "weights", "a", "^w$"
	alphas.Name, alphas.Stream, alphas.Parameters, alphas.Every = "alpha", "b", "^alpha$", 2
	as, bs := []float32{1, 2, 3}, []float32{-1, 0.5}
	task := &Task{Models: []Model{{Model: m, Also: "alpha"}}, Streams: map[string]Stream{"a": stream(as...), "b": stream(bs...)}, Phases: []Phase{weights, alphas}}
	r, err := Run(t.Context(), Config{Steps: 5}, task, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, alpha := []float64{1, 2}, []float64{0.5, 0.5}
	for step := range 5 {
		for i := range w { // the mean of two squares: each has the gradient (y − t)·∂y
			x := float64(as[step%3])
			w[i] -= 0.1 * (x*w[i]*alpha[i] - 1) * x * alpha[i]
		}
		if step%2 == 0 {
			for i := range w {
				x := float64(bs[step/2%2])
				alpha[i] -= 0.2 * (x*w[i]*alpha[i] - 1) * x * w[i]
			}
		}
	}
	narrow := func(v []float64) []float32 { return []float32{float32(v[0]), float32(v[1])} }
	if got := valueOf(t, r.Models[""], "w"); !near(got, narrow(w)) {
		t.Errorf("w is %v, not %v", got, w)
	}
	if got := valueOf(t, r.Models[""], "alpha"); !near(got, narrow(alpha)) {
		t.Errorf("alpha is %v, not %v", got, alpha)
	}
	if len(r.Metrics) != 2 || len(r.Metrics[0].Losses) != 2 {
		t.Errorf("rows %+v", r.Metrics)
	}
}

// TestSubNetworks adds up the gradients of three networks over the same weights in one step, the last two of which are sampled. Of the whole, y = 1·1 + 2·2 + 3·3, the gradient
// is 28·(1, 2, 3); of the first two weights 10·(1, 2), of the first 2·1.
func TestSubNetworks(t *testing.T) {
	ints := func(v int64) *tensor.Tensor { return tensor.From([]int64{v}, 1) }
	whole := modelOf(t, map[string]*tensor.Tensor{"w": column(1, 2, 3)}, nil, "y = MatMul x, w")
	part := func(n int64) *onnx.Graph {
		g := modelOf(t, map[string]*tensor.Tensor{"w": column(9, 9, 9), "zero": ints(0), "one": ints(1), fmt.Sprint("n", n): ints(n)}, nil,
			fmt.Sprintf("k = Slice w, zero, n%d, zero", n), fmt.Sprintf("i = Slice x, zero, n%d, one", n), "y = MatMul i, k").Graph
		return g
	}
	p := phaseOf(0.01)
	p.Sample = func(_ *rand.Rand, step int) ([]Pass, error) {
		return []Pass{{Loss: squares}, {Loss: squares, Uses: []Use{{Graph: part(2)}}}, {Loss: squares, Uses: []Use{{Graph: part(1)}}}}, nil
	}
	task := &Task{Models: []Model{{Model: whole}}, Streams: map[string]Stream{"s": batches{{"x": row(1, 2, 3), "t": row(0)}}}, Phases: []Phase{p}}
	r, err := Run(t.Context(), Config{Steps: 1}, task, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := valueOf(t, r.Models[""], "w"); !near(got, []float32{1 - 0.4, 2 - 0.76, 3 - 0.84}) {
		t.Errorf("w is %v", got)
	}
	if loss := float64(r.Metrics[0].Loss); math.Abs(loss-(14*14+5*5+1)) > 1e-3 {
		t.Errorf("loss %v", loss)
	}
}

// TestAdversaries trains a generator g·z and a discriminator v·x against each other: the discriminator towards 1 of what is real and 0 of what
// is not, through which no gradient reaches the generator, and then the generator towards 1 of the discriminator that came of it.
func TestAdversaries(t *testing.T) {
	one := func(name string, v float32, line string) Model {
		return Model{Name: name, Model: modelOf(t, map[string]*tensor.Tensor{"k": column(v)}, nil, line), Also: "k"}
	}
	towards := func(what string, to float32) Loss {
		return func(f *Formula, _ *Values) (string, error) { return f.MSE(what, f.Constant(row(to))), nil }
	}
	generated := Use{Model: "gen", As: "gen"}
	judged := Use{Model: "disc", As: "disc", Inputs: map[string]string{"x": "gen/y"}}
	detached := judged
	detached.Detach = true
	d := phaseOf(0.01,
		Pass{Uses: []Use{{Model: "disc", As: "disc", Inputs: map[string]string{"x": "real"}}}, Loss: towards("disc/d", 1)},
		Pass{Uses: []Use{generated, detached}, Loss: towards("disc/d", 0)})
	d.Name, d.Hook = "discriminator", func(g *Gradients) error {
		if g.Gradient("gen/k") != nil || !near(g.Gradient("disc/k"), []float32{28}) || math.Abs(g.Loss-(4+36)) > 1e-5 {
			return fmt.Errorf("gradients of %v: %v, loss %v", g.Names(), g.Gradient("disc/k"), g.Loss)
		}
		return nil
	}
	g := phaseOf(0.01, Pass{Uses: []Use{generated, judged}, Loss: towards("disc/d", 1)})
	g.Name, g.Parameters = "generator", "^gen/"
	task := &Task{
		Models: []Model{one("gen", 2, "y = MatMul z, k"), one("disc", 3, "d = MatMul x, k")}, Phases: []Phase{d, g},
		Streams: map[string]Stream{"s": batches{{"z": row(1), "real": row(1)}}},
	}
	r, err := Run(t.Context(), Config{Steps: 1}, task, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := valueOf(t, r.Models["disc"], "k"); !near(got, []float32{2.72}) {
		t.Errorf("the discriminator is %v", got)
	}
	if got := valueOf(t, r.Models["gen"], "k"); !near(got, []float32{2 - 0.01*2*(2.72*2-1)*2.72}) {
		t.Errorf("the generator is %v", got)
	}
}

// TestManyInputs trains a network of two inputs and two outputs: (a·v)² + |b·w + a·v − t|.
func TestManyInputs(t *testing.T) {
	m := modelOf(t, map[string]*tensor.Tensor{"v": column(1, 2), "w": column(3, 4)}, nil, "y = MatMul a, v", "u = MatMul b, w", "s = Add u, y")
	m.Graph.Outputs = append(m.Graph.Outputs, &onnx.ValueInfo{Name: "y"})
	loss, err := Terms([]Term{{Kind: MSE, Of: "y", Target: "zero"}, {Kind: L1, Of: "s", Target: "t", Weight: 2}})
	if err != nil {
		t.Fatal(err)
	}
	task := &Task{
		Models: []Model{{Model: m}}, Phases: []Phase{phaseOf(0.1, Pass{Loss: loss})},
		Streams: map[string]Stream{"s": batches{{"a": row(1, -1), "b": row(2, 1), "zero": row(0), "t": row(100)}}},
	}
	r, err := Run(t.Context(), Config{Steps: 1}, task, nil)
	if err != nil {
		t.Fatal(err)
	}
	// y = −1, s = 10 − 1 = 9 below 100: ∂y is −2 − 2, ∂u is −2.
	if got := valueOf(t, r.Models[""], "v"); !near(got, []float32{1 + 0.4, 2 - 0.4}) {
		t.Errorf("v is %v", got)
	}
	if got := valueOf(t, r.Models[""], "w"); !near(got, []float32{3 + 0.4, 4 + 0.2}) {
		t.Errorf("w is %v", got)
	}
	if got := float64(r.Metrics[0].Loss); math.Abs(got-(1+2*91)) > 1e-4 {
		t.Errorf("loss %v", got)
	}
}

// TestDiverged stops where the loss is no number, says where that comes from, and leaves the last checkpoint alone.
func TestDiverged(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		name  string
		rate  float64
		x     []float32
		says  []string
		steps int
		data  bool
	}{
		{name: "a node", rate: 1, x: []float32{1, 1, 1}, says: []string{"step 2", `node "l" (Log)`, `output "l"`}, steps: 1},
		{name: "a weight", rate: math.MaxFloat32, x: []float32{1, 1, 1}, says: []string{"step 2", `tensor "w"`}, steps: 1},
		{name: "the data", rate: 1e-3, x: []float32{1, 1, nan}, says: []string{"step 3", `field "x"`, "NaN"}, steps: 2, data: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := modelOf(t, map[string]*tensor.Tensor{"w": column(0.5, 0.5)}, nil, "z = MatMul x, w", "l = Log z", "y = Add l, z")
			var s batches
			for _, x := range c.x {
				s = append(s, map[string]*tensor.Tensor{"x": row(x, x), "t": row(-40)})
			}
			folder := t.TempDir()
			config := Config{Steps: 3, Checkpoints: CheckpointConfig{Folder: folder, Every: 1}}
			r, err := Run(t.Context(), config, &Task{Models: []Model{{Model: m}}, Streams: map[string]Stream{"s": s}, Phases: []Phase{phaseOf(c.rate, Pass{Loss: squares})}}, nil)
			var diverged *DivergedError
			var data *job.DataError
			if !(errors.As(err, &diverged) || c.name == "a weight" && err != nil) || errors.As(err, &data) != c.data {
				t.Fatal(err)
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) && c.name != "a weight" || c.name == "a weight" && !strings.Contains(err.Error(), `tensor "w"`) {
					t.Errorf("%v: it does not say %s", err, text)
				}
			}
			if c.name == "a weight" { // the checkpoint would have had it
				return
			}
			if r == nil || r.Steps != c.steps {
				t.Errorf("result %+v", r)
			}
			if _, err := os.Stat(filepath.Join(folder, fmt.Sprintf(stepPattern, c.steps))); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRefused are tasks that cannot be trained.
func TestRefused(t *testing.T) {
	matrix := func() *tensor.Tensor { return tensor.From([]float32{1, 0, 0, 1}, 2, 2) }
	labels := func(f *Formula, v *Values) (string, error) { return f.CrossEntropy("y", "labels", 2, 0), nil }
	for _, c := range []struct {
		name    string
		tensors map[string]*tensor.Tensor
		lines   []string
		loss    Loss
		label   int64
		says    []string
		code    func(error) bool
	}{
		{
			"operators without gradients",
			map[string]*tensor.Tensor{"w": matrix()},
			[]string{"a = MatMul x, w", "b = Hardmax a", "c = Hardmax a", "y = Add b, c"},
			squares, 0,
			[]string{`node "b": gradient of Hardmax`, `node "c": gradient of Hardmax`},
			isModel,
		},
		{
			"integer weights",
			map[string]*tensor.Tensor{"q": tensor.From([]int8{1, 2, 3, 4}, 2, 2), "step": tensor.Scalar(float32(0.5)), "w": matrix()},
			[]string{"d = DequantizeLinear q, step", "a = MatMul x, d", "y = MatMul a, w"},
			squares, 0,
			[]string{`node "d"`, `"q" is int8`},
			isModel,
		},
		{"labels", map[string]*tensor.Tensor{"w": matrix()}, []string{"y = MatMul x, w"}, labels, 2, []string{"label 2", "2 classes"}, isData},
		{"nothing to train", map[string]*tensor.Tensor{}, []string{"y = Relu x"}, squares, 0, []string{"no tensor"}, isModel},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := modelOf(t, c.tensors, nil, c.lines...)
			p := phaseOf(0.1, Pass{Loss: c.loss, Logits: "y", Labels: "labels"})
			if c.label == 0 {
				p.Passes[0].Logits = ""
			}
			task := &Task{
				Models: []Model{{Model: m}}, Phases: []Phase{p},
				Streams: map[string]Stream{"s": batches{{"x": row(1, 1), "t": row(0, 0), "labels": tensor.From([]int64{c.label}, 1)}}},
			}
			_, err := Run(t.Context(), Config{Steps: 1}, task, nil)
			if err == nil || !c.code(err) {
				t.Fatal(err)
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%v: it does not say %s", err, text)
				}
			}
		})
	}
}

func isModel(err error) bool { var e *job.ModelError; return errors.As(err, &e) }
func isData(err error) bool  { var e *job.DataError; return errors.As(err, &e) }
