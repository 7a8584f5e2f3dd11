package evaluate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelgen"
	"github.com/effml/effml/onnx"
)

func random(n int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(r.NormFloat64())
	}
	return w
}

func tensorOf(name string, dt onnx.DataType, values []float32, dims ...int64) *onnx.Tensor {
	t := &onnx.Tensor{Name: name, DataType: dt, Dims: dims}
	raw := make([]byte, len(values)*dt.Bits()/8)
	onnx.PutFloats(raw, dt, values)
	t.SetBytes(raw)
	return t
}

func valueInfo(name string, dims ...int64) *onnx.ValueInfo {
	s := &onnx.Shape{}
	for _, d := range dims {
		s.Dims = append(s.Dims, &onnx.Dimension{Value: &d})
	}
	s.Dims = append(s.Dims, &onnx.Dimension{Param: "n"}, &onnx.Dimension{})
	return &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float, Shape: s}}}
}

// perceptron is x·w + b, then a branch on a condition.
func perceptron() *onnx.Model {
	w, b := random(40*30, 1), random(30, 2)
	for i := 0; i < len(w); i += 4 {
		w[i] = 0
	}
	ids := &onnx.Tensor{Name: "ids", DataType: onnx.Int8, Dims: []int64{3}}
	ids.SetBytes([]byte{255, 0, 5})
	words := &onnx.Tensor{Name: "words", DataType: onnx.String, Dims: []int64{2}}
	words.SetStrings([][]byte{[]byte("cat"), []byte("dog")})
	tiny := &onnx.Tensor{Name: "f8", DataType: onnx.Float8E5M2, Dims: []int64{2}}
	tiny.SetBytes([]byte{1, 2})
	branch := func(name string) *onnx.Attribute {
		return &onnx.Attribute{Name: name, Type: onnx.AttributeGraph, G: &onnx.Graph{
			Name: name, Nodes: []*onnx.Node{{OpType: "Relu", Inputs: []string{"h"}, Outputs: []string{name + ".out"}}},
			Outputs: []*onnx.ValueInfo{valueInfo(name + ".out")},
		}}
	}
	return &onnx.Model{
		IRVersion: 8, ProducerName: "test", OpsetImports: []*onnx.OperatorSet{{Version: 17}}, Metadata: []*onnx.StringEntry{{Key: "k", Value: "v"}},
		Graph: &onnx.Graph{
			Name: "net", Inputs: []*onnx.ValueInfo{valueInfo("x", 1), valueInfo("cond"), valueInfo("w")}, Outputs: []*onnx.ValueInfo{valueInfo("y")},
			Initializers: []*onnx.Tensor{
				tensorOf("w", onnx.Float, w, 40, 30), tensorOf("b", onnx.Float16, b, 30), ids, words, tiny,
			},
			Nodes: []*onnx.Node{
				{OpType: "Gemm", Name: "fc", Inputs: []string{"x", "w", "b"}, Outputs: []string{"h"}, Attributes: []*onnx.Attribute{
					{Name: "transB", Type: onnx.AttributeInt, I: 1}, {Name: "alpha", Type: onnx.AttributeFloat, F: 0.5},
				}},
				{OpType: "If", Inputs: []string{"cond"}, Outputs: []string{"y"}, Attributes: []*onnx.Attribute{branch("then_branch"), branch("else_branch")}},
			},
		},
	}
}

func save(t *testing.T, m *onnx.Model) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.onnx")
	if _, err := onnx.Save(path, m, onnx.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	return path
}

func pack(t *testing.T, m *onnx.Model, o archive.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.effml")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := archive.Write(t.Context(), f, m, o); err != nil {
		t.Fatal(err)
	}
	return path
}

// coarse packs w on a grid of steps of a half.
func coarse(m *onnx.Model) archive.Options {
	w := m.Graph.Initializers[0]
	return archive.Options{Pack: func(ref onnx.TensorRef) (*archive.Packed, error) {
		if ref.Tensor != w {
			return nil, nil
		}
		return &archive.Packed{Step: []float32{0.5}, Min: -20, Max: 20, Codes: func(codes []int32, first int64) error {
			values := make([]float32, len(codes))
			if err := w.ReadFloats(values, first); err != nil {
				return err
			}
			for i, v := range values {
				codes[i] = int32(math.RoundToEven(float64(v) / 0.5))
			}
			return nil
		}}, nil
	}}
}

