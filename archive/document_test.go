package archive

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/huffman"
	"github.com/effml/effml/onnx"
)

// TestDocument has a decoder that was written from docs/format.md alone, in
// another language, decode the document's examples, payloads of every form, and
// whole archives.
func TestDocument(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	python := os.Getenv("EFFML_PYTHON")
	if python == "" {
		var err error
		if python, err = exec.LookPath("python3"); err != nil {
			t.Skip("no python3 is there to run testdata/decode.py ($EFFML_PYTHON names one)")
		}
	}
	cases := append(symbolVectors(t), byteVectors(t)...)
	cases = slices.DeleteFunc(cases, func(v vector) bool { return v.name == "mix, stride 0" }) // seconds; topologies are that, too
	cases = append(cases, moreSymbols(t)...)
	cases = append(cases, moreValues(t)...)
	files, err := filepath.Glob("testdata/v*/example.effml")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, typesArchive(t))
	for _, f := range files {
		cases = append(cases, fileCase(t, f))
	}
	jobs := make([]any, len(cases))
	for i, c := range cases {
		jobs[i] = c.job
	}
	input, err := json.Marshal(jobs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/decode.py", "../huffman/prime.bin")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &testWriter{t}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("decode.py: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(cases) {
		t.Fatalf("%d answers to %d cases", len(lines), len(cases))
	}
	for i, c := range cases {
		var got, want any
		b, err := json.Marshal(c.want)
		if err != nil {
			t.Fatal(err)
		}
		if json.Unmarshal(b, &want) != nil || json.Unmarshal([]byte(lines[i]), &got) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s of %s: decoded as %.200s", c.name, c.input, lines[i])
		}
	}
}

// testWriter logs what is written.
type testWriter struct{ t *testing.T }

func (w *testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}

// fileCase is an archive with what this package decodes it to.
func fileCase(t *testing.T, path string) vector {
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	tensors := make([]string, r.Len())
	for i := range tensors {
		raw := make([]byte, r.Size(i))
		if err := r.Decode(context.Background(), i, raw); err != nil {
			t.Fatal(err)
		}
		tensors[i] = hex.EncodeToString(raw)
	}
	model, err := r.topology()
	if err != nil {
		t.Fatal(err)
	}
	return vector{
		"file", path, "",
		map[string]any{"kind": "file", "path": path},
		map[string]any{"tensors": tensors, "model": hex.EncodeToString(model)},
	}
}

// typesArchive writes an archive of tensors of many types and forms.
func typesArchive(t *testing.T) string {
	w := laplace(2, 600)
	text := &onnx.Tensor{Name: "text", DataType: onnx.String, Dims: []int64{2}}
	text.SetStrings([][]byte{[]byte("one"), []byte("two")})
	list := []*onnx.Tensor{text, floatTensor("tied", onnx.Float, w[:24], 24)}
	for dt := onnx.Float; dt.Known(); dt++ {
		if dt == onnx.String {
			continue
		}
		x := &onnx.Tensor{Name: dt.String(), DataType: dt, Dims: []int64{3, 11}}
		n, err := x.ByteSize()
		if err != nil {
			t.Fatal(err)
		}
		raw := make([]byte, n)
		for i := range raw {
			raw[i] = byte(i * i >> 2)
		}
		raw[n-1] = 0
		x.SetBytes(raw)
		list = append(list, x)
	}
	list = append(list, floatTensor("again", onnx.Float, w[:24], 2, 12))
	packs := map[string]*Packed{}
	for _, dt := range []onnx.DataType{onnx.Float, onnx.Float16, onnx.BFloat16, onnx.Double} {
		for _, p := range []Packed{
			{Step: []float32{0.013, 0.5, 3, 7}, Group: 150, Min: -4, Max: 7},
			{Codebook: books(3, 2, 6), Origin: []int{2, 1}, Group: 300, Min: -1, Max: 3},
		} {
			name := dt.String() + "-" + string('a'+rune(len(packs)))
			packs[name] = levels(uint64(len(packs)), 600, p)
			list = append(list, floatTensor(name, dt, laplace(uint64(len(packs)), 600), 20, 5, 6))
		}
	}
	path := filepath.Join(t.TempDir(), "types.effml")
	s := writeFile(t, path, initializers(list...), Options{Effort: 1, Pack: func(ref onnx.TensorRef) (*Packed, error) {
		return packs[ref.Name], nil
	}})
	for _, x := range s.Tensors {
		if packs[x.Name] != nil && x.Form != "packed" {
			t.Errorf("tensor %q is %s", x.Name, x.Form)
		}
	}
	return path
}

