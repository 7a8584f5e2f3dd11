package train

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/score"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// Kinds of the terms of a loss.
const (
	CrossEntropy       = "cross-entropy"
	BinaryCrossEntropy = "binary-cross-entropy"
	MSE                = "mse"
	L1                 = "l1"
	Hinge              = "hinge"
	Distillation       = "distillation" // KL divergence from the teacher's answer
)

// Term is a summand of a loss.
type Term struct {
	Kind        string  `yaml:"kind,omitempty" json:"kind,omitempty" doc:"cross-entropy (the default), binary-cross-entropy, mse, l1, hinge or distillation"`
	Of          string  `yaml:"of,omitempty" json:"of,omitempty" doc:"value of the network; left out: its first output, before a softmax at its end"`
	Target      string  `yaml:"target,omitempty" json:"target,omitempty" doc:"field of the samples, or teacher/VALUE; left out: the labels, and of distillation, mse and l1 with a teacher what it has in the place of the network's value"`
	Weight      float64 `yaml:"weight,omitempty" json:"weight,omitempty" doc:"factor; 0 is 1"`
	Smoothing   float64 `yaml:"smoothing,omitempty" json:"smoothing,omitempty" doc:"cross-entropy: what the label gives to all classes alike"`
	Temperature float64 `yaml:"temperature,omitempty" json:"temperature,omitempty" doc:"distillation: what logits are divided by (default 4)"`
}

// TeacherName is the name of the model that a network is distilled from.
const TeacherName = "teacher"

// Supervised is the usual task: one network, one stream, a loss.
type Supervised struct {
	Model      *onnx.Model
	Teacher    *onnx.Model   // nil: none
	Train      *dataset.Feed // the training data; labels are not needed where no term uses them
	Val        *dataset.Feed // nil: nothing is evaluated
	Batch      int           // samples; 0 is 64
	Accumulate int           // batches a step, see Phase; 0 is 1
	Loss       []Term        // nil is cross entropy, and distillation beside it where there is a teacher; alone where there are no labels
	Solver     SolverConfig
	Schedule   Schedule
	Seed       uint64          // of order and augmentation
	Data       dataset.Options // Augment, Transforms, Workers, SkipBad… for Train; Batch, Shuffle and Seed are set from the above
}

// Task returns the task.
func (s Supervised) Task() (*Task, error) {
	o := s.Data
	o.Batch, o.Shuffle, o.Seed = cmp.Or(s.Batch, 64), true, s.Seed
	labelled := s.Train.Labels != ""
	terms := s.Loss
	if terms == nil {
		if labelled {
			terms = append(terms, Term{Kind: CrossEntropy})
		}
		if s.Teacher != nil {
			terms = append(terms, Term{Kind: Distillation})
		}
	}
	if len(terms) == 0 {
		return nil, job.Usagef("train: without labels and without a teacher there is nothing to learn")
	}
	loss, err := Terms(terms)
	if err != nil {
		return nil, err
	}
	t := &Task{Models: []Model{{Model: s.Model}}, Streams: map[string]Stream{"train": FeedStream(s.Train, o)}}
	uses := []Use{{}}
	if s.Teacher != nil {
		t.Models = append(t.Models, Model{Name: TeacherName, Model: s.Teacher, Frozen: true})
		teacher, err := teacherUse(s.Model, s.Teacher)
		if err != nil {
			return nil, err
		}
		uses = append(uses, teacher)
	}
	p := Pass{Uses: uses, Loss: loss}
	if labelled {
		_, p.Logits = score.OutcomeOf(s.Model.Graph)
		p.Labels = LabelsField
	}
	t.Phases = []Phase{{Stream: "train", Passes: []Pass{p}, Solver: s.Solver, Schedule: s.Schedule, Accumulate: s.Accumulate}}
	if s.Val != nil {
		t.Check = Classifier(s.Val, s.Data)
	}
	return t, nil
}

// teacherUse gives a teacher the inputs of its student, by name or, where names differ, in their order.
func teacherUse(student, teacher *onnx.Model) (Use, error) {
	a, b := runtimeInputs(student.Graph), runtimeInputs(teacher.Graph)
	u := Use{Model: TeacherName, As: TeacherName, Inputs: map[string]string{}}
	for i, name := range b {
		switch {
		case slices.Contains(a, name):
			u.Inputs[name] = name
		case len(a) == len(b):
			u.Inputs[name] = a[i]
		default:
			return u, job.Usagef("train: input %q of the teacher: the network has no input of this name, but %s", name, strings.Join(a, ", "))
		}
	}
	return u, nil
}

