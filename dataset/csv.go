package dataset

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// A CSV file (RFC 4180; divided by tabs where it is called .tsv) has a sample a line. The column of classes is the one that
// the SPEC names under labels, or one called label, y, target, class…, or where there is no line of names the last one. The
// others are the field x, float32 [F], in the order of the file. Classes are whole numbers, or names that are numbered in
// alphabetical order.

// openCSV reads a file; f learns the names of the classes.
func openCSV(path string, s *Spec, f *found) (Source, error) {
	data, file, err := openBytes(path)
	if err != nil {
		return nil, err
	}
	if file != nil {
		defer file.Close()
	}
	t := &table{where: func(i int) string { return fmt.Sprintf("%s, row %d", path, i+1) }}
	err = mapped.Guard(func() error {
		separator := ','
		if strings.EqualFold(filepath.Ext(strings.TrimSuffix(path, ".gz")), ".tsv") {
			separator = '\t'
		}
		return t.readCSV(data, separator, s, f)
	})
	if err != nil {
		return nil, dataError(path, err)
	}
	return t, nil
}

func (t *table) readCSV(data []byte, separator rune, s *Spec, f *found) error {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	r.Comma, r.ReuseRecord = separator, true
	first, err := r.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("the file is empty")
	} else if err != nil {
		return err
	}
	first = slices.Clone(first)
	header := slices.ContainsFunc(first, func(v string) bool { return !isNumber(v) })
	at, err := targetColumn(first, header, s)
	if err != nil {
		return err
	}
	if !header {
		r = csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
		r.Comma, r.ReuseRecord = separator, true
		if at < 0 && len(first) > 1 {
			at = len(first) - 1
			f.note("%s has no line of names: its last column is taken for the classes", filepath.Base(s.Path))
		}
	}
	var values []float32
	var targets []string
	width := len(first)
	if at >= 0 {
		width--
	}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		for i, text := range record {
			if i == at {
				targets = append(targets, strings.Clone(strings.TrimSpace(text)))
				continue
			}
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 32)
			if err != nil && !(errors.Is(err, strconv.ErrRange) && math.IsInf(v, 0)) {
				line, column := r.FieldPos(i)
				return fmt.Errorf("line %d, column %d: %q is not a number", line, column, text)
			}
			values = append(values, float32(v))
		}
		t.n++
	}
	if width > 0 {
		t.columns = []column{newColumn("x", tensor.From(values, t.n, width))}
	}
	if at < 0 {
		return nil
	}
	return t.csvTarget(first, at, header, targets, s, f)
}

// csvTarget makes the classes, or where they are numbers that are not whole a field to regress to.
func (t *table) csvTarget(names []string, at int, header bool, targets []string, s *Spec, f *found) error {
	t.target = "label"
	if header {
		t.target = strings.TrimSpace(names[at])
	}
	if t.target == "x" {
		t.target = "label"
	}
	if slices.ContainsFunc(targets, func(v string) bool { return !isNumber(v) }) {
		var err error
		t.labels, err = f.number(targets, s)
		return err
	}
	values := make([]float64, len(targets))
	for i, v := range targets {
		values[i], _ = strconv.ParseFloat(v, 64) // isNumber
	}
	labels, err := whole(values)
	if err == nil {
		t.labels = labels
		return nil
	}
	exact := tensor.From(make([]float32, len(values)), len(values))
	for i, v := range values {
		tensor.Of[float32](exact)[i] = float32(v)
	}
	c := newColumn(t.target, exact)
	c.Type = onnx.Float
	t.columns, t.target = append(t.columns, c), ""
	return nil
}

// isNumber allows what float32 rounds to infinity.
func isNumber(text string) bool {
	_, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

// targetColumn returns the place of the classes, −1 where there are none.
func targetColumn(first []string, header bool, s *Spec) (int, error) {
	if !header {
		if s.Labels == "" || s.Labels == "label" {
			return -1, nil
		}
		return 0, fmt.Errorf("labels: the file has no line of names, so none of its columns is called %q", s.Labels)
	}
	for i, name := range first {
		name = strings.TrimSpace(name)
		if name == s.Labels || s.Labels == "" && slices.Contains(labelNames, strings.ToLower(name)) {
			return i, nil
		}
	}
	if s.Labels != "" {
		return 0, fmt.Errorf("labels: no column is called %q", s.Labels)
	}
	return -1, nil
}
