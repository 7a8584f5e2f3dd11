package evaluate

import (
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/score"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// changedLenet saves LeNet-300-100 with one bias of its second layer raised, and where renamed with other names for all it computes.
func changedLenet(t *testing.T, raise float32, renamed bool) string {
	t.Helper()
	f, err := onnx.Open(lenet)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := f.Model.Clone()
	for _, w := range m.Graph.Initializers {
		if w.Name == "fc2.bias" {
			v := make([]float32, 100)
			if err := w.ReadFloats(v, 0); err != nil {
				t.Fatal(err)
			}
			v[3] += raise
			raw := make([]byte, 400)
			onnx.PutFloats(raw, onnx.Float, v)
			w.SetBytes(raw)
		}
	}
	if renamed {
		for _, n := range m.Graph.Nodes {
			n.Outputs[0] += "'"
			for i, in := range n.Inputs {
				for _, other := range m.Graph.Nodes {
					if in+"'" == other.Outputs[0] {
						n.Inputs[i] += "'"
					}
				}
			}
		}
		m.Graph.Outputs[0].Name += "'"
	}
	path := filepath.Join(t.TempDir(), "changed.onnx")
	if _, err := onnx.Save(path, m, onnx.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	return path
}

// A bias that is raised by ½ raises what its layer computes by ½, and nothing before it.
func TestDiffFindsTheNode(t *testing.T) {
	data, _ := digits(t, 20, 0)
	for _, renamed := range []bool{false, true} {
		r, err := Diff(t.Context(), DiffConfig{
			A: lenet, B: changedLenet(t, 0.5, renamed), Tolerance: 1e-4, Samples: Samples{Data: data, Preprocess: "scale=1/255", Limit: 11},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := r.Nodes
		if n.First == nil || n.First.Op != "Gemm" || math.Abs(float64(n.First.MaxError)-0.5) > 1e-4 || n.Unmatched != 0 {
			t.Fatalf("renamed %v: first %+v of %+v", renamed, n.First, n)
		}
		for i := range n.Nodes {
			if &n.Nodes[i] == n.First {
				break
			}
			if n.Nodes[i].MaxError != 0 {
				t.Errorf("%+v differs before the bias", n.Nodes[i])
			}
		}
		if (n.First.Other != "") != renamed || r.Outputs.Data.Samples != 11 || r.Outputs.Outputs[0].MaxError == 0 || r.Outputs.Agreement.Samples != 11 {
			t.Errorf("renamed %v: %+v, %+v", renamed, n.First, r.Outputs)
		}
	}
}

// However few values of nodes are looked at in one pass over the samples, the result is the same.
func TestNodesInChunks(t *testing.T) {
	data, _ := digits(t, 20, 0)
	other := changedLenet(t, 0.5, true)
	var want *NodesResult
	for _, memory := range []int64{exposedBytes, 8 * 300 * 4 * 2, 1} {
		p, err := openCouple(lenet, other, Samples{Data: data, Preprocess: "scale=1/255", Batch: 8}, 0)
		if err != nil {
			t.Fatal(err)
		}
		p.memory = memory
		passes := stages{}
		got, err := p.nodes(t.Context(), 1e-4, &passes)
		p.close()
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if !reflect.DeepEqual(got, want) || len(got.Nodes) < 5 {
			t.Errorf("%d bytes: %+v, want %+v", memory, got, want)
		}
		if n := len(passes.names); memory == exposedBytes && n != 1 || memory == 1 && n < len(got.Nodes) || memory > 1 && memory < exposedBytes && (n < 2 || n >= len(got.Nodes)) {
			t.Errorf("%d bytes: %d passes, %q", memory, n, passes.names)
		}
	}
}

// stages are the names of the stages of some work.
type stages struct {
	job.Events
	names []string
}

func (s *stages) Stage(name string, _ int64, _ string) { s.names = append(s.names, name) }
func (s *stages) Advance(int64)                        {}

func TestOutputsOfEqualModels(t *testing.T) {
	r, err := Outputs(t.Context(), lenet, changedLenet(t, 0, true), Samples{Random: 5}, Limits{}, 0, job.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Within(0) || r.Agreement.Percent != 100 || r.Accuracy != nil || r.Data.Samples != 5 || !strings.Contains(strings.Join(r.Notes, ";"), "by their place") {
		t.Errorf("%+v", r)
	}
}

func TestSpan(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		a, b            []float32
		worst, relative float64
	}{
		{[]float32{0, 4, 8}, []float32{0, 5, 8}, 1, 0.125},
		{[]float32{nan, inf, 2, 4}, []float32{nan, inf, 2, 4.5}, 0.5, 0.25},
		{[]float32{nan, 2}, []float32{1, 2}, math.Inf(1), math.Inf(1)},
		{[]float32{inf, 2}, []float32{3, 2}, math.Inf(1), math.Inf(1)},
		{[]float32{-2, -2}, []float32{-2, -1}, 1, 0.5}, // no range: the magnitude
		{[]float32{0, 0}, []float32{0, 1}, 1, math.Inf(1)},
		{[]float32{0, 0}, []float32{0, 0}, 0, 0},
	} {
		var s span
		s.add(tensor.From(c.a, len(c.a)), tensor.From(c.b, len(c.b)))
		if d := s.diff("y"); float64(d.MaxError) != c.worst || float64(d.Relative) != c.relative {
			t.Errorf("%v and %v: %+v, want %v and %v", c.a, c.b, d, c.worst, c.relative)
		}
	}
	var s span
	s.add(tensor.From([]float32{1}, 1), tensor.From([]float32{1}, 1, 1))
	if s.diff("y").Problem == "" {
		t.Error("other shapes are compared")
	}
	s = span{}
	s.add(tensor.From([]int64{1, 5}, 2), tensor.From([]int64{1, 7}, 2))
	if d := s.diff("y"); d.MaxError != 2 || d.Relative != 0.5 {
		t.Errorf("integers: %+v", d)
	}
}

// The drop is exact where the difference of the percentages is not: 90.01 − 89.91 > 0.1 in floating point.
func TestCompare(t *testing.T) {
	before := &Answers{Labelled: true, Metrics: score.Metrics{Samples: 10000, Top1: 9001}, Best: []int32{1, 2, -1, 3}}
	after := &Answers{Labelled: true, Metrics: score.Metrics{Samples: 10000, Top1: 8991}, Best: []int32{1, 0, -1, 3}}
	a, g := Compare(before, after)
	limit := 0.1
	gates := Limits{MaxAccuracyDrop: &limit}.Gates(a, &g)
	if a.Before-a.After <= 0.1 || !gates[0].Passed || g.Samples != 3 || math.Abs(g.Percent-200.0/3) > 1e-12 {
		t.Errorf("%+v, %+v, %+v", a, g, gates)
	}
	after.Labelled = false
	if a, _ := Compare(before, after); a != nil {
		t.Errorf("accuracy without labels: %+v", a)
	}
}