// runtimeInputs lists the inputs that are no initializers.
func runtimeInputs(g *onnx.Graph) (names []string) {
	for _, v := range g.Inputs {
		if !slices.ContainsFunc(g.Initializers, func(t *onnx.Tensor) bool { return t.Name == v.Name }) {
			names = append(names, v.Name)
		}
	}
	return names
}

// Terms returns the loss that is the weighted sum of terms: of the model that has no name, and of one called [TeacherName] where a term needs one.
func Terms(terms []Term) (Loss, error) {
	var errs []error
	kinds := []string{CrossEntropy, BinaryCrossEntropy, MSE, L1, Hinge, Distillation}
	for i, t := range terms {
		report := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("loss[%d].%s", i, fmt.Sprintf(format, args...)))
		}
		if t.Kind != "" && !slices.Contains(kinds, t.Kind) {
			report("kind: %q is unknown%s", t.Kind, job.Hint(t.Kind, kinds))
		}
		if !(t.Smoothing >= 0 && t.Smoothing < 1) || t.Smoothing > 0 && t.Kind != "" && t.Kind != CrossEntropy {
			report("smoothing: %v is out of range, it must be 0 to below 1, of cross-entropy only", t.Smoothing)
		}
		if !(t.Temperature >= 0) || t.Temperature > 0 && t.Kind != Distillation {
			report("temperature: %v is out of range, it must be above 0, of distillation only", t.Temperature)
		}
	}
	if len(errs) > 0 {
		return nil, &job.UsageError{Err: errors.Join(errs...)}
	}
	return func(f *Formula, v *Values) (string, error) {
		var sum []string
		for i, t := range terms {
			x, err := t.add(f, v)
			if err != nil {
				return "", job.Usagef("loss[%d]: %w", i, err)
			}
			sum = append(sum, f.Scale(x, orDefault(t.Weight, 1)))
		}
		return f.Sum(sum...), nil
	}, nil
}

// add adds a term to a formula.
func (t Term) add(f *Formula, v *Values) (string, error) {
	of, target := t.Of, t.Target
	if of == "" {
		of, _ = v.Logits("")
	}
	logits, taught := v.Logits(TeacherName)
	if target == "" {
		target = LabelsField
		if taught && t.Kind != "" && t.Kind != CrossEntropy && t.Kind != BinaryCrossEntropy && t.Kind != Hinge {
			target = logits
			if t.Of != "" {
				target = full(TeacherName, t.Of)
			}
		}
	}
	x, ok := v.Info(of)
	if !ok {
		return "", fmt.Errorf("of: the network computes no value %q", of)
	}
	y, ok := v.Info(target)
	if !ok {
		return "", fmt.Errorf("target: there is no field or value %q", target)
	}
	if t.Kind == "" || t.Kind == CrossEntropy {
		if len(x.Shape) < 2 || y.Type != onnx.Int64 {
			return "", fmt.Errorf("cross-entropy is of numbers [N, classes] and classes int64 [N], not of %s%s and %s%s", tensor.TypeName(x.Type), x.Shape, tensor.TypeName(y.Type), y.Shape)
		}
		return f.CrossEntropy(f.flat(of, x.Shape, len(y.Shape)+1), target, x.Shape[1].N, t.Smoothing), nil
	}
	if !slices.Equal(x.Shape, y.Shape) {
		return "", fmt.Errorf("%s: %q is %s, but %q is %s", t.Kind, of, x.Shape, target, y.Shape)
	}
	switch t.Kind {
	case BinaryCrossEntropy:
		return f.BinaryCrossEntropy(of, target), nil
	case MSE:
		return f.MSE(of, target), nil
	case L1:
		return f.L1(of, target), nil
	case Hinge:
		return f.Hinge(of, target), nil
	}
	return f.Distillation(of, target, orDefault(t.Temperature, 4)), nil
}

// flat returns x of a shape without the dimensions of 1 behind the first rank ones.
func (f *Formula) flat(x string, shape ops.Shape, rank int) string {
	if len(shape) <= rank || slices.ContainsFunc(shape[rank:], func(d ops.Dim) bool { return d.N != 1 }) {
		return x
	}
	dims, _ := shape[:rank].Known()
	to := make([]int64, rank)
	for i, d := range dims {
		to[i] = int64(d)
	}
	return f.Node("Reshape", nil, x, f.Constant(tensor.From(to, rank)))
}
