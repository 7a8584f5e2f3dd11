package fit

import (
	"cmp"
	"path/filepath"
	"strings"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/train"
)

// Schema names the result of [Run].
const Schema = train.Schema

// Config says what [Run] trains. What it leaves out is the recipe's.
type Config struct {
	Model       string  `yaml:"-" json:"-" doc:"an .onnx or .effml file or zoo:NAME; where it is empty, the recipe's"`
	Recipe      string  `yaml:"recipe,omitempty" json:"recipe,omitempty" doc:"a YAML file, or the name of a recipe that effml carries"`
	Data        string  `yaml:"data,omitempty" json:"data,omitempty" doc:"SPEC: a folder or file, or a YAML document that names it"`
	Preprocess  string  `yaml:"preprocess,omitempty" json:"preprocess,omitempty" doc:"KEY=VALUE,… over the SPEC's own"`
	SkipBad     int     `yaml:"skip-bad,omitempty" json:"skip-bad,omitempty" doc:"so many samples may be broken"`
	Output      string  `yaml:"output,omitempty" json:"output,omitempty" doc:"the model; NAME.onnx of zoo:NAME, MODEL.trained.onnx of a file where it is empty"`
	Force       bool    `yaml:"force,omitempty" json:"force,omitempty" doc:"overwrite existing outputs and checkpoints"`
	Classes     int     `yaml:"classes,omitempty" json:"classes,omitempty" doc:"replace the last layer by one with so many outputs and random weights"`
	Epochs      int     `yaml:"epochs,omitempty" json:"epochs,omitempty" doc:"passes over the training data"`
	Steps       int     `yaml:"steps,omitempty" json:"steps,omitempty" doc:"stop after so many steps, whatever the epochs"`
	Batch       int     `yaml:"batch,omitempty" json:"batch,omitempty" doc:"samples that are computed together"`
	Accumulate  int     `yaml:"accumulate,omitempty" json:"accumulate,omitempty" doc:"batches whose gradients are averaged for one step"`
	Rate        float64 `yaml:"lr,omitempty" json:"lr,omitempty" doc:"learning rate"`
	Seed        uint64  `yaml:"seed,omitempty" json:"seed,omitempty" doc:"of random weights, of the order of the samples and of augmentation"`
	Threads     int     `yaml:"threads,omitempty" json:"threads,omitempty" doc:"number of threads; 0 is all processors. The weights do not depend on it"`
	Distill     string  `yaml:"distill,omitempty" json:"distill,omitempty" doc:"a trained model whose answers the network learns, beside the labels"`
	NoLabels    bool    `yaml:"no-labels,omitempty" json:"no-labels,omitempty" doc:"with distill: train without labels"`
	Recompute   bool    `yaml:"recompute,omitempty" json:"recompute,omitempty" doc:"compute values between layers again on the way back: less memory, more time"`
	MaxMemory   int64   `yaml:"max-memory,omitempty" json:"max-memory,omitempty" doc:"bytes that the training may take; 0 is what the machine has"`
	Resume      bool    `yaml:"resume,omitempty" json:"resume,omitempty" doc:"go on from the last checkpoint"`
	Checkpoint  string  `yaml:"checkpoint,omitempty" json:"checkpoint,omitempty" doc:"folder of checkpoints and metrics; OUTPUT without .onnx and with .train where it is empty"`
	Every       int     `yaml:"every,omitempty" json:"every,omitempty" doc:"steps between two checkpoints; 0: one an epoch"`
	Keep        int     `yaml:"keep,omitempty" json:"keep,omitempty" doc:"how many checkpoints are kept, beside the best; 0 is 1"`
	TensorBoard string  `yaml:"tensorboard,omitempty" json:"tensorboard,omitempty" doc:"folder for an event file of TensorBoard"`
	MinAccuracy float64 `yaml:"min-accuracy,omitempty" json:"min-accuracy,omitempty" doc:"gate: least top-1 on the test data in percent"`
	DryRun      bool    `yaml:"dry-run,omitempty" json:"dry-run,omitempty" doc:"a few steps to say what the training will take; nothing is written"`
	Command     string  `yaml:"-" json:"-" doc:"the command line, copied into the result"`
}

