package prune

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/effml/effml/internal/rewrite/rewritetest"
	"github.com/effml/effml/internal/weights"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
)

func normal(n int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 3))
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(r.NormFloat64())
	}
	return w
}

// kthLargest is the oracle: the magnitude at rank ⌈keep·n⌉ of the sorted magnitudes.
func kthLargest(w []float32, keep float64) float64 {
	m := make([]float64, len(w))
	for i, v := range w {
		m[i] = -math.Abs(float64(v))
	}
	slices.Sort(m)
	return -m[int(math.Ceil(keep*float64(len(m))))-1]
}

func TestKeep(t *testing.T) {
	ties := make([]float32, 1000)
	for i := range ties {
		ties[i] = float32(i%5) - 2
	}
	for name, w := range map[string][]float32{
		"normal": normal(10_001, 1), "many": normal(weights.Chunk+1, 2), "ties": ties, "one": {-3}, "zero": make([]float32, 9),
		"tiny": {1e-45, -3e-45, 4.2e-45, 0}, "huge": {math.MaxFloat32, -math.MaxFloat32, 1},
	} {
		for _, keep := range []float64{1e-9, 0.04, 0.5, 0.999, 1} {
			got, err := Threshold(weights.Floats(w), Rule{Keep: keep})
			if err != nil || got != kthLargest(w, keep) {
				t.Errorf("%s, keep %v: threshold %v, want %v (%v)", name, keep, got, kthLargest(w, keep), err)
			}
			kept := 0
			for _, v := range w {
				if math.Abs(float64(v)) >= got {
					kept++
				}
			}
			if m := int(math.Ceil(keep * float64(len(w)))); kept < m || kept > m && name != "ties" && name != "zero" && name != "huge" {
				t.Errorf("%s, keep %v: %d of %d stay, want %d", name, keep, kept, len(w), m)
			}
		}
	}
}

func TestGlobal(t *testing.T) {
	a, b, c := normal(5000, 3), normal(weights.Chunk+5, 4), normal(77, 5)
	for i := range a {
		a[i] *= 10
	}
	all := slices.Concat(a, b, c)
	for _, keep := range []float64{0.01, 0.3, 0.9} {
		var want float64
		for _, threads := range []int{1, 2, 7} {
			old := runtime.GOMAXPROCS(threads)
			got, err := Global([]Source{weights.Floats(a), weights.Floats(b), weights.Floats(nil), weights.Floats(c)}, keep)
			runtime.GOMAXPROCS(old)
			if want = kthLargest(all, keep); err != nil || got != want {
				t.Errorf("keep %v, %d threads: threshold %v, want %v (%v)", keep, threads, got, want, err)
			}
		}
	}
	if got, err := Global(nil, 0.5); got != 0 || err != nil {
		t.Errorf("no sources: %v, %v", got, err)
	}
}

func TestSigma(t *testing.T) {
	for name, w := range map[string][]float32{"normal": normal(20_000, 6), "offset": {1000, 1000.5, 1001}, "constant": {7, 7, 7}} {
		mean, variance := 0.0, 0.0
		for _, v := range w {
			mean += float64(v) / float64(len(w))
		}
		for _, v := range w {
			variance += (float64(v) - mean) * (float64(v) - mean) / float64(len(w))
		}
		got, err := Threshold(weights.Floats(w), Rule{Sigma: 1.5})
		if want := 1.5 * math.Sqrt(variance); err != nil || math.Abs(got-want) > 1e-9*want {
			t.Errorf("%s: %v, want %v (%v)", name, got, want, err)
		}
	}
	if got, err := Threshold(weights.Floats(nil), Rule{Sigma: 1}); got != 0 || err != nil {
		t.Errorf("no weights: %v, %v", got, err)
	}
}

