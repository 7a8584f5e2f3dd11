// Package rewritetest lets tests of graph rewrites ask Python's onnx.checker and ONNX Runtime what they make of a model.
package rewritetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/effml/effml/onnx"
)

// script checks each model and writes the bytes of its first output beside it.
const script = `
import sys, onnx, onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
for path in sys.argv[1:]:
    try:
        onnx.checker.check_model(path, full_check=True)
        run = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
        open(path + '.out', 'wb').write(run.run(None, {})[0].tobytes())
    except Exception as e:
        sys.exit(path + ': ' + str(e))
`

// FirstOutputs returns, of models without inputs, the bytes of the first output in raw layout. It skips the test where
// $EFFML_PYTHON does not name a Python with onnx and onnxruntime, and fails it where a model is refused.
func FirstOutputs(t *testing.T, models ...*onnx.Model) [][]byte {
	t.Helper()
	python := os.Getenv("EFFML_PYTHON")
	if python == "" {
		t.Skip("EFFML_PYTHON does not name a Python with onnx and onnxruntime")
	}
	dir := t.TempDir()
	args := []string{"-c", script}
	for i, m := range models {
		path := filepath.Join(dir, strconv.Itoa(i)+".onnx")
		if _, err := onnx.Save(path, m, onnx.SaveOptions{}); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	if msg, err := exec.Command(python, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, msg)
	}
	outs := make([][]byte, len(models))
	for i := range models {
		out, err := os.ReadFile(args[2+i] + ".out")
		if err != nil {
			t.Fatal(err)
		}
		outs[i] = out
	}
	return outs
}

// Constant returns a model without inputs that yields one initializer, W, through an Identity.
func Constant(opset, ir int64, w *onnx.Tensor) *onnx.Model {
	info := func(name string) *onnx.ValueInfo {
		shape := new(onnx.Shape)
		for _, d := range w.Dims {
			shape.Dims = append(shape.Dims, &onnx.Dimension{Value: &d})
		}
		return &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: w.DataType, Shape: shape}}}
	}
	g := &onnx.Graph{
		Name:         "constant",
		Nodes:        []*onnx.Node{{OpType: "Identity", Name: "out", Inputs: []string{w.Name}, Outputs: []string{"Y"}}},
		Initializers: []*onnx.Tensor{w},
		Outputs:      []*onnx.ValueInfo{info("Y")},
	}
	if ir < 4 {
		g.Inputs = []*onnx.ValueInfo{info(w.Name)}
	}
	return &onnx.Model{IRVersion: ir, Graph: g, OpsetImports: []*onnx.OperatorSet{{Version: opset}}}
}
