package evaluate

import (
	"context"
	"iter"
	"runtime"
	"time"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/train"
)

// TrainBench is how fast whole training steps are: forward, backward, and the change of the weights by SGD with momentum.
type TrainBench struct {
	Parameters int64        `json:"parameters" doc:"numbers that are trained"`
	Memory     train.Memory `json:"memory" doc:"as predicted before the steps"`
	Garbage    int64        `json:"garbage_bytes" doc:"bytes of new memory a step that the collector has to look after"`
	Loss       job.Float    `json:"loss" doc:"of the last step"`
}

// benchTrain measures steps of training on one batch of random samples, again and again.
func benchTrain(ctx context.Context, c BenchConfig, ev job.Events, r *BenchResult) error {
	start := time.Now()
	f, err := modelfile.Open(c.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if r.Input, err = f.Describe(ctx); err != nil {
		return err
	}
	feed, err := trainingNoise(f.Model, c, r)
	if err != nil {
		return err
	}
	task, err := train.Supervised{
		Model: f.Model, Train: feed, Batch: r.Batch, Seed: c.Seed, Solver: train.SolverConfig{Momentum: 0.9}, Schedule: train.Schedule{Rate: 0.01},
	}.Task()
	if err != nil {
		return err
	}
	for name, s := range task.Streams {
		task.Streams[name] = &repeated{Stream: s}
	}
	r.LoadMS = ms(time.Since(start))
	w := &stopwatch{Events: ev, start: start, last: time.Now(), warmup: max(c.Warmup, 2)}
	t, err := train.Run(ctx, train.Config{Steps: w.warmup + r.Runs, Seed: c.Seed, Threads: c.Threads, Last: true, Recompute: c.Recompute}, task, w)
	if err != nil {
		return err
	}
	r.Train = &TrainBench{Parameters: t.Parameters, Memory: t.Memory, Garbage: w.garbage(), Loss: job.Float(w.loss)}
	r.LoadFirstMS, r.MS = w.first, spread(w.times)
	r.ImagesPerS = 1000 * float64(r.Batch) / r.MS.Median
	r.GFLOPS = 6 * float64(r.MACs) / r.MS.Median / 1e6
	return nil
}

// trainingNoise makes random samples with classes that are all equally frequent, and notes what it finds out about the model on the way.
func trainingNoise(m *onnx.Model, c BenchConfig, r *BenchResult) (*dataset.Feed, error) {
	o, err := infer.Outline(m, nil)
	if err != nil {
		return nil, err
	}
	inputs, err := randomInputs(o.Inputs, c)
	if err != nil {
		return nil, err
	}
	n, shapes := &noise{samples: 1}, map[string]ops.Shape{}
	var wanted []dataset.Input
	for i, in := range inputs {
		name := o.Inputs[i].Name
		if len(in.Shape) == 0 {
			return nil, job.Usagef("evaluate: input %q has no batch of samples, so it cannot be trained on", name)
		}
		shapes[name] = ops.MakeShape(in.Shape...)
		n.samples = in.Shape[0]
		n.fields = append(n.fields, dataset.Field{Name: name, Type: in.Type, Shape: in.Shape[1:]})
		wanted = append(wanted, dataset.Input{Name: name, Type: in.Type, Shape: in.Shape})
		r.Inputs = append(r.Inputs, described(name, in))
	}
	if o, err = infer.Outline(m, shapes); err != nil {
		return nil, err
	}
	r.Batch, r.MACs = n.samples, 0
	for _, node := range o.Nodes {
		r.MACs += node.Cost.MACs
		for _, out := range node.Outputs {
			if dims, known := out.Shape.Known(); known && len(m.Graph.Outputs) > 0 && out.Name == m.Graph.Outputs[0].Name && len(dims) == 2 {
				n.classes = dims[1]
			}
		}
	}
	if n.classes == 0 {
		return nil, job.Usagef("evaluate: the model is no classifier: its first output must be numbers of shape [N, classes]")
	}
	p, err := dataset.NewPart(n, dataset.Spec{})
	if err != nil {
		return nil, err
	}
	return p.Bind(wanted, n.classes)
}

// repeated is a stream that delivers its first batch again and again.
type repeated struct{ train.Stream }

// PerEpoch implements [train.Stream]: one epoch is all there is.
func (*repeated) PerEpoch() int { return 1 << 30 }

// Batches implements [train.Stream].
func (s *repeated) Batches(ctx context.Context, _, _ int) iter.Seq2[*train.Batch, error] {
	return func(yield func(*train.Batch, error) bool) {
		for b, err := range s.Stream.Batches(ctx, 0, 0) {
			for i := 0; yield(b, err) && err == nil; i++ {
				b.Number = i + 1
			}
			return
		}
	}
}

// stopwatch notes when steps end.
type stopwatch struct {
	job.Events
	start, last time.Time
	warmup      int
	first       float64 // ms from the start to the end of the first step
	times       []float64
	loss        float64
	before, end runtime.MemStats
}

// Step implements [train.Events].
func (w *stopwatch) Step(p train.Progress) {
	now := time.Now()
	switch {
	case p.Step == 1:
		w.first = ms(now.Sub(w.start))
	case p.Step > w.warmup:
		w.times = append(w.times, ms(now.Sub(w.last)))
	}
	if p.Step == w.warmup {
		w.times = make([]float64, 0, p.Steps)
		runtime.ReadMemStats(&w.before)
	}
	if p.Step == p.Steps {
		runtime.ReadMemStats(&w.end)
	}
	w.loss, w.last = p.Loss, time.Now()
}

// Row implements [train.Events].
func (*stopwatch) Row(train.Metrics) {}

// garbage returns how much memory a step took anew.
func (w *stopwatch) garbage() int64 {
	return int64(w.end.TotalAlloc-w.before.TotalAlloc) / int64(max(len(w.times), 1))
}
