package archive

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/effml/effml/internal/testkit"
	"github.com/effml/effml/onnx"
)

// modelFiles returns real models: those of the repository, of the shared data
// (../shared, or $EFFML_SHARED), and those matching the patterns of
// $EFFML_MODELS.
func modelFiles(t testing.TB) []string {
	t.Helper()
	root := filepath.Join("..")
	patterns := []string{filepath.Join(root, "examples", "*.onnx"), filepath.Join(testkit.SharedDir(t), "data", "models", "*.onnx")}
	patterns = append(patterns, filepath.SplitList(os.Getenv("EFFML_MODELS"))...)
	var files []string
	for _, p := range patterns {
		list, err := filepath.Glob(p)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			t.Logf("no models match %s", p)
		}
		files = append(files, list...)
	}
	if len(files) == 0 {
		t.Skip("no models: neither examples nor shared data are there")
	}
	return files
}

// TestRoundTripFiles writes real models without loss and saves them again: all
// files must be the same, byte for byte.
func TestRoundTripFiles(t *testing.T) {
	for _, path := range modelFiles(t) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(path, "/")
		if testing.Short() && info.Size() > 2<<20 {
			continue
		}
		t.Run(filepath.Base(filepath.Dir(name))+"/"+filepath.Base(name), func(t *testing.T) { roundTripFile(t, path) })
	}
}

func roundTripFile(t *testing.T, path string) {
	f, err := onnx.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := t.TempDir()
	packed := filepath.Join(dir, "model.effml")
	s := writeFile(t, packed, f.Model, Options{Release: f.Release})
	var in int64
	for _, x := range f.Files {
		in += x.Bytes
	}
	t.Logf("%d bytes -> %d: header %d, topology %d, checksums %d", in, s.Total, s.Header, s.Topology, s.Checksums)

	r, err := Open(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	m, err := r.Model()
	if err != nil {
		t.Fatal(err)
	}
	saved, err := onnx.Save(filepath.Join(dir, filepath.Base(path)), m, onnx.SaveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(saved) != len(f.Files) {
		t.Fatalf("%d files became %d", len(f.Files), len(saved))
	}
	for i, x := range f.Files {
		sameFiles(t, x.Path, saved[i])
	}
	if d, err := r.Verify(context.Background(), 0, nil); err != nil || len(d) > 0 {
		t.Errorf("verify: %v, %v", d, err)
	}
}

// TestOverhead: everything but the weights of the demo network takes no more than
// 700 bytes, without loss and packed.
func TestOverhead(t *testing.T) {
	f, err := onnx.Open("../examples/lenet-300-100.onnx")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, packing := range map[string]func(onnx.TensorRef) (*Packed, error){
		"lossless": nil,
		"packed": func(ref onnx.TensorRef) (*Packed, error) {
			w := make([]float32, weightsIn(ref))
			if len(ref.Dims) < 2 {
				return nil, nil
			}
			err := ref.ReadFloats(w, 0)
			return gridPack(w, 0.01), err
		},
	} {
		_, s := pack(t, f.Model, Options{Pack: packing})
		t.Logf("%s: header %d, topology %d, codebooks %d, checksums %d", name, s.Header, s.Topology, s.Codebooks, s.Checksums)
		if n := s.Header + s.Topology + s.Codebooks + s.Checksums; n > 700 {
			t.Errorf("%s: %d bytes beside the weights", name, n)
		}
	}
}

// writeFile writes an archive and checks what Write says of it.
func writeFile(t testing.TB, path string, m *onnx.Model, o Options) *Sizes {
	t.Helper()
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	s, err := Write(context.Background(), out, m, o)
	if err != nil {
		t.Fatal(err)
	}
	info, err := out.Stat()
	if err != nil {
		t.Fatal(err)
	}
	checkSizes(t, s, info.Size())
	return s
}

// checkSizes verifies that all parts add up.
func checkSizes(t testing.TB, s *Sizes, size int64) {
	t.Helper()
	if sum := s.Header + s.Topology + s.Codebooks + s.Codes + s.Positions + s.Raw + s.Checksums; sum != s.Total || s.Total != size {
		t.Errorf("parts add up to %d, total %d, file %d", sum, s.Total, size)
	}
	var parts Sizes
	for _, x := range s.Tensors {
		if sum := x.Codebooks + x.Codes + x.Positions + x.Raw + x.Checksums; sum != x.Bytes {
			t.Errorf("tensor %q: parts add up to %d of %d", x.Name, sum, x.Bytes)
		}
		parts.Codebooks += x.Codebooks
		parts.Codes += x.Codes
		parts.Positions += x.Positions
		parts.Raw += x.Raw
	}
	if parts.Codebooks != s.Codebooks || parts.Codes != s.Codes || parts.Positions != s.Positions || parts.Raw != s.Raw {
		t.Errorf("tensors have %+v, the file %+v", parts, *s)
	}
}

func sameFiles(t *testing.T, want, got string) {
	t.Helper()
	a, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(got)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		i := 0
		for i < min(len(a), len(b)) && a[i] == b[i] {
			i++
		}
		t.Errorf("%s: %d bytes instead of %d, different from byte %d on", filepath.Base(want), len(b), len(a), i)
	}
}
