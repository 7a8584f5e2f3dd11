package deepcompress

import (
	"errors"
	"fmt"
	"math"

	"github.com/effml/effml/evaluate"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
)

// DefaultPreset is what [Run] uses where neither a preset nor a plan is named.
const DefaultPreset = "balanced"

// Config says what [Run] compresses and how. The zero value of each field is its default; only Input is needed.
type Config struct {
	evaluate.Samples `yaml:",inline"`
	evaluate.Limits  `yaml:",inline"`
	Input            string   `yaml:"-" json:"-" doc:"the ONNX model to read, or zoo:NAME"`
	Output           string   `yaml:"output,omitempty" json:"output,omitempty" doc:"the archive to write; by default the input's path with .effml"`
	Preset           string   `yaml:"preset,omitempty" json:"preset,omitempty" doc:"lossless, fast, balanced, small or paper"`
	PlanPath         string   `yaml:"plan,omitempty" json:"plan,omitempty" doc:"a plan file; replaces the preset"`
	PlanOut          string   `yaml:"plan-out,omitempty" json:"plan-out,omitempty" doc:"where to write the resolved plan, one rule a tensor"`
	Coder            string   `yaml:"coder,omitempty" json:"coder,omitempty" doc:"use this coder for all quantised tensors"`
	Only             []string `yaml:"only,omitempty" json:"only,omitempty" doc:"patterns of tensor or node names: no other tensor loses precision"`
	Exclude          []string `yaml:"exclude,omitempty" json:"exclude,omitempty" doc:"patterns of tensor or node names that keep their precision"`
	StripMetadata    *bool    `yaml:"strip-metadata,omitempty" json:"strip-metadata,omitempty" doc:"drop doc strings and exporter traces; by default as the preset says"`
	EmitONNX         string   `yaml:"emit-onnx,omitempty" json:"emit-onnx,omitempty" doc:"where to write the plain ONNX model that the archive decodes to"`
	EmitPacked       string   `yaml:"emit-onnx-packed,omitempty" json:"emit-onnx-packed,omitempty" doc:"where to write a small ONNX model with the weights as codes behind DequantizeLinear or Gather"`
	Strict           bool     `yaml:"strict,omitempty" json:"strict,omitempty" doc:"fail where a weight cannot be compressed as planned"`
	Force            bool     `yaml:"force,omitempty" json:"force,omitempty" doc:"overwrite existing outputs"`
	DryRun           bool     `yaml:"dry-run,omitempty" json:"dry-run,omitempty" doc:"plan and count bytes, write nothing but plan-out"`
	NoVerify         bool     `yaml:"no-verify,omitempty" json:"no-verify,omitempty" doc:"do not decode the archive after writing it"`
	Histograms       bool     `yaml:"histograms,omitempty" json:"histograms,omitempty" doc:"count weights before and after, for reports"`
	Threads          int      `yaml:"threads,omitempty" json:"threads,omitempty" doc:"number of threads; 0 is all processors"`
	Seed             uint64   `yaml:"seed,omitempty" json:"seed,omitempty" doc:"seed of random k-means initialisation"`
	MaxSize          int64    `yaml:"max-size,omitempty" json:"max-size,omitempty" doc:"gate: largest archive in bytes"`
	Baseline         string   `yaml:"baseline,omitempty" json:"baseline,omitempty" doc:"gate: the JSON result of an earlier run; no larger and no less accurate than that"`
	MinRatio         float64  `yaml:"min-ratio,omitempty" json:"min-ratio,omitempty" doc:"gate: smallest ratio of input to output bytes"`
	Command          string   `yaml:"-" json:"-" doc:"the command line, copied into the result"`
}

// OutputPath returns Output, or the path that follows from Input where it is empty.
func (c Config) OutputPath() string {
	if c.Output != "" {
		return c.Output
	}
	return replaceExt(modelfile.Output(c.Input), ".onnx", ".effml")
}

// Validate reports all problems of c at once, as a [*job.UsageError]. It reads no model.
func (c Config) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Input == "" {
		add("input: no model named")
	}
	errs = append(errs, c.Limits.Check(c.Samples)...)
	if c.Preset != "" && c.PlanPath != "" {
		add("preset and plan: give one of them, a plan replaces the preset")
	}
	if c.PlanPath == "" {
		if err := checkPreset(c.Preset); err != nil {
			errs = append(errs, err)
		}
	}
	if c.Coder != "" {
		if err := checkCoder(c.Coder); err != nil {
			add("coder: %w", err)
		}
	}
	for i, p := range c.Only {
		if _, err := newPattern(p); err != nil {
			add("only[%d]: %w", i, err)
		}
	}
	for i, p := range c.Exclude {
		if _, err := newPattern(p); err != nil {
			add("exclude[%d]: %w", i, err)
		}
	}
	if c.Threads < 0 {
		add("threads: %d is out of range, it must be 0 (all processors) or more", c.Threads)
	}
	if c.MaxSize < 0 {
		add("max-size: %d is out of range, it must be a positive number of bytes", c.MaxSize)
	}
	if c.MinRatio < 0 || math.IsNaN(c.MinRatio) || math.IsInf(c.MinRatio, 0) {
		add("min-ratio: %v is out of range, it must be a positive number", c.MinRatio)
	}
	outputs := map[string]string{"output": c.OutputPath(), "emit-onnx": c.EmitONNX, "emit-onnx-packed": c.EmitPacked, "plan-out": c.PlanOut}
	errs = append(errs, samePaths(outputs, map[string]string{"input": c.Input, "plan": c.PlanPath, "baseline": c.Baseline})...)
	return usage(errs)
}

