package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/effml/effml/huffman"
	"github.com/effml/effml/onnx"
)

var update = flag.Bool("update", false, "rewrite docs/format.md's vectors and testdata")

const formatFile = "../docs/format.md"

// vector is one example of the specification, for readers and for testdata/decode.py.
type vector struct {
	name, input, output string
	job                 map[string]any
	want                any
}

func hexOf(b []byte) string {
	if len(b) == 0 {
		return "(nothing)"
	}
	return hex.EncodeToString(b)
}

// symbolVectors codes small arrays with every coder, and decodes them again.
func symbolVectors(t *testing.T) []vector {
	var list []vector
	ramp := make([]int32, 40)
	for i := range ramp {
		ramp[i] = int32(i*i%7) - 2
	}
	wide := make([]int32, 40)
	for i := range wide {
		wide[i] = int32(i*i*i*31) - 5000
	}
	few := make([]int32, 60)
	for i := range few {
		few[i] = int32(i & 1 & (i >> 2))
	}
	sparse := make([]int32, 100)
	sparse[3], sparse[40], sparse[41], sparse[90] = 2, -1, 1, 3
	long := make([]int32, 400)
	long[390] = 1
	for _, c := range []struct {
		coder string
		shape []int
		p     huffman.Params
		sym   []int32
	}{
		{"fixed", []int{40}, huffman.Params{Min: -2, Max: 4}, ramp},
		{"huffman", []int{40}, huffman.Params{Min: -2, Max: 4}, repeat(int32(3), 40)},
		{"huffman", []int{40}, huffman.Params{Min: -2, Max: 4}, ramp},
		{"huffman", []int{60}, huffman.Params{Min: -1, Max: 2}, few},
		{"huffman", []int{40}, huffman.Params{Min: -5000, Max: 3_000_000}, wide},
		{"relative", []int{100}, huffman.Params{Min: -4, Max: 3}, sparse},
		{"relative", []int{400}, huffman.Params{Min: 0, Max: 1}, long},
		{"context", []int{8, 5}, huffman.Params{Min: -2, Max: 4}, ramp},
		{"context", []int{10, 10}, huffman.Params{Min: -4, Max: 3}, sparse},
		{"context", []int{40}, huffman.Params{Min: -5000, Max: 3_000_000}, wide},
	} {
		coder, err := huffman.ByName(c.coder)
		if err != nil {
			t.Fatal(err)
		}
		out, err := coder.Encode(nil, c.sym, c.shape, c.p)
		if err != nil {
			t.Fatal(err)
		}
		back := make([]int32, len(c.sym))
		if err := coder.Decode(back, out, c.shape, c.p); err != nil || fmt.Sprint(back) != fmt.Sprint(c.sym) {
			t.Fatalf("%s: %v, decoded %v", c.coder, err, back)
		}
		list = append(list, vector{
			fmt.Sprintf("%s %v %d…%d", c.coder, c.shape, c.p.Min, c.p.Max), runs(c.sym), hexOf(out),
			map[string]any{"kind": "coder", "id": coder.ID(), "data": hex.EncodeToString(out), "n": len(c.sym), "shape": c.shape, "min": c.p.Min, "max": c.p.Max},
			c.sym,
		})
	}
	return list
}

// runs writes numbers with repetitions as v×n.
func runs(sym []int32) string {
	var parts []string
	for i := 0; i < len(sym); {
		j := i
		for j < len(sym) && sym[j] == sym[i] {
			j++
		}
		if j-i > 2 {
			parts = append(parts, fmt.Sprintf("%d×%d", sym[i], j-i))
		} else {
			for range j - i {
				parts = append(parts, fmt.Sprint(sym[i]))
			}
		}
		i = j
	}
	return strings.Join(parts, " ")
}

