package infer

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/npy"
	"github.com/effml/effml/internal/testkit"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// models lists the .onnx files of the folders that EFFML_MODELS names, separated as in PATH, else of the shared data.
func models(t testing.TB) (files []string) {
	t.Helper()
	dirs := filepath.SplitList(os.Getenv("EFFML_MODELS"))
	if len(dirs) == 0 {
		dirs = []string{testkit.Shared(t, "data", "models")}
	}
	for _, dir := range dirs {
		found, err := filepath.Glob(filepath.Join(dir, "*.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Skipf("no models in %s", strings.Join(dirs, ", "))
	}
	return files
}

// randomInputs makes values for the inputs of a session: normally distributed floats, ones else; open dimensions are batch, then 1.
func randomInputs(t testing.TB, s *Session, batch int, seed uint64) []*tensor.Tensor {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	var in []*tensor.Tensor
	for _, v := range s.Inputs() {
		shape := make([]int, len(v.Shape))
		for i, d := range v.Shape {
			if shape[i] = d.N; d.N < 0 {
				if shape[i] = 1; i == 0 {
					shape[i] = batch
				}
			}
		}
		x, err := tensor.New(v.Type, shape...)
		if err != nil {
			t.Fatal(err)
		}
		switch v.Type {
		case onnx.Float:
			for i := range tensor.Of[float32](x) {
				tensor.Of[float32](x)[i] = float32(r.NormFloat64())
			}
		case onnx.Int64:
			for i := range tensor.Of[int64](x) {
				tensor.Of[int64](x)[i] = 1
			}
		}
		in = append(in, x)
	}
	return in
}

func best(t testing.TB) isa.Set {
	t.Helper()
	set, err := isa.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// load opens a session that ends with the test.
func load(t testing.TB, path string, o Options) *Session {
	t.Helper()
	s, err := Load(path, o)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	t.Cleanup(s.Close)
	return s
}

func run(t *testing.T, s *Session, in []*tensor.Tensor) []*tensor.Tensor {
	t.Helper()
	out, err := s.NewRunner().Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// distance returns the largest difference of the elements of two tensors, relative to the range of the second.
func distance(got, want *tensor.Tensor) (float64, error) {
	if got.Type != want.Type || !slices.Equal(got.Shape, want.Shape) {
		return 0, fmt.Errorf("%s where %s is wanted", got, want)
	}
	a, b := make([]float32, got.Len()), make([]float32, want.Len())
	if !got.Floats(a, 0) || !want.Floats(b, 0) {
		return 0, fmt.Errorf("%s is not of numbers", got)
	}
	diff, lo, hi := 0.0, 0.0, 0.0
	for i := range b {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		if d != d {
			d = math.Inf(1)
		}
		diff, lo, hi = max(diff, d), min(lo, float64(b[i])), max(hi, float64(b[i]))
	}
	if diff == 0 {
		return 0, nil
	}
	return diff / (hi - lo), nil
}

// TestModels runs real models: optimised as they are written, with any number of threads bit for bit the same, each sample of a batch
// as alone, and as ONNX Runtime does where EFFML_PYTHON can ask it.
func TestModels(t *testing.T) {
	for _, path := range models(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".onnx"), func(t *testing.T) {
			s := load(t, path, Options{ISA: best(t), Threads: 2})
			in := randomInputs(t, s, 2, 7)
			out := run(t, s, in)
			t.Logf("%+v", s.Stats())
			for _, o := range []Options{{NoFuse: true, Threads: 2}, {Threads: 1}, {Threads: 7}} {
				if o.Threads != 2 && testing.Short() {
					continue
				}
				o.ISA = best(t)
				other := load(t, path, o)
				plain, most := run(t, other, in), 0.0
				if o.NoFuse {
					most = 1e-4
				}
				if slices.ContainsFunc(other.main.nodes, func(n *node) bool { return o.NoFuse && n.is("QuantizeLinear") }) {
					most = 0.02 // sums in another order fall on the other side of a half now and then
				}
				for i := range out {
					d, err := distance(out[i], plain[i])
					if err != nil || d > most {
						t.Errorf("output %d: optimised on 2 threads and %+v differ by %g of the range, %v", i, o, d, err)
					}
				}
			}
			oneByOne(t, s, in, out)
			againstRuntime(t, path, s, in, out)
		})
	}
}

// oneByOne compares a batch with its samples.
func oneByOne(t *testing.T, s *Session, in, out []*tensor.Tensor) {
	t.Helper()
	if len(in) != 1 || len(s.Inputs()[0].Shape) < 2 || s.Inputs()[0].Shape[0].IsKnown() {
		return
	}
	x := in[0]
	n := x.Shape[0]
	shape := append([]int{1}, x.Shape[1:]...)
	for i := range n {
		one := tensor.Over(x.Bytes()[i*len(x.Bytes())/n:(i+1)*len(x.Bytes())/n], x.Type, shape, tensor.Plain)
		for k, y := range run(t, s, []*tensor.Tensor{one}) {
			want := tensor.Over(out[k].Bytes()[i*len(out[k].Bytes())/n:], y.Type, y.Shape, tensor.Plain)
			if d, err := distance(y, want); err != nil || d > 1e-5 {
				t.Errorf("sample %d alone differs by %g of the range, %v", i, d, err)
			}
		}
	}
}

// againstRuntime compares with ONNX Runtime.
func againstRuntime(t *testing.T, path string, s *Session, in, out []*tensor.Tensor) {
	t.Helper()
	python := os.Getenv("EFFML_PYTHON")
	if python == "" || testing.Short() {
		return
	}
	dir := t.TempDir()
	var arrays []npy.Named
	for i, v := range s.Inputs() {
		arrays = append(arrays, npy.Named{Name: v.Name, Tensor: in[i]})
	}
	f, err := os.Create(filepath.Join(dir, "in.npz"))
	if err != nil {
		t.Fatal(err)
	}
	if err := npy.WriteArchive(f, arrays); err != nil {
		t.Fatal(err)
	}
	f.Close()
	cmd := exec.Command(python, filepath.Join("..", "bench", "peers", "oracle.py"), path, f.Name(), filepath.Join(dir, "out.npz"))
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	data, err := os.ReadFile(filepath.Join(dir, "out.npz"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := npy.OpenArchive(data)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range s.Outputs() {
		want, err := z.Read(v.Name)
		if err != nil {
			t.Fatal(err)
		}
		d, err := distance(out[i], want)
		t.Logf("output %s differs from ONNX Runtime by %.2g of the range", v.Name, d)
		if err != nil || d > 1e-4 {
			t.Errorf("output %s differs from ONNX Runtime by %g of the range, %v", v.Name, d, err)
		}
	}
}

// TestOldBroadcasting runs what opsets before 7 say of the axis of a bias, where NumPy's broadcasting would take another.
func TestOldBroadcasting(t *testing.T) {
	m := graphOf([]*onnx.ValueInfo{val("x", 1, 1, 2, 2)}, []*onnx.ValueInfo{val("y", 1, 2, 2, 2), val("z", 1, 2, 2, 2)},
		map[string]*tensor.Tensor{"w": floats([]int{2, 1, 1, 1}, 1, -1), "b": floats([]int{2}, 10, 20)},
		nd("c = Conv x, w"), nd("y = Add c, b", attr("broadcast", 1), attr("axis", 1)), nd("z = Mul y, b", attr("broadcast", 1), attr("axis", 2)))
	m.OpsetImports[0].Version = 6
	both(t, m, []*tensor.Tensor{floats([]int{1, 1, 2, 2}, 1, 2, 3, 4)},
		floats([]int{1, 2, 2, 2}, 11, 12, 13, 14, 19, 18, 17, 16), floats([]int{1, 2, 2, 2}, 110, 120, 260, 280, 190, 180, 340, 320))
}