// Validate reports all problems of c that can be seen without files, as a [*job.UsageError].
func (c Config) Validate() error {
	p := job.Problems{Prefix: "train: "}
	p.Check(c.Model != "" || c.Recipe != "", "name a model, zoo:NAME, or a recipe that does")
	p.Check(c.Data != "", "name the data to train on with --data")
	for _, f := range []struct {
		key string
		v   int
	}{{"classes", c.Classes}, {"epochs", c.Epochs}, {"steps", c.Steps}, {"batch", c.Batch}, {"accumulate", c.Accumulate}, {"every", c.Every}, {"keep", c.Keep}, {"threads", c.Threads}, {"skip-bad", c.SkipBad}} {
		p.Check(f.v >= 0, "%s: %d is out of range, it must not be negative", f.key, f.v)
	}
	p.Check(c.Rate >= 0 && c.Rate < 1e6, "lr: %v is out of range, it must be above 0", c.Rate)
	p.Check(!c.NoLabels || c.Distill != "", "no-labels: there is nothing to learn from without --distill TEACHER.onnx")
	p.Check(c.MinAccuracy >= 0 && c.MinAccuracy <= 100, "min-accuracy: %v is out of range, it is a percentage", c.MinAccuracy)
	p.Check(c.MaxMemory >= 0, "max-memory: %d is out of range, it must not be negative", c.MaxMemory)
	return p.Err()
}

// ends are what the program's names of models end in.
var ends = []string{".onnx", ".effml"}

// OutputPath returns Output, or the path that follows from a model where it is empty.
func (c Config) OutputPath(model string) string {
	if c.Output != "" || model == "" {
		return c.Output
	}
	if path := modelfile.Output(model); path != model {
		return path
	}
	return stem(model) + ".trained.onnx"
}

// folder returns where checkpoints and metrics go.
func (c Config) folder(output string) string { return cmp.Or(c.Checkpoint, stem(output)+".train") }

func stem(path string) string {
	for _, end := range ends {
		if s, ok := strings.CutSuffix(path, end); ok && filepath.Base(path) != end {
			return s
		}
	}
	return path
}

// Result is what [Run] did.
type Result struct {
	train.Result
	Recipe     Recipe     `json:"recipe" doc:"the recipe that held, with what the command changed"`
	Classes    int        `json:"classes"`
	Data       string     `json:"data" doc:"where the samples come from"`
	Train      int        `json:"train_samples"`
	Val        int        `json:"val_samples"`
	Part       string     `json:"part,omitempty" doc:"what top1, top5 and loss were measured on, once: test, or val where there is no test part"`
	Samples    int        `json:"samples,omitempty" doc:"of that part"`
	Top1       *float64   `json:"top1,omitempty" doc:"percent of the samples whose class got the greatest number"`
	Top5       *float64   `json:"top5,omitempty" doc:"percent of the samples whose class is among the five greatest numbers"`
	Loss       *job.Float `json:"loss,omitempty" doc:"mean cross-entropy in nats"`
	ImagesPerS float64    `json:"images_per_s" doc:"of training, evaluations not counted: the median of the epochs"`
	Preprocess string     `json:"preprocess,omitempty"`
	DryRun     bool       `json:"dry_run,omitempty" doc:"a few steps were done, nothing was written"`
	Plan       *Plan      `json:"plan,omitempty" doc:"of a dry run: what the training will take"`
	Gates      []job.Gate `json:"gates,omitempty"`
	Files      *Files     `json:"files,omitempty" doc:"what was written beside the model"`
}

// Plan is what a training will take.
type Plan struct {
	Steps   int     `json:"steps"`
	Epochs  int     `json:"epochs"`
	Seconds float64 `json:"seconds" doc:"of training, by the median of a few steps; evaluations not counted"`
	StepMS  float64 `json:"step_ms" doc:"median milliseconds a step"`
	Fixed   []Fixed `json:"fixed,omitempty" doc:"tensors that the training leaves as they are; running states of batch normalisation follow the data and are not among them"`
}

// Files are what was written beside the model.
type Files struct {
	Lines       string `json:"jsonl" doc:"a JSON object an epoch"`
	Table       string `json:"csv" doc:"a row an epoch"`
	Checkpoints string `json:"checkpoints" doc:"folder"`
	TensorBoard string `json:"tensorboard,omitempty" doc:"event file"`
}