// byteVectors does the same for bytes and values.
func byteVectors(t *testing.T) []vector {
	var list []vector
	text := []byte("\x0a\x05image\x12\x05conv1Conv Relu Conv Relu conv1.weight conv2.weight")
	array := bytes.Repeat([]byte{0, 1, 2, 63}, 8)
	array[17] = 9
	for _, c := range []struct {
		stride int
		data   []byte
	}{{0, text}, {4, array}} {
		out := huffman.AppendMix(nil, c.data, c.stride)
		back := make([]byte, len(c.data))
		if err := huffman.DecodeMix(back, out, c.stride); err != nil || !bytes.Equal(back, c.data) {
			t.Fatal(err)
		}
		list = append(list, vector{
			fmt.Sprintf("mix, stride %d", c.stride), hexOf(c.data), hexOf(out),
			map[string]any{"kind": "mix", "data": hex.EncodeToString(out), "n": len(c.data), "stride": c.stride},
			hex.EncodeToString(c.data),
		})
	}
	floats := func(f func(i int) float32, n int) []byte {
		var b []byte
		for i := range n {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f(i)))
		}
		return b
	}
	f32 := huffman.Elem{Width: 4, Float: true}
	for _, c := range []struct {
		what string
		e    huffman.Elem
		raw  []byte
	}{
		{"binary32: 0×9", f32, make([]byte, 36)},
		{"binary32: ⅓×5", f32, floats(func(int) float32 { return 1.0 / 3 }, 5)},
		{"binary32: √1 … √20", f32, floats(func(i int) float32 { return float32(math.Sqrt(float64(i + 1))) }, 20)},
		{"binary32: e, π, e, e, … (π where i mod 5 = 1), 40 of them", f32, floats(func(i int) float32 {
			if i%5 == 1 {
				return math.Pi
			}
			return math.E
		}, 40)},
		{"binary32: 0.1·(i² mod 37), 60 of them", f32, floats(func(i int) float32 { return float32(float64(float32(0.1)) * float64(i*i%37)) }, 60)},
		{"binary32: √i where i mod 4 = 0, else 0, 40 of them", f32, floats(func(i int) float32 {
			if i%4 != 0 {
				return 0
			}
			return float32(math.Sqrt(float64(i)))
		}, 40)},
		{"int16: 300 + (i mod 3), 30 of them", huffman.Elem{Width: 2}, func() (b []byte) {
			for i := range 30 {
				b = binary.LittleEndian.AppendUint16(b, uint16(300+i%3))
			}
			return b
		}()},
		{"int64: 1000·i, 30 of them", huffman.Elem{Width: 8}, func() (b []byte) {
			for i := range 30 {
				b = binary.LittleEndian.AppendUint64(b, uint64(1000*i))
			}
			return b
		}()},
	} {
		out := huffman.AppendValues(nil, c.raw, c.e, 1)
		back := make([]byte, len(c.raw))
		if err := huffman.DecodeValues(back, out, c.e); err != nil || !bytes.Equal(back, c.raw) {
			t.Fatal(err)
		}
		method, err := huffman.DescribeValues(out)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, vector{
			"values, " + method, c.what, hexOf(out),
			map[string]any{"kind": "values", "data": hex.EncodeToString(out), "n": len(c.raw) / c.e.Width, "width": c.e.Width, "float": c.e.Float},
			hex.EncodeToString(c.raw),
		})
	}
	return list
}

// exampleModel is the model of the example archive.
func exampleModel() (*onnx.Model, Options) {
	m := initializers(
		floatTensor("w", onnx.Float, []float32{0.5, -0.25, 0, 0, 0.5, 0, 0, 0.25, 0, 0, 0.5, 0, 0, 0, -0.25, 0, 0, 0, 0, 0.5}, 4, 5),
		floatTensor("b", onnx.Float, []float32{1, 2, 4, 8}, 4),
	)
	m.Graph.Nodes = []*onnx.Node{{Inputs: []string{"x", "w", "b"}, Outputs: []string{"y"}, OpType: "Gemm"}}
	return m, Options{Pack: func(ref onnx.TensorRef) (*Packed, error) {
		if ref.Name != "w" {
			return nil, nil
		}
		w, err := ref.Bytes()
		return &Packed{Step: []float32{0.25}, Min: -1, Max: 2, Codes: func(codes []int32, first int64) error {
			for i := range codes {
				codes[i] = int32(4 * math.Float32frombits(binary.LittleEndian.Uint32(w[4*(first+int64(i)):])))
			}
			return nil
		}}, err
	}}
}