// DecompressConfig says what [Decompress] restores.
type DecompressConfig struct {
	Input      string `yaml:"-" json:"-" doc:"the archive to read"`
	Output     string `yaml:"output,omitempty" json:"output,omitempty" doc:"the ONNX model to write; by default the input's path with .onnx"`
	Inline     bool   `yaml:"inline,omitempty" json:"inline,omitempty" doc:"put external data into the model file where it fits (2 GB)"`
	Force      bool   `yaml:"force,omitempty" json:"force,omitempty" doc:"overwrite existing outputs"`
	MaxDecoded int64  `yaml:"max-decoded,omitempty" json:"max-decoded,omitempty" doc:"bytes that the tensors may take; 0 is 1 GiB or 10,000 times the archive, whichever is more"`
	Threads    int    `yaml:"threads,omitempty" json:"threads,omitempty" doc:"number of threads; 0 is all processors"`
	Command    string `yaml:"-" json:"-" doc:"the command line, copied into the result"`
}

// OutputPath returns Output, or the path that follows from Input where it is empty.
func (c DecompressConfig) OutputPath() string {
	if c.Output != "" {
		return c.Output
	}
	return replaceExt(c.Input, ".effml", ".onnx")
}

// Validate reports all problems of c at once, as a [*job.UsageError].
func (c DecompressConfig) Validate() error {
	var errs []error
	if c.Input == "" {
		errs = append(errs, errors.New("input: no archive named"))
	}
	if c.Threads < 0 {
		errs = append(errs, fmt.Errorf("threads: %d is out of range, it must be 0 (all processors) or more", c.Threads))
	}
	errs = append(errs, samePaths(map[string]string{"output": c.OutputPath()}, map[string]string{"input": c.Input})...)
	return usage(errs)
}

// VerifyConfig says what [Verify] checks.
type VerifyConfig struct {
	evaluate.Samples `yaml:",inline"`
	evaluate.Limits  `yaml:",inline"`
	Input            string  `yaml:"-" json:"-" doc:"the archive to check"`
	Against          string  `yaml:"against,omitempty" json:"against,omitempty" doc:"the model it was made from, an .onnx or .effml file"`
	Tolerance        float64 `yaml:"tolerance,omitempty" json:"tolerance,omitempty" doc:"most that the outputs of an archive without loss may differ, relative to their range; 0 is DefaultTolerance"`
	MaxDecoded       int64   `yaml:"max-decoded,omitempty" json:"max-decoded,omitempty" doc:"bytes that the tensors may take; 0 is 1 GiB or 10,000 times the archive, whichever is more"`
	Threads          int     `yaml:"threads,omitempty" json:"threads,omitempty" doc:"number of threads; 0 is all processors"`
	Command          string  `yaml:"-" json:"-" doc:"the command line, copied into the result"`
}

// DefaultTolerance is what the outputs of a model and of its archive may differ where nothing was lost: room for sums in another
// order, should one of the two run differently.
const DefaultTolerance = 1e-6

// Validate reports all problems of c at once, as a [*job.UsageError].
func (c VerifyConfig) Validate() error {
	var errs []error
	if c.Input == "" {
		errs = append(errs, errors.New("input: no archive named"))
	}
	errs = append(errs, c.Limits.Check(c.Samples)...)
	if (c.Data != "" || c.Random > 0) && c.Against == "" {
		errs = append(errs, errors.New("data: outputs are compared with those of a model: name it with --against"))
	}
	if !(c.Tolerance >= 0) {
		errs = append(errs, fmt.Errorf("tolerance: %v is out of range, it must not be negative", c.Tolerance))
	}
	if c.Threads < 0 {
		errs = append(errs, fmt.Errorf("threads: %d is out of range, it must be 0 (all processors) or more", c.Threads))
	}
	return usage(errs)
}

func usage(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return &job.UsageError{Err: fmt.Errorf("deepcompress: %w", errors.Join(errs...))}
}
