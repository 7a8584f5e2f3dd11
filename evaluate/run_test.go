package evaluate

import (
	"context"
	"encoding/csv"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/npy"
	"github.com/effml/effml/internal/testkit"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

const lenet = "../examples/lenet-300-100.onnx"

// answers computes LeNet-300-100 in float64, from the weights in the file.
func answers(t *testing.T, x []float32) []float64 {
	t.Helper()
	f, err := onnx.Open(lenet)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	values := func(name string) []float32 {
		for _, w := range f.Model.Graph.Initializers {
			if w.Name == name {
				n, _ := w.NumElements()
				v := make([]float32, n)
				if err := w.ReadFloats(v, 0); err != nil {
					t.Fatal(err)
				}
				return v
			}
		}
		t.Fatalf("no tensor %s", name)
		return nil
	}
	n := len(x) / 784
	now := make([]float64, len(x))
	for i, v := range x {
		now[i] = float64(v)
	}
	for _, layer := range []string{"fc1", "fc2", "fc3"} {
		w, b := values(layer+".weight"), values(layer+".bias")
		in, out := len(w)/len(b), len(b)
		next := make([]float64, n*out)
		for s := range n {
			for o := range out {
				sum := float64(b[o])
				for i := range in {
					sum += float64(w[o*in+i]) * now[s*in+i]
				}
				if layer != "fc3" {
					sum = max(sum, 0)
				}
				next[s*out+o] = sum
			}
		}
		now = next
	}
	return now
}

// digits writes n random images with the labels that the reference gives them, but for wrong of them, as an .npz file.
func digits(t *testing.T, n, wrong int) (path string, labels []int) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	pixels, x := make([]uint8, n*784), make([]float32, n*784)
	for i := range pixels {
		pixels[i] = uint8(r.IntN(256))
		x[i] = float32(pixels[i]) / 255
	}
	y := make([]int64, n)
	for s, logits := range slices.Collect(slices.Chunk(answers(t, x), 10)) {
		best := slices.Index(logits, slices.Max(logits))
		labels = append(labels, best)
		if y[s] = int64(best); s < wrong {
			y[s] = int64((best + 1) % 10)
		}
	}
	path = filepath.Join(t.TempDir(), "digits.npz")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	err = npy.WriteArchive(out, []npy.Named{{Name: "x", Tensor: tensor.From(pixels, n, 28, 28, 1)}, {Name: "y", Tensor: tensor.From(y, n)}})
	if err != nil {
		t.Fatal(err)
	}
	return path, labels
}

