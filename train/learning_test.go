package train

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
	"github.com/effml/effml/zoo"
)

// textClassifier tells classes of sequences [T, N] of tokens apart: embedding, LSTM, its last state, a layer.
func textClassifier(t testing.TB, r *rand.Rand, classes int) *onnx.Model {
	const tokens, width, hidden = 40, 12, 16
	ints := func(v ...int64) *tensor.Tensor { return tensor.From(v, len(v)) }
	tensors := map[string]*tensor.Tensor{
		"embedding": normal(r, 1, tokens, width), "lstm.w": normal(r, 0.3, 1, 4*hidden, width), "lstm.r": normal(r, 0.3, 1, 4*hidden, hidden), "lstm.b": normal(r, 0.1, 1, 8*hidden),
		"fc.weight": normal(r, 0.3, hidden, classes), "fc.bias": normal(r, 0.1, classes), "first": ints(0),
	}
	attrs := map[string][]*onnx.Attribute{"all, h": {integer("hidden_size", hidden)}}
	m := modelOf(t, tensors, attrs, "e = Gather embedding, x", "all, h = LSTM e, lstm.w, lstm.r, lstm.b", "last = Squeeze h, first", "y = Gemm last, fc.weight, fc.bias")
	m.Graph.Inputs[0].Type.Tensor.ElemType = onnx.Int64
	return m
}

// TestLearning trains networks with convolutions, residues, depthwise convolutions and recurrence for 20 steps on one batch: the loss falls, and the bits of
// the weights are the same for any number of threads.
func TestLearning(t *testing.T) {
	const steps, classes, samples = 20, 10, 6
	for _, c := range []struct {
		name    string
		options zoo.Options
		rate    float64
	}{
		{"lenet-5", zoo.Options{}, 0.005},
		{"resnet-20", zoo.Options{Input: [3]int{3, 12, 12}}, 0.02},
		{"mobilenet-v2", zoo.Options{Input: [3]int{3, 32, 32}, Width: 0.25, Classes: classes}, 0.02},
		{"text", zoo.Options{}, 0.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name != "text" {
				t.Skip("in short mode")
			}
			r := rand.New(rand.NewPCG(1, 2))
			var m *onnx.Model
			var x *tensor.Tensor
			if c.name == "text" {
				m = textClassifier(t, r, classes)
				words := make([]int64, 9*samples)
				for i := range words {
					words[i] = r.Int64N(40)
				}
				x = tensor.From(words, 9, samples)
			} else {
				n, err := zoo.Find(c.name)
				if err != nil {
					t.Fatal(err)
				}
				if m, err = n.Build(c.options, r); err != nil {
					t.Fatal(err)
				}
				size := n.Input
				if c.options.Input[0] > 0 {
					size = c.options.Input
				}
				x = normal(r, 1, samples, size[0], size[1], size[2])
			}
			labels := make([]int64, samples)
			for i := range labels {
				labels[i] = r.Int64N(classes)
			}
			losses := []float64{}
			phase := phaseOf(c.rate, Pass{Loss: func(f *Formula, v *Values) (string, error) {
				logits, _ := v.Logits("")
				return f.CrossEntropy(logits, "labels", classes, 0), nil
			}})
			phase.Solver = SolverConfig{Momentum: 0.9, Decay: 1e-4}
			phase.Hook = func(g *Gradients) error {
				losses = append(losses, g.Loss)
				return nil
			}
			stream := batches{{m.Graph.Inputs[0].Name: x, "labels": tensor.From(labels, samples)}}
			var first string
			for _, threads := range []int{1, 2, 7} {
				losses = losses[:0]
				task := &Task{Models: []Model{{Model: m}}, Streams: map[string]Stream{"s": stream}, Phases: []Phase{phase}}
				result, err := Run(t.Context(), Config{Steps: steps, Seed: 5, Threads: threads, Last: true}, task, nil)
				if err != nil {
					t.Fatal(err)
				}
				last := string(bits(result.Models[""]))
				if first == "" {
					first = last
				}
				if last != first {
					t.Errorf("with %d threads other weights than with one", threads)
				}
				if !(losses[steps-1] < 0.7*losses[0]) || math.IsNaN(losses[0]) {
					t.Errorf("the loss went from %v to %v", losses[0], losses[steps-1])
				}
			}
			t.Logf("loss %.3f → %.3f", losses[0], losses[steps-1])
		})
	}
}
