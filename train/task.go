package train

import (
	"context"
	"iter"
	"math/rand/v2"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// Task says what is trained on what: networks, data, and the phases of a step. [Supervised] makes the usual one. Run changes no field and no
// model.
type Task struct {
	Models  []Model
	Streams map[string]Stream
	// Phases are done one after another in every step. The first one's stream counts the epochs.
	Phases []Phase
	// Check measures the networks between epochs, nil: nothing is measured. [Classifier] makes the usual one.
	Check func(ctx context.Context, e *Evaluation) (*Score, error)
	// State is what else must survive an interruption, such as what Sample or Hook keep from step to step.
	State []Slice
}

// Model is a network of a task.
type Model struct {
	// Name tells several apart: tensors are called NAME/tensor, or just by their names where it is empty.
	Name  string
	Model *onnx.Model
	// Frozen networks, such as teachers, are run as for inference and never change.
	Frozen bool
	// Also is a regular expression, found anywhere in the names of float32 tensors that are trained beside what [Weights] lists, such as scalar gates.
	Also string
}

// Batch is what a stream delivers.
type Batch struct {
	Fields  map[string]*tensor.Tensor // by name; valid until the next batch is asked for
	Samples int
	Number  int // in the epoch, from 0
}

// Stream is data in batches, of which all have the same types and shapes, as far as possible. It may be asked for again from anywhere.
type Stream interface {
	// Batches yields the batches of an epoch from number first on. Equal arguments give equal batches, however often asked.
	Batches(ctx context.Context, epoch, first int) iter.Seq2[*Batch, error]
	// PerEpoch is the number of batches of an epoch.
	PerEpoch() int
	// Fingerprint tells this data from other, so that a training is resumed over the same.
	Fingerprint() (string, error)
}

// Phase is a part of a step: gradients of the losses of its passes are added up, and then its solver changes its parameters.
type Phase struct {
	Name   string // of its loss in metrics; needed where there are several
	Stream string
	// Passes are what is computed of a batch. One may be left out where Sample chooses them for every step, which it does by r and step alone, or by
	// what is in Task.State.
	Passes []Pass
	Sample func(r *rand.Rand, step int) ([]Pass, error)
	// Parameters is a regular expression, found anywhere in the full names of the tensors that the phase changes; "" is all. Gradients of others
	// are not computed.
	Parameters string
	Solver     SolverConfig
	Schedule   Schedule
	Every      int // steps between two times that the phase is done, from step 0 on; 0 is 1
	Accumulate int // batches whose gradients are averaged for one change; 0 is 1
	// LearnedSteps scales the gradients of the steps of quantisation, which Model.Also names, so that they learn at the pace of weights
	// (S. Esser et al.: Learned Step Size Quantization, 2020).
	LearnedSteps bool
	// Hook, if there is one, is called before the solver, and may change gradients.
	Hook func(g *Gradients) error
}

// Pass is one computation of a loss.
type Pass struct {
	Uses   []Use  // of models; nil is each model of the task, under its name
	Loss   Loss   // of the values of the uses and of the fields of the batch
	Logits string // value [N, classes] that the accuracy in training is taken of, with Labels; "": none
	Labels string // field int64 [N]
}

// Use is a model in a pass. A model that is used twice in a pass shares its weights; one with batch normalisation in training can be used once in a
// pass, but in several passes.
type Use struct {
	Model  string
	Graph  *onnx.Graph       // in the place of the model's own: another one over its tensors, such as a sub-network; nil: the model's
	As     string            // its values are called AS/value, or by their own names where it is empty
	Inputs map[string]string // input: field of the batch, or value of a use before; an input that is not here is the field of its name
	Detach bool              // no gradient flows to the inputs
}

// Loss adds what computes a loss to a formula over the values that v knows, and returns the name of the scalar.
type Loss func(f *Formula, v *Values) (string, error)

// Values tells a loss what there is to compute with.
type Values struct {
	known  map[string]ops.Info
	logits map[string]string
}

// Gradients is a phase of a step before its solver.
type Gradients struct {
	Step   int
	Rate   float64 // the learning rate
	Loss   float64 // mean over passes' sums
	params map[string]*parameter
}

// Evaluation is what Task.Check measures: models with the weights as they are, averaged where the solver averages them.
type Evaluation struct {
	CPU    *kernel.CPU
	Events job.Events
	Models map[string]*onnx.Model // by name; frozen ones are left out
}