func inspect(t *testing.T, path string) *InspectResult {
	t.Helper()
	r, err := Inspect(t.Context(), InspectConfig{Path: path, Histogram: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Fatal(err)
	}
	return r
}

func diffOf(t *testing.T, a, b string) *DiffResult {
	t.Helper()
	r, err := Diff(t.Context(), DiffConfig{A: a, B: b}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestInspectONNX(t *testing.T) {
	m := perceptron()
	path := save(t, m)
	r := inspect(t, path)
	if r.Kind != "onnx" || r.Archive != nil || r.Input.Bytes != int64(len(mustRead(t, path))) {
		t.Errorf("kind %s, input %+v", r.Kind, r.Input)
	}
	if r.Parameters != 1200+30+2 || r.Elements != 1200+30+3+2+2 || r.TensorBytes != 4800+60+3+6+2 {
		t.Errorf("parameters %d, elements %d, bytes %d", r.Parameters, r.Elements, r.TensorBytes)
	}
	wantModel := ModelInfo{
		IRVersion: 8, Producer: "test", Graph: "net", Opsets: []Opset{{"", 17}}, Nodes: 4, SubGraphs: 2, Metadata: []Entry{{"k", "v"}},
		Inputs: []Value{{"x", "float", "[1,n,?]"}, {"cond", "float", "[n,?]"}}, Outputs: []Value{{"y", "float", "[n,?]"}},
	}
	if got, want := asJSON(t, r.Model), asJSON(t, wantModel); got != want {
		t.Errorf("model %s\nwant  %s", got, want)
	}
	wantOps := []OperatorCount{{Op: "Relu", Count: 2}, {Op: "Gemm", Count: 1, Parameters: 1230, Bytes: 4860}, {Op: "If", Count: 1}}
	if !slices.Equal(r.Operators, wantOps) {
		t.Errorf("operators %+v", r.Operators)
	}
	w := r.Tensors[0].Stats
	var values []float64
	for _, v := range random(1200, 1) {
		values = append(values, float64(v))
	}
	for i := 0; i < len(values); i += 4 {
		values[i] = 0
	}
	var sum, squares float64
	for _, v := range values {
		sum += v
	}
	mean := sum / 1200
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	if w.Zeros != 25 || w.Min != slices.Min(values) || w.Max != slices.Max(values) || math.Abs(w.Mean-mean) > 1e-12 ||
		math.Abs(w.Sigma-math.Sqrt(squares/1200)) > 1e-12 {
		t.Errorf("stats %+v", w)
	}
	counts := int64(0)
	for _, c := range w.Histogram {
		counts += c
	}
	if counts != 1200 || len(w.Histogram) != 64 {
		t.Errorf("histogram of %d values in %d bins", counts, len(w.Histogram))
	}
	if s := r.Tensors[2].Stats; s.Min != -1 || s.Max != 5 || s.Distinct != 3 {
		t.Errorf("int8: %+v", s)
	}
	if r.Tensors[3].Stats != nil || r.Tensors[3].Bytes != 6 || r.Tensors[4].Stats != nil {
		t.Errorf("strings and float8: %+v %+v", r.Tensors[3], r.Tensors[4])
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestInspectArchive(t *testing.T) {
	m := perceptron()
	o := coarse(m)
	o.Provenance = map[string]string{"effml": "v0"}
	path := pack(t, m, o)
	r := inspect(t, path)
	sum := int64(0)
	for part, n := range r.Archive.Bytes {
		if part != "total" {
			sum += n
		}
	}
	if size := int64(len(mustRead(t, path))); sum != size || r.Archive.Bytes["total"] != size {
		t.Errorf("parts add up to %d, total %d, file %d", sum, r.Archive.Bytes["total"], size)
	}
	if r.Kind != "effml" || r.Archive.Format != 1 || r.Archive.Provenance["effml"] != "v0" {
		t.Errorf("%+v", r.Archive)
	}
	coverage := 0.0
	for _, c := range r.Archive.Coders {
		coverage += c.Coverage
	}
	if math.Abs(coverage-100) > 1e-9 {
		t.Errorf("coverage %v of %+v", coverage, r.Archive.Coders)
	}
	w := r.Tensors[0]
	if w.Form != "packed" || w.Method == "" || w.Stored == 0 || w.Stats.Distinct > 20 || w.Elements != 1200 {
		t.Errorf("%+v %+v", w, w.Stats)
	}
	if r.Tensors[1].Form != "lossless" {
		t.Errorf("%+v", r.Tensors[1])
	}
}

func TestInspectReportsProblems(t *testing.T) {
	m := perceptron()
	m.Graph.Nodes[0].Inputs[1] = "nowhere"
	r := inspect(t, save(t, m))
	if !slices.ContainsFunc(r.Problems, func(p Problem) bool { return strings.Contains(p.Node+p.Tensor+p.Message, "nowhere") }) {
		t.Errorf("problems %+v", r.Problems)
	}
}

func TestNotFiniteValuesAreCountedApart(t *testing.T) {
	m := perceptron()
	m.Graph.Initializers[0] = tensorOf("w", onnx.Float, []float32{1, float32(math.NaN()), 3, float32(math.Inf(1)), float32(math.Inf(-1)), 0}, 6)
	s := inspect(t, save(t, m)).Tensors[0].Stats
	if s.NaN != 1 || s.Inf != 2 || s.Min != 0 || s.Max != 3 || math.Abs(s.Mean-4./3) > 1e-12 || s.Distinct != 3 {
		t.Errorf("%+v", s)
	}
}

func TestDiffOfEqualModels(t *testing.T) {
	m := perceptron()
	a, b := save(t, m), pack(t, m, archive.Options{})
	for _, p := range [][2]string{{a, a}, {a, b}, {b, a}, {b, b}} {
		d := diffOf(t, p[0], p[1])
		if !d.Equal || !d.Graph.Equal || d.Summary.Equal != 5 || d.Summary.MaxError != 0 || !math.IsInf(float64(d.Summary.SQNR), 1) {
			t.Errorf("%v: %+v %+v", p, d.Summary, d.Graph)
		}
		if d.A.NonZero != 900+30 || d.B.NonZero != d.A.NonZero || d.A.Parameters != 1232 || d.A.Nodes != 4 {
			t.Errorf("%+v", d.A)
		}
	}
}

func TestDiffOfValues(t *testing.T) {
	m := perceptron()
	a, b := save(t, m), pack(t, m, coarse(m))
	d := diffOf(t, a, b)
	if d.Equal || !d.Graph.Equal || d.Summary.Equal != 4 || d.Summary.Changed != 1 {
		t.Fatalf("%+v", d.Summary)
	}
	before := make([]float32, 1200)
	if err := m.Graph.Initializers[0].ReadFloats(before, 0); err != nil {
		t.Fatal(err)
	}
	var signal, noise, worst, bias float64
	changed, zeros := int64(0), 0
	for _, v := range before {
		q := 0.5 * math.RoundToEven(float64(v)/0.5)
		e := math.Abs(q - float64(v))
		signal, noise, worst = signal+float64(v)*float64(v), noise+e*e, max(worst, e)
		if e != 0 {
			changed++
		}
		if q == 0 {
			zeros++
		}
	}
	w := d.Tensors[0]
	if w.Name != "w" || w.Status != "values" || !w.PackedB || w.PackedA || w.Changed != changed || float64(*w.MaxError) != worst ||
		math.Abs(float64(*w.SQNR)-10*math.Log10(signal/noise)) > 1e-9 || w.ZerosA != 25 || math.Abs(w.ZerosB-float64(zeros)/12) > 1e-9 ||
		w.BytesA != 4800 || w.BytesB >= 4800 {
		t.Errorf("%+v, changed %d, worst %v, %d zeros", w, changed, worst, zeros)
	}
	half := make([]float32, 30)
	if err := m.Graph.Initializers[1].ReadFloats(half, 0); err != nil {
		t.Fatal(err)
	}
	for _, v := range half {
		bias += float64(v) * float64(v)
	}
	if want := 10 * math.Log10((signal+bias)/noise); math.Abs(float64(d.Summary.SQNR)-want) > 1e-9 {
		t.Errorf("total %v dB, want %v", d.Summary.SQNR, want)
	}
}

func TestDiffOfEverything(t *testing.T) {
	a, b := perceptron(), perceptron()
	g := b.Graph
	b.Metadata[0].Value = "other"
	b.OpsetImports = append(b.OpsetImports, &onnx.OperatorSet{Domain: "com.microsoft", Version: 1})
	b.ProducerName, g.DocString = "someone", "words"
	g.Outputs[0] = valueInfo("y", 7)
	g.Nodes[0].Attributes[0].I = 0
	g.Nodes[0].Name = "renamed" // a name computes nothing
	g.Nodes[1].Attributes[1].G.Nodes[0].OpType = "Tanh"
	g.Nodes = append(g.Nodes, &onnx.Node{OpType: "Neg", Inputs: []string{"y"}, Outputs: []string{"z"}})
	half := random(30, 2)
	g.Initializers[1] = tensorOf("b", onnx.Float, half, 30) // float16 became float
	g.Initializers[0].Dims = []int64{30, 40}
	g.Initializers[2].SetBytes([]byte{255, 1, 5})
	g.Initializers[3].SetStrings([][]byte{[]byte("cat"), []byte("cow")})
	g.Initializers[4].Name = "f8b"
	d := diffOf(t, save(t, a), save(t, b))
	var got []string
	for _, list := range [][]Change{d.Graph.Nodes, d.Graph.Inputs, d.Graph.Outputs, d.Graph.Opsets, d.Graph.Metadata} {
		for _, c := range list {
			got = append(got, c.Kind+" "+c.Name+": "+c.A+" | "+c.B)
		}
	}
	want := []string{
		"changed h: Gemm(x, w, b) {alpha=0.5, transB=1} → h | Gemm(x, w, b) {alpha=0.5, transB=0} → h",
		"changed graph/If_1.else_branch: else_branch.out: Relu(h) → else_branch.out | Tanh(h) → else_branch.out",
		"added z:  | Neg(y) → z",
		"changed y: float[n,?] | float[7,n,?]",
		"added com.microsoft:  | 1",
		"changed producer_name: test | someone",
		"changed metadata k: v | other",
		"added bytes of doc strings and metadata in graphs:  | 5",
	}
	if !slices.Equal(got, want) {
		t.Errorf("changes:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	status := map[string]string{}
	for _, r := range d.Tensors {
		status[r.Name] = r.Status
	}
	for name, want := range map[string]string{"w": "shape", "b": "type", "ids": "values", "words": "values", "f8": "removed", "f8b": "added"} {
		if status[name] != want {
			t.Errorf("%s: %s, want %s", name, status[name], want)
		}
	}
	if d.Summary != (DiffSummary{Changed: 4, Added: 1, Removed: 1, MaxError: d.Summary.MaxError, SQNR: d.Summary.SQNR}) || float64(d.Summary.MaxError) != 1 {
		t.Errorf("%+v", d.Summary)
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole := mustRead(t, pack(t, perceptron(), archive.Options{}))
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	var usage *job.UsageError
	var model *job.ModelError
	var verify *job.VerifyError
	for _, c := range []struct {
		path   string
		target any
	}{
		{"", &usage},
		{filepath.Join(dir, "none.onnx"), new(error)},
		{put("a.onnx", "<html>"), &model},
		{put("a.effml", "<html>"), &verify},
		{put("b.effml", ""), &verify},
		{put("c.effml", string(whole[:len(whole)/2])), &verify},
		{put("d.effml", string(flipped)), &verify},
	} {
		if _, err := Inspect(t.Context(), InspectConfig{Path: c.path}, nil); !errors.As(err, c.target) || err == nil {
			t.Errorf("inspect %s: %v", c.path, err)
		}
		if _, err := Diff(t.Context(), DiffConfig{A: c.path, B: c.path}, nil); !errors.As(err, c.target) || err == nil {
			t.Errorf("diff %s: %v", c.path, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := save(t, perceptron())
	if _, err := Inspect(ctx, InspectConfig{Path: path}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Diff(ctx, DiffConfig{A: path, B: path}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Every kind of model that there is can be inspected and equals itself, as a file and as an archive.
func TestGeneratedModels(t *testing.T) {
	every := 3
	if testing.Short() {
		every = 11
	}
	for i, m := range modelgen.Generate(9, 200) {
		if i%every > 0 {
			continue
		}
		a := save(t, m)
		f, err := onnx.Open(a)
		if err != nil {
			t.Fatal(err)
		}
		b := pack(t, f.Model, archive.Options{})
		f.Close()
		x, y := inspect(t, a), inspect(t, b)
		if x.Elements != y.Elements || x.TensorBytes != y.TensorBytes || len(x.Tensors) != len(y.Tensors) {
			t.Errorf("model %d: %d elements and %d in the archive", i, x.Elements, y.Elements)
		}
		for k := range x.Tensors {
			if p, q := asJSON(t, x.Tensors[k].Stats), asJSON(t, y.Tensors[k].Stats); p != q {
				t.Errorf("model %d, %s: %s, in the archive %s", i, x.Tensors[k].Name, p, q)
			}
		}
		if d := diffOf(t, a, b); !d.Equal {
			t.Errorf("model %d: %s %s", i, asJSON(t, d.Graph), asJSON(t, d.Summary))
		}
	}
}
