package conformance

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

func TestCompare(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	f := func(v ...float32) *tensor.Tensor { return tensor.From(v, len(v)) }
	for _, c := range []struct {
		name      string
		got, want *tensor.Tensor
		message   string // "" for agreement
	}{
		{"nan, infinities", f(nan, inf, -inf, 0), f(nan, inf, -inf, float32(math.Copysign(0, -1))), ""},
		{"tolerance", f(100.09, 5e-8), f(100, 0), ""},
		{"beyond", f(1, 100.2), f(1, 100), "1 of 2 elements are wrong, the first at 1: 100.2 where 100 is wanted"},
		{"infinite against large", f(math.MaxFloat32), f(inf), "1 of 1"},
		{"nan against number", f(nan), f(1), "NaN where 1"},
		{"no nan", f(1), f(nan), "1 where NaN"},
		{"shape", f(1, 2), tensor.From([]float32{1, 2}, 1, 2), "float32[2] where float32[1,2] is wanted"},
		{"type", tensor.From([]int32{1}), tensor.From([]int64{1}), "int32[] where int64[] is wanted"},
		{"none", nil, f(1), "no value"},
		{"integers", tensor.From([]int64{1, 1 << 40}, 2), tensor.From([]int64{1, 1<<40 + 1}, 2), "1 of 2"},
		{"bool", tensor.From([]bool{true}, 1), tensor.From([]bool{false}, 1), "1 of 1"},
		{"strings", tensor.FromStrings([]string{"a", "b"}, 2), tensor.FromStrings([]string{"a", "c"}, 2), "b where c"},
		{"complex", tensor.From([]complex64{1 + 2i}, 1), tensor.From([]complex64{1 + 2.1i}, 1), "1 of 1"},
		{"half", tensor.From([]tensor.Float16{0x3c00}, 1), tensor.From([]tensor.Float16{0x3c01}, 1), ""},
		{"float8", tensor.From([]tensor.Float8E4M3FN{0x38}, 1), tensor.From([]tensor.Float8E4M3FN{0x39}, 1), "1 where 1.125"},
		{"empty", f(), f(), ""},
	} {
		err := Compare(c.got, c.want)
		if (err == nil) != (c.message == "") || err != nil && !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v, want %q", c.name, err, c.message)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	tensorType := &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float}}
	model := func(in *onnx.TypeProto) *onnx.Model {
		return &onnx.Model{
			IRVersion: 10, OpsetImports: []*onnx.OperatorSet{{Version: 20}},
			Graph: &onnx.Graph{
				Name: "g", Inputs: []*onnx.ValueInfo{{Name: "x", Type: in}},
				Outputs: []*onnx.ValueInfo{{Name: "y", Type: tensorType}},
				Nodes:   []*onnx.Node{{OpType: "Neg", Inputs: []string{"x"}, Outputs: []string{"y"}}},
			},
		}
	}
	save := func(name string, m *onnx.Model, sets ...string) {
		t.Helper()
		for _, set := range append(sets, "") {
			if err := os.MkdirAll(filepath.Join(dir, name, set), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := onnx.Save(filepath.Join(dir, name, "model.onnx"), m, onnx.SaveOptions{}); err != nil {
			t.Fatal(err)
		}
		for i, set := range sets {
			for role, wire := range map[string]string{
				"input":  "\x08\x01\x10\x01\x4a\x04\x00\x00\x80" + string(rune(0x3f+i)), // dims 1, FLOAT, raw_data 1 (or 4)
				"output": "\x08\x01\x10\x01\x22\x04\x00\x00\x80\xbf",                    // float_data −1
			} {
				if err := os.WriteFile(filepath.Join(dir, name, set, role+"_0.pb"), []byte(wire), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	save("b_neg", model(tensorType), "test_data_set_0", "test_data_set_1")
	save("a_sequence", model(&onnx.TypeProto{Sequence: &onnx.SequenceType{ElemType: tensorType}}), "test_data_set_0")
	save("c_empty", model(tensorType))
	names, err := Names(dir)
	if err != nil || strings.Join(names, " ") != "a_sequence b_neg c_empty" {
		t.Fatalf("names %v, %v", names, err)
	}
	c, err := Read(dir, "b_neg")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Sets) != 2 || c.Model.Graph.Nodes[0].OpType != "Neg" {
		t.Fatalf("case %+v", c)
	}
	for i, want := range []float32{1, 4} {
		if err := Compare(c.Sets[i].Inputs[0], tensor.From([]float32{want}, 1)); err != nil {
			t.Errorf("set %d: %v", i, err)
		}
		if err := Compare(c.Sets[i].Outputs[0], tensor.From([]float32{-1}, 1)); err != nil {
			t.Errorf("set %d: %v", i, err)
		}
	}
	var unsupported *UnsupportedError
	if _, err := Read(dir, "a_sequence"); !errors.As(err, &unsupported) || unsupported.Kind != "a sequence" {
		t.Errorf("sequence: %v", err)
	}
	if _, err := Read(dir, "c_empty"); err == nil {
		t.Error("a case without data was read")
	}
	if _, err := Names(filepath.Join(dir, "b_neg")); err == nil {
		t.Error("names of a folder without cases")
	}
}
