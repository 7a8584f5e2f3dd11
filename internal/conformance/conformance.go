// Package conformance reads test cases of models in the layout of ONNX's own: a folder a case, with the model and
// folders test_data_set_0, test_data_set_1, … of inputs and the outputs that belong to them, and compares what was computed.
package conformance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Env is the environment variable that names a folder of cases.
const Env = "EFFML_CONFORMANCE"

// Case is a model with what it is to compute.
type Case struct {
	Name  string
	Model *onnx.Model
	Sets  []Set
}

// Opset returns the version of ONNX's own operators that the model imports, or 0.
func (c *Case) Opset() int64 {
	if c.Model != nil {
		for _, o := range c.Model.OpsetImports {
			if o.Domain == "" || o.Domain == "ai.onnx" {
				return o.Version
			}
		}
	}
	return 0
}

// Set holds the values of the model's inputs and outputs, in their order.
type Set struct{ Inputs, Outputs []*tensor.Tensor }

// An UnsupportedError is a case with a value that is no tensor, or one of a type that package tensor does not hold.
type UnsupportedError struct{ Value, Kind string }

func (e *UnsupportedError) Error() string { return fmt.Sprintf("value %q is %s", e.Value, e.Kind) }

// Folder returns the folder that [Env] names and its cases, or skips the test.
func Folder(t testing.TB) (dir string, names []string) {
	t.Helper()
	if dir = os.Getenv(Env); dir == "" {
		t.Skipf("%s names no folder of conformance cases", Env)
	}
	names, err := Names(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, names
}

// Names lists the cases of a folder in alphabetical order: the folders in it, at any depth, that hold a model.onnx.
func Names(dir string) ([]string, error) {
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() || path == "." {
			return err
		}
		if _, absent := os.Stat(filepath.Join(dir, path, "model.onnx")); absent == nil {
			names = append(names, path)
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("conformance: %w", err)
	}
	if names == nil {
		return nil, fmt.Errorf("conformance: %s holds no folder with a model.onnx", dir)
	}
	return names, nil
}

// Read reads a case of those that Names lists. Values that are not supported here are an *UnsupportedError; the case then has its Name and Model.
func Read(dir, name string) (*Case, error) {
	c := &Case{Name: name}
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(filepath.Join(path, "model.onnx"))
	if err != nil {
		return c, fmt.Errorf("conformance: %w", err)
	}
	if c.Model, err = onnx.Decode(data); err != nil {
		return c, fmt.Errorf("conformance: %s: %w", name, err)
	}
	sets, err := filepath.Glob(filepath.Join(path, "test_data_set_*"))
	if err != nil {
		return c, err
	}
	slices.SortStableFunc(sets, func(a, b string) int { // 10 comes after 9
		return len(a) - len(b)
	})
	for _, set := range sets {
		var s Set
		s.Inputs, err = values(filepath.Join(set, "input"), c.Model.Graph.Inputs)
		if err == nil {
			s.Outputs, err = values(filepath.Join(set, "output"), c.Model.Graph.Outputs)
		}
		if err != nil {
			return c, fmt.Errorf("conformance: %s: %w", name, err)
		}
		c.Sets = append(c.Sets, s)
	}
	if len(c.Sets) == 0 {
		return c, fmt.Errorf("conformance: %s has no test_data_set_0", name)
	}
	return c, nil
}

// values reads the files prefix_0.pb, prefix_1.pb, …: as many as there are, which may be less than infos, because trailing
// inputs may have initializers.
func values(prefix string, infos []*onnx.ValueInfo) ([]*tensor.Tensor, error) {
	var out []*tensor.Tensor
	for i, info := range infos {
		switch t := info.Type; {
		case t == nil || t.Tensor != nil:
		case t.Sequence != nil:
			return nil, &UnsupportedError{info.Name, "a sequence"}
		case t.Optional != nil:
			return nil, &UnsupportedError{info.Name, "optional"}
		default:
			return nil, &UnsupportedError{info.Name, "no tensor"}
		}
		data, err := os.ReadFile(fmt.Sprintf("%s_%d.pb", prefix, i))
		if errors.Is(err, fs.ErrNotExist) && i > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		o, err := onnx.DecodeTensor(data)
		if err != nil {
			return nil, err
		}
		if o.DataType != onnx.String && tensor.Width(o.DataType) == 0 {
			return nil, &UnsupportedError{info.Name, "of " + o.DataType.String()}
		}
		t, err := tensor.FromONNX(o)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}
