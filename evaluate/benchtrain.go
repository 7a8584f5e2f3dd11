package evaluate

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
	"github.com/effml/effml/train"
)

// TrainBench is how fast whole training steps are: forward, backward, and the change of the weights by SGD with momentum.
type TrainBench struct {
	Parameters int64        `json:"parameters" doc:"numbers that are trained"`
	Memory     train.Memory `json:"memory" doc:"bytes, as predicted before the steps"`
	Garbage    int64        `json:"garbage_bytes" doc:"bytes of new memory a step that the collector has to look after"`
	Loss       job.Float    `json:"loss" doc:"of the last step"`
}

// benchTrain measures steps of training on one batch of random samples.
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
	s := &synthetic{batch: max(c.Batch, 1)}
	if err := s.make(f.Model, c); err != nil {
		return err
	}
	r.LoadMS = ms(time.Since(start))
	watch := &stopwatch{Events: ev, warmup: max(c.Warmup, 2), start: start}
	task, err := s.task(f.Model)
	if err != nil {
		return err
	}
	ev.Stage("train", int64(watch.warmup+r.Runs), "steps")
	t, err := train.Run(ctx, task, train.Config{Steps: watch.warmup + r.Runs, Seed: max(c.Seed, 1), Threads: c.Threads, Last: true}, watch)
	if err != nil {
		return err
	}
	r.Train = &TrainBench{Parameters: t.Parameters, Memory: t.Memory, Garbage: watch.garbage(), Loss: job.Float(watch.loss)}
	r.MS, r.Batch, r.LoadFirstMS = spread(watch.steps), s.batch, watch.first
	r.ImagesPerS = 1000 * float64(r.Batch) / r.MS.Median
	for _, in := range s.inputs {
		r.Inputs = append(r.Inputs, Value{Name: in, Type: tensor.TypeName(s.fields[in].Type), Shape: dims(s.fields[in].Shape)})
	}
	return nil
}

// synthetic is a stream of one batch, the same again and again.
type synthetic struct {
	batch   int
	classes int
	inputs  []string
	fields  map[string]*tensor.Tensor
}

// labelsField is the field of the classes.
const labelsField = "effml/labels"

// make draws the batch: normally distributed numbers, and classes that are all equally frequent.
func (s *synthetic) make(m *onnx.Model, c BenchConfig) error {
	session, err := newSession(m, sessionOptions(c))
	if err != nil {
		return err
	}
	defer session.Close()
	values, err := randomInputs(session.Inputs(), c)
	if err != nil {
		return err
	}
	s.fields = map[string]*tensor.Tensor{}
	for i, in := range session.Inputs() {
		s.inputs = append(s.inputs, in.Name)
		s.fields[in.Name] = values[i]
		if i == 0 && len(values[i].Shape) > 0 {
			s.batch = values[i].Shape[0]
		}
	}
	if s.classes = classesOf(session); s.classes == 0 {
		return job.Usagef("evaluate: the model is no classifier: training is measured with the cross entropy of its first output")
	}
	r, labels := rand.New(rand.NewPCG(c.Seed, 1)), make([]int64, s.batch)
	for i := range labels {
		labels[i] = r.Int64N(int64(s.classes))
	}
	s.fields[labelsField] = tensor.From(labels, s.batch)
	return nil
}
