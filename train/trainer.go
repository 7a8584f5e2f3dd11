package train

import (
	"time"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
)

// Schema names the result of [Run].
const Schema = "effml.train/v1"

// Config says how Run trains, beside what the Task says.
type Config struct {
	Epochs      int              `yaml:"epochs,omitempty" json:"epochs,omitempty" doc:"passes over the training data"`
	Steps       int              `yaml:"steps,omitempty" json:"steps,omitempty" doc:"in the place of epochs: changes of the weights"`
	Seed        uint64           `yaml:"seed,omitempty" json:"seed,omitempty" doc:"of all randomness of the steps"`
	Threads     int              `yaml:"threads,omitempty" json:"threads,omitempty" doc:"number of threads; 0 is all processors. The result does not depend on it"`
	CheckEvery  int              `yaml:"check-every,omitempty" json:"check-every,omitempty" doc:"epochs between two evaluations on the validation data; 0 is 1"`
	Select      string           `yaml:"select,omitempty" json:"select,omitempty" doc:"which evaluation is the best: top1 (the default) or loss"`
	Last        bool             `yaml:"last,omitempty" json:"last,omitempty" doc:"give the weights of the last step, not those of the best evaluation"`
	Recompute   bool             `yaml:"recompute,omitempty" json:"recompute,omitempty" doc:"compute values between layers again on the way back: less memory, about a third more time"`
	MaxMemory   int64            `yaml:"max-memory,omitempty" json:"max-memory,omitempty" doc:"bytes that steps may take; 0 is what the machine has available"`
	Checkpoints CheckpointConfig `yaml:"checkpoints,omitempty" json:"checkpoints,omitempty" doc:"so that an interrupted training can go on"`
	Command     string           `yaml:"-" json:"-" doc:"the command line, copied into the result"`
}

// CheckpointConfig says when the state of a training is saved, and where.
type CheckpointConfig struct {
	Folder string `yaml:"folder,omitempty" json:"folder,omitempty" doc:"where checkpoints go; none are written where it is empty"`
	Every  int    `yaml:"every,omitempty" json:"every,omitempty" doc:"steps between two; 0: one at the end of each epoch"`
	Keep   int    `yaml:"keep,omitempty" json:"keep,omitempty" doc:"how many of the last are kept, beside the best; 0 is 1"`
	Resume bool   `yaml:"-" json:"-" doc:"go on from the last one; begin anew where there is none"`
}

// Events takes the progress of a training. Stages are "train", of all steps, and "evaluate", of the samples that Check measures on, after
// which the stage before goes on.
type Events interface {
	job.Events
	// Step tells of every step, after it. It must be quick.
	Step(p Progress)
	// Row tells of an epoch, or what there was of one at the end, after its evaluation.
	Row(m Metrics)
}

// Progress is how far a training is.
type Progress struct {
	Step, Steps    int     // done, of
	Epoch, Epochs  int     // under way, from 1, of
	Batch, Batches int     // steps done in the epoch, of
	Loss           float64 // of this step, all phases' together
	MeanLoss       float64 // of the epoch so far
	Rate           float64 // learning rate of the first phase
	Top1           float64 // percent of the samples of the epoch so far, as they were trained on; negative where it is not known
	SamplesPerS    float64 // over the last seconds, evaluations not counted
	Left           time.Duration
}

// Metrics is a row of what was measured, one an epoch.
type Metrics struct {
	Epoch       int                  `json:"epoch" doc:"epochs done"`
	Step        int                  `json:"step" doc:"steps done"`
	Rate        float64              `json:"rate" doc:"learning rate of the last step"`
	Loss        job.Float            `json:"loss" doc:"mean over the steps of the epoch"`
	Losses      map[string]job.Float `json:"losses,omitempty" doc:"the same by phase, where there are several"`
	Samples     int                  `json:"samples" doc:"that were trained on in the epoch"`
	Top1        *float64             `json:"top1,omitempty" doc:"percent of the samples of the epoch, as they were trained on"`
	Val         *Score               `json:"val,omitempty" doc:"on the validation data"`
	Best        bool                 `json:"best,omitempty" doc:"no evaluation before was better"`
	SamplesPerS float64              `json:"samples_per_s" doc:"of training; evaluations not counted"`
	WallS       float64              `json:"wall_s" doc:"since the beginning, or since the training was resumed"`
}

// Score is how well a classifier does.
type Score struct {
	Samples  int          `json:"samples"`
	Loss     job.Float    `json:"loss" doc:"mean cross-entropy in nats"`
	Top1     float64      `json:"top1" doc:"percent of the samples whose class got the greatest number"`
	Top5     float64      `json:"top5" doc:"percent of the samples whose class is among the five greatest numbers"`
	PerClass []ClassScore `json:"per_class,omitempty"`
}

// ClassScore is how well a classifier does on one class.
type ClassScore struct {
	Class   int     `json:"class" doc:"its number"`
	Samples int     `json:"samples"`
	Top1    float64 `json:"top1" doc:"percent"`
}

// Result is what a training led to.
type Result struct {
	job.Common
	Epochs     int       `json:"epochs" doc:"done"`
	Steps      int       `json:"steps" doc:"done"`
	Resumed    int       `json:"resumed,omitempty" doc:"steps that had been done when the training was resumed"`
	Parameters int64     `json:"parameters" doc:"numbers that were trained"`
	Metrics    []Metrics `json:"metrics" doc:"a row an epoch, from the beginning or from where it was resumed"`
	Best       *Metrics  `json:"best,omitempty" doc:"the row of the best evaluation"`
	Memory     Memory    `json:"memory"`
	Notes      []string  `json:"notes"`
	// Models are the networks that were trained, by name, with the weights of the best evaluation, or with the last ones where there was none
	// or Config.Last.
	Models map[string]*onnx.Model `json:"-"`
}

// Memory is what a step takes, in bytes.
type Memory struct {
	Weights     int64 `json:"weights" doc:"the networks"`
	Solver      int64 `json:"solver" doc:"gradients, and what the solver keeps"`
	Activations int64 `json:"activations" doc:"values between layers, kept for the way back"`
	Total       int64 `json:"total"`
}
