package fit

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/train"
)

// fitData opens the parts of the data and makes the task.
func (r *run) fitData() error {
	r.holdOut()
	var err error
	part := func(name string) *dataset.Feed {
		if err != nil {
			return nil
		}
		var p *dataset.Part
		if p, err = r.set.Part(name); err != nil {
			return nil
		}
		var f *dataset.Feed
		f, err = p.Bind(inputsOf(r.model), r.result.Classes)
		return f
	}
	c := r.recipe
	r.task = train.Supervised{
		Model: r.model, Train: part("train"), Batch: c.Batch, Accumulate: c.Accumulate, Loss: c.Loss, Solver: c.Solver, Schedule: c.Schedule, Seed: r.Seed,
		Data: dataset.Options{Augment: true, Workers: r.Threads, SkipBad: r.SkipBad, Skipped: func(err error) { r.events.Note(err.Error()) }},
	}
	if r.set.HasPart("val") {
		r.task.Val = part("val")
		if r.task.Val != nil && r.task.Val.Labels == "" {
			r.task.Val = nil // there is nothing to measure
		}
	}
	if r.set.HasPart("test") {
		r.test = part("test")
	}
	if err != nil {
		return err
	}
	if r.task.Train.Labels == "" && r.Distill == "" {
		return job.Usagef("train: %s has no labels; --distill TEACHER.onnx trains without", r.Data)
	}
	r.notes = append(r.notes, r.set.Assumed...)
	r.notes = append(r.notes, r.task.Train.Assumed...)
	r.result.Train, r.result.Preprocess = r.task.Train.Len(), r.task.Train.Preprocess.String()
	if r.task.Val != nil {
		r.result.Val = r.task.Val.Len()
	}
	return r.teacher()
}

// teacher opens the model to learn from.
func (r *run) teacher() error {
	if r.Distill == "" {
		return nil
	}
	f, err := modelfile.Open(r.Distill)
	if err != nil {
		return err
	}
	r.files = append(r.files, f)
	r.task.Teacher = f.Model.Clone()
	openBatch(r.task.Teacher)
	if n := lastDimension(r.task.Teacher); n > 0 && n != r.result.Classes {
		return &job.ModelError{Err: fmt.Errorf("teacher %s tells %d classes apart, the network %d", r.Distill, n, r.result.Classes)}
	}
	return nil
}

// holdOut takes a part of the training data to measure on, where the data has none.
func (r *run) holdOut() {
	share := r.recipe.Validation
	if share == 0 || r.set.HasPart("val") {
		return
	}
	split := maps.Clone(r.set.Spec.Split)
	if split == nil {
		split = map[string]string{}
	}
	text := func(v float64) string { return strconv.FormatFloat(v, 'g', 12, 64) }
	lo, hi, isRange := strings.Cut(split["train"], ":")
	from, errLo := strconv.Atoi("0" + lo)
	to, errHi := strconv.Atoi(hi)
	switch whole, err := strconv.ParseFloat(split["train"], 64); {
	case split["train"] == "" && len(split) == 0:
		split["train"], split["val"] = text(1-share), text(share)
	case err == nil:
		split["train"], split["val"] = text(whole*(1-share)), text(whole*share)
	case isRange && errLo == nil && errHi == nil:
		at := to - int(float64(to-from)*share+0.5)
		split["train"], split["val"] = fmt.Sprintf("%d:%d", from, at), fmt.Sprintf("%d:%d", at, to)
	default:
		r.note("nothing is held out for validation: say split: {val: …} in the data document")
		return
	}
	r.set.Spec.Split = split
	r.note("%s %% of the training data are held out for validation", text(100*share))
}

// inputsOf lists the inputs of a model that data is for.
func inputsOf(m *onnx.Model) (inputs []dataset.Input) {
	weights := map[string]bool{}
	for _, t := range m.Graph.Initializers {
		weights[t.Name] = true
	}
	for _, v := range m.Graph.Inputs {
		if weights[v.Name] || v.Type == nil || v.Type.Tensor == nil {
			continue
		}
		in := dataset.Input{Name: v.Name, Type: v.Type.Tensor.ElemType}
		if v.Type.Tensor.Shape != nil {
			for _, d := range v.Type.Tensor.Shape.Dims {
				n := -1
				if d.Value != nil {
					n = int(*d.Value)
				}
				in.Shape = append(in.Shape, n)
			}
		}
		inputs = append(inputs, in)
	}
	return inputs
}

// lastDimension returns that of the first output, 0 where it is not known.
func lastDimension(m *onnx.Model) int {
	if out := m.Graph.Outputs; len(out) > 0 && out[0].Type != nil && out[0].Type.Tensor != nil && out[0].Type.Tensor.Shape != nil {
		if dims := out[0].Type.Tensor.Shape.Dims; len(dims) > 1 && dims[len(dims)-1].Value != nil {
			return int(*dims[len(dims)-1].Value)
		}
	}
	return 0
}

// anyOf is a regular expression for exactly these names.
func anyOf(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = regexp.QuoteMeta(n)
	}
	return "^(" + strings.Join(quoted, "|") + ")$"
}
