package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// samples is a Source in memory: x and a label.
type samples struct {
	x      []*tensor.Tensor
	labels []int64
}

func (s *samples) Len() int          { return len(s.x) }
func (s *samples) Name(i int) string { return fmt.Sprintf("sample %d", i) }
func (s *samples) Close() error      { return nil }

func (s *samples) Fields() []dataset.Field {
	fields := []dataset.Field{{Name: "x", Type: onnx.Float, Shape: s.x[0].Shape}}
	if s.labels != nil {
		fields = append(fields, dataset.Field{Name: "label", Kind: dataset.Label, Type: onnx.Int64, Shape: []int{}})
	}
	return fields
}

func (s *samples) Read(i int, to dataset.Sample) error {
	to["x"] = s.x[i]
	if s.labels != nil {
		to["label"] = tensor.Scalar(s.labels[i])
	}
	return nil
}

// blobs is n samples of classes that differ in their means.
func blobs(n, classes int, seed uint64, shape ...int) *samples {
	s, r, means := &samples{}, rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(7, 7))
	centre := make([][]float32, classes)
	count := 1
	for _, d := range shape {
		count *= d
	}
	for c := range centre {
		for range count {
			centre[c] = append(centre[c], float32(means.NormFloat64()))
		}
	}
	for i := range n {
		v := make([]float32, count)
		for k := range v {
			v[k] = centre[i%classes][k] + 0.7*float32(r.NormFloat64())
		}
		s.x, s.labels = append(s.x, tensor.From(v, shape...)), append(s.labels, int64(i%classes))
	}
	return s
}

func feedOf(t testing.TB, s *samples, outputs int) *dataset.Feed {
	t.Helper()
	p, err := dataset.NewPart(s, dataset.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.Bind([]dataset.Input{{Name: "x", Type: onnx.Float}}, outputs)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// modelOf makes a model of lines such as "y = Conv x, w", of input x and the last line's output, or those of outputs.
func modelOf(t testing.TB, tensors map[string]*tensor.Tensor, attrs map[string][]*onnx.Attribute, lines ...string) *onnx.Model {
	t.Helper()
	g := &onnx.Graph{Name: "test"}
	made := map[string]bool{"": true}
	for _, name := range sorted(tensors) {
		g.Initializers, made[name] = append(g.Initializers, tensors[name].Clone().ToONNX(name)), true
	}
	for _, line := range lines {
		out, rest, _ := strings.Cut(line, " = ")
		op, in, _ := strings.Cut(rest, " ")
		n := &onnx.Node{Name: out, OpType: op, Inputs: strings.Split(in, ", "), Outputs: strings.Split(out, ", "), Attributes: attrs[out]}
		for _, name := range n.Inputs {
			if !made[name] {
				g.Inputs, made[name] = append(g.Inputs, &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float}}}), true
			}
		}
		for _, name := range n.Outputs {
			made[name] = true
		}
		g.Nodes = append(g.Nodes, n)
	}
	for _, name := range g.Nodes[len(g.Nodes)-1].Outputs {
		g.Outputs = append(g.Outputs, &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float}}})
	}
	return &onnx.Model{IRVersion: 8, OpsetImports: []*onnx.OperatorSet{{Version: 17}}, Graph: g}
}

func normal(r *rand.Rand, scale float64, shape ...int) *tensor.Tensor {
	t, _ := tensor.New(onnx.Float, shape...)
	for i := range tensor.Of[float32](t) {
		tensor.Of[float32](t)[i] = float32(scale * r.NormFloat64())
	}
	return t
}

func full1(v float32, n int) *tensor.Tensor { return tensor.From(slices.Repeat([]float32{v}, n), n) }

// convNet is a small network of images [2, 6, 6] with all that is special in training: batch normalisation and dropout.
func convNet(t testing.TB, classes int) *onnx.Model {
	r := rand.New(rand.NewPCG(3, 4))
	return modelOf(t, map[string]*tensor.Tensor{
		"w1": normal(r, 0.3, 8, 2, 3, 3), "scale": full1(1, 8), "bias": full1(0, 8), "mean": full1(0, 8), "var": full1(1, 8),
		"w2": normal(r, 0.2, 8, 8, 3, 3), "b2": full1(0, 8), "w3": normal(r, 0.3, classes, 8), "b3": full1(0, classes), "ratio": tensor.Scalar(float32(0.25)),
	}, map[string][]*onnx.Attribute{"g": {integer("transB", 1)}},
		"c = Conv x, w1", "n = BatchNormalization c, scale, bias, mean, var", "a = Relu n", "d = Dropout a, ratio",
		"e = Conv d, w2, b2", "f = Relu e", "p = GlobalAveragePool f", "q = Flatten p", "g = Gemm q, w3, b3", "y = Softmax g")
}

// recorder keeps what a training tells, and may do something after a step.
type recorder struct {
	Events
	rows  []Metrics
	steps []Progress
	after func(p Progress)
}

func (r *recorder) Row(m Metrics) { r.rows = append(r.rows, m) }
func (r *recorder) Step(p Progress) {
	r.steps = append(r.steps, p)
	if r.after != nil {
		r.after(p)
	}
}

