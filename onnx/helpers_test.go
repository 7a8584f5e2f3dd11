package onnx_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/effml/effml/internal/testkit"
	"github.com/effml/effml/onnx"
)

// modelFiles returns the real models there are: the shared ones, and the conformance models under $EFFML_CONFORMANCE.
func modelFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	patterns := []string{filepath.Join(testkit.SharedDir(t), "data", "models", "*.onnx")}
	if dir := os.Getenv("EFFML_CONFORMANCE"); dir != "" {
		patterns = append(patterns, filepath.Join(dir, "*", "model.onnx"), filepath.Join(dir, "*.onnx"))
	}
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Skip("no real models: neither $EFFML_SHARED, ../shared/data/models nor $EFFML_CONFORMANCE has any")
	}
	return files
}

// python runs a script with arguments under $EFFML_PYTHON, which has the package onnx.
func python(t *testing.T, script string, args ...string) string {
	t.Helper()
	return string(testkit.Python(t, "onnx", append([]string{"-c", script}, args...)...))
}

// written returns the model's bytes.
func written(t testing.TB, m *onnx.Model) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := m.WriteTo(&b)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(b.Len()) {
		t.Fatalf("WriteTo says %d bytes and wrote %d", n, b.Len())
	}
	return b.Bytes()
}

func open(t testing.TB, path string) *onnx.File {
	t.Helper()
	f, err := onnx.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// smallModel is y = x + w, with w of 6 floats.
func smallModel() *onnx.Model {
	w := &onnx.Tensor{Name: "w", DataType: onnx.Float, Dims: []int64{2, 3}}
	w.SetBytes(make([]byte, 24))
	typ := func() *onnx.TypeProto {
		two, three := int64(2), int64(3)
		return &onnx.TypeProto{Tensor: &onnx.TensorType{
			ElemType: onnx.Float, Shape: &onnx.Shape{Dims: []*onnx.Dimension{{Value: &two}, {Value: &three}}},
		}}
	}
	return &onnx.Model{
		IRVersion: 10, OpsetImports: []*onnx.OperatorSet{{Version: 21}},
		Graph: &onnx.Graph{
			Name:         "g",
			Nodes:        []*onnx.Node{{Name: "add", OpType: "Add", Inputs: []string{"x", "w"}, Outputs: []string{"y"}}},
			Initializers: []*onnx.Tensor{w},
			Inputs:       []*onnx.ValueInfo{{Name: "x", Type: typ()}},
			Outputs:      []*onnx.ValueInfo{{Name: "y", Type: typ()}},
		},
	}
}
