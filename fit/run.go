package fit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/internal/tfevents"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/train"
)

// Run trains a classifier and writes it. Where ctx's time is over, what is best so far is written and the error is a [*job.StoppedError] beside the
// result; where ctx is cancelled, the last checkpoint is what is left. A missed gate is a [*job.GateError] beside the result. Ev may be
// [train.Events], to watch every step.
func Run(ctx context.Context, c Config, ev job.Events) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if ev == nil {
		ev = job.Discard
	}
	timer := job.Start(Schema, c.Seed, c.Threads)
	r := &run{Config: c, events: newRecorder(ev), result: &Result{Data: c.Data, DryRun: c.DryRun}}
	defer r.close()
	err := r.run(ctx)
	var stopped *job.StoppedError
	if err != nil && (!errors.As(err, &stopped) || r.result.Output == nil) {
		return nil, modelfile.Explain(err)
	}
	timer.Fill(&r.result.Common)
	r.result.Command = c.Command
	return r.result, errors.Join(err, job.Missed(r.result.Gates))
}

// run is a training on its way.
type run struct {
	Config
	events *recorder
	recipe *Recipe
	output string
	files  []*modelfile.File // the model's, then the teacher's
	model  *onnx.Model       // the network, as it is trained
	set    *dataset.Set
	task   train.Supervised
	test   *dataset.Feed // nil where there is no part of its own
	notes  []string
	result *Result
}

func (r *run) run(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	if err := r.fitData(); err != nil {
		return err
	}
	task, err := r.task.Task()
	if err != nil {
		return err
	}
	if r.DryRun {
		return r.plan(ctx, task)
	}
	if err := r.claim(); err != nil {
		return err
	}
	trained, err := train.Run(ctx, r.config(), task, r.events)
	if failed := r.events.close(); failed != nil && err == nil {
		err = failed
	}
	if trained == nil || err != nil && ctx.Err() == nil {
		return err
	}
	r.keep(trained)
	if err == nil {
		err = r.measure(ctx)
	}
	if err == nil {
		err = r.write(ctx)
	}
	if err != nil && ctx.Err() != nil {
		return r.stop(ctx, err)
	}
	return err
}

// open reads the recipe, the data's description and the model.
func (r *run) open(ctx context.Context) (err error) {
	name := r.Model
	if r.Recipe != "" {
		if r.recipe, err = LoadRecipe(r.Recipe); err != nil {
			return err
		}
		name = cmp.Or(name, r.recipe.Model)
	}
	if name == "" {
		return job.Usagef("train: recipe %s names no model: name one", r.Recipe)
	}
	fresh := modelfile.Output(name) != name
	if r.recipe == nil {
		if r.recipe, err = LoadRecipe(map[bool]string{true: "scratch", false: "finetune"}[fresh]); err != nil {
			return err
		}
	}
	spec, err := dataset.Load(r.Data)
	if err != nil {
		return err
	}
	if err := r.openModel(ctx, name, fresh, spec); err != nil {
		return err
	}
	if spec.Augment.IsZero() {
		spec.Augment = r.recipe.Augment
	}
	if spec.Preprocess.IsZero() {
		r.suit()
		spec.Preprocess = r.recipe.Preprocess
	}
	if r.Preprocess != "" {
		if err := spec.Preprocess.Set(r.Preprocess); err != nil {
			return err
		}
	}
	if r.set, err = dataset.Open(spec); err != nil {
		return err
	}
	r.adjust()
	return r.newHead(fresh, name)
}

// openModel reads the model; what is stored with it of its data holds where the data's description says nothing.
func (r *run) openModel(ctx context.Context, name string, fresh bool, spec *dataset.Spec) error {
	if r.output = r.OutputPath(name); !r.DryRun && !r.Force {
		if _, err := os.Stat(r.output); err == nil {
			return job.Usagef("train: %s exists already; --force overwrites it", r.output)
		}
	}
	if fresh {
		name += fmt.Sprintf(",seed=%d", max(r.Seed, 1))
		if r.Classes > 0 {
			name += fmt.Sprintf(",classes=%d", r.Classes)
		}
	}
	f, err := modelfile.Open(name)
	if err != nil {
		return err
	}
	r.files = append(r.files, f)
	if err := modelfile.Checked(name, f.Model); err != nil {
		return err
	}
	if r.result.Input, err = f.Describe(ctx); err != nil {
		return err
	}
	r.model = f.Model.Clone()
	properties := map[string]string{}
	for _, e := range r.model.Metadata {
		properties[e.Key] = e.Value
	}
	stored, classes, err := dataset.FromMetadata(properties)
	if err != nil {
		return &job.ModelError{Err: err}
	}
	if spec.Preprocess.IsZero() {
		spec.Preprocess = stored
	}
	if distinct := slices.Compact(slices.Sorted(slices.Values(classes))); spec.Classes == nil && r.Classes == 0 && len(distinct) == len(classes) {
		spec.Classes = classes
	}
	return nil
}

