package evaluate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/internal/score"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// OutputsResult is how what two models compute from the same samples differs.
type OutputsResult struct {
	Data      DataUsed     `json:"data"`
	Outputs   []OutputDiff `json:"outputs"`
	Agreement *Agreement   `json:"agreement,omitempty" doc:"where the first output holds a number a class"`
	Accuracy  *Accuracy    `json:"accuracy,omitempty" doc:"where there are labels too"`
	Notes     []string     `json:"notes,omitempty" doc:"what was assumed"`
}

// OutputDiff is how a value of model B differs from that of model A, over all samples.
type OutputDiff struct {
	Name     string    `json:"name"`
	MaxError job.Float `json:"max_error" doc:"largest absolute difference; null where one model gives a number and the other none"`
	Relative job.Float `json:"relative_error" doc:"that by the range of the values in A"`
	Problem  string    `json:"problem,omitempty" doc:"why the values cannot be compared"`
}

// worst is the largest relative error of the outputs.
func (r *OutputsResult) worst() (worst float64) {
	for _, o := range r.Outputs {
		worst = max(worst, float64(o.Relative))
	}
	return worst
}

// Within reports whether all outputs can be compared and differ by no more than tolerance, relative to their range.
func (r *OutputsResult) Within(tolerance float64) bool {
	return r.worst() <= tolerance && !slices.ContainsFunc(r.Outputs, func(o OutputDiff) bool { return o.Problem != "" })
}

// Outputs runs the models at a and b side by side over the same samples and compares what they give. The first that is known of the
// data, its fitting the models, and whether there are labels where need has a gate on them, is seen before anything runs.
func Outputs(ctx context.Context, a, b string, c Samples, need Limits, threads int, ev job.Events) (*OutputsResult, error) {
	p, err := openCouple(a, b, c, threads)
	if err != nil {
		return nil, modelfile.Explain(err)
	}
	defer p.close()
	r, err := p.outputs(ctx, need, ev)
	return r, modelfile.Explain(err)
}

// couple is two models that are run on the same data.
type couple struct {
	a, b    *session
	feed    *feed
	threads int
	memory  int64 // that values of nodes may take at a time
}

