package evaluate

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/internal/atomicfile"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/internal/score"
)

// EvalSchema names the result of [Eval].
const EvalSchema = "effml.eval/v1"

// EvalConfig says what [Eval] measures.
type EvalConfig struct {
	Samples     `yaml:",inline"`
	Path        string  `yaml:"-" json:"-" doc:"an .onnx or .effml file"`
	Confusion   bool    `yaml:"confusion,omitempty" json:"confusion,omitempty" doc:"add which classes were taken for which"`
	PerClass    bool    `yaml:"per-class,omitempty" json:"per-class,omitempty" doc:"add the accuracy of each class"`
	Predictions string  `yaml:"predictions,omitempty" json:"predictions,omitempty" doc:"write the answer to each sample into this CSV file"`
	MinAccuracy float64 `yaml:"min-accuracy,omitempty" json:"min-accuracy,omitempty" doc:"gate: least top-1 in percent"`
	Force       bool    `yaml:"force,omitempty" json:"force,omitempty" doc:"overwrite existing outputs"`
	Threads     int     `yaml:"threads,omitempty" json:"threads,omitempty" doc:"number of threads; 0 is all processors"`
	Command     string  `yaml:"-" json:"-" doc:"the command line, copied into the result"`
}

// EvalResult is how well a model does.
type EvalResult struct {
	job.Common
	Top1       float64       `json:"top1" doc:"percent of the samples whose class got the greatest number"`
	Top5       float64       `json:"top5" doc:"percent of the samples whose class is among the five greatest numbers"`
	Loss       job.Float     `json:"loss" doc:"mean cross-entropy in nats"`
	Samples    int           `json:"samples"`
	Skipped    int           `json:"skipped,omitempty" doc:"samples that could not be read"`
	ImagesPerS float64       `json:"images_per_s" doc:"samples a second, reading and preprocessing included"`
	Data       string        `json:"data" doc:"where the samples come from"`
	Part       string        `json:"part"`
	Preprocess string        `json:"preprocess,omitempty"`
	PerClass   []ClassResult `json:"per_class,omitempty"`
	Confusion  []Confusion   `json:"confusion,omitempty" doc:"most frequent first"`
	Gates      []job.Gate    `json:"gates,omitempty"`
	Notes      []string      `json:"notes" doc:"what was assumed"`
}

// ClassResult is how well a model does on one class.
type ClassResult struct {
	Class   string  `json:"class"`
	Samples int     `json:"samples"`
	Top1    float64 `json:"top1" doc:"percent"`
}

// Confusion counts the samples of a class that were taken for another.
type Confusion struct {
	Class   string `json:"class"`
	Answer  string `json:"answer"`
	Samples int    `json:"samples"`
}

// Validate reports all problems of c at once, as a [*job.UsageError].
func (c EvalConfig) Validate() error {
	errs := checkThreads(c.Threads)
	if c.Path == "" {
		errs = append(errs, errors.New("path: no file named"))
	}
	if c.Data == "" {
		errs = append(errs, errors.New("data: name the data to evaluate on"))
	}
	errs = append(errs, c.Samples.check()...)
	if !(c.MinAccuracy >= 0 && c.MinAccuracy <= 100) {
		errs = append(errs, fmt.Errorf("min-accuracy: %v is out of range, it is a percentage", c.MinAccuracy))
	}
	return usage(errs)
}

// Eval runs a classifier over labelled samples and counts how often it is right. The first output of the model, [N, classes], is what counts. A
// missed gate is a [*job.GateError] beside the result.
func Eval(ctx context.Context, c EvalConfig, ev job.Events) (*EvalResult, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if ev == nil {
		ev = job.Discard
	}
	timer := job.Start(EvalSchema, 0, c.Threads)
	result := &EvalResult{Data: c.Data, Notes: []string{}}
	result.Command = c.Command
	if err := eval(ctx, c, ev, result); err != nil {
		return nil, modelfile.Explain(err)
	}
	timer.Fill(&result.Common)
	return result, job.Missed(result.Gates)
}

