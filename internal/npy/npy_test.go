package npy_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/internal/npy"
	"github.com/effml/effml/internal/testkit"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// file builds an NPY file of version 1 by hand.
func file(header string, body []byte) []byte {
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	return append(append(b, header...), body...)
}

func dict(descr, order, shape string) string {
	return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n"
}

func be[T any](v ...T) []byte {
	var b bytes.Buffer
	binary.Write(&b, binary.BigEndian, v)
	return b.Bytes()
}

func le[T any](v ...T) []byte {
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, v)
	return b.Bytes()
}

func TestDecode(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want *tensor.Tensor
	}{
		"little":       {file(dict("<f4", "False", "(2, 2)"), le[float32](1, 2, 3, 4)), tensor.From([]float32{1, 2, 3, 4}, 2, 2)},
		"fortran":      {file(dict("<i2", "True", "(2, 3)"), le[int16](1, 4, 2, 5, 3, 6)), tensor.From([]int16{1, 2, 3, 4, 5, 6}, 2, 3)},
		"fortran of 3": {file(dict("|u1", "True", "(2, 2, 2)"), []byte{0, 4, 2, 6, 1, 5, 3, 7}), tensor.From([]uint8{0, 1, 2, 3, 4, 5, 6, 7}, 2, 2, 2)},
		"big":          {file(dict(">i4", "False", "(2,)"), be[int32](-2, 70000)), tensor.From([]int32{-2, 70000}, 2)},
		"big, fortran": {file(dict(">f8", "True", "(1, 2)"), be(1.5, 2.5)), tensor.From([]float64{1.5, 2.5}, 1, 2)},
		"big complex":  {file(dict(">c8", "False", "()"), be[float32](1, 2)), tensor.From([]complex64{1 + 2i})},
		"bool":         {file(dict("?", "False", "(3,)"), []byte{0, 1, 7}), tensor.From([]bool{false, true, true}, 3)},
		"half":         {file(dict("<f2", "False", "(1,)"), le[uint16](0x3c00)), tensor.From([]tensor.Float16{0x3c00}, 1)},
		"Python 2":     {file("{'shape': (2L,), 'fortran_order': False, 'descr': '<u8'}", le[uint64](1, math.MaxUint64)), tensor.From([]uint64{1, math.MaxUint64}, 2)},
		"none":         {file(dict("<f4", "False", "(0, 5)"), nil), tensor.From([]float32{}, 0, 5)},
		"bytes":        {file(dict("|S3", "False", "(2,)"), []byte("abcd\x00\x00")), tensor.FromStrings([]string{"abc", "d"}, 2)},
		"text":         {file(dict(">U2", "False", "(2,)"), be[int32]('é', 0, '木', 'x')), tensor.FromStrings([]string{"é", "木x"}, 2)},
		"fortran text": {file(dict("|S1", "True", "(2, 2)"), []byte("acbd")), tensor.FromStrings([]string{"a", "b", "c", "d"}, 2, 2)},
		"version 2":    {append([]byte("\x93NUMPY\x02\x00\x3d\x00\x00\x00"), file(dict("<i1", "False", "(1,)   "), []byte{0xff})[10:]...), tensor.From([]int8{-1}, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			for shift := range 3 { // any address
				data := append(make([]byte, shift, len(c.data)+8), c.data...)[shift:]
				got, err := npy.Decode(data)
				if err != nil {
					t.Fatal(err)
				}
				same(t, got, c.want)
			}
		})
	}
}