func TestEval(t *testing.T) {
	data, labels := digits(t, 50, 5)
	answers := filepath.Join(t.TempDir(), "answers.csv")
	r, err := Eval(t.Context(), EvalConfig{
		Path: lenet, Samples: Samples{Data: data, Preprocess: "scale=1/255", Batch: 7}, Predictions: answers, PerClass: true, Confusion: true, MinAccuracy: 90,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Top1 != 90 || r.Samples != 50 || r.Top5 < 90 || !(r.Loss > 0) || r.ImagesPerS <= 0 || !r.Gates[0].Passed {
		t.Errorf("result %+v", r)
	}
	mistaken, inClasses := 0, 0
	for _, c := range r.Confusion {
		mistaken += c.Samples
	}
	for _, c := range r.PerClass {
		inClasses += c.Samples
	}
	if mistaken != 5 || inClasses != 50 {
		t.Errorf("%d mistaken, %d in classes", mistaken, inClasses)
	}
	rows := readCSV(t, answers)
	if len(rows) != 51 {
		t.Fatalf("%d rows", len(rows))
	}
	for i, row := range rows[1:] {
		if row[2] != strconv.Itoa(labels[i]) || row[4] != strconv.FormatBool(i >= 5) {
			t.Errorf("row %d: %v, the answer is %d", i, row, labels[i])
		}
	}
	var missed *job.GateError
	if r, err := Eval(t.Context(), EvalConfig{Path: lenet, Samples: Samples{Data: data, Preprocess: "scale=1/255"}, MinAccuracy: 90.1}, nil); !errors.As(err, &missed) || r == nil {
		t.Errorf("a missed gate gives %v, %v", r, err)
	}
}

// TestWrittenLast interrupts once the output has its name: nothing may be left to do, for an interrupted command says that nothing was written.
func TestWrittenLast(t *testing.T) {
	data, _ := digits(t, 10, 0)
	answers, out := filepath.Join(t.TempDir(), "answers.csv"), filepath.Join(t.TempDir(), "y.npz")
	in := writeArray(t, tensor.From(make([]float32, 784), 1, 1, 28, 28))
	e, err := Eval(testkit.Until(t.Context(), answers), EvalConfig{Path: lenet, Samples: Samples{Data: data, Preprocess: "scale=1/255"}, Predictions: answers}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(testkit.Until(t.Context(), out), RunConfig{Path: lenet, Inputs: map[string]string{"": in}, Output: out}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*job.File{e.Output, r.Output} {
		want, err := job.HashFile(t.Context(), f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if f.SHA256 != want.SHA256 || f.Bytes != want.Bytes {
			t.Errorf("%s: %+v, want %+v", f.Path, f, want)
		}
	}
	for _, path := range []string{answers, out} { // and an earlier interruption leaves none
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	_, errEval := Eval(stopped, EvalConfig{Path: lenet, Samples: Samples{Data: data, Preprocess: "scale=1/255"}, Predictions: answers}, nil)
	_, errRun := Run(stopped, RunConfig{Path: lenet, Inputs: map[string]string{"": in}, Output: out}, nil)
	for path, err := range map[string]error{answers: errEval, out: errRun} {
		left, _ := os.ReadDir(filepath.Dir(path))
		if !errors.Is(err, context.Canceled) || len(left) > 0 {
			t.Errorf("%s: %v, %v is left", path, err, left)
		}
	}
}

func readCSV(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestEvalErrors(t *testing.T) {
	data, _ := digits(t, 4, 0)
	for _, c := range []struct {
		config EvalConfig
		want   string
		as     any
	}{
		{EvalConfig{}, "path: no file named\ndata: name the data", new(*job.UsageError)},
		{EvalConfig{Path: lenet, Samples: Samples{Data: data, Preprocess: "scal=1"}}, `did you mean "scale"?`, new(*job.UsageError)},
		{EvalConfig{Path: lenet, Samples: Samples{Data: data, Preprocess: "crop=20"}}, "crop", new(*job.UsageError)},
		{EvalConfig{Path: lenet, Samples: Samples{Data: data, Part: "tst"}}, `did you mean "test"?`, new(*job.UsageError)},
		{EvalConfig{Path: lenet, Samples: Samples{Data: filepath.Join(t.TempDir(), "none")}}, "no such file", nil},
		{EvalConfig{Path: data, Samples: Samples{Data: data}}, "digits.npz", new(*job.ModelError)},
	} {
		_, err := Eval(t.Context(), c.config, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || c.as != nil && !errors.As(err, c.as) {
			t.Errorf("%+v: %T %v, want %s", c.config, err, err, c.want)
		}
	}
}

// writeArray writes a tensor as an .npy file.
func writeArray(t *testing.T, v *tensor.Tensor) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "x.npy")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(npy.Write(f, v), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	x := make([]float32, 784)
	for i := range x {
		x[i] = r.Float32()
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "y.npz")
	s, err := openSession(lenet, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	shape := []int{}
	for _, d := range s.Inputs()[0].Shape {
		shape = append(shape, max(d.N, 1))
	}
	s.Close()
	in := writeArray(t, tensor.From(x, shape...))
	res, err := Run(t.Context(), RunConfig{Path: lenet, Inputs: map[string]string{"": in}, Output: out}, nil)
	if err != nil {
		t.Fatal(err)
	}
	arrays, err := readArrays(out)
	if err != nil {
		t.Fatal(err)
	}
	got, want := tensor.Of[float32](arrays[res.Outputs[0].Name]), answers(t, x)
	for i := range want {
		if math.Abs(float64(got[i])-want[i]) > 1e-4 {
			t.Errorf("output %d is %g, want %g", i, got[i], want[i])
		}
	}
	if o := res.Outputs[0]; o.Elements != 10 || float64(o.Max) != float64(slices.Max(got)) || o.First[3] != float64(got[3]) || res.Output.Bytes == 0 {
		t.Errorf("described as %+v", o)
	}
	wide := make([]float64, len(x))
	for i, v := range x {
		wide[i] = float64(v)
	}
	inDouble := writeArray(t, tensor.From(wide, shape...))
	again, err := Run(t.Context(), RunConfig{Path: lenet, Inputs: map[string]string{"": inDouble}}, nil)
	if err != nil || !slices.Equal(again.Outputs[0].First, res.Outputs[0].First) || len(again.Notes) != 1 || len(res.Notes) != 0 {
		t.Errorf("float64 inputs give %+v, %v", again, err)
	}
	if _, err := Run(t.Context(), RunConfig{Path: lenet, Inputs: map[string]string{"": in}, Output: "y.npy"}, nil); err == nil || !strings.Contains(err.Error(), "y.npy: outputs are written as .npz") {
		t.Errorf("another kind of output: %v", err)
	}
	for _, c := range []struct {
		inputs map[string]string
		want   string
	}{
		{nil, "is missing"},
		{map[string]string{"inpt": in}, "there is no input"},
		{map[string]string{"": filepath.Join(dir, "z.npy")}, "z.npy"},
	} {
		if _, err := Run(t.Context(), RunConfig{Path: lenet, Inputs: c.inputs}, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %s", c.inputs, err, c.want)
		}
	}
}

// TestRunSamples gives an input that declares one sample several.
func TestRunSamples(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	x := make([]float32, 6*784)
	for i := range x {
		x[i] = r.Float32()
	}
	s, err := openSession(lenet, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rest := []int{}
	for _, d := range s.Inputs()[0].Shape[1:] {
		rest = append(rest, d.N)
	}
	out := filepath.Join(t.TempDir(), "y.npz")
	// three samples, each a batch of two
	in := writeArray(t, tensor.From(x, append([]int{3, 2}, rest...)...))
	res, err := Run(t.Context(), RunConfig{Path: lenet, Inputs: map[string]string{"": in}, Output: out}, nil)
	if err != nil {
		t.Fatal(err)
	}
	arrays, err := readArrays(out)
	if err != nil {
		t.Fatal(err)
	}
	y := arrays[res.Outputs[0].Name]
	if res.Samples != 3 || !slices.Equal(y.Shape, []int{3, 2, 10}) {
		t.Fatalf("%d samples, output %s", res.Samples, y)
	}
	for i, want := range answers(t, x) {
		if got := float64(tensor.Of[float32](y)[i]); math.Abs(got-want) > 1e-4 {
			t.Errorf("output %d is %g, want %g", i, got, want)
		}
	}
	in = writeArray(t, tensor.From([]float32{}, append([]int{0, 2}, rest...)...))
	if _, err := Run(t.Context(), RunConfig{Path: lenet, Inputs: map[string]string{"": in}}, nil); err == nil || !strings.Contains(err.Error(), "holds no sample") {
		t.Errorf("no sample at all: %v", err)
	}
	wanted := []infer.Value{{Name: "a", Shape: ops.Shape{}}, {Name: "b", Shape: ops.Shape{ops.Known(2)}}}
	for _, b := range []*tensor.Tensor{tensor.From(make([]int64, 2), 2), tensor.From(make([]int64, 8), 4, 2)} {
		_, err := countSamples(map[string]*tensor.Tensor{"a": tensor.From(make([]int64, 3), 3), "b": b}, wanted)
		if err == nil || !strings.Contains(err.Error(), `"a"`) || !strings.Contains(err.Error(), `"b"`) {
			t.Errorf("3 samples of a and %s: %v", b, err)
		}
	}
}

func TestBench(t *testing.T) {
	r, err := Bench(t.Context(), BenchConfig{Path: lenet, Runs: 5, Ops: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.MACs != 784*300+300*100+100*10 || r.Runs != 5 || r.Batch != 1 || !(r.MS.Min > 0 && r.MS.Min <= r.MS.Median && r.MS.Median <= r.MS.Max) {
		t.Errorf("result %+v", r)
	}
	var macs, share float64
	for _, o := range r.Ops {
		macs += o.GFLOPS * o.MS
		share += o.Share
	}
	if math.Abs(macs*1e6/2-float64(r.MACs)) > 1 {
		t.Errorf("the operators' MACs add up to %g, not %d", macs*1e6/2, r.MACs)
	}
	if _, err := Bench(t.Context(), BenchConfig{Path: lenet, Shapes: map[string][]int{"x": {1}}}, nil); err == nil || !strings.Contains(err.Error(), "does not have") {
		t.Errorf("a shape of no input: %v", err)
	}
	if _, err := Bench(t.Context(), BenchConfig{Path: lenet, Runs: -1}, nil); err == nil {
		t.Error("−1 runs are accepted")
	}
}
