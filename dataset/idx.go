package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// IDX is the format of MNIST and its relatives.
//
// Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database, "The IDX file format": two zero bytes, a byte of type, a byte
// with the number of dimensions, the dimensions and then the elements in row-major order, all big-endian.

// idxTypes are the types by their third byte.
var idxTypes = map[byte]onnx.DataType{8: onnx.Uint8, 9: onnx.Int8, 11: onnx.Int16, 12: onnx.Int32, 13: onnx.Float, 14: onnx.Double}

// parseIDX returns the type, the shape and the place of the elements.
func parseIDX(data []byte) (dt onnx.DataType, shape []int, start int, err error) {
	if len(data) < 4 || data[0] != 0 || data[1] != 0 {
		return 0, nil, 0, errors.New("not an IDX file: it does not begin with two zero bytes, a type and a number of dimensions")
	}
	dt, known := idxTypes[data[2]]
	if !known {
		return 0, nil, 0, fmt.Errorf("byte 2: IDX has no type %#x", data[2])
	}
	start = 4 + 4*int(data[3])
	if len(data) < start {
		return 0, nil, 0, fmt.Errorf("the file ends inside its header of %d dimensions", data[3])
	}
	for at := 4; at < start; at += 4 {
		shape = append(shape, int(binary.BigEndian.Uint32(data[at:])))
	}
	n, err := tensor.Count(shape)
	switch {
	case err != nil:
		return 0, nil, 0, err
	case len(shape) == 0:
		return 0, nil, 0, errors.New("an IDX file of no dimensions has no samples")
	}
	if need := n * tensor.Width(dt); len(data)-start < need {
		return 0, nil, 0, fmt.Errorf("%d bytes follow the header, %s needs %d", len(data)-start, tensor.Describe(dt, shape), need)
	}
	return dt, shape, start, nil
}

// decodeIDX returns the array of an IDX file, a view of data where no byte must move.
func decodeIDX(data []byte) (*tensor.Tensor, error) {
	dt, shape, start, err := parseIDX(data)
	if err != nil {
		return nil, err
	}
	n, _ := tensor.Count(shape) // parseIDX did
	w := tensor.Width(dt)
	data = data[start:][:n*w]
	if w == 1 {
		return over(data, dt, shape), nil
	}
	out := tensor.Buffer(len(data))
	for i := 0; i < len(data); i += w {
		for k := range w {
			out[i+k] = data[i+w-1-k]
		}
	}
	return over(out, dt, shape), nil
}

// openBytes maps a file, or reads it where it is compressed by gzip. The map is nil then.
func openBytes(path string) ([]byte, *mapped.File, error) {
	f, err := mapped.Open(path)
	if err != nil {
		return nil, nil, err
	}
	if !bytes.HasPrefix(f.Bytes(), []byte("\x1f\x8b")) {
		return f.Bytes(), f, nil
	}
	defer f.Close()
	var out []byte
	err = mapped.Guard(func() error {
		z, err := gzip.NewReader(bufio.NewReader(bytes.NewReader(f.Bytes())))
		if err != nil {
			return err
		}
		out, err = io.ReadAll(io.LimitReader(z, maxUnpacked+1))
		if err == nil && len(out) > maxUnpacked {
			err = fmt.Errorf("more than %d bytes", maxUnpacked)
		}
		return err
	})
	if err != nil {
		return nil, nil, dataError(path, fmt.Errorf("gzip: %w", err))
	}
	return out, nil, nil
}

// maxUnpacked bounds what a compressed file may become.
const maxUnpacked = 4 << 30

// idxName finds the files of images in a folder; their labels have labels for images, and idx1.
var idxName = regexp.MustCompile(`(?i)^(.*?)images([-._]idx)(\d)([-._]ubyte)?(\.gz)?$`)

// idxLabels returns the file of labels that belongs to one of images, or "".
func idxLabels(path string) string {
	m := idxName.FindStringSubmatch(filepath.Base(path))
	if m == nil {
		return ""
	}
	for _, name := range []string{m[1] + "labels" + m[2] + "1" + m[4], m[1] + "Labels" + m[2] + "1" + m[4]} {
		for _, ext := range []string{m[5], "", ".gz"} {
			if p := filepath.Join(filepath.Dir(path), name+ext); isFile(p) {
				return p
			}
		}
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// findIDX finds the pairs of a folder: t10k or test, and train. A path to one file of images is a pair with its labels.
func findIDX(s *Spec) (*found, error) {
	f := &found{parts: map[string]opener{}}
	var files []string
	if isFile(s.Path) {
		files = []string{s.Path}
	} else {
		entries, err := os.ReadDir(s.Path)
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		for _, e := range entries {
			if idxName.MatchString(e.Name()) {
				files = append(files, filepath.Join(s.Path, e.Name()))
			}
		}
	}
	if len(files) == 0 {
		return nil, dataError(s.Path, errors.New("no IDX files of images (such as train-images-idx3-ubyte.gz)"))
	}
	taken := map[string]string{}
	for _, path := range files {
		name := strings.ToLower(filepath.Base(path))
		part := ""
		switch {
		case len(files) == 1 && isFile(s.Path):
		case strings.Contains(name, "t10k"), strings.Contains(name, "test"):
			part = "test"
		case strings.Contains(name, "val"):
			part = "val"
		case strings.Contains(name, "train"):
			part = "train"
		}
		stem := strings.TrimSuffix(path, ".gz")
		if other, twice := taken[part]; twice {
			if other == stem {
				continue // the same with and without .gz
			}
			return nil, job.Usagef("%s has several files of images for one part, %s and %s: name one of them", s.Path, filepath.Base(other), filepath.Base(path))
		}
		taken[part] = stem
		f.parts[part] = func() (Source, error) { return openIDX(path, idxLabels(path)) }
	}
	return f, nil
}

// openIDX opens one file of images and one of labels, which may be "".
func openIDX(path, labels string) (Source, error) {
	data, file, err := openBytes(path)
	if err != nil {
		return nil, err
	}
	t := &table{where: within(path, "image"), file: file}
	err = mapped.Guard(func() error {
		images, err := decodeIDX(data)
		if err != nil {
			return dataError(path, err)
		}
		c := newColumn("image", images)
		if !c.asImage() {
			c.Name = "x"
		}
		t.n, t.columns = images.Shape[0], []column{c}
		if labels != "" {
			t.target = "label"
			t.labels, err = readIDXLabels(labels, path, t.n)
		}
		return err
	})
	if err != nil {
		t.Close() //nolint:errcheck // the first error counts
		return nil, dataError(path, err)
	}
	return t, nil
}

func readIDXLabels(path, images string, n int) ([]int64, error) {
	data, file, err := openBytes(path)
	if err != nil {
		return nil, err
	}
	if file != nil {
		defer file.Close()
	}
	l, err := decodeIDX(data)
	if err != nil {
		return nil, dataError(path, err)
	}
	if len(l.Shape) != 1 || l.Shape[0] != n {
		return nil, dataError(path, fmt.Errorf("%s beside %d images in %s", l, n, filepath.Base(images)))
	}
	out, err := integers(l)
	if err != nil {
		return nil, dataError(path, err)
	}
	return out, nil
}
