package dataset

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// files is a Source of image files.
type files struct {
	paths  []string
	labels []int64 // nil where there are none
}

// maxImageFile bounds the bytes of one image file.
const maxImageFile = 256 << 20

func (f *files) Len() int { return len(f.paths) }

func (f *files) Fields() []Field {
	out := []Field{{Name: "image", Kind: Image, Type: onnx.Uint8, Shape: []int{-1, -1, -1}}}
	if f.labels != nil {
		out = append(out, Field{Name: "label", Kind: Label, Type: onnx.Int64, Shape: []int{}})
	}
	return out
}

func (f *files) Read(i int, s Sample) error {
	file, err := os.Open(f.paths[i])
	if err != nil {
		return cause(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return cause(err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxImageFile {
		return fmt.Errorf("not a file of at most %d bytes", maxImageFile)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(file, data); err != nil {
		return cause(err)
	}
	if s["image"], err = decodeImage(data); err != nil {
		return err
	}
	if f.labels != nil {
		s["label"] = tensor.From(f.labels[i : i+1 : i+1])
	}
	return nil
}

// cause drops the path of an error about a file, which is named beside it.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (f *files) Name(i int) string { return f.paths[i] }
func (f *files) label(i int) int64 { return f.labels[i] }
func (f *files) Close() error      { return nil }

// listNames are the files that say which image has which class.
var listNames = []string{"labels.tsv", "labels.csv"}

// findImages finds a list of labels, or folders of classes, or both of them below train, val and test, or images alone.
func findImages(s *Spec) (*found, error) {
	f := &found{parts: map[string]opener{}}
	entries, err := os.ReadDir(s.Path)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	parts := map[string]string{}
	folders := 0
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		folders++
		if _, part := splitName("x_" + e.Name()); part != "" {
			parts[part] = filepath.Join(s.Path, e.Name())
		}
	}
	if len(parts) == 0 || len(parts) != folders || listOf(s.Path) != "" {
		source, err := scanImages(s.Path, s, f)
		if err != nil {
			return nil, err
		}
		f.parts[""] = func() (Source, error) { return source, nil }
		return f, nil
	}
	var classes []string
	for _, part := range sortedKeys(parts) {
		f.classes = nil
		source, err := scanImages(parts[part], s, f)
		if err != nil {
			return nil, err
		}
		if classes != nil && f.counted && !slices.Equal(classes, f.classes) {
			return nil, dataError(parts[part], fmt.Errorf("its classes differ from those beside it: %s", difference(classes, f.classes)))
		}
		classes = f.classes
		f.parts[part] = func() (Source, error) { return source, nil }
	}
	return f, nil
}

// difference names a class that only one of two lists has.
func difference(a, b []string) string {
	for i, lists := range [][2][]string{{a, b}, {b, a}} {
		for _, c := range lists[0] {
			if !slices.Contains(lists[1], c) {
				return fmt.Sprintf("%q is %s", c, [...]string{"missing", "there alone"}[i])
			}
		}
	}
	return "their order"
}

func listOf(dir string) string {
	for _, name := range listNames {
		if p := filepath.Join(dir, name); isFile(p) {
			return p
		}
	}
	return ""
}

func isImage(name string) bool {
	return !strings.HasPrefix(name, ".") && slices.Contains(imageExtensions, strings.ToLower(filepath.Ext(name)))
}

// scanImages lists the images of a folder.
func scanImages(dir string, s *Spec, f *found) (*files, error) {
	if list := listOf(dir); list != "" {
		return readList(list, s, f)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	var classes, loose []string
	for _, e := range entries {
		switch {
		case e.IsDir() && !strings.HasPrefix(e.Name(), "."):
			classes = append(classes, e.Name())
		case isImage(e.Name()):
			loose = append(loose, filepath.Join(dir, e.Name()))
		}
	}
	if len(classes) == 0 {
		if len(loose) == 0 {
			return nil, dataError(dir, errors.New("no images, and no folders of them"))
		}
		return &files{paths: loose}, nil
	}
	numbers, err := f.folders(classes, s)
	if err != nil {
		return nil, dataError(dir, err)
	}
	out := &files{labels: []int64{}}
	for i, class := range classes {
		before := len(out.paths)
		err := filepath.WalkDir(filepath.Join(dir, class), func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && isImage(e.Name()) {
				out.paths, out.labels = append(out.paths, path), append(out.labels, numbers[i])
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		if len(out.paths) == before {
			return nil, dataError(filepath.Join(dir, class), errors.New("a class without images"))
		}
	}
	return out, nil
}

// folders gives folders of classes their numbers. Those that the SPEC or the model names may be some of all, and not in
// alphabetical order; names of which no folder has one, such as cat for n02123045, belong to the folders in their order.
func (f *found) folders(names []string, s *Spec) ([]int64, error) {
	if len(s.Classes) > 0 && slices.ContainsFunc(names, func(n string) bool { return slices.Contains(s.Classes, n) }) {
		numbers := make([]int64, len(names))
		for i, n := range names {
			k := slices.Index(s.Classes, n)
			if k < 0 {
				return nil, fmt.Errorf("folder %q has the name of none of the %d classes%s", n, len(s.Classes), job.Hint(n, s.Classes))
			}
			numbers[i] = int64(k)
		}
		f.classes, f.counted = s.Classes, true
		return numbers, nil
	}
	if len(s.Classes) > 0 && len(s.Classes) != len(names) {
		return nil, fmt.Errorf("%d folders (%s, …), none of which has the name of one of the %d classes (%s, …)",
			len(names), names[0], len(s.Classes), s.Classes[0])
	}
	f.classes, f.counted = names, true
	numbers := make([]int64, len(names))
	for i := range numbers {
		numbers[i] = int64(i)
	}
	return numbers, nil
}

// readList reads labels.tsv or labels.csv: a line an image, the first column its file, the second its class as a number or a
// name, the last of more columns the name of a class that is a number. A first line of titles is left out.
func readList(list string, s *Spec, f *found) (*files, error) {
	data, err := os.ReadFile(list)
	if err != nil {
		return nil, dataError(list, err)
	}
	out, err := parseList(data, list, s, f)
	if err != nil {
		return nil, dataError(list, err)
	}
	return out, nil
}

func parseList(data []byte, list string, s *Spec, f *found) (*files, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	if filepath.Ext(list) == ".tsv" {
		r.Comma, r.LazyQuotes = '\t', true
	}
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 && slices.Contains([]string{"file", "filename", "image", "path"}, strings.ToLower(rows[0][0])) {
		rows = rows[1:]
	}
	if len(rows) == 0 {
		return nil, errors.New("it names no images")
	}
	out := &files{}
	var classes, titles []string
	numbers := true
	for i, row := range rows {
		if len(row) < 2 || !filepath.IsLocal(filepath.FromSlash(row[0])) {
			return nil, fmt.Errorf("row %d: %q is not a file below the folder and a class", i+1, strings.Join(row, "\t"))
		}
		out.paths = append(out.paths, filepath.Join(filepath.Dir(list), filepath.FromSlash(row[0])))
		classes = append(classes, row[1])
		titles = append(titles, row[len(row)-1])
		_, err := strconv.ParseUint(row[1], 10, 31)
		numbers = numbers && err == nil
	}
	if !numbers {
		out.labels, err = f.number(classes, s)
		return out, err
	}
	named := map[int64]string{}
	top := int64(-1)
	for i, c := range classes {
		v, _ := strconv.ParseInt(c, 10, 64) // it was parsed above
		out.labels = append(out.labels, v)
		named[v] = titles[i]
		top = max(top, v)
	}
	if len(rows[0]) > 2 && int64(len(named)) == top+1 {
		f.classes = make([]string, len(named))
		for v, name := range named {
			f.classes[v] = name
		}
	}
	return out, nil
}
