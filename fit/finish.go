package fit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/train"
)

// plan does a few steps and says what all of them will take.
func (r *run) plan(ctx context.Context, task *train.Task) error {
	const steps = 8
	c := r.config()
	perEpoch := r.task.Train.Len() / r.recipe.Batch / max(1, r.recipe.Accumulate)
	plan := &Plan{Epochs: c.Epochs, Steps: c.Steps, Fixed: fixed(r.model, r.recipe.Solver)}
	if plan.Steps == 0 {
		plan.Steps = perEpoch * c.Epochs
	}
	task.Check = nil
	c.Steps, c.Epochs, c.Checkpoints = steps, 0, train.CheckpointConfig{}
	r.events.keep = true
	trained, err := train.Run(ctx, c, task, r.events)
	if err != nil {
		return err
	}
	r.keep(trained)
	step := r.events.stepTime().Seconds()
	plan.StepMS, plan.Seconds = 1000*step, step*float64(plan.Steps)
	r.result.Plan, r.result.ImagesPerS = plan, float64(r.recipe.Batch*max(1, r.recipe.Accumulate))/step
	r.result.Epochs, r.result.Steps, r.result.Metrics = 0, 0, []train.Metrics{}
	return nil
}

// keep takes over what was trained.
func (r *run) keep(t *train.Result) {
	common := r.result.Common
	r.result.Result = *t
	r.result.Common = common
	r.result.Recipe = *r.recipe
	r.result.Notes = append(r.notes, t.Notes...)
	if m := t.Models[""]; m != nil {
		r.model = m
	}
	var speeds []float64
	for _, m := range t.Metrics {
		speeds = append(speeds, m.SamplesPerS)
	}
	if slices.Sort(speeds); len(speeds) > 0 {
		r.result.ImagesPerS = speeds[len(speeds)/2]
	}
	if b := t.Best; b != nil && b.Val != nil {
		r.score(r.task.Val.Name, b.Val)
	}
	if i := len(t.Metrics) - 1; r.recipe.Last && i >= 0 && t.Metrics[i].Val != nil {
		r.score(r.task.Val.Name, t.Metrics[i].Val)
	}
}

func (r *run) score(part string, s *train.Score) {
	r.result.Part, r.result.Samples, r.result.Top1, r.result.Top5, r.result.Loss = part, s.Samples, &s.Top1, &s.Top5, &s.Loss
}

// stop says what is left of a training that was ended before its time.
func (r *run) stop(ctx context.Context, err error) error {
	left := fmt.Sprintf("after %d steps; the checkpoint in %s goes on with --resume", r.result.Steps, r.folder(r.output))
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &job.StoppedError{Err: errors.Join(ctx.Err(), err), Left: "interrupted " + left}
	}
	if failed := r.write(context.WithoutCancel(ctx)); failed != nil {
		return failed
	}
	return &job.StoppedError{Err: errors.Join(ctx.Err(), err), Left: fmt.Sprintf("the time of --deadline is over %s; %s holds the weights so far", left, r.output)}
}

// measure evaluates the trained network on the test data, which nothing before has seen.
func (r *run) measure(ctx context.Context) error {
	if r.test == nil || r.test.Labels == "" {
		return nil
	}
	set, err := isa.FromEnv()
	if err != nil {
		return &job.UsageError{Err: err}
	}
	cpu := kernel.NewCPU(kernel.Options{Threads: r.Threads, ISA: set})
	defer cpu.Close()
	s := r.task
	s.Model, s.Teacher, s.Loss, s.Val = r.model, nil, nil, r.test
	task, err := s.Task()
	if err != nil {
		return err
	}
	score, err := task.Check(ctx, &train.Evaluation{CPU: cpu, Models: map[string]*onnx.Model{"": r.model}, Events: r.events})
	if err != nil {
		return err
	}
	r.score(r.test.Name, score)
	if r.MinAccuracy > 0 {
		r.result.Gates = append(r.result.Gates, job.AtLeast("min-accuracy", r.MinAccuracy, score.Top1))
	}
	return nil
}

// write writes the model, with what its data needs.
func (r *run) write(ctx context.Context) error {
	classes := r.set.Classes
	if len(classes) != r.result.Classes {
		classes = nil
	}
	entries, err := dataset.Metadata(r.task.Train.Preprocess, classes)
	if err != nil {
		return err
	}
	for _, key := range []string{dataset.PreprocessKey, dataset.ClassesKey} {
		r.model.Metadata = slices.DeleteFunc(slices.Clone(r.model.Metadata), func(e *onnx.StringEntry) bool { return e.Key == key })
		if v := entries[key]; v != "" {
			r.model.Metadata = append(r.model.Metadata, &onnx.StringEntry{Key: key, Value: v})
		}
	}
	hashes := map[string]*job.Hash{}
	files, err := onnx.Save(r.output, r.model, onnx.SaveOptions{
		Overwrite: r.Force, DataName: filepath.Base(r.output) + ".data",
		Progress: func(int64) error { return ctx.Err() },
		Tee: func(path string) io.Writer {
			hashes[path] = job.NewHash(path)
			return hashes[path]
		},
	})
	if err != nil {
		return fmt.Errorf("train: write %s: %w", r.output, err)
	}
	var written []*job.Hash
	for _, path := range files {
		written = append(written, hashes[path])
	}
	r.result.Output = job.Describe(written...)
	return nil
}
