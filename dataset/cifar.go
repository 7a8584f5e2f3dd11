package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/tensor"
)

// CIFAR-10 in two forms. Binary: records of a byte of label and 3·32·32 bytes of red, green and blue planes (A. Krizhevsky,
// Learning Multiple Layers of Features from Tiny Images, 2009; "binary version" on the dataset's page). PNG: files whose
// rows are the 32·32 pixels of an image each, with the labels of all rows in a JSON array beside them.

const (
	cifarSide   = 32
	cifarPixels = cifarSide * cifarSide
	cifarRecord = 1 + 3*cifarPixels
)

var cifarClasses = []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}

// cifarLabels are the names of the files with labels that go with PNGs; the first is how the npm package spells it.
var cifarLabels = map[string][]string{"train": {"train_lables.json", "train_labels.json"}, "test": {"test_lables.json", "test_labels.json"}}

// findCIFAR finds data_batch_* and test_batch* in a folder, or in a folder in it that an archive unpacks to. A path to
// one file is that batch.
func findCIFAR(s *Spec) (*found, error) {
	f := &found{parts: map[string]opener{}, classes: cifarClasses, counted: true}
	if isFile(s.Path) {
		f.parts[""] = func() (Source, error) { return openCIFAR([]string{s.Path}, "test") }
		if strings.HasPrefix(filepath.Base(s.Path), "data_batch") && strings.HasSuffix(s.Path, ".png") {
			return nil, dataError(s.Path, errors.New("the labels of one PNG batch cannot be told apart; name the folder"))
		}
		return f, nil
	}
	for _, dir := range []string{s.Path, filepath.Join(s.Path, "cifar-10-batches-bin"), filepath.Join(s.Path, "package")} {
		for _, ext := range []string{".bin", ".png"} {
			for part, pattern := range map[string]string{"train": "data_batch_*", "test": "test_batch*"} {
				files, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern+ext))
				if err != nil || len(files) == 0 || f.parts[part] != nil {
					continue
				}
				f.parts[part] = func() (Source, error) { return openCIFAR(files, part) }
			}
		}
	}
	if len(f.parts) == 0 {
		return nil, dataError(s.Path, errors.New("no CIFAR-10 batches (data_batch_1.bin, data_batch_1.png, …)"))
	}
	return f, nil
}

// escapeGlob keeps the signs of a path from being read as a pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

func openCIFAR(files []string, part string) (Source, error) {
	tables := make([]Source, len(files))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, path := range files {
		group.Go(func() error {
			t, err := openCIFARBatch(path)
			if err == nil {
				tables[i] = t
			}
			return err
		})
	}
	err := group.Wait()
	if err == nil && filepath.Ext(files[0]) == ".png" {
		err = cifarJSON(tables, filepath.Dir(files[0]), part)
	}
	if err != nil {
		for _, t := range tables {
			if t != nil {
				t.Close() //nolint:errcheck // the first error counts
			}
		}
		return nil, err
	}
	return newChain(tables), nil
}

func openCIFARBatch(path string) (*table, error) {
	data, file, err := openBytes(path)
	if err != nil {
		return nil, err
	}
	t := &table{where: within(path, "image"), file: file, target: "label"}
	err = mapped.Guard(func() error {
		if filepath.Ext(path) == ".png" {
			return t.cifarPNG(data)
		}
		return t.cifarBinary(data)
	})
	if err != nil {
		t.Close() //nolint:errcheck // the first error counts
		return nil, dataError(path, err)
	}
	return t, nil
}

func (t *table) cifarBinary(data []byte) error {
	if len(data) == 0 || len(data)%cifarRecord != 0 {
		return fmt.Errorf("%d bytes are no whole number of CIFAR-10 records of %d", len(data), cifarRecord)
	}
	t.n = len(data) / cifarRecord
	c := cifarColumn(data[1:])
	c.stride, c.planar = cifarRecord, true
	t.columns, t.labels = []column{c}, make([]int64, t.n)
	for i := range t.labels {
		t.labels[i] = int64(data[i*cifarRecord])
	}
	return nil
}

func (t *table) cifarPNG(data []byte) error {
	im, err := decodeImage(data)
	if err != nil {
		return err
	}
	if im.Shape[1] != cifarPixels || im.Shape[2] != 3 {
		return fmt.Errorf("%s: a batch has rows of %d pixels in 3 colours", im, cifarPixels)
	}
	t.n = im.Shape[0]
	t.columns = []column{cifarColumn(im.Bytes())}
	file := t.file // nothing looks at it again
	t.file = nil
	return file.Close()
}

func cifarColumn(data []byte) column {
	return column{
		Field:  Field{Name: "image", Kind: Image, Type: tensor.TypeOf[uint8](), Shape: []int{cifarSide, cifarSide, 3}},
		data:   data,
		size:   3 * cifarPixels,
		stride: 3 * cifarPixels,
	}
}

// cifarJSON gives tables, which are one part in order, the labels of its JSON file.
func cifarJSON(tables []Source, dir, part string) error {
	var path string
	for _, name := range cifarLabels[part] {
		if path = filepath.Join(dir, name); isFile(path) {
			break
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return dataError(path, err)
	}
	var labels []int64
	if err := json.Unmarshal(data, &labels); err != nil {
		return dataError(path, err)
	}
	total := 0
	for _, s := range tables {
		t, n := s.(*table), s.Len() // openCIFAR made them
		if total += n; total <= len(labels) {
			t.labels = labels[total-n : total]
		}
	}
	if total != len(labels) {
		return dataError(path, fmt.Errorf("%d labels for %d images", len(labels), total))
	}
	return nil
}