func eval(ctx context.Context, c EvalConfig, ev job.Events, r *EvalResult) error {
	s, err := openSession(c.Path, c.Threads, false)
	if err != nil {
		return err
	}
	defer s.Close()
	feed, err := s.feed(c.Samples)
	if err != nil {
		return err
	}
	defer feed.Close()
	if feed.Labels == "" {
		return job.Usagef("evaluate: %s has no labels to compare with", c.Data)
	}
	r.Part, r.Preprocess = feed.Name, feed.Preprocess.String()
	r.Notes = append(r.Notes, feed.notes()...)
	out, err := newPredictions(c)
	if err != nil {
		return err
	}
	defer out.abort()
	start := time.Now()
	m, err := s.measure(ctx, feed, c.Threads, "evaluate", ev, out.each(feed.Feed))
	if err != nil {
		return err
	}
	r.Samples, r.Skipped, r.Top1, r.Top5, r.Loss = m.Samples, feed.skipped, m.Top1Percent(), m.Top5Percent(), m.MeanLoss()
	r.ImagesPerS = float64(m.Samples) / time.Since(start).Seconds()
	names := classNames(feed.set.Classes, m.Classes)
	if c.PerClass {
		r.PerClass = perClass(m, names)
	}
	if c.Confusion {
		r.Confusion = confusions(m, names)
	}
	if c.MinAccuracy > 0 {
		r.Gates = append(r.Gates, job.AtLeast("min-accuracy", c.MinAccuracy, r.Top1))
	}
	if r.Input, err = s.file.Describe(ctx); err != nil {
		return err
	}
	r.Output, err = out.commit(ctx)
	return err
}

// perClass returns the accuracy of every class that has samples.
func perClass(m *score.Metrics, names []string) (classes []ClassResult) {
	for _, c := range m.PerClass() {
		classes = append(classes, ClassResult{Class: names[c.Class], Samples: c.Samples, Top1: c.Top1})
	}
	return classes
}

// confusions returns which classes were taken for which, the most frequent first.
func confusions(m *score.Metrics, names []string) (pairs []Confusion) {
	for i, n := range m.Confusion {
		if label, answer := i/m.Classes, i%m.Classes; n > 0 && label != answer {
			pairs = append(pairs, Confusion{Class: names[label], Answer: names[answer], Samples: n})
		}
	}
	slices.SortStableFunc(pairs, func(a, b Confusion) int { return cmp.Compare(b.Samples, a.Samples) })
	return pairs
}

// classNames returns a name for each of n classes: the known ones, else numbers.
func classNames(known []string, n int) []string {
	if len(known) == n {
		return known
	}
	names := make([]string, n)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names
}

// predictions writes the answer to every sample into a CSV file; the nil value writes nothing.
type predictions struct {
	file *atomicfile.File
	hash *job.Hash
	text *bufio.Writer
	csv  *csv.Writer
}

func newPredictions(c EvalConfig) (*predictions, error) {
	if c.Predictions == "" {
		return nil, nil //nolint:nilnil // none are wanted
	}
	f, err := atomicfile.Create(c.Predictions, c.Force)
	if err != nil {
		return nil, err
	}
	p := &predictions{file: f, hash: job.NewHash(c.Predictions)}
	p.text = bufio.NewWriter(io.MultiWriter(f, p.hash))
	p.csv = csv.NewWriter(p.text)
	return p, p.csv.Write([]string{"sample", "label", "answer", "probability", "correct", "loss", "top5"})
}

func (p *predictions) each(feed *dataset.Feed) func(int, score.Prediction) {
	if p == nil {
		return nil
	}
	return func(sample int, a score.Prediction) {
		five := ""
		for k, c := range a.Best {
			if c >= 0 {
				if k > 0 {
					five += " "
				}
				five += strconv.Itoa(c)
			}
		}
		_ = p.csv.Write([]string{ // an error stays with the writer, commit returns it
			feed.SampleName(sample), strconv.Itoa(a.Label), strconv.Itoa(a.Best[0]), strconv.FormatFloat(float64(a.Scores[0]), 'g', 6, 32),
			strconv.FormatBool(a.Best[0] == a.Label), strconv.FormatFloat(a.Loss, 'g', 6, 64), five,
		})
	}
}

// commit gives the file its name and describes it.
func (p *predictions) commit(ctx context.Context) (*job.File, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	p.csv.Flush()
	if err := errors.Join(p.csv.Error(), p.text.Flush()); err != nil {
		return nil, fmt.Errorf("evaluate: write %s: %w", p.file.Target(), err)
	}
	return job.Describe(p.hash), commit(ctx, p.file)
}

func (p *predictions) abort() {
	if p != nil {
		p.file.Abort()
	}
}
