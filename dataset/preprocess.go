package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/effml/effml/internal/job"
)

// Preprocess says how an image becomes the input of a model:
//
//	y = (x · scale − mean) / std
//
// per channel in the order of Channels, x in 0…255, after the short side is resized to Resize (bilinear with antialias, see
// resample.go) and the centre of Crop by Crop is cut out, at offset ⌊(size − crop)/2⌋. The zero value changes nothing but the
// type: it gives float32 in 0…255, red first.
type Preprocess struct {
	Resize   int      `yaml:"resize,omitempty" json:"resize,omitempty" doc:"length of the short side in pixels, 0: as it is"`
	Crop     int      `yaml:"crop,omitempty" json:"crop,omitempty" doc:"side of the square cut from the centre, 0: the whole image"`
	Channels string   `yaml:"channels,omitempty" json:"channels,omitempty" doc:"rgb, bgr or grey; rgb or grey by the model where it is left out"`
	Scale    Number   `yaml:"scale,omitempty" json:"scale,omitempty" doc:"factor of the values 0 to 255, before the mean is taken; left out: 1"`
	Mean     []Number `yaml:"mean,omitempty,flow" json:"mean,omitempty" doc:"one number, or one a channel"`
	Std      []Number `yaml:"std,omitempty,flow" json:"std,omitempty" doc:"one number, or one a channel"`
	Layout   string   `yaml:"layout,omitempty" json:"layout,omitempty" doc:"nchw or nhwc; by the model where it is left out"`
}

var (
	channelNames = []string{"rgb", "bgr", "grey"}
	layoutNames  = []string{"nchw", "nhwc"}
)

const maxSide = 1 << 16

// problems lists what is wrong with p.
func (p *Preprocess) problems() []error {
	var errs []error
	report := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("preprocess."+key+": "+format, args...))
	}
	for key, v := range map[string]int{"crop": p.Crop, "resize": p.Resize} {
		if v < 0 || v > maxSide {
			report(key, "%d is out of range, it must be 0 to %d", v, maxSide)
		}
	}
	if p.Resize > 0 && p.Crop > p.Resize {
		report("crop", "%d is more than the short side after resizing, %d", p.Crop, p.Resize)
	}
	if p.Channels != "" && !slices.Contains(channelNames, p.Channels) {
		report("channels", "%q is not known%s", p.Channels, job.Hint(p.Channels, channelNames))
	}
	if p.Layout != "" && !slices.Contains(layoutNames, p.Layout) {
		report("layout", "%q is not known%s", p.Layout, job.Hint(p.Layout, layoutNames))
	}
	want := map[string][]int{"": {0, 1, 3}, "grey": {0, 1}}[p.Channels]
	if want == nil {
		want = []int{0, 1, 3}
	}
	for key, v := range map[string][]Number{"mean": p.Mean, "std": p.Std} {
		if !slices.Contains(want, len(v)) {
			report(key, "%d numbers, it must have 1 or one a channel", len(v))
		}
	}
	if slices.Contains(p.Std, 0) {
		report("std", "it must not be 0")
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

// preprocessKeys reads and writes the keys of a Preprocess as text.
var preprocessKeys = []struct {
	name string
	set  func(p *Preprocess, value string) error
	get  func(p *Preprocess) string
}{
	{"resize", func(p *Preprocess, v string) error { return setSide(&p.Resize, v) }, func(p *Preprocess) string { return side(p.Resize) }},
	{"crop", func(p *Preprocess, v string) error { return setSide(&p.Crop, v) }, func(p *Preprocess) string { return side(p.Crop) }},
	{"channels", func(p *Preprocess, v string) error { p.Channels = v; return nil }, func(p *Preprocess) string { return p.Channels }},
	{"scale", func(p *Preprocess, v string) (err error) { p.Scale, err = ParseNumber(v); return err }, func(p *Preprocess) string {
		if p.Scale == 0 {
			return ""
		}
		return p.Scale.String()
	}},
	{"mean", func(p *Preprocess, v string) error { return setList(&p.Mean, v) }, func(p *Preprocess) string { return list(p.Mean) }},
	{"std", func(p *Preprocess, v string) error { return setList(&p.Std, v) }, func(p *Preprocess) string { return list(p.Std) }},
	{"layout", func(p *Preprocess, v string) error { p.Layout = v; return nil }, func(p *Preprocess) string { return p.Layout }},
}

func setSide(to *int, text string) error {
	v, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%q is not a whole number", text)
	}
	*to = v
	return nil
}

func side(v int) string {
	if v == 0 {
		return ""
	}
	return strconv.Itoa(v)
}

func setList(to *[]Number, text string) error {
	*to = nil
	for t := range strings.SplitSeq(text, ":") {
		v, err := ParseNumber(t)
		if err != nil {
			return err
		}
		*to = append(*to, v)
	}
	return nil
}

func list(v []Number) string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = n.String()
	}
	return strings.Join(parts, ":")
}

// Set changes the keys that text names, in the form KEY=VALUE,… with lists divided by colons (mean=104:117:123), and
// validates the result. It reports all problems as one [*job.UsageError].
func (p *Preprocess) Set(text string) error {
	known := make([]string, len(preprocessKeys))
	for i, k := range preprocessKeys {
		known[i] = k.name
	}
	var errs []error
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(text, ",") {
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		i := slices.Index(known, key)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("preprocess: %q is not of the form KEY=VALUE", pair))
		case i < 0:
			errs = append(errs, fmt.Errorf("preprocess: unknown key %q%s", key, job.Hint(key, known)))
		case seen[key]:
			errs = append(errs, fmt.Errorf("preprocess: key %q twice", key))
		default:
			seen[key] = true
			if err := preprocessKeys[i].set(p, value); err != nil {
				errs = append(errs, fmt.Errorf("preprocess.%s: %w", key, err))
			}
		}
	}
	if errs = append(errs, p.problems()...); errs != nil {
		return &job.UsageError{Err: errors.Join(errs...)}
	}
	return nil
}

// String writes p in the form that Set reads; it is empty for the zero value.
func (p *Preprocess) String() string {
	var parts []string
	for _, k := range preprocessKeys {
		if v := k.get(p); v != "" {
			parts = append(parts, k.name+"="+v)
		}
	}
	return strings.Join(parts, ",")
}

// IsZero reports whether p says nothing.
func (p *Preprocess) IsZero() bool { return p.String() == "" }