// exampleArchive dissects a small archive.
func exampleArchive(t *testing.T) string {
	m, o := exampleModel()
	data, _ := pack(t, m, o)
	r := open(t, data)
	var b strings.Builder
	fmt.Fprintf(&b, "An archive of two tensors, w packed [4, 5] and b lossless [4], of %d bytes:\n\n", len(data))
	b.WriteString("| offset | bytes | what |\n|---|---|---|\n")
	row := func(from, to int64, what string) {
		fmt.Fprintf(&b, "| %d | `%s` | %s |\n", from, hex.EncodeToString(data[from:to]), what)
	}
	row(0, int64(headerSize), "header")
	end := int64(headerSize)
	for _, e := range r.sections {
		if e.id == sectionBlocks {
			for i, rec := range r.records {
				for k := range rec.lengths {
					row(rec.offsets[k], rec.offsets[k+1], fmt.Sprintf("section 1: record %d, block %d", i, k))
				}
			}
		} else {
			decoded, err := r.unpack(e)
			if err != nil {
				t.Fatal(err)
			}
			what := fmt.Sprintf("section %d, %s, coding %d", e.id, e.name(), e.coding&15)
			if e.coding != codingStored {
				what += fmt.Sprintf(", stride %d; decoded `%s`", e.coding>>4, hex.EncodeToString(decoded))
			}
			row(e.offset, e.offset+e.length, what)
		}
		end = e.offset + e.length
	}
	row(end, end+int64(r.dirSize), "directory")
	row(end+int64(r.dirSize), int64(len(data)), "trailer")
	return b.String()
}

// TestVectors keeps the examples of the specification right.
func TestVectors(t *testing.T) {
	var b strings.Builder
	b.WriteString("<!-- vectors -->\n\n| payload of | from | bytes |\n|---|---|---|\n")
	for _, v := range append(symbolVectors(t), byteVectors(t)...) {
		fmt.Fprintf(&b, "| %s | %s | `%s` |\n", v.name, v.input, v.output)
	}
	fmt.Fprintf(&b, "\n%s\n<!-- end of vectors -->", exampleArchive(t))
	text, err := os.ReadFile(formatFile)
	if err != nil {
		t.Fatal(err)
	}
	from := bytes.Index(text, []byte("<!-- vectors -->"))
	to := bytes.Index(text, []byte("<!-- end of vectors -->"))
	if from < 0 || to < 0 {
		t.Fatalf("%s has no place for vectors", formatFile)
	}
	prime, err := os.ReadFile("../huffman/prime.bin")
	if err != nil {
		t.Fatal(err)
	}
	want := string(text[:from]) + b.String() + string(text[to+len("<!-- end of vectors -->"):])
	told := fmt.Sprintf("(%d bytes, SHA-256 `%x`)", len(prime), sha256.Sum256(prime))
	if i := strings.Index(want, "`huffman/prime.bin` ("); i < 0 {
		t.Fatalf("%s does not tell of prime.bin", formatFile)
	} else {
		i += len("`huffman/prime.bin` ")
		want = want[:i] + told + want[i+strings.Index(want[i:], ")")+1:]
	}
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s is stale: an encoder's bytes, or the file that primes the mixing coder, changed. If the format did not (only what encoders choose), run with -update", formatFile)
	}
	if err := os.WriteFile(formatFile, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOldFiles reads archives that earlier versions of this program wrote. They are
// kept in testdata/v1 beside what they decode to, and never written again.
func TestOldFiles(t *testing.T) {
	m, o := sampleModel()
	example, exampleOptions := exampleModel()
	for _, c := range []struct {
		name string
		m    *onnx.Model
		o    Options
	}{{"sample", m, o}, {"example", example, exampleOptions}} {
		path := filepath.Join("testdata", fmt.Sprintf("v%d", Version), c.name)
		if *update {
			if _, err := os.Stat(path + ".effml"); err == nil {
				continue // it is an old file by now
			}
			data, _ := pack(t, c.m, c.o)
			decoded, err := decodeAll(data)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			for ext, b := range map[string][]byte{".effml": data, ".decoded": fmt.Appendf(nil, "%x\n", sha256.Sum256(decoded))} {
				if err := os.WriteFile(path+ext, b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	files, err := filepath.Glob("testdata/v*/*.effml")
	if err != nil || len(files) < 2 {
		t.Fatalf("old files %v, %v", files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(strings.TrimSuffix(f, ".effml") + ".decoded")
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := decodeAll(data)
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		if got := fmt.Sprintf("%x\n", sha256.Sum256(decoded)); got != string(want) {
			t.Errorf("%s decodes to something else", f)
		}
		if d, err := open(t, data).Verify(context.Background(), 1, nil); err != nil || len(d) > 0 {
			t.Errorf("%s: %v, %v", f, d, err)
		}
	}
}