// adjust lets the command's numbers take the place of the recipe's.
func (r *run) adjust() {
	c := r.recipe
	c.Epochs, c.Batch, c.Accumulate = cmp.Or(r.Epochs, c.Epochs), cmp.Or(r.Batch, c.Batch), cmp.Or(r.Accumulate, c.Accumulate)
	c.Schedule.Rate = cmp.Or(r.Rate, c.Schedule.Rate)
	if r.NoLabels {
		c.Loss = slices.DeleteFunc(slices.Clone(c.Loss), func(t train.Term) bool { return t.Kind != train.Distillation })
		if len(c.Loss) == 0 {
			c.Loss = []train.Term{{Kind: train.Distillation}}
		}
	}
	if r.Distill != "" && c.Loss != nil && !slices.ContainsFunc(c.Loss, func(t train.Term) bool { return t.Kind == train.Distillation }) {
		c.Loss = append(slices.Clone(c.Loss), train.Term{Kind: train.Distillation})
	}
}

// newHead gives the network as many outputs as there are classes.
func (r *run) newHead(fresh bool, name string) error {
	if openBatch(r.model) {
		r.note("the model takes batches of one size; the trained one takes any")
	}
	have, known := len(r.set.Classes), len(r.set.Classes) > 0
	h, err := findHead(r.model)
	if err != nil {
		if r.result.Classes = lastDimension(r.model); r.Classes > 0 && r.Classes != r.result.Classes {
			return err
		}
		return nil // some other network, whose output says
	}
	switch {
	case r.Classes == 0 && !(fresh && known), r.Classes == int(h.classes):
	case r.Classes == 0 && int(h.classes) == have:
	default:
		n := cmp.Or(r.Classes, have)
		r.note("the last layer %q now tells %d classes apart in the place of %d", h.layer.Name, n, h.classes)
		rng := rand.New(rand.NewPCG(r.Seed, 0x4ead))
		names := h.replace(n, rng)
		if f := r.recipe.NewHead; f > 0 && f != 1 && !fresh {
			groups := []train.Group{{Match: anyOf(names), Rate: &f}}
			r.recipe.Solver.Groups = append(groups, r.recipe.Solver.Groups...)
		}
	}
	r.result.Classes = int(h.classes)
	if known && have != r.result.Classes {
		return &job.DataError{Err: fmt.Errorf("%s has %d classes, %s tells %d apart; --classes %d gives it a new last layer", r.Data, have, name, r.result.Classes, have)}
	}
	return nil
}

func (r *run) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// claim makes sure that nobody's checkpoints are in the way, and opens what is written while the training goes on.
func (r *run) claim() error {
	folder := r.folder(r.output)
	old, err := fs.Glob(os.DirFS(folder), "*.safetensors")
	if err != nil {
		return fmt.Errorf("train: checkpoints in %s: %w", folder, err)
	}
	switch {
	case len(old) == 0 || r.Resume:
	case !r.Force:
		return job.Usagef("train: %s holds the checkpoints of another training: --resume goes on with it, --force removes them, --checkpoint DIR names another folder", folder)
	default:
		for _, name := range old {
			if err := os.Remove(filepath.Join(folder, name)); err != nil {
				return fmt.Errorf("train: remove an old checkpoint: %w", err)
			}
		}
	}
	if err := r.events.open(folder, r.Resume); err != nil {
		return err
	}
	r.result.Files = &Files{Lines: r.events.lines, Table: r.events.table, Checkpoints: folder}
	if r.TensorBoard == "" {
		return nil
	}
	if r.events.board, err = tfevents.Create(r.TensorBoard); err == nil {
		r.result.Files.TensorBoard = r.events.board.Path()
	}
	return err
}

// config is what train.Run takes.
func (r *run) config() train.Config {
	epochs := r.recipe.Epochs
	if r.Steps > 0 {
		epochs = 0
	}
	return train.Config{
		Epochs: epochs, Steps: r.Steps, Seed: r.Seed, Threads: r.Threads, CheckEvery: r.recipe.CheckEvery, Select: r.recipe.Select, Last: r.recipe.Last,
		Recompute: r.Recompute, MaxMemory: r.MaxMemory,
		Checkpoints: train.CheckpointConfig{Folder: r.folder(r.output), Every: r.Every, Keep: r.Keep, Resume: r.Resume},
		Command:     r.Command,
	}
}

func (r *run) close() {
	_ = r.events.close() // run reported it, or something before
	if r.set != nil {
		r.set.Close()
	}
	for _, f := range r.files {
		f.Close()
	}
}
