package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/internal/modelgen"
	"github.com/effml/effml/onnx"
)

// TestGeneratedModels passes models of every data type, storage form and message
// through an archive: encoding and external values must not change.
func TestGeneratedModels(t *testing.T) {
	n := 200
	if testing.Short() {
		n = 40
	}
	for i, m := range modelgen.Generate(7, n) {
		want, values := encodeModel(t, m), allValues(t, m)
		data, _ := pack(t, m, Options{Effort: i % 7 / 3, Threads: 1 + i%3})
		r := open(t, data)
		got, err := r.Model()
		if err != nil {
			t.Fatalf("model %d: %v", i, err)
		}
		if !bytes.Equal(encodeModel(t, got), want) {
			t.Errorf("model %d: another encoding", i)
		}
		if !bytes.Equal(allValues(t, got), values) {
			t.Errorf("model %d: other values", i)
		}
		if !bytes.Equal(encodeModel(t, m), want) {
			t.Errorf("model %d was changed by writing it", i)
		}
		if d, err := r.Verify(context.Background(), 2, nil); err != nil || len(d) > 0 {
			t.Errorf("model %d: verify: %v, %v", i, d, err)
		}
	}
}

// allValues returns the values of all tensors, one after another.
func allValues(t *testing.T, m *onnx.Model) []byte {
	t.Helper()
	var out []byte
	for _, ref := range m.Tensors() {
		if ref.DataType == onnx.String {
			list, err := ref.Strings()
			if err != nil {
				t.Fatal(err)
			}
			out = AppendStrings(out, list)
			continue
		}
		raw, err := ref.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, raw...)
	}
	return out
}

// mixed makes a model of several tensors of several blocks, with what packs them.
func mixed(n int) (*onnx.Model, func(onnx.TensorRef) (*Packed, error)) {
	w := laplace(1, n)
	m := initializers(
		floatTensor("a", onnx.Float, w, int64(len(w)/1000), 1000),
		floatTensor("b", onnx.Float, w[:7], 7),
		floatTensor("c", onnx.Float16, w, 10, int64(len(w)/10)),
		floatTensor("lossless", onnx.Float, laplace(2, n), int64(n)),
		floatTensor("tied", onnx.Float, w[:7], 7, 1),
	)
	return m, func(ref onnx.TensorRef) (*Packed, error) {
		if ref.Name == "lossless" {
			return nil, nil
		}
		return gridPack(w[:weightsIn(ref)], 0.01), nil
	}
}

func weightsIn(ref onnx.TensorRef) int64 {
	n, _ := product(ref.Dims)
	return n
}

// TestThreads: the bytes depend on nothing but the model and the options.
func TestThreads(t *testing.T) {
	m, packing := mixed(300_000)
	var want []byte
	for _, threads := range []int{1, 2, 7} {
		for _, procs := range []int{1, 3} {
			before := runtime.GOMAXPROCS(procs)
			got, _ := pack(t, m, Options{Threads: threads, Pack: packing, Provenance: map[string]string{"b": "2", "a": "1"}})
			runtime.GOMAXPROCS(before)
			if want == nil {
				want = got
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d threads on %d processors: other bytes", threads, procs)
			}
		}
	}
}

