package dataset

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/effml/effml/internal/job"
)

// Set is data whose parts are known and not yet read.
type Set struct {
	Spec    Spec     // with the format that was recognised
	Classes []string // their names, nil where they are not known; complete once a part is open
	Assumed []string // what was decided without being asked for, a line each

	found *found
	open  map[string]Source
}

// found is what a format finds at a path.
type found struct {
	parts   map[string]opener // by the words of Parts; "" is all the data there is
	classes []string
	counted bool // there are exactly these classes
	notes   []string
	close   func()
}

type opener func() (Source, error)

func (f *found) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(f.notes, text) {
		f.notes = append(f.notes, text)
	}
}

// number gives named classes their numbers: the places in those that the SPEC or another part names, else in their sorted
// order.
func (f *found) number(names []string, s *Spec) ([]int64, error) {
	switch {
	case len(s.Classes) > 0:
		f.classes = s.Classes
	case f.classes == nil:
		f.classes = slices.Compact(slices.Sorted(slices.Values(names)))
	}
	f.counted = true
	index := make(map[string]int64, len(f.classes))
	for i, c := range f.classes {
		index[c] = int64(i)
	}
	out := make([]int64, len(names))
	for i, name := range names {
		v, ok := index[name]
		if !ok {
			return nil, fmt.Errorf("row %d: class %q is not known%s", i+1, name, job.Hint(name, f.classes[:min(len(f.classes), 20)]))
		}
		out[i] = v
	}
	return out, nil
}

// dataError names the file in an error about it, unless it is named already.
func dataError(path string, err error) error {
	var data *job.DataError
	var usage *job.UsageError
	if errors.As(err, &data) || errors.As(err, &usage) {
		return err
	}
	return &job.DataError{Err: fmt.Errorf("%s: %w", path, cause(err))}
}

var finders = map[string]func(*Spec) (*found, error){
	"idx":     findIDX,
	"cifar10": findCIFAR,
	"images":  findImages,
	"npz":     findArrays,
	"csv":     findCSV,
}

// Open finds the data of a Spec. It lists files but reads none that hold many samples, which [Set.Part] does.
func Open(s *Spec) (*Set, error) {
	if err := s.Validate(); err != nil {
		return nil, &job.UsageError{Err: err}
	}
	set := &Set{Spec: *s, open: map[string]Source{}}
	if _, err := os.Stat(s.Path); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if s.Format == "" {
		format, err := Recognise(s.Path)
		if err != nil {
			return nil, err
		}
		set.Spec.Format = format
		set.Assumed = append(set.Assumed, "format: "+format)
	}
	f, err := finders[set.Spec.Format](&set.Spec)
	if err != nil {
		return nil, err
	}
	set.found = f
	set.learn()
	return set, nil
}

// learn takes over what a format has found out by now.
func (s *Set) learn() {
	for _, n := range s.found.notes {
		if !slices.Contains(s.Assumed, n) {
			s.Assumed = append(s.Assumed, n)
		}
	}
	if s.Classes = s.found.classes; len(s.Spec.Classes) > 0 {
		s.Classes = s.Spec.Classes
	}
}