func same(t *testing.T, got, want *tensor.Tensor) {
	t.Helper()
	if got.String() != want.String() || !bytes.Equal(got.Bytes(), want.Bytes()) || !slices.Equal(got.Strings(), want.Strings()) {
		t.Fatalf("%s %x %q, want %s %x %q", got, got.Bytes(), got.Strings(), want, want.Bytes(), want.Strings())
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := file(dict("<f4", "False", "(2,)"), le[float32](1, 2))
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"foreign":       {[]byte("PK\x03\x04 and more"), "does not begin with"},
		"version":       {append([]byte("\x93NUMPY\x04"), good[7:]...), "version 4.0 is not supported"},
		"cut header":    {good[:30], "ends inside its header"},
		"long header":   {[]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff"), "more than 65536 bytes"},
		"cut":           {good[:len(good)-1], "7 bytes follow the header, float32[2] needs 8"},
		"overflow":      {file(dict("<f4", "False", "(4611686018427387904, 4)"), nil), "more elements than memory"},
		"giant":         {file(dict("<f4", "False", "(1000000000000,)"), nil), "0 bytes follow"},
		"negative":      {file(dict("<f4", "False", "(-1,)"), nil), "no number"},
		"object":        {file(dict("|O", "False", "(1,)"), nil), "pickle"},
		"structured":    {file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", nil), "structured"},
		"void":          {file(dict("|V2", "False", "(1,)"), nil), `"|V2" is not supported`},
		"no shape":      {file("{'descr': '<f4', 'fortran_order': False}", nil), "must have descr, fortran_order and shape"},
		"twice":         {file("{'descr': '<f4', 'descr': '<f4'}", nil), "twice"},
		"order":         {file(dict("<f4", "Maybe", "(1,)"), nil), "True or False"},
		"unknown":       {file("{'colour': 'red'}", nil), `unknown key "colour"`},
		"behind":        {file(dict("<f4", "False", "(1,)")+"x", nil), "behind"},
		"not a rune":    {file(dict("<U1", "False", "(1,)"), le[int32](0x7fffffff)), "which there is not"},
		"empty texts":   {file(dict("<U0", "False", "(1000000000,)"), nil), "more than the file is worth"},
		"deep":          {file(dict("<f4", "False", "("+strings.Repeat("1,", 65)+")"), nil), "dimensions"},
		"no dictionary": {file("[]", nil), "must have '{'"},
	} {
		if _, err := npy.Decode(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// examples has a tensor of every type that can be written.
func examples() []npy.Named {
	return []npy.Named{
		{Name: "f4", Tensor: tensor.From([]float32{1, -2, float32(math.Inf(1)), 0, 1e-40, 3}, 2, 3)},
		{Name: "f8", Tensor: tensor.From([]float64{math.Pi}, 1, 1, 1)},
		{Name: "f2", Tensor: tensor.From([]tensor.Float16{0x3c00, 0xc000}, 2)},
		{Name: "i1", Tensor: tensor.From([]int8{-128, 127}, 2)},
		{Name: "i2", Tensor: tensor.From([]int16{-5}, 1)},
		{Name: "i4", Tensor: tensor.From([]int32{1 << 30}, 1)},
		{Name: "i8", Tensor: tensor.Scalar(int64(-1 << 60))},
		{Name: "u1", Tensor: tensor.From([]uint8{}, 0, 4)},
		{Name: "u2", Tensor: tensor.From([]uint16{65535}, 1)},
		{Name: "u4", Tensor: tensor.From([]uint32{1 << 31}, 1)},
		{Name: "u8", Tensor: tensor.From([]uint64{1 << 63}, 1)},
		{Name: "b1", Tensor: tensor.From([]bool{true, false}, 2)},
		{Name: "c8", Tensor: tensor.From([]complex64{1 - 1i}, 1)},
		{Name: "c16", Tensor: tensor.From([]complex128{2 + 3i}, 1)},
		{Name: "U", Tensor: tensor.FromStrings([]string{"a", "", "木é"}, 3, 1)},
	}
}

func TestWriteArchive(t *testing.T) {
	var b, again bytes.Buffer
	if err := npy.WriteArchive(&b, examples()); err != nil {
		t.Fatal(err)
	}
	if err := npy.WriteArchive(&again, examples()); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Error("the same arrays gave other bytes", err)
	}
	for name, data := range map[string][]byte{"stored": b.Bytes(), "deflated": deflated(t, b.Bytes())} {
		a, err := npy.OpenArchive(data)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Names()) != len(examples()) {
			t.Fatal(a.Names())
		}
		for _, want := range examples() {
			h, err := a.Header(want.Name)
			if err != nil || tensor.Describe(h.Type, h.Shape) != want.Tensor.String() {
				t.Errorf("%s: header of %s: %v %v", name, want.Name, h, err)
			}
			got, err := a.Read(want.Name)
			if err != nil {
				t.Fatal(name, err)
			}
			same(t, got, want.Tensor)
		}
		if _, err := a.Read("nothing"); err == nil || !strings.Contains(err.Error(), "there are f4, f8") {
			t.Error(err)
		}
	}
}

// deflated writes the files of a ZIP file again, compressed.
func deflated(t *testing.T, data []byte) []byte {
	from, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	to := zip.NewWriter(&b)
	for _, f := range from.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		w, err := to.Create(f.Name)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		body.ReadFrom(r)
		w.Write(body.Bytes())
	}
	to.Close()
	return b.Bytes()
}

func TestArchiveRefuses(t *testing.T) {
	var giant bytes.Buffer
	z := zip.NewWriter(&giant)
	w, _ := z.Create("x.npy")
	w.Write(file(dict("<f4", "False", "(100000000000,)"), make([]byte, 1000)))
	z.Close()
	var b bytes.Buffer
	if err := npy.WriteArchive(&b, []npy.Named{{Name: "x", Tensor: tensor.From(make([]float64, 5000), 5000)}}); err != nil {
		t.Fatal(err)
	}
	damaged := deflated(t, b.Bytes())
	damaged[60] ^= 0x55
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"giant":   {giant.Bytes(), "cannot hold the 400000000000"},
		"damaged": {damaged, `array "x": npy:`},
	} {
		a, err := npy.OpenArchive(c.data)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := a.Read("x"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := npy.OpenArchive([]byte("PK")); err == nil {
		t.Error("no ZIP file, no error")
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, bad := range []*tensor.Tensor{
		tensor.From([]tensor.BFloat16{1}, 1),
		{Type: onnx.Float, Shape: []int{1, 1, 1, 1}, Layout: tensor.ChannelsLast},
	} {
		if err := npy.Write(&bytes.Buffer{}, bad); err == nil {
			t.Errorf("%s was written", bad)
		}
	}
}

// TestNumPy has NumPy read what is written here and write what is read here.
func TestNumPy(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	if err := npy.WriteArchive(&b, examples()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.npz"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	const script = `
import sys, numpy as np
z = np.load(sys.argv[1] + '/go.npz')
assert z['U'].tolist() == [['a'], [''], ['木é']], z['U']
big = {k: np.array(z[k], order='F').astype(z[k].dtype.newbyteorder('>')) for k in z.files}
np.savez(sys.argv[1] + '/plain.npz', **{k: z[k] for k in z.files})
np.savez_compressed(sys.argv[1] + '/big.npz', **big)
`
	testkit.Python(t, "NumPy", "-c", script, dir)
	for _, name := range []string{"plain.npz", "big.npz"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		a, err := npy.OpenArchive(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range examples() {
			got, err := a.Read(want.Name)
			if err != nil {
				t.Fatal(name, err)
			}
			same(t, got, want.Tensor)
		}
	}
}

// FuzzDecode checks that whatever is read can be written and read again.
func FuzzDecode(f *testing.F) {
	f.Add(file(dict("<f4", "False", "(2,)"), le[float32](1, 2)))
	f.Add(file(dict(">U2", "True", "(1, 2)"), be[int32]('é', 0, 'a', 'x')))
	f.Add(file(dict("?", "False", "()"), []byte{3}))
	f.Add(file(dict(">c16", "True", "(1,1)"), make([]byte, 16)))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := npy.Decode(data)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := npy.Write(&b, got); err != nil {
			t.Fatal(err)
		}
		again, err := npy.Decode(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if got.Type != onnx.String { // bytes that are no UTF-8 change
			same(t, again, got)
		}
	})
}

// FuzzArchive checks that no NPZ file panics or asks for more memory than it is worth.
func FuzzArchive(f *testing.F) {
	var b bytes.Buffer
	if err := npy.WriteArchive(&b, examples()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := npy.OpenArchive(data)
		if err != nil {
			return
		}
		for _, name := range a.Names() {
			got, err := a.Read(name)
			if err == nil && got.Size() > 64*1032*(len(data)+1)+maxTexts {
				t.Fatalf("%d bytes from %d", got.Size(), len(data))
			}
		}
	})
}

const maxTexts = 16 * 64 << 10 // of width 0
