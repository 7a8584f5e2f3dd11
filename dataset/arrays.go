package dataset

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/internal/npy"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// labelNames are the fields that hold classes where a SPEC does not say which.
var labelNames = []string{"label", "labels", "y", "target", "targets", "class"}

// partOf finds the part in the name of an array or file: x_test, X_train, test_images.
var partOf = regexp.MustCompile(`(?i)^(?:(.+)[_-](train|val|valid|test)|(train|val|valid|test)[_-](.+))$`)

// splitName returns the name without its part, and the part in the word of a SPEC or "".
func splitName(name string) (base, part string) {
	m := partOf.FindStringSubmatch(name)
	if m == nil {
		return name, ""
	}
	part = strings.TrimSuffix(strings.ToLower(m[2]+m[3]), "id")
	return m[1] + m[4], part
}

// member is an array that has not been read yet.
type member struct {
	name string // without its part
	read func() (*tensor.Tensor, error)
}

// findArrays finds the arrays of an NPZ file, of a folder of NPY files, or of an NPY file and the one with its labels.
func findArrays(s *Spec) (*found, error) {
	if isFile(s.Path) && strings.EqualFold(filepath.Ext(s.Path), ".npz") {
		return findNPZ(s)
	}
	f, members := &found{}, map[string][]member{}
	files := []string{s.Path}
	if !isFile(s.Path) {
		var err error
		if files, err = filepath.Glob(filepath.Join(escapeGlob(s.Path), "*.npy")); err != nil || len(files) == 0 {
			return nil, dataError(s.Path, errors.New("no arrays (x.npy, y.npy)"))
		}
	} else if labels := npyLabels(s.Path); labels != "" {
		files = append(files, labels)
	}
	var open []*mapped.File
	for _, path := range files {
		file, err := mapped.Open(path)
		if err != nil {
			return nil, dataError(path, err)
		}
		open = append(open, file)
		base, part := splitName(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
		members[part] = append(members[part], member{base, func() (*tensor.Tensor, error) {
			t, err := npy.Decode(file.Bytes())
			if err != nil {
				return nil, dataError(path, err)
			}
			return t, nil
		}})
	}
	f.close = func() {
		for _, o := range open {
			o.Close()
		}
	}
	return f.arrays(s, members), nil
}

// npyLabels returns the file of labels that belongs to x.npy or to images.npy, or "".
func npyLabels(path string) string {
	dir, name := filepath.Split(path)
	for _, pair := range [][2]string{{"x", "y"}, {"X", "y"}, {"X", "Y"}, {"images", "labels"}, {"data", "labels"}} {
		if strings.Contains(name, pair[0]) {
			if p := dir + strings.Replace(name, pair[0], pair[1], 1); isFile(p) {
				return p
			}
		}
	}
	return ""
}

func findNPZ(s *Spec) (*found, error) {
	file, err := mapped.Open(s.Path)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	f, members := &found{close: func() { file.Close() }}, map[string][]member{}
	var a *npy.Archive
	err = mapped.Guard(func() error {
		a, err = npy.OpenArchive(file.Bytes())
		return err
	})
	if err == nil && len(a.Names()) == 0 {
		err = errors.New("no arrays in it")
	}
	if err != nil {
		f.close()
		return nil, dataError(s.Path, err)
	}
	for _, name := range a.Names() {
		base, part := splitName(name)
		members[part] = append(members[part], member{base, func() (*tensor.Tensor, error) { return a.Read(name) }})
	}
	return f.arrays(s, members), nil
}

// arrays makes a part of each group of members. Arrays without a part are the training part beside those of others.
func (f *found) arrays(s *Spec, members map[string][]member) *found {
	f.parts = map[string]opener{}
	for part, group := range members {
		if part == "" && len(members) > 1 {
			if members["train"] != nil {
				continue
			}
			part = "train"
		}
		f.parts[part] = func() (Source, error) {
			t := &table{where: within(s.Path, "sample")}
			err := mapped.Guard(func() error { return t.add(s, group, f) })
			if err != nil {
				return nil, dataError(s.Path, err)
			}
			return t, nil
		}
	}
	return f
}

// add makes columns of arrays.
func (t *table) add(s *Spec, group []member, f *found) error {
	t.n = -1
	offsets, rows := map[string][]int64{}, map[string]int{}
	for _, m := range group {
		value, err := m.read()
		if err != nil {
			return err
		}
		if of, ok := strings.CutSuffix(m.name, OffsetsSuffix); ok && slices.ContainsFunc(group, func(o member) bool { return o.name == of }) {
			if offsets[of], err = integers(value); err != nil {
				return fmt.Errorf("array %s: %w", m.name, err)
			}
			continue
		}
		if len(value.Shape) == 0 {
			return fmt.Errorf("array %s has no dimension for the samples", m.name)
		}
		if t.target == "" && isTarget(s, m.name, value) {
			if err := t.setTarget(m.name, value, s, f); err != nil {
				return err
			}
			rows[m.name] = len(t.labels)
			continue
		}
		c := newColumn(m.name, value)
		if wantsImage(s, value) {
			c.asImage()
		}
		rows[m.name] = value.Shape[0]
		t.columns = append(t.columns, c)
	}
	for i := range t.columns {
		c := &t.columns[i]
		if o := offsets[c.Name]; o != nil {
			if err := checkOffsets(o, rows[c.Name]); err != nil {
				return fmt.Errorf("array %s: %w", c.Name+OffsetsSuffix, err)
			}
			rows[c.Name] = len(o) - 1
			c.offsets, c.Collate, c.Kind = o, Ragged, Values
			c.Shape = append([]int{-1}, c.Shape...)
		}
	}
	for _, name := range sortedKeys(rows) {
		if t.n >= 0 && rows[name] != t.n {
			return fmt.Errorf("array %s has %d samples, another has %d", name, rows[name], t.n)
		}
		t.n = rows[name]
	}
	t.n = max(t.n, 0)
	return nil
}

// wantsImage says whether an array may be images: one of bytes, or one of floats that the SPEC tells how to preprocess.
func wantsImage(s *Spec, t *tensor.Tensor) bool {
	return t.Type == onnx.Uint8 || t.Type == onnx.Float && len(t.Shape) >= 4 && !s.Preprocess.IsZero()
}

// isTarget says whether an array holds the classes.
func isTarget(s *Spec, name string, t *tensor.Tensor) bool {
	if len(t.Shape) != 1 && (len(t.Shape) != 2 || t.Shape[1] != 1) {
		return false
	}
	if s.Labels != "" {
		return name == s.Labels
	}
	return slices.Contains(labelNames, strings.ToLower(name)) && t.Type != onnx.Float && t.Type != onnx.Double
}

// setTarget takes the classes from numbers or names.
func (t *table) setTarget(name string, value *tensor.Tensor, s *Spec, f *found) (err error) {
	t.target = name
	if value.Type != onnx.String {
		t.labels, err = integers(value)
		if err != nil {
			return fmt.Errorf("array %s: %w", name, err)
		}
		return nil
	}
	t.labels, err = f.number(value.Strings(), s)
	return err
}

// integers returns whole numbers of any type as int64, a copy.
func integers(t *tensor.Tensor) ([]int64, error) {
	switch t.Type {
	case onnx.Int64:
		return slices.Clone(tensor.Of[int64](t)), nil
	case onnx.Int32:
		return widen(tensor.Of[int32](t)), nil
	case onnx.Uint32:
		return widen(tensor.Of[uint32](t)), nil
	case onnx.Uint64:
		return widen(tensor.Of[uint64](t)), nil
	case onnx.Uint8:
		return widen(tensor.Of[uint8](t)), nil
	case onnx.Int8:
		return widen(tensor.Of[int8](t)), nil
	case onnx.Int16:
		return widen(tensor.Of[int16](t)), nil
	case onnx.Uint16:
		return widen(tensor.Of[uint16](t)), nil
	case onnx.Float:
		return whole(tensor.Of[float32](t))
	case onnx.Double:
		return whole(tensor.Of[float64](t))
	}
	return nil, fmt.Errorf("%s holds no whole numbers", t)
}

func widen[T int8 | int16 | int32 | uint8 | uint16 | uint32 | uint64](v []T) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}

