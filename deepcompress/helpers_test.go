package deepcompress

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/effml/effml/onnx"
)

// net builds models for tests: tensors by name, and nodes that use them.
type net struct {
	model *onnx.Model
	rand  *rand.Rand
}

func newNet() *net {
	return &net{
		model: &onnx.Model{
			IRVersion: 8, ProducerName: "test", OpsetImports: []*onnx.OperatorSet{{Version: 17}},
			Graph: &onnx.Graph{
				Name:   "g",
				Inputs: []*onnx.ValueInfo{floatValue("x", 1, 8, 16, 16)}, Outputs: []*onnx.ValueInfo{floatValue("y")},
			},
		},
		rand: rand.New(rand.NewPCG(7, 11)),
	}
}

func floatValue(name string, dims ...int64) *onnx.ValueInfo {
	t := &onnx.TensorType{ElemType: onnx.Float}
	if dims != nil {
		t.Shape = &onnx.Shape{}
		for _, d := range dims {
			t.Shape.Dims = append(t.Shape.Dims, &onnx.Dimension{Value: &d})
		}
	}
	return &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: t}}
}

// laplace draws weights as trained ones are distributed.
func (n *net) laplace(count int64, scale float64) []float32 {
	w := make([]float32, count)
	for i := range w {
		v := n.rand.ExpFloat64() * scale
		if n.rand.IntN(2) == 0 {
			v = -v
		}
		w[i] = float32(v)
	}
	return w
}

func product(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}

func newTensor(name string, dt onnx.DataType, values []float32, dims ...int64) *onnx.Tensor {
	t := &onnx.Tensor{Name: name, DataType: dt, Dims: dims}
	raw := make([]byte, len(values)*dt.Bits()/8)
	onnx.PutFloats(raw, dt, values)
	t.SetBytes(raw)
	return t
}

// weight adds an initializer of Laplace weights.
func (n *net) weight(name string, dims ...int64) *onnx.Tensor {
	t := newTensor(name, onnx.Float, n.laplace(product(dims), 0.05), dims...)
	n.add(t)
	return t
}

func (n *net) add(t *onnx.Tensor) { n.model.Graph.Initializers = append(n.model.Graph.Initializers, t) }

func (n *net) ints(name string, values ...int64) {
	t := &onnx.Tensor{Name: name, DataType: onnx.Int64, Dims: []int64{int64(len(values))}}
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	t.SetBytes(raw)
	n.add(t)
}

func (n *net) node(op, name string, outputs, inputs []string, attributes ...*onnx.Attribute) {
	n.model.Graph.Nodes = append(n.model.Graph.Nodes, &onnx.Node{
		OpType: op, Name: name, Inputs: inputs, Outputs: outputs, Attributes: attributes,
	})
}

func intAttribute(name string, v int64) *onnx.Attribute {
	return &onnx.Attribute{Name: name, Type: onnx.AttributeInt, I: v}
}

// save writes the model into a folder of the test and returns its path.
func (n *net) save(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	if _, err := onnx.Save(path, n.model, onnx.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	return path
}

// convNet is a small network with a bit of everything.
func convNet() *net {
	n := newNet()
	n.weight("conv.weight", 32, 8, 3, 3)
	n.weight("conv.bias", 32)
	for _, p := range []string{"scale", "shift", "mean"} {
		n.weight("bn."+p, 32)
	}
	variance := n.laplace(32, 0.1)
	for i, v := range variance {
		variance[i] = 1 + v*v
	}
	n.add(newTensor("bn.var", onnx.Float, variance, 32))
	n.weight("tiny.weight", 4, 32, 1, 1)
	n.ints("shape", 1, -1)
	n.weight("fc.weight", 256, 64)
	n.weight("fc.bias", 1, 64)
	n.weight("head.weight", 10, 64)
	n.weight("head.bias", 10)
	n.node("Conv", "conv", []string{"a"}, []string{"x", "conv.weight", "conv.bias"}, &onnx.Attribute{
		Name: "pads", Type: onnx.AttributeInts, Ints: []int64{1, 1, 1, 1},
	})
	n.node("BatchNormalization", "bn", []string{"b"}, []string{"a", "bn.scale", "bn.shift", "bn.mean", "bn.var"})
	n.node("Conv", "tiny", []string{"c"}, []string{"b", "tiny.weight"})
	n.node("Reshape", "flat", []string{"d"}, []string{"c", "shape"})
	n.node("MatMul", "fc", []string{"e"}, []string{"d", "fc.weight"})
	n.node("Add", "add", []string{"f"}, []string{"e", "fc.bias"})
	n.node("Gemm", "head", []string{"y"}, []string{"f", "head.weight", "head.bias"}, intAttribute("transB", 1))
	return n
}

func floatsOf(t *testing.T, w *onnx.Tensor) []float32 {
	t.Helper()
	n, err := w.NumElements()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, n)
	if err := w.ReadFloats(out, 0); err != nil {
		t.Fatal(err)
	}
	return out
}

// decibel is the signal-to-noise ratio in the plainest way.
func decibel(before, after []float32) float64 {
	var signal, noise float64
	for i, w := range before {
		signal += float64(w) * float64(w)
		noise += (float64(w) - float64(after[i])) * (float64(w) - float64(after[i]))
	}
	return 10 * math.Log10(signal/noise)
}

func openONNX(t *testing.T, path string) *onnx.File {
	t.Helper()
	f, err := onnx.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// byName finds a tensor of the main graph.
func byName(t *testing.T, m *onnx.Model, name string) *onnx.Tensor {
	t.Helper()
	for _, w := range m.Graph.Initializers {
		if w.Name == name {
			return w
		}
	}
	t.Fatalf("no tensor %q", name)
	return nil
}

func rowOf(t *testing.T, r *Result, name string) Tensor {
	t.Helper()
	for _, row := range r.Tensors {
		if row.Name == name {
			return row
		}
	}
	t.Fatalf("no row for %q", name)
	return Tensor{}
}

func compress(t *testing.T, c Config) *Result {
	t.Helper()
	r, err := Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func decompressed(t *testing.T, archive string) *onnx.File {
	t.Helper()
	out := filepath.Join(t.TempDir(), "restored.onnx")
	if _, err := Decompress(t.Context(), DecompressConfig{Input: archive, Output: out}, nil); err != nil {
		t.Fatal(err)
	}
	return openONNX(t, out)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// leftovers lists the files of a folder.
func leftovers(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
