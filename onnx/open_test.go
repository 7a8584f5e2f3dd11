package onnx_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
)

// externalModel is a model of one tensor of 4 bytes with these entries of external_data.
func externalModel(entries ...string) string {
	w := []string{vi(1, 4), vi(2, 2), lp(8, "w"), vi(14, 1)}
	for i := 0; i < len(entries); i += 2 {
		w = append(w, lp(13, lp(1, entries[i]), lp(2, entries[i+1])))
	}
	return vi(1, 10) + lp(7, lp(5, w...), lp(2, "g"))
}

func put(t testing.TB, path, contents string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(contents), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenExternal(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "w.bin"), "0123456789")
	put(t, filepath.Join(dir, "sub", "w.bin"), "abcd")
	put(t, filepath.Join(dir, "..data"), "wxyz")
	for _, c := range []struct {
		entries []string
		want    string
	}{
		{[]string{"location", "w.bin", "offset", "3", "length", "4"}, "3456"},
		{[]string{"location", "w.bin", "offset", "6"}, "6789"},
		{[]string{"location", "./w.bin", "length", "4", "checksum", "00", "basepath", "x"}, "0123"},
		{[]string{"location", "sub/w.bin"}, "abcd"},
		{[]string{"location", "..data"}, "wxyz"},
	} {
		f := open(t, put(t, filepath.Join(dir, "m.onnx"), externalModel(c.entries...)))
		w := f.Model.Graph.Initializers[0]
		raw, err := w.Bytes()
		if err != nil || string(raw) != c.want {
			t.Errorf("%v: %q, %v, want %q", c.entries, raw, err, c.want)
		}
		if len(f.Files) != 2 || f.Files[0].Path != f.Path || f.Files[1].Bytes < 4 {
			t.Errorf("%v: files %v", c.entries, f.Files)
		}
		f.Release(w)
		if again, _ := w.Bytes(); string(again) != c.want {
			t.Errorf("%v: after Release: %q", c.entries, again)
		}
		if problems := onnx.Check(f.Model); len(problems) != 1 { // it imports no operators
			t.Errorf("%v: %v", c.entries, problems)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The tensors of sub-graphs, attributes and functions are loaded too, and a file that many name is mapped once.
func TestOpenExternalEverywhere(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "w.bin"), "0123456789")
	tensor := func(name, offset string) string {
		return strings.Join([]string{vi(1, 1), vi(2, 2), lp(8, name), vi(14, 1), lp(13, lp(1, "location"), lp(2, "w.bin")), lp(13, lp(1, "offset"), lp(2, offset)), lp(13, lp(1, "length"), lp(2, "1"))}, "")
	}
	branch := lp(6, lp(1, lp(5, lp(5, tensor("c", "2")))), lp(5, tensor("d", "3")))
	graph := lp(7, lp(1, lp(3, "n"), lp(5, lp(1, "t"), lp(5, tensor("a", "0"))), lp(5, lp(1, "ts"), lp(10, tensor("b", "1"))), lp(5, lp(1, "g"), branch)),
		lp(5, tensor("e", "4")), lp(15, lp(1, tensor("f", "5")), lp(2, tensor("g", "6"))))
	function := lp(25, lp(1, "F"), lp(7, lp(4, "Op"), lp(5, lp(1, "t"), lp(5, tensor("h", "7")))), lp(11, lp(1, "default"), lp(5, tensor("i", "8"))))
	f := open(t, put(t, filepath.Join(dir, "m.onnx"), graph+function))
	var got []string
	for _, r := range f.Model.Tensors() {
		raw, err := r.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		node := ""
		if r.Node != nil {
			node = r.Node.Name + r.Node.OpType
		}
		got = append(got, fmt.Sprintf("%s=%s %s %s %q", r.Name, raw, r.Path, r.Role, node))
	}
	want := `a=0 graph attribute "n"
b=1 graph attribute "n"
c=2 graph/n.g attribute ""
d=3 graph/n.g initializer ""
e=4 graph initializer ""
f=5 graph sparse-values ""
g=6 graph sparse-indices ""
h=7 function:F attribute "Op"
i=8 function:F attribute ""`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("tensors:\n%s\nwant:\n%s", s, want)
	}
	if len(f.Files) != 2 {
		t.Errorf("files %v", f.Files)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	inside := filepath.Join(dir, "models")
	for _, d := range []string{inside, filepath.Join(inside, "sub")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(dir, "secret"), "0123")
	put(t, filepath.Join(inside, "w.bin"), "012")
	if err := os.Symlink(filepath.Join(dir, "secret"), filepath.Join(inside, "link")); err != nil {
		t.Skip("no symbolic links:", err)
	}
	if err := os.Symlink("..", filepath.Join(inside, "up")); err != nil {
		t.Fatal(err)
	}
	for location, want := range map[string]string{
		"../secret":                  "leaves the model's folder",
		"sub/../../secret":           "leaves the model's folder",
		`..\secret`:                  "leaves the model's folder",
		`sub\..\..\secret`:           "leaves the model's folder",
		filepath.Join(dir, "secret"): "absolute",
		`\secret`:                    "absolute",
		`C:\secret`:                  "absolute",
		"c:secret":                   "absolute",
		`\\host\share`:               "absolute",
		"":                           "no location",
		"a\x00b":                     "zero byte",
		"link":                       "cannot be opened within the folder",
		"up/secret":                  "cannot be opened within the folder",
		"none.bin":                   "there is no such file",
		"sub":                        "not a regular file",
		"w.bin":                      "bytes 0 to 4 are not within the file's 3",
	} {
		path := put(t, filepath.Join(inside, "m.onnx"), externalModel("location", location))
		_, err := onnx.Open(path)
		var external *onnx.ExternalError
		if !errors.As(err, &external) || external.Tensor != "w" || external.Location != location || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", location, err, want)
		}
		if want == "there is no such file" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v is not ErrNotExist", location, err)
		}
	}
	for name, c := range map[string]struct{ file, want string }{
		"offset beyond":   {externalModel("location", "w.bin", "offset", "4", "length", "0"), "bytes 4 to 4"},
		"length too long": {externalModel("location", "w.bin", "offset", "1", "length", "3"), "bytes 1 to 4"},
		"overflow":        {externalModel("location", "w.bin", "offset", "9223372036854775807", "length", "9223372036854775807"), "are not within"},
		"no size":         {strings.Replace(externalModel("location", "w.bin"), vi(2, 2), vi(2, 8), 1), "no size"},
		"bad number":      {externalModel("location", "w.bin", "offset", "x"), `offset "x" is not a number`},
		"not a model":     {"<html>", "HTML"},
		"empty":           {"", "empty"},
	} {
		path := put(t, filepath.Join(inside, "m.onnx"), c.file)
		if _, err := onnx.Open(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for path, want := range map[string]string{
		filepath.Join(inside, "missing.onnx"): "no such file",
		inside:                                "it is a folder",
		filepath.Join(inside, "m.onnx"):       "m.onnx: byte 0: the file is empty",
	} {
		put(t, filepath.Join(inside, "m.onnx"), "")
		if _, err := onnx.Open(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if _, err := onnx.Open(filepath.Join(inside, "missing.onnx")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not ErrNotExist", err)
	}
}

// A file that is cut short while it is mapped ends writing with an error.
func TestInputTruncatedWhileMapped(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not truncate a mapped file")
	}
	dir := t.TempDir()
	m := smallModel()
	w := m.Graph.Initializers[0]
	w.Dims = []int64{1 << 18}
	w.SetBytes(make([]byte, 1<<20))
	for _, mode := range []onnx.External{onnx.Inline, onnx.Separate} {
		path := filepath.Join(dir, fmt.Sprint(mode), "m.onnx")
		if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		paths, err := onnx.Save(path, m, onnx.SaveOptions{External: mode})
		if err != nil {
			t.Fatal(err)
		}
		f := open(t, path)
		if err := os.Truncate(paths[len(paths)-1], 4096); err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(dir, fmt.Sprint(mode), "copy.onnx")
		if _, err := onnx.Save(copied, f.Model, onnx.SaveOptions{DataName: "copy.data"}); !errors.As(err, new(*mapped.FaultError)) {
			t.Errorf("Save: %v", err)
		}
		if left := listing(t, filepath.Dir(copied)); strings.Contains(left, "copy") {
			t.Errorf("there are %s", left)
		}
		if mode == onnx.Separate {
			continue // the model itself is whole
		}
		if _, err := f.Model.WriteTo(new(strings.Builder)); !errors.As(err, new(*mapped.FaultError)) {
			t.Errorf("WriteTo: %v", err)
		}
	}
}

// listing names the files of a folder.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, path); rel != "." {
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}