func whole[T float32 | float64](v []T) ([]int64, error) {
	out := make([]int64, len(v))
	for i, x := range v {
		if float64(x) != math.Trunc(float64(x)) || math.Abs(float64(x)) > 1<<53 {
			return nil, fmt.Errorf("element %d is %v, no whole number", i, x)
		}
		out[i] = int64(x)
	}
	return out, nil
}

// checkOffsets reports offsets that do not divide rows into samples.
func checkOffsets(o []int64, rows int) error {
	if len(o) == 0 || o[0] != 0 || o[len(o)-1] != int64(rows) {
		return fmt.Errorf("offsets must begin with 0 and end with the number of rows, %d", rows)
	}
	if i := slices.IndexFunc(o[1:], func(v int64) bool { return v < 0 || v > int64(rows) }); i >= 0 {
		return fmt.Errorf("element %d: offset %d is outside of the %d rows", i+1, o[i+1], rows)
	}
	if !slices.IsSorted(o) {
		return errors.New("offsets must not fall")
	}
	return nil
}

// findCSV describes a CSV or TSV file, or the train, val and test files of a folder.
func findCSV(s *Spec) (*found, error) {
	f := &found{parts: map[string]opener{}}
	files := []string{s.Path}
	if !isFile(s.Path) {
		entries, err := os.ReadDir(s.Path)
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		files = nil
		for _, e := range entries {
			if slices.Contains([]string{".csv", ".tsv"}, strings.ToLower(filepath.Ext(e.Name()))) {
				files = append(files, filepath.Join(s.Path, e.Name()))
			}
		}
	}
	if len(files) == 0 {
		return nil, dataError(s.Path, errors.New("no CSV or TSV files"))
	}
	for _, path := range files {
		part := ""
		if len(files) > 1 {
			stem := strings.ToLower(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
			if _, part = splitName("x_" + stem); part == "" {
				_, part = splitName(stem)
			}
		}
		if f.parts[part] != nil {
			return nil, dataError(s.Path, fmt.Errorf("several files for one part, %s among them: name one of them", filepath.Base(path)))
		}
		f.parts[part] = func() (Source, error) { return openCSV(path, s, f) }
	}
	return f, nil
}