func supervised(t testing.TB) *Task {
	t.Helper()
	task, err := Supervised{
		Model: convNet(t, 4), Train: feedOf(t, blobs(90, 4, 1, 2, 6, 6), 4), Val: feedOf(t, blobs(50, 4, 2, 2, 6, 6), 4), Batch: 8, Seed: 5,
		Solver: SolverConfig{Momentum: 0.9, Decay: 1e-3, OnlyDecay: "weights", Average: 0.9}, Schedule: Schedule{Kind: OneCycle, Rate: 0.1},
		Loss: []Term{{Smoothing: 0.1}},
	}.Task()
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// bits are the values of a model.
func bits(m *onnx.Model) []byte {
	var b bytes.Buffer
	for _, t := range m.Graph.Initializers {
		v, err := tensor.FromONNX(t)
		if err != nil {
			panic(err)
		}
		b.Write(v.Bytes())
	}
	return b.Bytes()
}

// TestSupervised trains a small network end to end: it learns, on any number of threads alike, and says how.
func TestSupervised(t *testing.T) {
	var first []byte
	for _, threads := range []int{1, 2, 7} {
		ev := &recorder{Events: NoEvents()}
		r, err := Run(t.Context(), Config{Epochs: 6, Seed: 9, Threads: threads}, supervised(t), ev)
		if err != nil {
			t.Fatal(err)
		}
		b := bits(r.Models[""])
		if first == nil {
			first = b
		}
		if !bytes.Equal(b, first) {
			t.Errorf("%d threads lead to other weights", threads)
		}
		if r.Steps != 66 || len(ev.steps) != 66 || len(ev.rows) != 6 || r.Epochs != 6 {
			t.Errorf("%d steps, told of %d and of %d rows", r.Steps, len(ev.steps), len(ev.rows))
		}
		last := ev.rows[5]
		if last.Val == nil || last.Val.Samples != 50 || last.Val.Top1 < 95 || last.Val.Top5 != 100 || len(last.Val.PerClass) != 4 {
			t.Errorf("validation: %+v", last.Val)
		}
		if *last.Top1 < 80 || last.Samples != 88 || float64(last.Loss) > 0.8*float64(ev.rows[0].Loss) {
			t.Errorf("row: %+v", last)
		}
		sum := 0.0
		for _, p := range ev.steps[55:] {
			sum += p.Loss
		}
		if math.Abs(sum/11-float64(last.Loss)) > 1e-9 || ev.steps[65].Epoch != 6 || ev.steps[65].Batch != 11 {
			t.Errorf("loss %v of the last epoch, steps say %v", last.Loss, sum/11)
		}
		if r.Best == nil || !r.Best.Best {
			t.Errorf("best: %+v", r.Best)
		}
	}
}

// TestResume interrupts a training after every number of steps: resumed it leads to the same bits, and the same rows.
func TestResume(t *testing.T) {
	config := Config{Epochs: 2, Seed: 9, Threads: 2, Last: true}
	whole, err := Run(t.Context(), config, supervised(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	for stop := 1; stop <= 22; stop++ {
		if testing.Short() && stop%5 != 1 {
			continue
		}
		c := config
		c.Checkpoints = CheckpointConfig{Folder: t.TempDir(), Resume: true}
		ctx, cancel := context.WithCancel(t.Context())
		ev := &recorder{Events: NoEvents(), after: func(p Progress) {
			if p.Step == stop {
				cancel()
			}
		}}
		r, err := Run(ctx, c, supervised(t), ev)
		cancel()
		if !errors.Is(err, context.Canceled) || r == nil || r.Steps != stop {
			t.Fatalf("stopped after %d: %v", stop, err)
		}
		if r, err = Run(t.Context(), c, supervised(t), nil); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bits(r.Models[""]), bits(whole.Models[""])) {
			t.Errorf("stopped after %d: other weights", stop)
		}
		if r.Resumed != stop || len(r.Metrics) != 2 || r.Metrics[0].Loss != whole.Metrics[0].Loss || *r.Metrics[1].Top1 != *whole.Metrics[1].Top1 || r.Metrics[1].Val.Loss != whole.Metrics[1].Val.Loss {
			t.Errorf("stopped after %d: other rows: %+v", stop, r.Metrics)
		}
	}
}

// TestInterruptedEvaluation makes an evaluation again that was interrupted.
func TestInterruptedEvaluation(t *testing.T) {
	config := Config{Epochs: 2, Seed: 9, Last: true}
	whole, err := Run(t.Context(), config, supervised(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	config.Checkpoints = CheckpointConfig{Folder: t.TempDir(), Resume: true}
	ctx, cancel := context.WithCancel(t.Context())
	task := supervised(t)
	check := task.Check
	task.Check = func(_ context.Context, e *Evaluation) (*Score, error) {
		cancel()
		return check(ctx, e)
	}
	if r, err := Run(ctx, config, task, nil); !errors.Is(err, context.Canceled) || r.Steps != 11 || len(r.Metrics) != 0 {
		t.Fatalf("%v: %+v", err, r)
	}
	r, err := Run(t.Context(), config, supervised(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bits(r.Models[""]), bits(whole.Models[""])) || len(r.Metrics) != 2 || r.Metrics[0].Loss != whole.Metrics[0].Loss || r.Metrics[0].Val.Loss != whole.Metrics[0].Val.Loss {
		t.Errorf("other weights or rows: %+v", r.Metrics)
	}
}

// TestResumeOther refuses to go on with something else, and says what.
func TestResumeOther(t *testing.T) {
	c := Config{Steps: 3, Seed: 9, Checkpoints: CheckpointConfig{Folder: t.TempDir(), Resume: true}}
	if _, err := Run(t.Context(), c, supervised(t), nil); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config, *Task){
		"model": func(_ *Config, k *Task) {
			k.Models[0].Model = convNet(t, 4)
			k.Models[0].Model.Graph.Nodes[2].OpType = "Sigmoid"
		},
		"data train": func(_ *Config, k *Task) {
			k.Streams["train"] = FeedStream(feedOf(t, blobs(91, 4, 1, 2, 6, 6), 4), dataset.Options{Batch: 8})
		},
		"config": func(c *Config, _ *Task) { c.Steps = 4 },
		"phase":  func(_ *Config, k *Task) { k.Phases[0].Solver.Momentum = 0.8 },
	} {
		config, task := c, supervised(t)
		change(&config, task)
		_, err := Run(t.Context(), config, task, nil)
		var resume *job.ResumeError
		if !errors.As(err, &resume) || !strings.Contains(err.Error(), name+": another one") || strings.Count(err.Error(), "another one") != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// sampledTask draws one of two paths at random in every step and counts how often, on one stream, and trains gates on another in every third step.
func sampledTask(t testing.TB) *Task {
	t.Helper()
	counts := make([]float32, 2)
	r := rand.New(rand.NewPCG(1, 1))
	m := modelOf(t, map[string]*tensor.Tensor{"a": normal(r, 1, 3, 3), "b": normal(r, 1, 3, 3), "gate": tensor.Scalar(float32(1))}, nil,
		"h = MatMul x, a", "i = MatMul x, b", "k = Mul i, gate", "y = Add h, k")
	path := func(w string) *onnx.Graph {
		return modelOf(t, map[string]*tensor.Tensor{w: row(0, 0, 0)}, nil, "h = MatMul x, "+w, "y = Tanh h").Graph
	}
	var s, u batches
	for range 7 {
		s = append(s, map[string]*tensor.Tensor{"x": normal(r, 1, 4, 3), "t": normal(r, 1, 4, 3)})
		u = append(u, map[string]*tensor.Tensor{"x": normal(r, 1, 2, 3), "t": normal(r, 1, 2, 3)})
	}
	weights, gates := phaseOf(0.05), phaseOf(0.1, Pass{Loss: squares})
	weights.Parameters, weights.Solver, weights.Accumulate = "^[ab]$", SolverConfig{Kind: Adam}, 2
	weights.Sample = func(r *rand.Rand, _ int) ([]Pass, error) {
		n := r.IntN(2)
		counts[n]++
		return []Pass{{Loss: squares, Uses: []Use{{Graph: path([]string{"a", "b"}[n])}}}}, nil
	}
	gates.Name, gates.Stream, gates.Parameters, gates.Every = "gates", "u", "gate", 3
	gates.Hook = func(g *Gradients) error { // of what State has
		g.Gradient("gate")[0] += counts[0] - counts[1]
		return nil
	}
	return &Task{
		Models: []Model{{Model: m, Also: "gate"}}, Streams: map[string]Stream{"s": s, "u": u[:5]}, Phases: []Phase{weights, gates},
		State: []Slice{{Name: "counts", Values: counts}},
	}
}

// TestKilled goes on from every checkpoint that a training has left on its way, as one does that was killed: to the same bits.
func TestKilled(t *testing.T) {
	for name, of := range map[string]func(testing.TB) *Task{"supervised": supervised, "sampled": sampledTask} {
		folder := t.TempDir()
		c := Config{Steps: 19, Seed: 3, Threads: 2, Last: true, Checkpoints: CheckpointConfig{Folder: folder, Every: 2, Keep: 100}}
		whole, err := Run(t.Context(), c, of(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(folder)
		if err != nil || len(files) < 10 {
			t.Fatalf("%d checkpoints, %v", len(files), err)
		}
		for _, f := range files {
			if f.Name() == bestName {
				continue
			}
			data, err := os.ReadFile(filepath.Join(folder, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			again := c
			again.Threads = 3
			again.Checkpoints = CheckpointConfig{Folder: t.TempDir(), Resume: true}
			if err := os.WriteFile(filepath.Join(again.Checkpoints.Folder, f.Name()), data, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Run(t.Context(), again, of(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(bits(r.Models[""]), bits(whole.Models[""])) {
				t.Errorf("%s: from %s on: other weights", name, f.Name())
			}
		}
	}
}
