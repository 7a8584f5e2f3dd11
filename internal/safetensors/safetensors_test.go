package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/internal/testkit"
	"github.com/effml/effml/tensor"
)

func sample() *File {
	return &File{
		Metadata: map[string]string{"format": "pt", "né \"": "x\ny"},
		Tensors: []Tensor{
			{"mask", tensor.From([]bool{true, false, true}, 3)},
			{"w", tensor.From([]float32{1, -2, float32(math.Inf(1)), 4, 5, 6}, 2, 3)},
			{"none", tensor.From([]float32{}, 0, 5)},
			{"scalar", tensor.From([]float64{math.Pi})},
			{"b.weight", tensor.From([]int64{math.MinInt64, 7}, 2)},
			{"half", tensor.From([]tensor.Float16{0x3c00, 0xc000, 0}, 3, 1)},
			{"a/ü", tensor.From([]uint8{9}, 1, 1, 1)},
		},
	}
}

func written(t testing.TB, f *File) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := f.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("%d bytes of %d: %v", n, b.Len(), err)
	}
	return b.Bytes()
}

// same compares without regard to the order.
func same(a, b *File) bool {
	if len(a.Tensors) != len(b.Tensors) || !maps.Equal(a.Metadata, b.Metadata) {
		return false
	}
	for _, x := range a.Tensors {
		i := slices.IndexFunc(b.Tensors, func(t Tensor) bool { return t.Name == x.Name })
		if i < 0 || b.Tensors[i].Type != x.Type || !slices.Equal(b.Tensors[i].Shape, x.Shape) || !bytes.Equal(b.Tensors[i].Bytes(), x.Bytes()) {
			return false
		}
	}
	return true
}

func TestRoundTrip(t *testing.T) {
	for _, f := range []*File{sample(), {}, {Metadata: map[string]string{}}} {
		data := written(t, f)
		for off := range 8 { // at any address
			moved := append(make([]byte, off, off+len(data)), data...)[off:]
			got, err := Decode(moved)
			if err != nil {
				t.Fatal(err)
			}
			if !same(f, got) {
				t.Errorf("%q comes back as %+v", data, got)
			}
			if !bytes.Equal(written(t, got), data) {
				t.Error("written again it is another file")
			}
		}
	}
}

// file puts a header before elements.
func file(header string, values int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, values)...)
}

func TestMalformed(t *testing.T) {
	const f4 = `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	for _, c := range []struct {
		data []byte
		want string
	}{
		{nil, "0 bytes are no file"},
		{[]byte{1, 0, 0, 0, 0, 0, 0, 0}, "a header of 1 bytes"},
		{bytes.Repeat([]byte{0xff}, 20), "a header of 18446744073709551615 bytes"},
		{file("[]", 0), "no JSON object"},
		{file("{", 0), "header"},
		{file("{}x", 0), "header: something follows"},
		{file("{\"\xff\":1}", 0), "no UTF-8"},
		{file("{}", 4), "4 bytes belong to no tensor"},
		{file(f4+"}", 8), "4 bytes belong to no tensor"},
		{file(f4+"}", 3), `tensor "a": data_offsets [0 4]`},
		{file(f4+`,"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), `tensor "a": it is there twice`},
		{file(f4+`,"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), `tensor "b": data_offsets [0 4], where the tensors before end at 4`},
		{file(f4+`,"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}`, 12), `tensor "b": data_offsets [8 12]`},
		{file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, 0), "data_offsets [-4 0]"},
		{file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4), "4 bytes of values where F32 [2] takes 2 elements of 4"},
		{file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4), "negative"},
		{file(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}`, 0), "more elements than memory"},
		{file(`{"a":{"dtype":"F32","shape":[0,4611686018427387904],"data_offsets":[0,4]}}`, 4), "takes 0 elements"},
		{file(`{"a":{"dtype":"F7","shape":[1],"data_offsets":[0,4]}}`, 4), `type "F7" is not supported`},
		{file(`{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`, 4), `tensor "a"`},
		{file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}`, 4), "data_offsets are missing"},
		{file(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4), "shape or data_offsets are missing"},
		{file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, 4), "unknown field"},
		{file(`{"__metadata__":{"a":1}}`, 0), `"__metadata__"`},
		{append(file(`{"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}`, 0), 2), "neither 0 nor 1"},
	} {
		_, err := Decode(c.data)
		var format *FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.data, err, c.want)
		}
	}
}

func TestNotWritable(t *testing.T) {
	one := tensor.From([]float32{1}, 1)
	for want, list := range map[string][]Tensor{
		"the name is taken": {{"a", one}, {"a", one}},
		"name is taken":     {{"__metadata__", one}},
		"no UTF-8":          {{"\xff", one}},
		"no type complex64": {{"c", tensor.From([]complex64{1}, 1)}},
	} {
		var b bytes.Buffer
		if _, err := (&File{Tensors: list}).WriteTo(&b); err == nil || !strings.Contains(err.Error(), want) || b.Len() > 0 {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// The reference implementation reads what we write, and we read what it writes.
func TestReference(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, written(t, sample()), 0o600); err != nil {
		t.Fatal(err)
	}
	const script = `
import sys
try:
    from safetensors import safe_open
    from safetensors.numpy import save_file
except ImportError:
    sys.exit(77)
with safe_open(sys.argv[1], 'np') as f:
    save_file({k: f.get_tensor(k) for k in f.keys()}, sys.argv[2], f.metadata())`
	testkit.Python(t, "safetensors", "-c", script, in, out)
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := Decode(data); err != nil || !same(f, sample()) {
		t.Errorf("%v: %+v", err, f)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(written(f, sample()))
	f.Add(written(f, &File{}))
	f.Add(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := Decode(data)
		if err != nil {
			return
		}
		b, err := Decode(written(t, a))
		if err != nil || !same(a, b) {
			t.Errorf("%v: %+v comes back as %+v", err, a, b)
		}
	})
}
