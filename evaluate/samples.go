package evaluate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/score"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Samples says what a model is run on.
type Samples struct {
	Data       string `yaml:"data,omitempty" json:"data,omitempty" doc:"SPEC: a folder or file, or a YAML document that names it"`
	Preprocess string `yaml:"preprocess,omitempty" json:"preprocess,omitempty" doc:"KEY=VALUE,… over the SPEC's own"`
	Part       string `yaml:"part,omitempty" json:"part,omitempty" doc:"train, val or test; test where it is empty"`
	Batch      int    `yaml:"batch,omitempty" json:"batch,omitempty" doc:"samples a run; 0 is what the model takes, or 16"`
	SkipBad    int    `yaml:"skip-bad,omitempty" json:"skip-bad,omitempty" doc:"so many samples may be broken"`
	Random     int    `yaml:"random,omitempty" json:"random,omitempty" doc:"in the place of data: so many samples of normally distributed numbers"`
	Limit      int    `yaml:"samples,omitempty" json:"samples,omitempty" doc:"stop after so many samples; 0 is all"`
}

// check lists what is wrong with s.
func (s Samples) check() (errs []error) {
	if s.Batch < 0 || s.SkipBad < 0 || s.Random < 0 || s.Limit < 0 {
		errs = append(errs, errors.New("batch, skip-bad, random and samples must not be negative"))
	}
	if s.Data != "" && s.Random > 0 {
		errs = append(errs, errors.New("data and random: give one of them"))
	}
	if s.Data == "" && (s.Preprocess != "" || s.Part != "" || s.SkipBad > 0) {
		errs = append(errs, errors.New("preprocess, part and skip-bad belong to data: name it with --data"))
	}
	return errs
}

// some reports whether there is anything to run a model on.
func (s Samples) some() bool { return s.Data != "" || s.Random > 0 }

// DataUsed is what a model was run on.
type DataUsed struct {
	Path       string `json:"path,omitempty" doc:"where the samples come from; absent where they are random numbers"`
	Part       string `json:"part,omitempty"`
	Preprocess string `json:"preprocess,omitempty"`
	Samples    int    `json:"samples"`
	Skipped    int    `json:"skipped,omitempty" doc:"samples that could not be read"`
}

// feed is data fitted to a model. It must be closed.
type feed struct {
	*dataset.Feed
	set     *dataset.Set // nil where the samples are random
	from    Samples
	skipped int // samples of the last pass that could not be read
}

// feed opens the data that c names and fits it to the model. The preprocessing is that of the SPEC, else that stored
// with the model or, where it has none, with the first of the others; the keys of c.Preprocess change it.
func (s *session) feed(c Samples, others ...*onnx.Model) (*feed, error) {
	if c.Random > 0 {
		return s.noise(c)
	}
	spec, err := dataset.Load(c.Data)
	if err != nil {
		return nil, err
	}
	properties := map[string]string{}
	for _, m := range append([]*onnx.Model{s.file.Model}, others...) {
		for _, e := range m.Metadata {
			if _, known := properties[e.Key]; !known {
				properties[e.Key] = e.Value
			}
		}
	}
	stored, classes, err := dataset.FromMetadata(properties)
	if err != nil {
		return nil, &job.ModelError{Err: err}
	}
	if spec.Preprocess.IsZero() {
		spec.Preprocess = stored
	}
	if spec.Classes == nil && tellApart(classes) {
		spec.Classes = classes
	}
	if c.Preprocess != "" {
		if err := spec.Preprocess.Set(c.Preprocess); err != nil {
			return nil, err
		}
	}
	set, err := dataset.Open(spec)
	if err != nil {
		return nil, err
	}
	p, err := set.Part(cmp.Or(c.Part, "test"))
	if err != nil {
		set.Close()
		return nil, err
	}
	if set.Classes == nil {
		set.Classes = classes // the data's numbers are the model's
	}
	f, err := p.Bind(dataInputs(s.Session), s.classes())
	if err != nil {
		set.Close()
		return nil, err
	}
	return &feed{Feed: f, set: set, from: c}, nil
}

// tellApart reports whether no two classes have one name. Of ImageNet's some do (crane is a bird and a machine): they say what a number means,
// and cannot give a name its number.
func tellApart(names []string) bool {
	return len(slices.Compact(slices.Sorted(slices.Values(names)))) == len(names)
}

// noise makes samples of random numbers for every input of the model.
func (s *session) noise(c Samples) (*feed, error) {
	n := &noise{samples: c.Random}
	for _, in := range s.Inputs() {
		f := dataset.Field{Name: in.Name, Type: in.Type}
		for i, d := range in.Shape {
			switch {
			case i == 0: // the batch
			case d.IsKnown():
				f.Shape = append(f.Shape, d.N)
			default:
				return nil, job.Usagef("evaluate: input %q is %s: random samples need dimensions that are known", in.Name, in.Shape)
			}
		}
		if len(in.Shape) == 0 {
			return nil, job.Usagef("evaluate: input %q has no batch of samples, so random ones cannot be made", in.Name)
		}
		n.fields = append(n.fields, f)
	}
	p, err := dataset.NewPart(n, dataset.Spec{})
	if err != nil {
		return nil, err
	}
	f, err := p.Bind(dataInputs(s.Session), 0)
	if err != nil {
		return nil, err
	}
	return &feed{Feed: f, from: c}, nil
}

