package dataset

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/effml/effml/internal/document"
	"github.com/effml/effml/internal/job"
)

// Spec names data and what is done to it: the SPEC of the command line.
type Spec struct {
	Format     string            `yaml:"format,omitempty" json:"format,omitempty" doc:"idx, cifar10, images, npz or csv; recognised where it is left out"`
	Path       string            `yaml:"path" json:"path" doc:"file or folder, relative to the document"`
	Split      map[string]string `yaml:"split,omitempty" json:"split,omitempty" doc:"part (train, val, test): range of samples in the order of the files (0:800) or share of them (0.8)"`
	Preprocess Preprocess        `yaml:"preprocess,omitempty" json:"preprocess,omitempty" doc:"from image to input"`
	Augment    Augment           `yaml:"augment,omitempty" json:"augment,omitempty" doc:"random changes to images that are trained on"`
	Inputs     map[string]string `yaml:"inputs,omitempty" json:"inputs,omitempty" doc:"input of the model: field of the sample"`
	Labels     string            `yaml:"labels,omitempty" json:"labels,omitempty" doc:"field with the classes; of CSV the column"`
	Collate    map[string]string `yaml:"collate,omitempty" json:"collate,omitempty" doc:"field: stack, pad, ragged or join"`
	Classes    []string          `yaml:"classes,omitempty" json:"classes,omitempty" doc:"names of the classes, the first is number 0"`
}

// Formats lists what Spec.Format may be.
func Formats() []string { return []string{"idx", "cifar10", "images", "npz", "csv"} }

// Parts lists what data may be divided into.
func Parts() []string { return []string{"train", "val", "test"} }

// maxDocument bounds a SPEC document, which may hold the names of many classes.
const maxDocument = 4 << 20

// Load returns the Spec that path stands for: that of a YAML document, or a Spec with the path alone, whose format [Open]
// recognises.
func Load(path string) (*Spec, error) {
	ext := strings.ToLower(filepath.Ext(path))
	info, err := os.Stat(path)
	if err != nil {
		return nil, &job.DataError{Err: fmt.Errorf("data: %w; name a folder, a file or a YAML document that names them", err)}
	}
	if info.IsDir() || ext != ".yaml" && ext != ".yml" {
		return &Spec{Path: path}, nil
	}
	if info.Size() > maxDocument {
		return nil, job.Usagef("%s: a data document has at most %d bytes, this has %d", path, maxDocument, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	s, err := Parse(data)
	if err != nil {
		return nil, job.Usagef("%s: %w", path, err)
	}
	if !filepath.IsAbs(s.Path) {
		s.Path = filepath.Join(filepath.Dir(path), filepath.FromSlash(s.Path))
	}
	return s, nil
}

// Parse reads a Spec from a YAML document and validates it. A key that there is not is an error with its line and a suggestion.
func Parse(data []byte) (*Spec, error) {
	var s Spec
	if err := document.Decode(data, &s); err != nil {
		return nil, err
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return &s, nil
}

// Validate reports all problems of s that can be seen without the data.
func (s *Spec) Validate() error {
	var errs []error
	report := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Path == "" {
		report("path: it must name a file or folder")
	}
	if s.Format != "" && !slices.Contains(Formats(), s.Format) {
		report("format: %q is not known%s", s.Format, job.Hint(s.Format, Formats()))
	}
	var total float64
	ranges := false
	for _, part := range sortedKeys(s.Split) {
		if !slices.Contains(Parts(), part) {
			report("split: part %q is not known%s", part, job.Hint(part, Parts()))
		}
		r, err := parseShare(s.Split[part])
		if err != nil {
			report("split.%s: %w", part, err)
		}
		total += r.fraction
		ranges = ranges || err == nil && r.fraction == 0
	}
	if ranges && total > 0 {
		report("split: ranges and shares cannot be mixed, as they might have samples in common")
	}
	if total > 1+1e-9 {
		report("split: the shares add up to %v, more than the whole", total)
	}
	for _, field := range sortedKeys(s.Collate) {
		if !slices.Contains(collateNames, s.Collate[field]) {
			report("collate.%s: %q is not known%s", field, s.Collate[field], job.Hint(s.Collate[field], collateNames))
		}
	}
	for _, input := range sortedKeys(s.Inputs) {
		if s.Inputs[input] == "" {
			report("inputs.%s: it must name a field", input)
		}
	}
	for i, c := range s.Classes {
		if slices.Index(s.Classes, c) < i && len(s.Classes) < 1<<12 {
			report("classes: %q is there twice", c)
		}
	}
	errs = append(errs, s.Preprocess.problems()...)
	errs = append(errs, s.Augment.problems()...)
	return errors.Join(errs...)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// share is a part of the samples: those of a range, or a fraction of them.
type share struct {
	fraction float64
	from, to int // to −1: the end
}

func parseShare(text string) (share, error) {
	bad := fmt.Errorf("%q is neither a range such as 0:800 nor a share such as 0.8", text)
	if lo, hi, ok := strings.Cut(text, ":"); ok {
		r := share{to: -1}
		var err error
		if lo != "" {
			if r.from, err = strconv.Atoi(lo); err != nil || r.from < 0 {
				return share{}, bad
			}
		}
		if hi != "" {
			if r.to, err = strconv.Atoi(hi); err != nil || r.to < 0 {
				return share{}, bad
			}
		}
		if hi != "" && r.from >= r.to {
			return share{}, fmt.Errorf("range %q is empty", text)
		}
		return r, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f > 0 && f <= 1) {
		return share{}, bad
	}
	return share{fraction: f}, nil
}

// Number is a number of a SPEC, which may be written as a quotient: 1/255.
type Number float64

// ParseNumber reads a finite number or a quotient of two.
func ParseNumber(text string) (Number, error) {
	over, under, quotient := strings.Cut(text, "/")
	v, err := strconv.ParseFloat(strings.TrimSpace(over), 64)
	if err == nil && quotient {
		var d float64
		d, err = strconv.ParseFloat(strings.TrimSpace(under), 64)
		v /= d
	}
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a finite number, nor a quotient such as 1/255", text)
	}
	return Number(v), nil
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (n *Number) UnmarshalYAML(node *yaml.Node) error {
	var text string
	if err := node.Decode(&text); err != nil {
		return err
	}
	v, err := ParseNumber(text)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*n = v
	return nil
}

// String writes the shortest text that reads as the same number.
func (n Number) String() string { return strconv.FormatFloat(float64(n), 'g', -1, 64) }