func openCouple(a, b string, c Samples, threads int) (p *couple, err error) {
	p = &couple{threads: threads, memory: exposedBytes}
	if p.a, err = openSession(a, threads, false); err == nil {
		p.b, err = openSession(b, threads, false)
	}
	if err == nil {
		p.feed, err = p.a.feed(c, p.b.file.Model)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *couple) close() {
	for _, s := range []*session{p.a, p.b} {
		if s != nil {
			s.Close()
		}
	}
	if p.feed != nil {
		p.feed.Close()
	}
}

func (p *couple) outputs(ctx context.Context, need Limits, ev job.Events) (*OutputsResult, error) {
	f := p.feed
	if f.Labels == "" && need.labels() {
		return nil, noLabels(f.from)
	}
	counterparts, notes := byName(p.a.Outputs(), p.b.Outputs())
	both, err := newTwins(p.a.Session, p.b.Session, counterparts)
	if err != nil {
		return nil, err
	}
	exam, err := newExam(p, need)
	if err != nil {
		return nil, err
	}
	samples := 0
	err = f.each(ctx, defaultBatch, p.threads, "compare outputs", ev, func(b *dataset.Batch) error {
		samples += b.Len
		x, y, err := both.run(ctx, b.Inputs)
		if err != nil {
			return err
		}
		return exam.add(b, x, y)
	})
	if err != nil {
		return nil, err
	}
	r := &OutputsResult{Data: f.used(samples), Notes: append(append(f.notes(), both.notes...), notes...)}
	for i, v := range p.a.Outputs() {
		r.Outputs = append(r.Outputs, both.spans[i].diff(v.Name))
	}
	if exam != nil {
		accuracy, agreement := Compare(exam.answers[0], exam.answers[1])
		r.Accuracy, r.Agreement = accuracy, &agreement
	}
	return r, nil
}

// exam collects the classes that two models answer; nil does nothing.
type exam struct {
	answers [2]*Answers
	what    [2]score.Outcome
}

// newExam returns nil for models that are no classifiers, which is an error where a gate needs one.
func newExam(p *couple, need Limits) (*exam, error) {
	if err := errors.Join(classifier(p.a.Session), classifier(p.b.Session)); err != nil {
		if need.labels() || need.MinAgreement != nil {
			return nil, err
		}
		return nil, nil //nolint:nilnil // none is wanted
	}
	e := &exam{what: [2]score.Outcome{p.a.outcome(), p.b.outcome()}}
	for i := range e.answers {
		e.answers[i] = &Answers{Labelled: p.feed.Labels != "", Best: unanswered(p.feed.Len())}
	}
	return e, nil
}

func (e *exam) add(b *dataset.Batch, x, y []*tensor.Tensor) error {
	if e == nil {
		return nil
	}
	for i, outputs := range [2][]*tensor.Tensor{x, y} {
		a := e.answers[i]
		scores, err := scoresOf(outputs, b.Len)
		if err != nil {
			return err
		}
		if err := a.Add(b.Len, scores, e.what[i], b.Labels, func(k int, p score.Prediction) { a.Best[b.Samples[k]] = int32(p.Best[0]) }); err != nil {
			return err
		}
	}
	return nil
}

// twins are two models that run side by side on the same inputs.
type twins struct {
	a, b         *infer.Runner
	inputs       []int // for each input of B that of A
	counterparts []int // for each output of A that of B, −1 where there is none
	spans        []span
	given        []*tensor.Tensor
	notes        []string
}

func newTwins(a, b *infer.Session, counterparts []int) (*twins, error) {
	x, y := a.Inputs(), b.Inputs()
	if len(x) != len(y) {
		return nil, job.Usagef("evaluate: models with %d and %d inputs cannot run on the same data", len(x), len(y))
	}
	t := &twins{a: a.NewRunner(), b: b.NewRunner(), counterparts: counterparts, spans: make([]span, len(counterparts)), given: make([]*tensor.Tensor, len(y))}
	t.inputs, t.notes = byName(y, x)
	return t, nil
}

// byName finds for each value of a the one of b with its name; where some names differ, in the order in which they come.
func byName(a, b []infer.Value) (at []int, notes []string) {
	for _, v := range a {
		at = append(at, slices.IndexFunc(b, func(w infer.Value) bool { return w.Name == v.Name }))
	}
	for i, v := range a {
		if at[i] >= 0 || i >= len(b) || slices.Contains(at, i) {
			continue
		}
		at[i] = i
		notes = append(notes, fmt.Sprintf("%s is taken for %s, by their place", b[i].Name, v.Name))
	}
	return at, notes
}

// run computes both models' outputs, valid until the next run, and adds up how they differ.
func (t *twins) run(ctx context.Context, inputs []*tensor.Tensor) (x, y []*tensor.Tensor, err error) {
	for i, k := range t.inputs {
		t.given[i] = inputs[k]
	}
	if x, err = t.a.Run(ctx, inputs); err != nil {
		return nil, nil, fmt.Errorf("first model: %w", err)
	}
	if y, err = t.b.Run(ctx, t.given); err != nil {
		return nil, nil, fmt.Errorf("second model: %w", err)
	}
	for i, k := range t.counterparts {
		if k < 0 {
			t.spans[i].problem = "the second model has no such output"
			continue
		}
		t.spans[i].add(x[i], y[k])
	}
	return x, y, nil
}

// span is how far values of A reach, and those of B are from them.
type span struct {
	lo, hi, worst float64
	seen          bool
	problem       string
	x, y          []float32 // of values that are no float32
}

func (s *span) add(a, b *tensor.Tensor) {
	if !slices.Equal(a.Shape, b.Shape) {
		s.problem = fmt.Sprintf("the shapes differ: %s and %s", dims(a.Shape), dims(b.Shape))
		return
	}
	if a.Type == onnx.String && b.Type == onnx.String {
		if !slices.Equal(a.Strings(), b.Strings()) {
			s.worst = math.Inf(1)
		}
		return
	}
	x, okA := floats(a, &s.x)
	y, okB := floats(b, &s.y)
	if !okA || !okB {
		s.problem = fmt.Sprintf("%s and %s cannot be compared", tensor.TypeName(a.Type), tensor.TypeName(b.Type))
		return
	}
	for i, v := range x {
		p, q := float64(v), float64(y[i])
		e := math.Abs(p - q)
		switch {
		case p == q || p != p && q != q: // infinities and NaN too
		case e-e != 0:
			s.worst = math.Inf(1)
		default:
			s.worst = max(s.worst, e)
		}
		if p-p != 0 {
			continue
		}
		if !s.seen {
			s.lo, s.hi, s.seen = p, p, true
		}
		s.lo, s.hi = min(s.lo, p), max(s.hi, p)
	}
}

// floats returns the elements of t as float32, in buf where they are of another type.
func floats(t *tensor.Tensor, buf *[]float32) ([]float32, bool) {
	if t.Type == onnx.Float {
		return tensor.Of[float32](t), true
	}
	*buf = slices.Grow((*buf)[:0], t.Len())[:t.Len()]
	return *buf, t.Floats(*buf, 0)
}

// diff words the span. Values that are all the same have no range: their magnitude counts then.
func (s *span) diff(name string) OutputDiff {
	d := OutputDiff{Name: name, MaxError: job.Float(s.worst), Problem: s.problem}
	scale := s.hi - s.lo
	if scale == 0 {
		scale = math.Abs(s.hi)
	}
	switch {
	case s.worst == 0:
	case scale == 0:
		d.Relative = job.Float(math.Inf(1))
	default:
		d.Relative = job.Float(s.worst / scale)
	}
	return d
}
