package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Part is some of the samples of a Set, in an order. It is safe for concurrent use.
type Part struct {
	Name   string
	Fields []Field // with the collation that the Spec asks for

	set    *Set
	source Source
	order  []int // numbers of the samples in the source
}

// NewPart returns all samples of any source, which stays the caller's to close, with what a Spec says about fields,
// preprocessing, augmentation and inputs. Its path, format and split do not count.
func NewPart(source Source, s Spec) (*Part, error) {
	if s.Path == "" {
		s.Path = "the source"
	}
	if err := s.Validate(); err != nil {
		return nil, &job.UsageError{Err: err}
	}
	p := &Part{set: &Set{Spec: s, Classes: s.Classes, found: &found{}}, source: source}
	p.order, _ = p.set.cut("", "", source.Len()) // nothing to parse
	return p, p.describe()
}

// Len returns the number of samples.
func (p *Part) Len() int { return len(p.order) }

// SampleName says where sample i of the part comes from.
func (p *Part) SampleName(i int) string { return p.source.Name(p.order[i]) }

// Classes returns the names of the classes, nil where they are not known.
func (p *Part) Classes() []string { return p.set.Classes }

// describe fills in the fields.
func (p *Part) describe() error {
	p.Fields = p.source.Fields()
	if p.Len() == 0 {
		return &job.DataError{Err: fmt.Errorf("%s: no samples", p.set.Spec.Path)}
	}
	for i := range p.Fields {
		if c := slices.Index(collateNames, p.set.Spec.Collate[p.Fields[i].Name]); c >= 0 {
			p.Fields[i].Collate = Collate(c)
		}
	}
	for name := range p.set.Spec.Collate {
		if _, ok := fieldOf(p.Fields, name); !ok {
			return job.Usagef("collate: no field %q%s", name, job.Hint(name, names(p.Fields)))
		}
	}
	return nil
}

// Input is an input of a model, as far as a Part must know it.
type Input struct {
	Name  string
	Type  onnx.DataType
	Shape []int // −1 where the model leaves a dimension open; nil where it does not even say how many there are
}

// Feed is a Part fitted to the inputs of a model.
type Feed struct {
	*Part
	Inputs     []Input
	Sources    []string   // the field of each input
	Labels     string     // the field of classes, "" where there is none
	Preprocess Preprocess // complete
	Batch      int        // the number of samples that the model insists on, 0 where any will do
	Assumed    []string   // what was decided without being asked for, a line each

	outputs int      // of the model, 0 where they are not known
	numbers []string // fields that are no images and that scale, mean and std apply to
}

// Bind fits p to a model: it finds the field of each input and completes the preprocessing by the model's shapes: grey or
// colour, the layout, the size. Outputs is the number of classes that the model tells apart, 0 where that is not known; it
// must be that of the data where the data says. What does not fit is a *job.UsageError, or a *job.DataError where the number
// of classes does not.
func (p *Part) Bind(inputs []Input, outputs int) (*Feed, error) {
	f := &Feed{Part: p, Inputs: inputs, Sources: make([]string, len(inputs)), Preprocess: p.set.Spec.Preprocess, outputs: outputs}
	if n := len(p.set.Classes); outputs > 0 && n > 0 && (p.set.found.counted || len(p.set.Spec.Classes) > 0) && n != outputs {
		return nil, &job.DataError{Err: fmt.Errorf("%s has %d classes (%s, …), the model tells %d apart", p.set.Spec.Path, n, strings.Join(p.set.Classes[:min(n, 3)], ", "), outputs)}
	}
	if err := f.findLabels(); err != nil {
		return nil, err
	}
	var errs []error
	for i := range inputs {
		if err := f.bind(i); err != nil {
			errs = append(errs, fmt.Errorf("input %q: %w", inputs[i].Name, err))
		}
	}
	for _, name := range sortedKeys(p.set.Spec.Inputs) {
		if known := inputNames(inputs); !slices.Contains(known, name) {
			errs = append(errs, fmt.Errorf("inputs: the model has no input %q%s", name, job.Hint(name, known)))
		}
	}
	errs = append(errs, f.bindNumbers()...)
	errs = append(errs, f.Preprocess.problems()...)
	if len(errs) > 0 {
		return nil, &job.UsageError{Err: errors.Join(errs...)}
	}
	return f, nil
}