func TestApply(t *testing.T) {
	minus := float32(math.Copysign(0, -1))
	w := []float32{0.5, -0.5, 0.49, -0.49, minus, 0, 3, float32(math.NaN())}
	if n := Apply(w, 0.5); n != 2 || !slices.Equal(w[:7], []float32{0.5, -0.5, 0, 0, 0, 0, 3}) || w[7] == w[7] {
		t.Errorf("%d zeroed: %v", n, w)
	}
	if math.Signbit(float64(w[3])) || math.Signbit(float64(w[4])) {
		t.Error("a pruned weight is -0")
	}
	if got, err := Threshold(nil, Rule{Threshold: 0.25}); got != 0.25 || err != nil {
		t.Errorf("a given threshold: %v, %v", got, err)
	}
}

func TestRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, r := range []Rule{{}, {Keep: 1.1}, {Keep: -0.1}, {Keep: 0.5, Sigma: 1}, {Sigma: math.NaN()}, {Threshold: math.Inf(1)}, {Threshold: -1}} {
		if _, err := Threshold(weights.Floats([]float32{1}), r); err == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
	if _, err := Global(nil, 2); err == nil {
		t.Error("a fraction of 2 is accepted")
	}
	var v *ValueError
	for _, bad := range []float32{nan, inf} {
		for _, r := range []Rule{{Keep: 0.5}, {Sigma: 1}} {
			if _, err := Threshold(weights.Floats([]float32{1, 2, bad}), r); !errors.As(err, &v) || v.Index != 2 || v.Source != 0 {
				t.Errorf("%v, %+v: %v", bad, r, err)
			}
		}
	}
	if _, err := Global([]Source{weights.Floats([]float32{1}), weights.Floats([]float32{nan})}, 0.5); !errors.As(err, &v) ||
		v.Source != 1 || v.Error() != "prune: weight 0 of source 1 is NaN" {
		t.Errorf("NaN in the second source: %v", err)
	}
	if _, err := Threshold(failing{}, Rule{Keep: 0.5}); !errors.Is(err, errBroken) {
		t.Errorf("a source that fails: %v", err)
	}
	if _, err := Threshold(failing{}, Rule{Sigma: 0.5}); !errors.Is(err, errBroken) {
		t.Errorf("a source that fails: %v", err)
	}
}

var errBroken = errors.New("broken")

type failing struct{}

func (failing) Len() int                  { return 5 }
func (failing) Read([]float32, int) error { return errBroken }

// rewritten returns models with a pruned W of every type, the values that they must yield, and how many weights became zero.
func rewritten(t *testing.T, dt onnx.DataType) (m *onnx.Model, want []byte) {
	t.Helper()
	w := normal(24*31, 8)
	w[3], w[5] = 0, float32(math.Copysign(0, -1))
	raw := make([]byte, len(w)*dt.Bits()/8)
	onnx.PutFloats(raw, dt, w)
	tensor := &onnx.Tensor{Name: "W", DataType: dt, Dims: []int64{24, 31}}
	tensor.SetBytes(raw)
	src, err := weights.Tensor(tensor)
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Read(w, 0); err != nil {
		t.Fatal(err)
	}
	threshold, err := Threshold(src, Rule{Keep: 0.3})
	if err != nil {
		t.Fatal(err)
	}
	m = rewritetest.Constant(13, 8, tensor)
	zeroed, err := Rewrite(m, m.Graph, "W", threshold)
	if err != nil {
		t.Fatal(err)
	}
	if n := Apply(w, threshold); n != zeroed || n == 0 {
		t.Errorf("%v: %d weights become zero, Apply has %d", dt, zeroed, n)
	}
	want = make([]byte, len(raw))
	onnx.PutFloats(want, dt, w)
	if p := onnx.Check(m); len(p) > 0 {
		t.Errorf("%v: %v", dt, p)
	}
	return m, want
}

