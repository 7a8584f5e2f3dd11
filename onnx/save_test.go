package onnx_test

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/effml/effml/internal/atomicfile"
	"github.com/effml/effml/onnx"
)

// external makes a tensor of bytes that lies at that place of w.bin.
func external(name, contents string, offset int64) *onnx.Tensor {
	w := &onnx.Tensor{
		Name: name, DataType: onnx.Uint8, Dims: []int64{int64(len(contents))}, Storage: onnx.StorageExternal,
		External: &onnx.ExternalData{
			Location: "w.bin", HasOffset: true, Offset: offset, HasLength: true, Length: int64(len(contents)),
		},
	}
	w.SetBytes([]byte(contents))
	return w
}

func modelOf(tensors ...*onnx.Tensor) *onnx.Model {
	m := smallModel()
	m.Graph.Initializers = append(m.Graph.Initializers, tensors...)
	return m
}

// save writes m in a new folder and returns that of the data file w.bin, and where its tensors lie.
func save(t *testing.T, m *onnx.Model) (data, places string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.onnx")
	if _, err := onnx.Save(path, m, onnx.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, r := range open(t, path).Model.Tensors() {
		if r.External != nil {
			places += fmt.Sprintf("%s@%d ", r.Name, r.External.Offset)
		}
	}
	return string(read(t, filepath.Join(filepath.Dir(path), "w.bin"))), places
}

func TestLayout(t *testing.T) {
	unplaced := func(w *onnx.Tensor) *onnx.Tensor {
		w.External = &onnx.ExternalData{Location: "w.bin"}
		return w
	}
	wrongLength := external("a", "aaa", 7)
	wrongLength.External.Length = 5
	streamed := external("b", "aaa", 2)
	streamed.SetStream(stream("aaa"))
	other := external("b", "aaa", 2)
	other.SetStream(stream("abc"))
	shared := external("a", "aaa", 0)
	again := *shared
	again.Name, again.External = "b", &onnx.ExternalData{Location: "./w.bin"}
	gap64 := strings.Repeat("\x00", 61)
	for name, c := range map[string]struct {
		tensors      []*onnx.Tensor
		data, places string
	}{
		"recorded":     {[]*onnx.Tensor{external("a", "aaa", 5), external("b", "bb", 0)}, "bb\x00\x00\x00aaa", "a@5 b@0 "},
		"empty":        {[]*onnx.Tensor{external("a", "", 0), external("b", "bb", 0), external("c", "", 9)}, "bb" + strings.Repeat("\x00", 7), "a@0 b@0 c@9 "},
		"shared":       {[]*onnx.Tensor{external("a", "aaa", 2), streamed}, "\x00\x00aaa", "a@2 b@2 "},
		"shared twice": {[]*onnx.Tensor{external("a", "aaa", 2), external("c", "aaa", 2)}, "\x00\x00aaa", "a@2 c@2 "},
		"contradicted": {[]*onnx.Tensor{external("a", "aaa", 2), other}, "aaa" + gap64 + "abc", "a@0 b@64 "},
		"overlapping":  {[]*onnx.Tensor{external("a", "aaa", 2), external("b", "bb", 4)}, "aaa" + gap64 + "bb", "a@0 b@64 "},
		"no places":    {[]*onnx.Tensor{unplaced(external("a", "aaa", 0)), unplaced(external("b", "bb", 0))}, "aaa" + gap64 + "bb", "a@0 b@64 "},
		"one place":    {[]*onnx.Tensor{unplaced(external("a", "aaa", 0))}, "aaa", "a@0 "},
		"wrong length": {[]*onnx.Tensor{wrongLength}, "aaa", "a@0 "},
		"huge gap":     {[]*onnx.Tensor{external("a", "aaa", 1<<40), external("b", "", 0)}, "aaa", "a@0 b@3 "},
		"one value":    {[]*onnx.Tensor{shared, &again, external("c", "c", 1)}, "aaa" + gap64 + "c", "a@0 b@0 c@64 "},
	} {
		t.Run(name, func(t *testing.T) {
			m := modelOf(c.tensors...)
			before := written(t, m)
			data, places := save(t, m)
			if data != c.data || places != c.places {
				t.Errorf("%q at %s, want %q at %s", data, places, c.data, c.places)
			}
			if !bytes.Equal(written(t, m), before) {
				t.Error("Save changed the model")
			}
		})
	}
	big := external("a", strings.Repeat("a", 70000), 0)
	if _, places := save(t, modelOf(unplaced(external("s", "s", 0)), unplaced(big))); places != "s@0 a@4096 " {
		t.Errorf("a large tensor is at %s", places)
	}
}

// A data file of which nothing changed is copied with its gaps and its end; after a change the places stay.
func TestSaveCopiesDataFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	if _, err := onnx.Save(path, modelOf(external("a", "aaa", 5), external("b", "bb", 0)), onnx.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	data := put(t, filepath.Join(dir, "w.bin"), "bbGAPaaaEND")
	sum := fmt.Sprintf("%x", sha1.Sum(read(t, data)))
	f := open(t, path)

	copied := filepath.Join(t.TempDir(), "m.onnx")
	paths, err := onnx.Save(copied, f.Model, onnx.SaveOptions{})
	if err != nil || len(paths) != 2 || paths[0] != copied || filepath.Base(paths[1]) != "w.bin" {
		t.Fatalf("%v, %v", paths, err)
	}
	if got := string(read(t, paths[1])); got != "bbGAPaaaEND" {
		t.Errorf("copied as %q", got)
	}
	if !bytes.Equal(read(t, copied), read(t, path)) {
		t.Error("the model changed")
	}

	// A new name changes nothing but the location; a checksum that is recorded is made again.
	f.Model.Graph.Initializers[1].External.Checksum = "old"
	paths, err = onnx.Save(copied, f.Model, onnx.SaveOptions{Overwrite: true, DataName: "new.bin"})
	if err != nil || filepath.Base(paths[1]) != "new.bin" {
		t.Fatalf("%v, %v", paths, err)
	}
	renamed := open(t, copied).Model.Graph.Initializers[1].External
	if renamed.Location != "new.bin" || renamed.Offset != 5 || renamed.Checksum != sum {
		t.Errorf("%+v", renamed)
	}

	m := f.Model.Clone()
	m.Graph.Initializers[1].SetBytes([]byte("xyz"))
	if data, places := save(t, m); data != "bb\x00\x00\x00xyz" || places != "a@5 b@0 " {
		t.Errorf("changed: %q at %s", data, places)
	}
}

func TestSaveRenamesSeveral(t *testing.T) {
	a, b := external("a", "aaa", 0), external("b", "bb", 0)
	b.External.Location = "sub/v.bin"
	dir := t.TempDir()
	paths, err := onnx.Save(filepath.Join(dir, "m.onnx"), modelOf(a, b), onnx.SaveOptions{})
	if err != nil || listing(t, dir) != "m.onnx sub sub/v.bin w.bin" {
		t.Fatalf("%v, %v: %s", paths, err, listing(t, dir))
	}
	f := open(t, paths[0])
	dir = t.TempDir()
	if _, err := onnx.Save(filepath.Join(dir, "m.onnx"), f.Model, onnx.SaveOptions{DataName: "n"}); err != nil || listing(t, dir) != "m.onnx n n.1" {
		t.Errorf("%v: %s", err, listing(t, dir))
	}
}

func TestSeparateAndInline(t *testing.T) {
	m := modelOf(external("e", strings.Repeat("e", 40), 3), external("short", "s", 0))
	typed := &onnx.Tensor{Name: "typed", DataType: onnx.Int64, Dims: []int64{3}, Storage: onnx.StorageInt64}
	typed.SetBytes(bytes.Repeat([]byte{1, 0, 0, 0, 0, 0, 0, 0}, 3))
	texts := &onnx.Tensor{Name: "text", DataType: onnx.String, Dims: []int64{1}}
	texts.SetStrings([][]byte{bytes.Repeat([]byte("t"), 100)})
	m.Graph.Initializers = append(m.Graph.Initializers, typed, texts)
	m.Graph.Nodes = append(m.Graph.Nodes, &onnx.Node{OpType: "Constant", Outputs: []string{"c"}, Attributes: []*onnx.Attribute{
		{Name: "value", Type: onnx.AttributeTensor, T: &onnx.Tensor{DataType: onnx.Float, Dims: []int64{0}}},
	}})
	m.Graph.Nodes[1].Attributes[0].T.Dims = []int64{100}
	m.Graph.Nodes[1].Attributes[0].T.SetBytes(make([]byte, 400))
	for mode, want := range map[onnx.External]string{
		onnx.Separate: "c raw_data w external_data e external_data short raw_data typed external_data text string_data",
		onnx.Inline:   "c raw_data w raw_data e raw_data short raw_data typed int64_data text string_data",
		onnx.AsIs:     "c raw_data w raw_data e external_data short external_data typed int64_data text string_data",
	} {
		path := filepath.Join(t.TempDir(), "m.onnx")
		if _, err := onnx.Save(path, m, onnx.SaveOptions{External: mode, Threshold: 24}); err != nil {
			t.Fatal(err)
		}
		f := open(t, path)
		var got []string
		for _, r := range f.Model.Tensors() {
			name := r.Name
			if r.Node != nil {
				name = r.Node.Outputs[0]
			}
			got = append(got, name, r.Storage.String())
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("mode %d: %s, want %s", mode, s, want)
		}
		compareTensors(t, int(mode), m, f.Model)
	}
}

// A model that would be too large for one file gets external data, whatever was asked for.
func TestSaveTooLarge(t *testing.T) {
	m := smallModel()
	w := m.Graph.Initializers[0]
	w.Dims = []int64{1 << 10}
	w.SetStream(stream(strings.Repeat("wxyz", 1<<10)))
	for _, mode := range []onnx.External{onnx.AsIs, onnx.Inline, onnx.Separate} {
		dir := t.TempDir()
		path := filepath.Join(dir, "m.onnx")
		if _, err := onnx.Save(path, m, onnx.SaveOptions{External: mode, Threshold: 4096}.WithLimit(4000)); err != nil {
			t.Fatal(err)
		}
		if listing(t, dir) != "m.onnx m.onnx.data" || len(read(t, path)) > 4000 {
			t.Errorf("mode %d: %s", mode, listing(t, dir))
		}
		compareTensors(t, 0, m, open(t, path).Model)
		if _, err := onnx.Save(path, m, onnx.SaveOptions{External: mode, Threshold: 4097, Overwrite: true}.WithLimit(4000)); err == nil || !strings.Contains(err.Error(), "without its initializers") {
			t.Errorf("mode %d: %v", mode, err)
		}
	}
}

// failing is a Payload that breaks in the middle, or says another size than it has.
type failing struct {
	size int64
	err  error
}

func (f failing) Size() int64 { return f.size }

func (f failing) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(make([]byte, 3))
	return int64(n), errors.Join(err, f.err)
}