// Recognise returns the format of the data at path.
func Recognise(path string) (string, error) {
	if isFile(path) {
		return recogniseFile(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", fmt.Errorf("data: %w", err)
	}
	var images, folders, arrays, rows int
	for _, e := range entries {
		name := e.Name()
		ext := strings.ToLower(filepath.Ext(name))
		switch {
		case idxName.MatchString(name):
			return "idx", nil
		case slices.Contains(listNames, name):
			return "images", nil
		case strings.HasPrefix(name, "data_batch_") || strings.HasPrefix(name, "test_batch") || name == "cifar-10-batches-bin":
			return "cifar10", nil
		case name == "package" && e.IsDir() && isFile(filepath.Join(path, name, "test_batch.png")):
			return "cifar10", nil
		case ext == ".npy":
			arrays++
		case ext == ".csv" || ext == ".tsv":
			rows++
		case isImage(name):
			images++
		case e.IsDir() && !strings.HasPrefix(name, "."):
			folders++
		}
	}
	switch {
	case arrays > 0:
		return "npz", nil
	case images+folders > 0:
		return "images", nil
	case rows > 0:
		return "csv", nil
	}
	return "", &job.DataError{Err: fmt.Errorf("%s: no data of a known format: IDX files (train-images-idx3-ubyte.gz), CIFAR-10 batches, a folder of images a class or a labels.tsv, arrays (.npz, .npy), CSV", path)}
}

func recogniseFile(path string) (string, error) {
	name := strings.ToLower(filepath.Base(path))
	switch ext := filepath.Ext(strings.TrimSuffix(name, ".gz")); {
	case ext == ".npz" || ext == ".npy":
		return "npz", nil
	case ext == ".csv" || ext == ".tsv":
		return "csv", nil
	case idxName.MatchString(name), strings.HasSuffix(ext, "ubyte"):
		return "idx", nil
	case ext == ".bin" && strings.Contains(name, "batch"):
		return "cifar10", nil
	}
	return "", &job.DataError{Err: fmt.Errorf("%s: not a file of a known format: IDX (…-images-idx3-ubyte.gz), CIFAR-10 (…_batch.bin), .npz, .npy, .csv, .tsv, or a .yaml that describes data", path)}
}

// Close ends the use of the data; batches of it must not be touched afterwards.
func (s *Set) Close() error {
	var first error
	for _, name := range sortedKeys(s.open) {
		if err := s.open[name].Close(); err != nil && first == nil {
			first = err
		}
	}
	s.open = map[string]Source{}
	if s.found.close != nil {
		s.found.close()
	}
	return first
}

// HasPart reports whether the data itself or the Spec's split says which samples are part.
func (s *Set) HasPart(part string) bool {
	_, split := s.Spec.Split[part]
	return split || s.found.parts[part] != nil
}

// Part opens a part: train, val or test, or "" for all samples. Where the Spec's split names it, it is cut from the training
// samples of the data, or from all where the data is not divided. Where nothing divides the data, every part is all of it,
// which Assumed then says; test may be val and val may be test where there is only one.
func (s *Set) Part(name string) (*Part, error) {
	if name != "" && !slices.Contains(Parts(), name) {
		return nil, job.Usagef("data: there is no part %q%s", name, job.Hint(name, Parts()))
	}
	from := name
	text, split := s.Spec.Split[name]
	switch {
	case split:
		if from = "train"; s.found.parts[from] == nil {
			from = ""
		}
	case s.found.parts[name] != nil:
	case name == "":
		return s.all()
	case len(s.Spec.Split) == 0 && s.found.parts[""] != nil:
		from = ""
		s.assume("%s: the data is not divided, so all samples", name)
	default:
		other := map[string]string{"test": "val", "val": "test"}[name]
		if other == "" || !s.HasPart(other) {
			return nil, job.Usagef("data: %s has no part %s; split in the data document can make one", s.Spec.Path, name)
		}
		s.assume("%s: the part %s, as there is none of its own", name, other)
		p, err := s.Part(other)
		if err == nil {
			p.Name = name
		}
		return p, err
	}
	source, err := s.source(from)
	if err != nil {
		return nil, err
	}
	p := &Part{Name: name, set: s, source: source}
	if p.order, err = s.cut(name, text, source.Len()); err != nil {
		return nil, err
	}
	return p, p.describe()
}

func (s *Set) assume(format string, args ...any) {
	s.found.note(format, args...)
	s.learn()
}

// source opens what the format calls part, once.
func (s *Set) source(part string) (Source, error) {
	if o := s.open[part]; o != nil {
		return o, nil
	}
	if s.found.parts[part] == nil {
		return nil, job.Usagef("data: %s has only the parts %s", s.Spec.Path, strings.Join(sortedKeys(s.found.parts), ", "))
	}
	o, err := s.found.parts[part]()
	if err != nil {
		return nil, err
	}
	s.open[part] = o
	s.learn()
	return o, nil
}

// all joins the parts of data that is divided.
func (s *Set) all() (*Part, error) {
	var sources []Source
	for _, name := range Parts() {
		if s.found.parts[name] == nil {
			continue
		}
		o, err := s.source(name)
		if err != nil {
			return nil, err
		}
		sources = append(sources, o)
	}
	p := &Part{set: s, source: newChain(sources)}
	p.order, _ = s.cut("", "", p.source.Len()) // nothing to parse
	return p, p.describe()
}

// splitSeed makes shares random, and the same in every run.
const splitSeed = 0x5eed

// cut returns the samples of n that a split gives to a part.
func (s *Set) cut(part, text string, n int) ([]int, error) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	if text == "" {
		return order, nil
	}
	r, err := parseShare(text)
	if err != nil {
		return nil, job.Usagef("split.%s: %w", part, err)
	}
	if r.fraction == 0 {
		if r.to < 0 {
			r.to = n
		}
		if r.to > n || r.from >= r.to {
			return nil, &job.DataError{Err: fmt.Errorf("split.%s: %q reaches beyond the %d samples of %s", part, text, n, s.Spec.Path)}
		}
		return order[r.from:r.to], nil
	}
	// Shares follow one another in one random order of the samples, so that they have none in common.
	rng := rand.New(rand.NewPCG(splitSeed, uint64(n)))
	rng.Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
	var before float64
	for _, p := range Parts() {
		if p == part {
			break
		}
		if o, err := parseShare(s.Spec.Split[p]); err == nil {
			before += o.fraction
		}
	}
	lo, hi := int(before*float64(n)+0.5), int((before+r.fraction)*float64(n)+0.5)
	order = order[min(lo, n):min(hi, n)]
	if len(order) == 0 {
		return nil, &job.DataError{Err: fmt.Errorf("split.%s: a share of %s of %d samples is none", part, text, n)}
	}
	slices.Sort(order)
	return order, nil
}