func TestRewriteFoldsBack(t *testing.T) {
	for _, dt := range []onnx.DataType{onnx.Float, onnx.Float16, onnx.BFloat16, onnx.Double} {
		m, want := rewritten(t, dt)
		if n, err := ops.Fold(m); n != 1 || err != nil {
			t.Fatalf("%v: %d nodes folded, %v", dt, n, err)
		}
		w := m.Graph.Initializers[0]
		if got, err := w.Bytes(); err != nil || w.Name != "W" || w.DataType != dt || len(m.Graph.Initializers) != 1 || !bytes.Equal(got, want) {
			t.Errorf("%v: %q comes back with other bits, %v", dt, w.Name, err)
		}
	}
}

func TestRewriteInRuntime(t *testing.T) {
	types := []onnx.DataType{onnx.Float, onnx.Float16, onnx.Double}
	var models []*onnx.Model
	var wants [][]byte
	for _, dt := range types {
		m, want := rewritten(t, dt)
		models, wants = append(models, m), append(wants, want)
	}
	for i, got := range rewritetest.FirstOutputs(t, models...) {
		if !bytes.Equal(got, wants[i]) {
			t.Errorf("%v: ONNX Runtime computes other bits", types[i])
		}
	}
}

func TestRewriteRefuses(t *testing.T) {
	tensor := &onnx.Tensor{Name: "W", DataType: onnx.Float, Dims: []int64{2}}
	tensor.SetBytes([]byte{0, 0, 0x80, 0x3f, 0, 0, 0xc0, 0x7f})
	m := rewritetest.Constant(13, 8, tensor)
	var v *ValueError
	if _, err := Rewrite(m, m.Graph, "W", 0.5); !errors.As(err, &v) || v.Index != 1 {
		t.Errorf("NaN: %v", err)
	}
	if _, err := Rewrite(m, m.Graph, "V", 0.5); err == nil {
		t.Error("a tensor that is not there is rewritten")
	}
	tensor.SetBytes(nil)
	if _, err := Rewrite(m, m.Graph, "W", 0.5); err == nil {
		t.Error("a tensor without values is rewritten")
	}
	tensor.DataType = onnx.Int32
	if _, err := Rewrite(m, m.Graph, "W", 0.5); err == nil {
		t.Error("an integer tensor is rewritten")
	}
	if len(m.Graph.Nodes) != 1 || len(m.Graph.Initializers) != 1 {
		t.Error("a refused rewrite has changed the graph")
	}
}

// FuzzThreshold compares with the sorted magnitudes.
func FuzzThreshold(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63, 0, 0, 0, 192, 0, 0, 0, 0}, 0.5)
	f.Add([]byte{0, 0, 192, 127}, 1.0)
	f.Add([]byte{1, 0, 0, 0, 2, 0, 0, 128}, 1e-9)
	f.Fuzz(func(t *testing.T, raw []byte, keep float64) {
		raw = raw[:len(raw)&^3]
		tensor := &onnx.Tensor{DataType: onnx.Float, Dims: []int64{int64(len(raw) / 4)}}
		tensor.SetBytes(raw)
		w := make([]float32, len(raw)/4)
		if err := tensor.ReadFloats(w, 0); err != nil {
			t.Fatal(err)
		}
		finite := true
		for _, v := range w {
			finite = finite && v-v == 0
		}
		got, err := Threshold(weights.Floats(w), Rule{Keep: keep})
		switch {
		case !(keep > 0 && keep <= 1) || !finite:
			if err == nil {
				t.Fatalf("keep %v of %v is accepted", keep, w)
			}
		case err != nil:
			t.Fatal(err)
		case len(w) > 0 && got != kthLargest(w, keep):
			t.Fatalf("threshold %v, want %v", got, kthLargest(w, keep))
		}
	})
}

func BenchmarkKeep(b *testing.B) {
	w := normal(1<<22, 1)
	b.SetBytes(4 << 22)
	for b.Loop() {
		if _, err := Threshold(weights.Floats(w), Rule{Keep: 0.1}); err != nil {
			b.Fatal(err)
		}
	}
}