func inputNames(inputs []Input) []string {
	out := make([]string, len(inputs))
	for i, in := range inputs {
		out[i] = in.Name
	}
	return out
}

func (f *Feed) assume(format string, args ...any) {
	f.Assumed = append(f.Assumed, fmt.Sprintf(format, args...))
}

// findLabels finds the field with the classes.
func (f *Feed) findLabels() error {
	if name := f.set.Spec.Labels; name != "" {
		field, ok := fieldOf(f.Fields, name)
		if !ok {
			return job.Usagef("labels: no field %q%s", name, job.Hint(name, names(f.Fields)))
		}
		if field.Kind != Label {
			return job.Usagef("labels: field %q holds %s, not a class a sample", name, tensor.Describe(field.Type, field.Shape))
		}
		f.Labels = name
		return nil
	}
	if labels := fieldsOfKind(f.Fields, Label); len(labels) > 0 {
		f.Labels = labels[0].Name
	}
	return nil
}

// bind finds the field of an input and checks that it fits.
func (f *Feed) bind(i int) error {
	in := &f.Inputs[i]
	rest := slices.DeleteFunc(slices.Clone(f.Fields), func(x Field) bool { return x.Kind == Label })
	name, given := f.set.Spec.Inputs[in.Name]
	if !given {
		if _, ok := fieldOf(rest, in.Name); ok {
			name = in.Name
		} else if len(f.Inputs) == 1 && len(rest) == 1 {
			name = rest[0].Name
		} else {
			return fmt.Errorf("which field is it? say so under inputs; the fields are %s", strings.Join(names(rest), ", "))
		}
	}
	f.Sources[i] = name
	field, ok := fieldOf(f.Fields, name)
	if !ok {
		for _, x := range f.Fields {
			if name == x.Name+LengthSuffix && x.Collate == Pad || name == x.Name+OffsetsSuffix && x.Collate == Ragged {
				return nil
			}
		}
		return fmt.Errorf("no field %q%s", name, job.Hint(name, names(f.Fields)))
	}
	if field.Kind == Image {
		return f.bindImage(in, field)
	}
	if field.Collate != Stack || len(in.Shape) == 0 {
		return nil
	}
	return f.fits(in, field.Shape, name)
}

// fits checks the shape of a sample against the input's without the first dimension, which is that of the batch.
func (f *Feed) fits(in *Input, shape []int, name string) error {
	f.fixBatch(in, 1)
	if slices.Contains(shape, -1) {
		return nil
	}
	want := in.Shape[1:]
	if len(want) == len(shape) && !slices.ContainsFunc(pairs(want, shape), func(p [2]int) bool { return p[0] > 0 && p[0] != p[1] }) {
		return nil
	}
	if n := volume(want); n > 0 && n == volume(shape) || len(want) == 1 && want[0] <= 0 {
		return nil // the same elements in another shape
	}
	return fmt.Errorf("field %q is %v a sample, the model takes %v", name, shape, want)
}

// fixBatch notes the batch that the model insists on, where a sample has rows of the first dimension.
func (f *Feed) fixBatch(in *Input, rows int) {
	if n := in.Shape[0]; n > 0 && n%rows == 0 {
		f.Batch = n / rows
	}
}

func pairs(a, b []int) [][2]int {
	out := make([][2]int, len(a))
	for i := range a {
		out[i] = [2]int{a[i], b[i]}
	}
	return out
}

// volume returns the product of the dimensions, −1 where one is open.
func volume(shape []int) int {
	n := 1
	for _, d := range shape {
		if d < 0 {
			return -1
		}
		n *= d
	}
	return n
}

// bindNumbers is for models that take numbers and no images: scale, mean and std apply to what floating-point inputs read, and the
// rest of the preprocessing, which may come from the model, to nothing.
func (f *Feed) bindNumbers() (errs []error) {
	p := &f.Preprocess
	if p.IsZero() {
		return nil
	}
	for i, in := range f.Inputs {
		field, _ := fieldOf(f.Fields, f.Sources[i])
		switch {
		case field.Kind == Image:
			f.numbers = nil
			return nil
		case field.Kind == Values && field.Name != "" && (in.Type.IsFloat() || in.Type == onnx.Undefined) && field.Type != onnx.String:
			f.numbers = append(f.numbers, field.Name)
		}
	}
	given, kept := p.String(), Preprocess{Scale: p.Scale, Mean: p.Mean, Std: p.Std}
	if len(f.numbers) == 0 {
		kept = Preprocess{}
	}
	for key, v := range map[string][]Number{"mean": kept.Mean, "std": kept.Std} {
		if len(v) > 1 {
			errs = append(errs, fmt.Errorf("preprocess.%s: %d numbers, of which field %q, which is no image, takes one", key, len(v), f.numbers[0]))
		}
	}
	if *p = kept; p.String() != given {
		f.assume("preprocess: of %s only %q applies, as no input is an image", given, p.String())
	}
	return errs
}

