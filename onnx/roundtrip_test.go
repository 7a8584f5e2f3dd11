package onnx_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/effml/effml/internal/modelgen"
	"github.com/effml/effml/onnx"
)

// Real files come back byte for byte, also when no message may be written as it was read; the checker accepts
// them; and every tensor's values can be had.
func TestRealModels(t *testing.T) {
	for _, path := range modelFiles(t) {
		f := open(t, path)
		want := read(t, path)
		if got := written(t, f.Model); !bytes.Equal(got, want) {
			t.Errorf("%s: read and written: %s", path, firstDifference(got, want))
		}
		got, err := onnx.Canonical(f.Model)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: canonical: %s", path, firstDifference(got, want))
		}
		for _, p := range onnx.Check(f.Model) {
			t.Errorf("%s: %v", path, p)
		}
		for _, r := range f.Model.Tensors() {
			if err := readable(r.Tensor); err != nil {
				t.Errorf("%s: %s: %v", path, r.Path, err)
			}
		}
		f.Close()
	}
}

func readable(t *onnx.Tensor) error {
	if t.DataType == onnx.String {
		_, err := t.Strings()
		return err
	}
	_, err := t.Bytes()
	return err
}

func firstDifference(got, want []byte) string {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	return fmt.Sprintf("%d bytes instead of %d, the first difference at %d", len(got), len(want), i)
}

// Generated models survive Save, Open and Save, in every mode.
func TestGeneratedModels(t *testing.T) {
	n := 200
	if testing.Short() {
		n = 40
	}
	for i, m := range modelgen.Generate(1, n) {
		dir := t.TempDir()
		path := filepath.Join(dir, "model.onnx")
		if _, err := onnx.Save(path, m, onnx.SaveOptions{}); err != nil {
			t.Fatalf("model %d: %v", i, err)
		}
		f := open(t, path)
		compareTensors(t, i, m, f.Model)
		file := read(t, path)
		canonical, err := onnx.Canonical(f.Model)
		if err != nil || !bytes.Equal(canonical, file) {
			t.Errorf("model %d: canonical: %v, %s", i, err, firstDifference(canonical, file))
		}
		for j, o := range []onnx.SaveOptions{{}, {External: onnx.Inline}, {External: onnx.Separate, Threshold: 1, DataName: "d/e.bin"}} {
			copied := filepath.Join(dir, fmt.Sprint("copy", j), "model.onnx")
			if err := os.Mkdir(filepath.Dir(copied), 0o755); err != nil {
				t.Fatal(err)
			}
			paths, err := onnx.Save(copied, f.Model, o)
			if err != nil {
				t.Fatalf("model %d: %+v: %v", i, o, err)
			}
			if j == 0 {
				for _, p := range paths {
					original := filepath.Join(dir, filepath.Base(p))
					if !bytes.Equal(read(t, p), read(t, original)) {
						t.Errorf("model %d: %s changed", i, filepath.Base(p))
					}
				}
			}
			again := open(t, copied)
			compareTensors(t, i, m, again.Model)
			for _, p := range onnx.Check(again.Model) {
				t.Errorf("model %d: %+v: %v", i, o, p)
			}
			if o.External == onnx.Inline && len(again.Files) != 1 {
				t.Errorf("model %d: inline, but there are %v", i, again.Files)
			}
		}
	}
}

// compareTensors compares everything but where the values are.
func compareTensors(t *testing.T, i int, want, got *onnx.Model) {
	t.Helper()
	w, g := want.Tensors(), got.Tensors()
	if len(w) != len(g) {
		t.Fatalf("model %d: %d tensors, want %d", i, len(g), len(w))
	}
	for j := range w {
		a, b := w[j], g[j]
		if a.Name != b.Name || a.DataType != b.DataType || fmt.Sprint(a.Dims) != fmt.Sprint(b.Dims) || a.Role != b.Role || a.Path != b.Path {
			t.Errorf("model %d: tensor %d is %v %v %v %v %v, want %v %v %v %v %v", i, j,
				b.Name, b.DataType, b.Dims, b.Role, b.Path, a.Name, a.DataType, a.Dims, a.Role, a.Path)
		}
		if a.DataType == onnx.String {
			x, errX := a.Strings()
			y, errY := b.Strings()
			if errX != nil || errY != nil || !bytes.Equal(bytes.Join(x, []byte{0}), bytes.Join(y, []byte{0})) {
				t.Errorf("model %d: %s: %v, %v: strings differ", i, a.Name, errX, errY)
			}
			continue
		}
		x, errX := a.Bytes()
		y, errY := b.Bytes()
		if errX != nil || errY != nil || !bytes.Equal(x, y) {
			t.Errorf("model %d: %s of %s in %s: %v, %v: values differ", i, a.Name, a.DataType, b.Storage, errX, errY)
		}
	}
}