// Close ends the use of the data.
func (f *feed) Close() {
	if f.set != nil {
		f.set.Close() // it was only read
	}
}

// notes says what was assumed.
func (f *feed) notes() []string {
	if f.set == nil {
		return nil
	}
	return append(slices.Clone(f.set.Assumed), f.Assumed...)
}

// used describes the data after n samples of it were used.
func (f *feed) used(n int) DataUsed {
	d := DataUsed{Path: f.from.Data, Part: f.Name, Samples: n, Skipped: f.skipped}
	if f.set != nil {
		d.Preprocess = f.Preprocess.String()
	}
	return d
}

// each hands all samples, or as many as were asked for, to fn in batches, of the size that is wanted where the user names none.
func (f *feed) each(ctx context.Context, wanted, threads int, stage string, ev job.Events, fn func(b *dataset.Batch) error) error {
	f.skipped = 0
	o := dataset.Options{Batch: f.from.Batch, SkipBad: f.from.SkipBad, Workers: threads, Skipped: func(err error) {
		f.skipped++
		ev.Note(err.Error())
	}}
	if o.Batch == 0 && f.Batch == 0 {
		o.Batch = wanted
	}
	left := f.Len()
	if f.from.Limit > 0 {
		left = min(left, f.from.Limit)
	}
	ev.Stage(stage, int64(left), "samples")
	for b, err := range f.Batches(ctx, o) {
		if err != nil {
			return err
		}
		if b.Len > left {
			b.Len, b.Samples = left, b.Samples[:left]
			if b.Labels != nil {
				b.Labels = b.Labels[:left]
			}
		}
		if err := fn(b); err != nil {
			return err
		}
		ev.Advance(int64(b.Len))
		if left -= b.Len; left == 0 {
			break
		}
	}
	return nil
}

// noiseLabels is the field of the classes of random samples.
const noiseLabels = "effml.label"

// noise is samples of random numbers: a sample is the same whenever it is read.
type noise struct {
	samples int
	fields  []dataset.Field
	classes int // of labels; 0: there are none
}

func (n *noise) Len() int { return n.samples }
func (n *noise) Fields() []dataset.Field {
	if n.classes == 0 {
		return n.fields
	}
	return append(slices.Clone(n.fields), dataset.Field{Name: noiseLabels, Kind: dataset.Label, Type: onnx.Int64})
}
func (n *noise) Name(i int) string { return fmt.Sprintf("random sample %d", i) }
func (n *noise) Close() error      { return nil }

func (n *noise) Read(i int, s dataset.Sample) error {
	r := rand.New(rand.NewPCG(1, uint64(i)))
	for _, f := range n.fields {
		t, err := tensor.New(f.Type, f.Shape...)
		if err != nil {
			return err
		}
		fillRandom(t, r)
		s[f.Name] = t
	}
	if n.classes > 0 {
		s[noiseLabels] = tensor.Scalar(r.Int64N(int64(n.classes)))
	}
	return nil
}

// measure runs the model over the samples. Each, if it is not nil, is told every answer in order.
func (s *session) measure(ctx context.Context, f *feed, threads int, stage string, ev job.Events, each func(sample int, p score.Prediction)) (*score.Metrics, error) {
	runner, what, m := s.NewRunner(), s.outcome(), &score.Metrics{}
	err := f.each(ctx, defaultBatch, threads, stage, ev, func(b *dataset.Batch) error {
		outputs, err := runner.Run(ctx, b.Inputs)
		if err != nil {
			return err
		}
		scores, err := scoresOf(outputs, b.Len)
		if err != nil {
			return err
		}
		var tell func(int, score.Prediction)
		if each != nil {
			tell = func(i int, p score.Prediction) { each(b.Samples[i], p) }
		}
		return m.Add(b.Len, scores, what, b.Labels, tell)
	})
	return m, err
}

// defaultBatch is the samples a run where neither the user nor the model says.
const defaultBatch = 16

// scoresOf returns the numbers of the first n samples of the first output, which must be [N, classes], or that with dimensions of 1.
func scoresOf(outputs []*tensor.Tensor, n int) ([]float32, error) {
	values, ok := score.Numbers(outputs, n)
	if !ok {
		return nil, notClassifier(outputs)
	}
	return values, nil
}

func notClassifier(outputs any) error {
	return job.Usagef("evaluate: the model is no classifier: its first output must be numbers of shape [N, classes], it has %v", outputs)
}

// classifier refuses a model of which is known that it is none.
func classifier(s *infer.Session) error {
	out := s.Outputs()
	if len(out) == 0 {
		return notClassifier(out)
	}
	if out[0].Type != onnx.Undefined && !out[0].Type.IsFloat() || out[0].Shape != nil && !score.Shape(dimensions(out[0])) {
		return notClassifier(out[0])
	}
	return nil
}

// dimensions returns the shape of a value, −1 where it is open.
func dimensions(v infer.Value) (shape []int) {
	for _, d := range v.Shape {
		shape = append(shape, d.N)
	}
	return shape
}