// Whatever goes wrong, the folder is as it was.
func TestSaveFails(t *testing.T) {
	broken := errors.New("broken")
	with := func(p onnx.Payload, storage onnx.Storage) *onnx.Model {
		w := external("a", "abcd", 0)
		w.Storage = storage
		w.SetStream(p)
		return modelOf(w, external("b", "bb", 10))
	}
	located := func(location string) *onnx.Model {
		w := external("a", "abcd", 0)
		w.External.Location = location
		return modelOf(w)
	}
	unloaded, err := onnx.Decode([]byte(externalModel("location", "w.bin")))
	if err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	for name, c := range map[string]struct {
		m    *onnx.Model
		path string
		o    onnx.SaveOptions
		want string
	}{
		"data stream":   {with(failing{4, broken}, onnx.StorageExternal), "m.onnx", onnx.SaveOptions{}, "broken"},
		"short stream":  {with(failing{4, nil}, onnx.StorageExternal), "m.onnx", onnx.SaveOptions{}, "a stream of 4 bytes wrote 3"},
		"model stream":  {with(failing{4, broken}, onnx.StorageRaw), "m.onnx", onnx.SaveOptions{}, "broken"},
		"short raw":     {with(failing{4, nil}, onnx.StorageRaw), "m.onnx", onnx.SaveOptions{}, "a stream of 4 bytes wrote 3"},
		"wrong size":    {with(failing{5, nil}, onnx.StorageExternal), "m.onnx", onnx.SaveOptions{}, "5 bytes of values where [4] of UINT8 takes 4"},
		"interrupted":   {modelOf(), "m.onnx", onnx.SaveOptions{Progress: func(int64) error { return broken }}, "broken"},
		"interrupted 2": {modelOf(external("a", "a", 0)), "m.onnx", onnx.SaveOptions{Progress: func(int64) error { return broken }}, "broken"},
		"exists":        {modelOf(), "there.onnx", onnx.SaveOptions{}, "exists already"},
		"data exists":   {modelOf(external("a", "a", 0)), "m.onnx", onnx.SaveOptions{DataName: "there.onnx"}, "exists already"},
		"folder":        {modelOf(), "none/m.onnx", onnx.SaveOptions{}, "does not exist"},
		"up":            {located("../w.bin"), "m.onnx", onnx.SaveOptions{}, "leaves the model's folder"},
		"absolute":      {located("/w.bin"), "m.onnx", onnx.SaveOptions{}, "absolute"},
		"link":          {located("link/w.bin"), "m.onnx", onnx.SaveOptions{}, "escapes"},
		"sub-folder":    {located("new/er/w.bin"), "there.onnx", onnx.SaveOptions{}, "exists already"},
		"onto itself":   {located("m.onnx"), "m.onnx", onnx.SaveOptions{}, "is the model itself"},
		"bad name":      {modelOf(), "m.onnx", onnx.SaveOptions{DataName: "../w"}, "leaves"},
		"not loaded":    {unloaded, "m.onnx", onnx.SaveOptions{}, "not loaded"},
		"no location":   {located(""), "m.onnx", onnx.SaveOptions{}, "no location"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, filepath.Join(dir, "there.onnx"), "x")
			if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
				t.Skip("no symbolic links:", err)
			}
			path := filepath.Join(dir, filepath.FromSlash(c.path))
			_, err := onnx.Save(path, c.m, c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if strings.Contains(c.want, "exists") && !errors.As(err, new(*atomicfile.ExistsError)) {
				t.Errorf("%v is no ExistsError", err)
			}
			if got := listing(t, dir); got != "link there.onnx" || string(read(t, filepath.Join(dir, "there.onnx"))) != "x" {
				t.Errorf("there are %s", got)
			}
			if got := listing(t, outside); got != "" {
				t.Errorf("outside there are %s", got)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	m := modelOf(external("a", strings.Repeat("a", 10<<20), 0))
	path, total := filepath.Join(t.TempDir(), "m.onnx"), int64(0)
	paths, err := onnx.Save(path, m, onnx.SaveOptions{Progress: func(n int64) error {
		if n > 4<<20 {
			t.Errorf("a step of %d bytes", n)
		}
		total += n
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(len(read(t, paths[0])) + len(read(t, paths[1]))); total != want {
		t.Errorf("progress of %d bytes, want %d", total, want)
	}
}

// nested makes a graph inside a graph, n deep.
func nested(n int) *onnx.Graph {
	g := &onnx.Graph{Name: "g"}
	for range n {
		g = &onnx.Graph{Name: "g", Nodes: []*onnx.Node{{OpType: "If", Attributes: []*onnx.Attribute{{Name: "b", Type: onnx.AttributeGraph, G: g}}}}}
	}
	return g
}

func TestDepth(t *testing.T) {
	m := &onnx.Model{Graph: nested(32)}
	if _, err := onnx.Decode(written(t, m)); err != nil {
		t.Error(err)
	}
	m.Graph = &onnx.Graph{Nodes: []*onnx.Node{nil}}
	if _, err := m.WriteTo(io.Discard); err == nil || !strings.Contains(err.Error(), "element 0 of node is nil") {
		t.Errorf("%v", err)
	}
	m.Graph = nested(34)
	if _, err := m.WriteTo(io.Discard); err == nil || !strings.Contains(err.Error(), "nest deeper than 100") {
		t.Errorf("%v", err)
	}
}

func BenchmarkWriteTo(b *testing.B) {
	m := &onnx.Model{IRVersion: 8, Graph: &onnx.Graph{Name: "g"}}
	for i := range 1000 {
		m.Graph.Nodes = append(m.Graph.Nodes, &onnx.Node{
			Name: fmt.Sprint("node_", i), OpType: "Conv", Inputs: []string{"x", "w", "b"}, Outputs: []string{fmt.Sprint("y_", i)},
			Attributes: []*onnx.Attribute{{Name: "strides", Type: onnx.AttributeInts, Ints: []int64{1, 1}}},
		})
	}
	file := written(b, m)
	m, err := onnx.Decode(file)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("decode 1000 nodes", func(b *testing.B) {
		for b.Loop() {
			if _, err := onnx.Decode(file); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write 1000 unchanged nodes", func(b *testing.B) {
		for b.Loop() {
			if _, err := m.WriteTo(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
	m.Graph.Name = "changed"
	b.Run("write 1000 nodes of a changed graph", func(b *testing.B) {
		for b.Loop() {
			if _, err := m.WriteTo(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestSaveTee compares what Tee saw of each file with the file.
func TestSaveTee(t *testing.T) {
	m := modelOf(external("a", "12345678", 0), external("b", "abcdefgh", 4096))
	path, seen := filepath.Join(t.TempDir(), "m.onnx"), map[string]*bytes.Buffer{}
	files, err := onnx.Save(path, m, onnx.SaveOptions{Tee: func(path string) io.Writer {
		seen[path] = new(bytes.Buffer)
		return seen[path]
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || len(seen) != 2 {
		t.Fatalf("%d files written, %d seen", len(files), len(seen))
	}
	for _, f := range files {
		if want, err := os.ReadFile(f); err != nil || seen[f] == nil || !bytes.Equal(seen[f].Bytes(), want) {
			t.Errorf("%s: Tee saw something else (%v)", f, err)
		}
	}
}