// bindImage completes the preprocessing for an input that takes images.
func (f *Feed) bindImage(in *Input, field Field) error {
	p := &f.Preprocess
	frames := 1
	size := field.Shape
	if len(size) == 4 {
		frames, size = size[0], size[1:]
	}
	switch n := len(in.Shape); {
	case n == 0:
		return nil
	case n != 4 && (n != 5 || field.Collate == Join):
		return f.bindFlat(in, size)
	}
	if field.Collate == Join && frames > 0 {
		f.fixBatch(in, frames)
	} else {
		f.fixBatch(in, 1)
	}
	dims := in.Shape[len(in.Shape)-3:] // C, H, W
	if p.Layout == "" && !isChannels(dims[0]) && isChannels(dims[2]) {
		p.Layout = "nhwc"
		f.assume("layout: nhwc, by the shape %v of input %q", in.Shape, in.Name)
	}
	if p.Layout == "nhwc" {
		dims = []int{dims[2], dims[0], dims[1]}
	}
	if err := f.bindChannels(dims[0], size[2]); err != nil {
		return err
	}
	return f.bindSize(dims[1], dims[2], size)
}

func isChannels(d int) bool { return d == 1 || d == 3 }

// bindChannels chooses between colour and grey.
func (f *Feed) bindChannels(want, have int) error {
	p := &f.Preprocess
	given := map[string]int{"rgb": 3, "bgr": 3, "grey": 1}[p.Channels]
	switch {
	case want <= 0:
		return nil
	case !isChannels(want):
		return fmt.Errorf("it takes %d channels, an image has 1 or 3", want)
	case given != 0 && given != want:
		return fmt.Errorf("preprocess.channels is %s, the model takes %d channels", p.Channels, want)
	case given != 0:
		return nil
	case want == 1:
		p.Channels = "grey"
	default:
		p.Channels = "rgb"
	}
	if have != want {
		f.assume("channels: %s, as the model takes %d", p.Channels, want)
	}
	return nil
}

// bindSize makes images have the size that the model takes, where it takes only one.
func (f *Feed) bindSize(height, width int, have []int) error {
	p := &f.Preprocess
	switch {
	case height <= 0 || width <= 0:
		return nil
	case p.Crop > 0:
		if p.Crop != height || p.Crop != width {
			return fmt.Errorf("preprocess.crop is %d, the model takes %d×%d pixels", p.Crop, width, height)
		}
		return nil
	case p.Resize == 0 && have[0] == height && have[1] == width:
		return nil
	case height != width:
		if have[0] < 0 && p.Resize == 0 {
			return nil // the images may have that size; the model will tell
		}
		return fmt.Errorf("the model takes %d×%d pixels, and a crop is square", width, height)
	}
	if p.Resize == 0 {
		p.Resize = height
	}
	p.Crop = height
	f.assume("resize: %d, crop: %d, by the shape of the model's input", p.Resize, p.Crop)
	return nil
}

// bindFlat is for models that take the pixels in another shape than [N, C, H, W].
func (f *Feed) bindFlat(in *Input, size []int) error {
	f.fixBatch(in, 1)
	want := volume(in.Shape[1:])
	h, w := size[0], size[1]
	if c := f.Preprocess.Crop; c > 0 {
		h, w = c, c
	}
	if want < 0 || h < 0 {
		return nil
	}
	for channels, name := range map[int]string{1: "grey", 3: "rgb"} {
		if h*w*channels == want {
			if f.Preprocess.Channels == "" {
				f.Preprocess.Channels = name
			}
			return nil
		}
	}
	return fmt.Errorf("it takes %v, of which images of %d×%d pixels are no other shape", in.Shape[1:], w, h)
}