func TestTies(t *testing.T) {
	w := laplace(3, 5000)
	other := bytes.Clone(mustBytes(t, floatTensor("", onnx.Float, w, 5000)))
	other[len(other)/2+1] ^= 1 // between two pieces of the sample, perhaps
	u := &onnx.Tensor{Name: "u", DataType: onnx.Float, Dims: []int64{5000}}
	u.SetBytes(other)
	broken := &onnx.Tensor{Name: "broken", DataType: onnx.Float, Dims: []int64{5}}
	m := initializers(
		floatTensor("a", onnx.Float, w, 5000),
		u,
		floatTensor("b", onnx.Float, w, 50, 100),
		floatTensor("c", onnx.Float, nil, 0),
		floatTensor("d", onnx.Float, w, 100, 50),
		broken,
	)
	released := map[string]int{}
	got, err := Ties(context.Background(), m.Tensors(), func(x *onnx.Tensor) { released[x.Name]++ })
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{0, 1, 0, 3, 0, 5}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("ties %v, want %v", got, want)
	}
	if released["b"] == 0 || released["d"] == 0 {
		t.Errorf("tied tensors were not released: %v", released)
	}
	data, s := pack(t, m, Options{})
	if f := s.Tensors[2].Form; f != "same as a" || s.Tensors[2].Bytes != 0 {
		t.Errorf("tied tensor: %+v", s.Tensors[2])
	}
	back, err := open(t, data).Model()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encodeModel(t, back), encodeModel(t, m)) {
		t.Error("tied tensors came back otherwise")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Ties(ctx, m.Tensors(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func mustBytes(t testing.TB, x *onnx.Tensor) []byte {
	t.Helper()
	b, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCancel: ending the context ends Write soon, with the context's error.
func TestCancel(t *testing.T) {
	m, packing := mixed(1_000_000)
	ctx, cancel := context.WithCancel(context.Background())
	var after int64
	_, err := Write(ctx, io.Discard, m, Options{Pack: packing, Progress: func(n int64) {
		cancel()
		after += n
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if after > 8<<20 {
		t.Errorf("%d bytes were coded after the end", after)
	}
	deadline := time.Now().Add(5 * time.Second)
	for ; ; time.Sleep(time.Millisecond) {
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "archive.inOrder") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("goroutines remain:\n%s", stacks)
		}
	}
}

// failing is a writer that takes so many bytes.
type failing struct{ left int }

func (f *failing) Write(b []byte) (int, error) {
	if len(b) > f.left {
		return 0, errors.New("disk full")
	}
	f.left -= len(b)
	return len(b), nil
}

func TestWriteErrors(t *testing.T) {
	m, packing := mixed(300_000)
	bad := func(p *Packed) func(onnx.TensorRef) (*Packed, error) {
		return func(onnx.TensorRef) (*Packed, error) { return p, nil }
	}
	codes := func(c int32) func([]int32, int64) error {
		return func(dst []int32, _ int64) error {
			for i := range dst {
				dst[i] = c
			}
			return nil
		}
	}
	missing := initializers(&onnx.Tensor{
		Name: "far", DataType: onnx.Float, Dims: []int64{2}, Storage: onnx.StorageExternal,
		External: &onnx.ExternalData{Location: "far.data"},
	})
	boom := errors.New("boom")
	for _, c := range []struct {
		name string
		m    *onnx.Model
		w    io.Writer
		o    Options
		want string
	}{
		{"full disk", m, &failing{1 << 10}, Options{Pack: packing}, "disk full"},
		{"full disk at the end", initializers(), &failing{5}, Options{}, "disk full"},
		{"coder", m, io.Discard, Options{Coders: []string{"morse"}}, "morse"},
		{"no coder", m, io.Discard, Options{Coders: []string{}}, "no coder"},
		{"section", m, io.Discard, Options{Extra: []Section{{ID: sectionBlocks}}}, "section 1"},
		{"section twice", m, io.Discard, Options{Extra: []Section{{ID: 1 << 20}, {ID: 1 << 20}}}, "cannot be added"},
		{"not loaded", missing, io.Discard, Options{}, "far"},
		{"pack fails", m, io.Discard, Options{Pack: func(onnx.TensorRef) (*Packed, error) { return nil, boom }}, `"a": boom`},
		{"nothing to pack by", m, io.Discard, Options{Pack: bad(&Packed{})}, "steps or codebooks"},
		{"groups", m, io.Discard, Options{Pack: bad(&Packed{Step: []float32{1, 2}})}, "2 groups"},
		{"origins", m, io.Discard, Options{Pack: bad(&Packed{Codebook: [][]float32{{1}}, Origin: []int{1, 2}})}, "2 origins"},
		{"large origin", m, io.Discard, Options{Pack: bad(&Packed{Codebook: [][]float32{{1}}, Origin: []int{math.MaxInt}})}, "origin"},
		{"range", m, io.Discard, Options{Pack: bad(&Packed{Step: []float32{1}, Min: 1})}, "codes from 1 to 0"},
		{"codes fail", m, io.Discard, Options{Pack: bad(&Packed{Step: []float32{1}, Codes: func([]int32, int64) error { return boom }})}, ": boom"},
		{"code outside", m, io.Discard, Options{Pack: bad(&Packed{Step: []float32{1}, Codes: codes(1)})}, "outside"},
		{"level outside", m, io.Discard, Options{Pack: bad(&Packed{Codebook: [][]float32{{1}}, Max: 1, Codes: codes(1)})}, "outside its codebook"},
	} {
		if _, err := Write(context.Background(), c.w, c.m, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.want)
		} else if !strings.HasPrefix(err.Error(), "archive: ") || strings.Count(err.Error(), "archive: ") > 1 {
			t.Errorf("%s: prefix of %q", c.name, err)
		}
	}
}

// TestTruncatedInput: a model file that shrinks while it is read is an error of
// Write, an archive that shrinks one of reading, and neither is a crash.
func TestTruncatedInput(t *testing.T) {
	dir := t.TempDir()
	m, _ := mixed(300_000)
	path := filepath.Join(dir, "model.onnx")
	if _, err := onnx.Save(path, m, onnx.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	f, err := onnx.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	packed := filepath.Join(dir, "model.effml")
	writeFile(t, packed, f.Model, Options{})
	r, err := Open(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, p := range []string{path, packed} {
		if err := os.Truncate(p, 4096); err != nil {
			t.Fatal(err)
		}
	}
	var fault *mapped.FaultError
	if _, err := Write(context.Background(), io.Discard, f.Model, Options{}); !errors.As(err, &fault) {
		t.Errorf("write: %v", err)
	}
	if _, err := r.Model(); !errors.As(err, &fault) {
		t.Errorf("model: %v", err)
	}
	if err := r.Decode(context.Background(), 0, make([]byte, r.Size(0))); !errors.As(err, &fault) {
		t.Errorf("decode: %v", err)
	}
	if _, err := r.Verify(context.Background(), 2, nil); !errors.As(err, &fault) {
		t.Errorf("verify: %v", err)
	}
	if _, err := r.Sizes(); !errors.As(err, &fault) {
		t.Errorf("sizes: %v", err)
	}
}

// TestProgress: what is reported adds up to the bytes of all values.
func TestProgress(t *testing.T) {
	m, packing := mixed(300_000)
	var total, want int64
	for _, ref := range m.Tensors() {
		n, err := ref.ByteSize()
		if err != nil {
			t.Fatal(err)
		}
		want += n
	}
	data, _ := pack(t, m, Options{Pack: packing, Progress: func(n int64) { total += n }})
	if total != want {
		t.Errorf("writing reported %d bytes of %d", total, want)
	}
	total = 0
	tied := int64(4 * 7)
	if _, err := open(t, data).Verify(context.Background(), 3, func(n int64) { total += n }); err != nil || total != want-tied {
		t.Errorf("verifying reported %d bytes of %d, error %v", total, want-tied, err)
	}
}

// TestExtra: what is stored beside the model comes back.
func TestExtra(t *testing.T) {
	names := []string{"tench", "goldfish", ""}
	o := Options{
		Provenance: map[string]string{"command": "effml compress", "empty": ""},
		Extra: []Section{
			{ID: FirstPrivateSection + 5, Data: []byte("mine")},
			{ID: SectionClassNames, Data: AppendStrings(nil, names)},
			{ID: SectionPreprocessing, Data: AppendPairs(nil, map[string]string{"resize": "256"})},
		},
	}
	data, _ := pack(t, initializers(), o)
	r := open(t, data)
	if p, err := r.Provenance(); err != nil || fmt.Sprint(p) != fmt.Sprint(o.Provenance) {
		t.Errorf("provenance %v, %v", p, err)
	}
	for _, x := range o.Extra {
		if got, ok, err := r.Section(x.ID); !ok || err != nil || !bytes.Equal(got, x.Data) {
			t.Errorf("section %d: %q, %v, %v", x.ID, got, ok, err)
		}
	}
	if _, ok, err := r.Section(FirstPrivateSection); ok || err != nil {
		t.Errorf("a section that is not there: %v, %v", ok, err)
	}
	plain, _ := pack(t, initializers(), Options{})
	if p, err := open(t, plain).Provenance(); p != nil || err != nil {
		t.Errorf("no provenance: %v, %v", p, err)
	}
}