// lp is a length-delimited field, vi a varint field, and f32 a number, as protobuf writes them.
func lp(num int, parts ...string) string {
	b := protowire.AppendTag(nil, protowire.Number(num), protowire.BytesType)
	return string(protowire.AppendString(b, strings.Join(parts, "")))
}

func vi(num int, x uint64) string {
	b := protowire.AppendTag(nil, protowire.Number(num), protowire.VarintType)
	return string(protowire.AppendVarint(b, x))
}

func f32(num int, x float32) string {
	b := protowire.AppendTag(nil, protowire.Number(num), protowire.Fixed32Type)
	return string(protowire.AppendFixed32(b, math.Float32bits(x)))
}

func decode(t testing.TB, file string) *onnx.Model {
	t.Helper()
	m, err := onnx.Decode([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A change rewrites the message it is in and those around it, and nothing else: what other writers wrote otherwise stays.
func TestChangeKeepsTheRest(t *testing.T) {
	plain := lp(1, lp(1, "x"), lp(2, "y"), lp(3, "first"), lp(4, "Relu"))
	// A node whose fields come in an unusual order, as another writer may have them, with a field that nobody knows.
	odd := lp(1, lp(4, "Relu"), lp(3, "more"), lp(2, "z"), lp(100, "new"), lp(1, "y"))
	file := lp(7, lp(2, "g"), plain, odd) + vi(1, 10)
	m := decode(t, file)
	if got := string(written(t, m)); got != file {
		t.Fatalf("unchanged: %q", got)
	}
	if canonical, err := onnx.Canonical(m); err != nil || bytes.Contains(canonical, []byte(odd)) {
		t.Errorf("the canonical form (%v) has the odd node as it was", err)
	}
	m.Graph.Nodes[0].Name = "other"
	changed := lp(1, lp(1, "x"), lp(2, "y"), lp(3, "other"), lp(4, "Relu"))
	if got, want := string(written(t, m)), vi(1, 10)+lp(7, changed, odd, lp(2, "g")); got != want {
		t.Errorf("one node changed: %q, want %q", got, want)
	}
	m.Graph.Nodes[1].DocString = "doc"
	odd = lp(1, lp(1, "y"), lp(2, "z"), lp(3, "more"), lp(4, "Relu"), lp(6, "doc"), lp(100, "new"))
	if got, want := string(written(t, m)), vi(1, 10)+lp(7, changed, odd, lp(2, "g")); got != want {
		t.Errorf("both changed: %q, want %q", got, want)
	}
}

// Explicit defaults, and numbers packed where onnx.proto does not say so or the other way round, stay as they were read.
func TestFormsStay(t *testing.T) {
	const node, attribute, initializer = 1, 5, 5
	inNode := func(a ...string) string { return lp(node, lp(attribute, a...)) }
	for name, graph := range map[string]string{
		"empty strings":    lp(2, "") + lp(10, ""),
		"packed ints":      inNode(lp(1, "a"), lp(8, "\x01\x02\xac\x02"), vi(20, 7)),
		"unpacked ints":    inNode(lp(1, "a"), vi(8, 1), vi(8, 300), vi(20, 7)),
		"packed floats":    inNode(lp(1, "a"), lp(7, "\x00\x00\x80\x3f\x00\x00\x00\x40"), vi(20, 6)),
		"packed dims":      lp(initializer, lp(1, "\x01\x02"), lp(8, "w")),
		"single integers":  lp(initializer, vi(1, 3), vi(2, 7), vi(7, 1), vi(7, 300), vi(7, 1<<63), lp(8, "")),
		"single floats":    lp(initializer, vi(1, 2), vi(2, 1), f32(4, 1), f32(4, 2)),
		"zero attributes":  inNode(lp(1, "a"), f32(2, 0), vi(20, 1)) + inNode(lp(1, "b"), vi(3, 0), vi(20, 2)) + inNode(lp(4, ""), vi(20, 3)),
		"minus zero":       inNode(lp(1, "a"), f32(2, float32(math.Copysign(0, -1))), vi(20, 1)),
		"default location": lp(initializer, lp(8, "w"), vi(14, 0)),
		"empty raw data":   lp(initializer, vi(1, 0), vi(2, 1), lp(9, "")),
		"zero dimension":   lp(11, lp(1, "x"), lp(2, lp(1, lp(2, lp(1, vi(1, 0)), lp(1), lp(1, lp(2, "n")))))),
		"two value fields": lp(initializer, vi(1, 1), vi(2, 1), lp(4, "abcd"), lp(9, "efgh")),
		"external numbers": lp(initializer, lp(13, lp(1, "location"), lp(2, "w")), lp(13, lp(1, "offset"), lp(2, "007")), lp(13, lp(1, "x")), vi(14, 1)),
		"unknown location": lp(initializer, lp(9, "abcd"), vi(14, 5)),
		"unknown fields":   lp(initializer, lp(8, "w"), vi(90, 1), lp(91, "two"), f32(92, 3)),
		"unknown group":    lp(2, "g") + "\xab\x06" + vi(1, 5) + "\xac\x06",
	} {
		t.Run(name, func(t *testing.T) {
			file := lp(7, graph)
			got, err := onnx.Canonical(decode(t, file))
			if err != nil || string(got) != file {
				t.Errorf("%q became %q, %v", file, got, err)
			}
		})
	}
}

// Repeated numbers may come in several records of both forms, and a message in pieces.
func TestPieces(t *testing.T) {
	m := decode(t, lp(7, lp(5, lp(1, "\x01\x02"), vi(1, 3), vi(2, 7), lp(7, "\x05\x06"), vi(7, 7)))+lp(7, lp(2, "g")))
	if m.Graph.Name != "g" || len(m.Graph.Initializers) != 1 {
		t.Fatalf("the graph's pieces were not joined: %+v", m.Graph)
	}
	w := m.Graph.Initializers[0]
	if got := fmt.Sprint(w.Dims); got != "[1 2 3]" {
		t.Errorf("dims are %v", got)
	}
	if _, err := w.Bytes(); err == nil || !strings.Contains(err.Error(), "3 numbers where [1 2 3] of INT64 takes 6") {
		t.Errorf("values of a wrong number: %v", err)
	}
	w.Dims = []int64{3}
	raw, err := w.Bytes()
	if want := []byte{0: 5, 8: 6, 16: 7, 23: 0}; err != nil || !bytes.Equal(raw, want) {
		t.Errorf("values are %v, %v", raw, err)
	}
	// A tensor in pieces, with the values in the first, and the later of two members of a oneof.
	m = decode(t, lp(7, lp(1, lp(5, lp(5, vi(2, 1), lp(4, "abcd")), lp(5, lp(8, "t")))), lp(11, lp(2, lp(1, vi(1, 1)), lp(4)))))
	if a := m.Graph.Nodes[0].Attributes[0]; a.T.Name != "t" || a.T.Storage != onnx.StorageFloat || a.T.Size() != 4 {
		t.Errorf("a tensor in pieces is %+v", a.T)
	}
	if typ := m.Graph.Inputs[0].Type; typ.Tensor != nil || typ.Sequence == nil {
		t.Errorf("of two types not the last one counts: %+v", typ)
	}
}

// Large values are never copied on the way out, and are views on the way in.
func TestNoCopies(t *testing.T) {
	m := smallModel()
	w := m.Graph.Initializers[0]
	w.Dims = []int64{1 << 18}
	w.SetBytes(make([]byte, 1<<20))
	file := written(t, m)
	read, err := onnx.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := read.Graph.Initializers[0].Bytes()
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(file, make([]byte, 1<<20))
	if &raw[0] != &file[at] {
		t.Error("Bytes of raw_data is a copy")
	}
	read.Graph.Name = "changed"
	if referred, copied, err := onnx.Pieces(read); err != nil || referred != 1 || copied > 3 {
		t.Errorf("the model is written as %d views and %d copies (%v), want 1 view", referred, copied, err)
	}
}

func TestClone(t *testing.T) {
	for i, m := range modelgen.Generate(5, 40) {
		c := m.Clone()
		if !onnx.Equal(m, c) || !bytes.Equal(written(t, m), written(t, c)) {
			t.Fatalf("model %d: the clone differs", i)
		}
		before := written(t, m)
		c.Graph.Nodes[0].Inputs[0] += "?"
		c.Graph.Nodes[0].Attributes = nil
		*c.Graph.Inputs[0].Type.Tensor.Shape.Dims[0].Value = 99
		for _, r := range c.Tensors() {
			r.SetBytes([]byte{1})
			r.Dims = append(r.Dims[:0], 4)
			r.Name += "?"
			if r.External != nil {
				r.External.Offset++
			}
			for _, e := range r.Metadata {
				e.Value = "?"
			}
		}
		if !bytes.Equal(written(t, m), before) {
			t.Errorf("model %d: changing the clone changed the original", i)
		}
		if onnx.Equal(m, c) {
			t.Errorf("model %d: the changes do not show", i)
		}
	}
}
