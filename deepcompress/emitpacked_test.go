package deepcompress

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
)

// TestEmitPacked folds the small model back and compares every tensor with the plain one.
func TestEmitPacked(t *testing.T) {
	for _, c := range []struct {
		name   string
		opset  int64
		config Config
		op     string // that stands before the weights
		within float64
	}{
		{"grids", 17, Config{}, "DequantizeLinear", 0.3},
		{"grids before opset 10", 9, Config{}, "Gather", 0.3},
		{"int4", 21, Config{PlanPath: "testdata/int4.yaml"}, "DequantizeLinear", 0.16},
		{"many levels", 11, Config{Preset: "fast"}, "Gather", 0.6},
		{"many levels, int16", 21, Config{Preset: "fast"}, "DequantizeLinear", 0.6},
		{"codebooks", 17, Config{Preset: "paper"}, "Gather", 0.3},
		{"lossless", 17, Config{Preset: "lossless"}, "Conv", 1},
		{"once integers", 17, Config{Preset: "lossless"}, "Gather", 0.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := convNet()
			n.model.OpsetImports[0].Version, n.model.IRVersion = c.opset, 10
			if c.name == "once integers" {
				onGrid(t, n.model, "fc.weight", 0)
				onGrid(t, n.model, "conv.weight", float32(math.Copysign(0, -1))) // which no codebook gives back
			}
			c.config.Input = n.save(t)
			dir := t.TempDir()
			c.config.EmitONNX, c.config.EmitPacked = filepath.Join(dir, "plain.onnx"), filepath.Join(dir, "packed.onnx")
			r := compress(t, c.config)
			if float64(r.Packed.Bytes) > c.within*float64(r.Input.Bytes)+1000 {
				t.Errorf("%d bytes of %d", r.Packed.Bytes, r.Input.Bytes)
			}
			if info, err := os.Stat(c.config.EmitPacked); err != nil || info.Size() != r.Packed.Bytes {
				t.Errorf("the result says %d bytes: %v, %v", r.Packed.Bytes, info, err)
			}
			plain, packed := decode(t, c.config.EmitONNX), decode(t, c.config.EmitPacked)
			if !slices.ContainsFunc(packed.Graph.Nodes, func(n *onnx.Node) bool { return n.OpType == c.op }) {
				t.Errorf("no %s in the graph", c.op)
			}
			if i := slices.IndexFunc(packed.Graph.Nodes, func(n *onnx.Node) bool { return n.OpType == "DequantizeLinear" && n.Outputs[0] == "fc.weight" }); i >= 0 {
				t.Error("a DequantizeLinear stands before a MatMul, which ONNX Runtime computes in integers then")
			}
			if problems := onnx.Check(packed); len(problems) > 0 {
				t.Fatal(problems)
			}
			if _, err := ops.Fold(packed); err != nil {
				t.Fatal(err)
			}
			values := map[string][]byte{}
			for _, ref := range packed.Tensors() {
				values[ref.Name], _ = ref.Bytes()
			}
			for _, ref := range plain.Tensors() {
				if want, err := ref.Bytes(); err != nil || !bytes.Equal(values[ref.Name], want) {
					t.Errorf("tensor %s differs (%v)", ref.Name, err)
				}
			}
		})
	}
}

// onGrid rounds a tensor to multiples of 0.01, with another zero in its first place.
func onGrid(t *testing.T, m *onnx.Model, name string, zero float32) {
	t.Helper()
	w := byName(t, m, name)
	v := floatsOf(t, w)
	for i := range v {
		v[i] = float32(int(v[i]*100)) * 0.01
	}
	v[0] = zero
	raw := make([]byte, 4*len(v))
	onnx.PutFloats(raw, onnx.Float, v)
	w.SetBytes(raw)
}

func decode(t *testing.T, path string) *onnx.Model {
	t.Helper()
	m, err := onnx.Decode(read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return m
}