// moreSymbols are payloads too long for the document: several streams, every shape
// of the context coder.
func moreSymbols(t *testing.T) []vector {
	var list []vector
	for k, c := range []struct {
		n     int
		shape []int
		p     huffman.Params
	}{
		{4200, []int{42, 100}, huffman.Params{Min: -9, Max: 9}},
		{4200, []int{42, 100}, huffman.Params{Min: 0, Max: 1}},
		{3001, []int{3001}, huffman.Params{Min: 0, Max: 3}},
		{900, []int{10, 10, 3, 3}, huffman.Params{Min: -5, Max: 4}},
		{500, []int{5, 100}, huffman.Params{Min: -100_000, Max: 90_000}},
		{500, []int{500}, huffman.Params{Min: -300, Max: 300}},
		{4500, []int{4500}, huffman.Params{Min: 5, Max: 2_000}},
		{300, []int{300}, huffman.Params{Min: -70_000, Max: -3}},
	} {
		p := levels(uint64(k), c.n, Packed{Step: []float32{1}, Min: c.p.Min, Max: c.p.Max})
		sym := make([]int32, c.n)
		if err := p.Codes(sym, 0); err != nil {
			t.Fatal(err)
		}
		for i, s := range sym {
			sym[i] = min(max(s*int32(i%5)/4, c.p.Min), c.p.Max)
			if k%2 == 1 && i%50 < 40 { // mostly zeros, or what is nearest to it
				sym[i] = min(max(0, c.p.Min), c.p.Max)
			}
		}
		for _, coder := range huffman.Coders() {
			out, err := coder.Encode(nil, sym, c.shape, c.p)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, vector{
				coder.Name(), runs(sym[:20]), "",
				map[string]any{"kind": "coder", "id": coder.ID(), "data": hex.EncodeToString(out), "n": c.n, "shape": c.shape, "min": c.p.Min, "max": c.p.Max},
				sym,
			})
		}
	}
	return list
}

// moreValues are values of other types and methods than the document's.
func moreValues(t *testing.T) []vector {
	var list []vector
	add := func(name string, e huffman.Elem, raw []byte, effort int) {
		out := huffman.AppendValues(nil, raw, e, effort)
		method, err := huffman.DescribeValues(out)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, vector{
			"values " + name, method, "",
			map[string]any{"kind": "values", "data": hex.EncodeToString(out), "n": len(raw) / e.Width, "width": e.Width, "float": e.Float},
			hex.EncodeToString(raw),
		})
	}
	w := laplace(3, 600)
	for _, dt := range []onnx.DataType{onnx.Float, onnx.Float16, onnx.BFloat16, onnx.Double} {
		raw := mustBytes(t, floatTensor("", dt, w, 600))
		for effort := range 2 {
			add(dt.String(), huffman.Elem{Width: dt.Bits() / 8, Float: true}, raw, effort)
		}
	}
	narrow := make([]float32, 600) // binary32 that is bfloat16
	for i := range narrow {
		narrow[i] = math.Float32frombits(math.Float32bits(w[i]) &^ 0xffff)
	}
	add("narrow", huffman.Elem{Width: 4, Float: true}, mustBytes(t, floatTensor("", onnx.Float, narrow, 600)), 0)
	for i := range narrow { // mostly zeros, some of them negative
		if i%3 > 0 {
			narrow[i] = float32(math.Copysign(0, float64(w[i]*float32(i%2))))
		}
	}
	add("sparse", huffman.Elem{Width: 4, Float: true}, mustBytes(t, floatTensor("", onnx.Float, narrow, 600)), 0)
	long := make([]byte, 2*(1<<16+10)) // two chunks
	for i := range long {
		long[i] = byte(i & 2)
	}
	add("two chunks", huffman.Elem{Width: 2}, long, 0)
	return list
}
