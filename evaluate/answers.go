package evaluate

import (
	"context"
	"fmt"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/internal/score"
)

// Answers is what a classifier answered to samples, to be compared with what another one answers to the same.
type Answers struct {
	score.Metrics
	Labelled bool    // whether there are labels; without them Metrics counts samples only
	Best     []int32 // the class with the greatest number for each sample of the part; −1 of one that was left out
	Data     DataUsed
	Notes    []string          // what was assumed
	Metadata map[string]string // what [dataset.FromMetadata] reads: the preprocessing, and the classes where all have names
}

// Answer runs the model at path, .onnx or .effml, over samples; stage is the name of this work in progress reports. Whether the data
// fits the model, and the model is a classifier, is seen before anything runs; so is whether there are labels, where the limits need them.
func Answer(ctx context.Context, path string, c Samples, need Limits, threads int, stage string, ev job.Events) (*Answers, error) {
	a, err := answer(ctx, path, c, need, threads, stage, ev)
	return a, modelfile.Explain(err)
}

func answer(ctx context.Context, path string, c Samples, need Limits, threads int, stage string, ev job.Events) (*Answers, error) {
	s, err := openSession(path, threads, false)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := classifier(s.Session); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f, err := s.feed(c)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a := &Answers{Labelled: f.Labels != ""}
	if !a.Labelled && need.labels() {
		return nil, noLabels(c)
	}
	a.Best = unanswered(f.Len())
	m, err := s.measure(ctx, f, threads, stage, ev, func(i int, p score.Prediction) { a.Best[i] = int32(p.Best[0]) })
	if err != nil {
		return nil, err
	}
	a.Metrics, a.Data, a.Notes = *m, f.used(m.Samples), f.notes()
	if f.set != nil {
		classes := f.set.Classes
		if len(classes) != m.Classes {
			classes = nil
		}
		a.Metadata, err = dataset.Metadata(f.Preprocess, classes)
	}
	return a, err
}

// unanswered makes room for the answers to n samples.
func unanswered(n int) []int32 {
	best := make([]int32, n)
	for i := range best {
		best[i] = -1
	}
	return best
}

func noLabels(c Samples) error {
	return job.Usagef("evaluate: %s has no labels, so accuracy cannot be measured; min-agreement needs none", c.Data)
}

// Accuracy is how well two models do on the same labelled samples.
type Accuracy struct {
	Metric  string      `json:"metric" doc:"top1: percent of the samples whose class got the greatest number"`
	Before  float64     `json:"before"`
	After   float64     `json:"after"`
	Samples int         `json:"samples"`
	Drop    float64     `json:"drop" doc:"percentage points that were lost; negative where some were gained"`
	Top5    BeforeAfter `json:"top5" doc:"percent of the samples whose class is among the five greatest numbers"`
	Loss    BeforeAfter `json:"loss" doc:"mean cross-entropy in nats"`
}

// BeforeAfter is a figure of two models.
type BeforeAfter struct {
	Before job.Float `json:"before"`
	After  job.Float `json:"after"`
}

// Agreement is how often two classifiers give the same answer.
type Agreement struct {
	Percent float64 `json:"percent" doc:"of the samples both gave the greatest number to the same class"`
	Samples int     `json:"samples"`
}

// Compare returns how well two models did on the same samples, nil where there are no labels, and how often they agree.
func Compare(before, after *Answers) (*Accuracy, Agreement) {
	same, n := 0, 0
	for i, c := range before.Best {
		if c >= 0 && after.Best[i] >= 0 {
			n++
			if c == after.Best[i] {
				same++
			}
		}
	}
	agreement := Agreement{score.Percent(same, n), n}
	if !before.Labelled || !after.Labelled {
		return nil, agreement
	}
	x, y := &before.Metrics, &after.Metrics
	return &Accuracy{
		Metric: "top1", Before: x.Top1Percent(), After: y.Top1Percent(), Samples: x.Samples,
		Drop: score.Percent(x.Top1-y.Top1, x.Samples), // of the counts: exact where the difference of two percentages is not
		Top5: BeforeAfter{job.Float(x.Top5Percent()), job.Float(y.Top5Percent())}, Loss: BeforeAfter{x.MeanLoss(), y.MeanLoss()},
	}, agreement
}

// Limits are the gates on what two models answer to the same samples. Where a field is nil there is no such gate.
type Limits struct {
	MaxAccuracyDrop *float64 `yaml:"max-accuracy-drop,omitempty" json:"max-accuracy-drop,omitempty" doc:"gate: most percentage points of top-1 that may be lost"`
	MinAccuracy     *float64 `yaml:"min-accuracy,omitempty" json:"min-accuracy,omitempty" doc:"gate: least top-1 in percent"`
	MinAgreement    *float64 `yaml:"min-agreement,omitempty" json:"min-agreement,omitempty" doc:"gate: least percent of the samples with the same answer from both; needs no labels"`
}

// Check lists what is wrong with l beside the samples that it is to be decided on.
func (l Limits) Check(c Samples) (errs []error) {
	for _, x := range []struct {
		name       string
		value      *float64
		needLabels bool
	}{{"max-accuracy-drop", l.MaxAccuracyDrop, true}, {"min-accuracy", l.MinAccuracy, true}, {"min-agreement", l.MinAgreement, false}} {
		switch {
		case x.value == nil:
		case !(*x.value >= 0 && *x.value <= 100):
			errs = append(errs, fmt.Errorf("%s: %v is out of range, it must be 0 to 100 percent", x.name, *x.value))
		case c.Data == "" && (x.needLabels || c.Random == 0):
			errs = append(errs, fmt.Errorf("%s: it is decided on samples: name them with --data", x.name))
		}
	}
	return append(errs, c.check()...)
}

// labels reports whether a gate is on accuracy.
func (l Limits) labels() bool { return l.MaxAccuracyDrop != nil || l.MinAccuracy != nil }

// Gates decides. Accuracy may be nil where no gate is on it, agreement where none is at all.
func (l Limits) Gates(a *Accuracy, g *Agreement) (gates []job.Gate) {
	if l.MaxAccuracyDrop != nil {
		gates = append(gates, job.AtMost("max-accuracy-drop", *l.MaxAccuracyDrop, a.Drop))
	}
	if l.MinAccuracy != nil {
		gates = append(gates, job.AtLeast("min-accuracy", *l.MinAccuracy, a.After))
	}
	if l.MinAgreement != nil {
		gates = append(gates, job.AtLeast("min-agreement", *l.MinAgreement, g.Percent))
	}
	return gates
}
