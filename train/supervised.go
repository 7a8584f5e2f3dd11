package train

import (
	"github.com/effml/effml/dataset"
	"github.com/effml/effml/onnx"
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
	Target      string  `yaml:"target,omitempty" json:"target,omitempty" doc:"field of the samples, or teacher/VALUE; left out: the labels, and of distillation, mse and l1 with a teacher what it has in the place of of"`
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
