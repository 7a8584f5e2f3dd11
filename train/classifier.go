package train

import (
	"context"
	"fmt"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/score"
	"github.com/effml/effml/onnx"
)

// evaluationBatch is the samples a run of an evaluation where nothing is said.
const evaluationBatch = 64

// Classifier returns a Task.Check that measures how often the model without a name, or the only one, is right on the samples of a Feed with labels. Of o
// Batch, Workers, Ahead and SkipBad count.
func Classifier(feed *dataset.Feed, o dataset.Options) func(context.Context, *Evaluation) (*Score, error) {
	o = dataset.Options{Batch: o.Batch, Workers: o.Workers, Ahead: o.Ahead, SkipBad: o.SkipBad}
	if o.Batch == 0 {
		o.Batch = evaluationBatch
	}
	if feed.Batch > 0 {
		o.Batch = feed.Batch
	}
	return func(ctx context.Context, e *Evaluation) (*Score, error) {
		m := e.Models[""]
		if m == nil && len(e.Models) == 1 {
			for _, only := range e.Models {
				m = only
			}
		}
		if m == nil || feed.Labels == "" {
			return nil, job.Usagef("train: to measure accuracy there must be one model, and labels")
		}
		return classify(ctx, e, m, feed, o)
	}
}

func classify(ctx context.Context, e *Evaluation, m *onnx.Model, feed *dataset.Feed, o dataset.Options) (*Score, error) {
	s, err := infer.New(m, infer.Options{CPU: e.CPU})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	runner, counted := s.NewRunner(), &score.Metrics{}
	what, _ := score.OutcomeOf(m.Graph)
	e.Events.Stage("evaluate", int64(feed.Len()), "samples")
	for b, err := range feed.Batches(ctx, o) {
		if err != nil {
			return nil, err
		}
		outputs, err := runner.Run(ctx, b.Inputs)
		if err != nil {
			return nil, err
		}
		numbers, ok := score.Numbers(outputs, b.Len)
		if !ok {
			return nil, job.Usagef("train: the model is no classifier: its first output must be numbers of shape [N, classes], it has %v", outputs)
		}
		if err := counted.Add(b.Len, numbers, what, b.Labels, nil); err != nil {
			return nil, &job.DataError{Err: fmt.Errorf("train: %w", err)}
		}
		e.Events.Advance(int64(b.Len))
	}
	r := &Score{Samples: counted.Samples, Loss: counted.MeanLoss(), Top1: counted.Top1Percent(), Top5: counted.Top5Percent()}
	for _, c := range counted.PerClass() {
		r.PerClass = append(r.PerClass, ClassScore{Class: c.Class, Samples: c.Samples, Top1: c.Top1})
	}
	return r, nil
}
