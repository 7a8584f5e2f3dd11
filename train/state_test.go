package train

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/tensor"
)

// TestSlicedStates trains batch normalisation of which the running states are parts of wider tensors. The batch has means 2 and 4 and variances 2 and 8; the
// momentum is 0.9.
func TestSlicedStates(t *testing.T) {
	four := func(a, b, c, d float32) *tensor.Tensor { return tensor.From([]float32{a, b, c, d}, 4) }
	one := func(v int64) *tensor.Tensor { return tensor.From([]int64{v}, 1) }
	tensors := map[string]*tensor.Tensor{
		"s": four(1, 1, 1, 1), "b": four(0, 0, 0, 0), "m": four(10, 20, 30, 40), "v": four(1, 2, 3, 4), "zero": one(0), "one": one(1), "two": one(2), "three": one(3), "back": one(-2), "before": one(-9),
		"r": tensor.From([]float32{7, 7}, 2), "w": tensor.From([]float32{1, 1}, 2),
	}
	for _, c := range []struct {
		name       string
		lines      []string
		mean, wide []float32 // m and v after a step
		err, note  string
	}{
		{
			name:  "the first two",
			lines: []string{"s1 = Slice s, zero, two", "b1 = Slice b, zero, two", "m1 = Slice m, zero, two, zero", "v1 = Slice v, zero, two, zero, one", "y = BatchNormalization x, s1, b1, m1, v1"},
			mean:  []float32{9.2, 18.4, 30, 40}, wide: []float32{1.1, 2.6, 3, 4},
		},
		{
			name:  "a part of a part, and steps back",
			lines: []string{"s1 = Slice s, two, before, zero, back", "m2 = Slice m, one, before, zero, back", "m3 = Slice m, one, three", "m1 = Identity m3", "v2 = Slice v, one, before", "v3 = Slice v, three, before, zero, back", "y = BatchNormalization x, r, w, m1, v3"},
			mean:  []float32{10, 18.2, 27.4, 40}, wide: []float32{1, 2.6, 3, 3.8},
		},
		{
			name: "two that share nothing but the tensor",
			lines: []string{
				"m1 = Slice m, zero, two", "m2 = Slice m, two, before2", "v1 = Slice v, zero, two", "v2 = Slice v, two, before2", "n = BatchNormalization x, r, w, m1, v1", "o = BatchNormalization x, r, w, m2, v2",
				"y = Add n, o",
			},
			mean: []float32{9.2, 18.4, 27.2, 36.4}, wide: []float32{1.1, 2.6, 2.9, 4.4},
		},
		{
			name: "two that share an element", err: `node "o": the running mean "m" belongs to another batch normalisation`,
			lines: []string{"m1 = Slice m, zero, two", "m2 = Slice m, one, three", "v1 = Slice v, zero, two", "v2 = Slice v, two, before2", "n = BatchNormalization x, r, w, m1, v1", "o = BatchNormalization x, r, w, m2, v2", "y = Add n, o"},
		},
		{
			name: "states that are computed", note: "batch normalisation y of 1 in all: its running mean or variance is no float32 tensor",
			lines: []string{"m2 = Slice m, zero, two", "m1 = Mul m2, r", "v1 = Slice v, one, three", "y = BatchNormalization x, r, w, m1, v1"},
			mean:  []float32{10, 20, 30, 40}, wide: []float32{1, 2, 3.5, 4},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := map[string]*tensor.Tensor{"before2": one(99)}
			for name, v := range tensors {
				given[name] = v
			}
			m := modelOf(t, given, nil, c.lines...)
			data := batches{{"x": tensor.From([]float32{1, 2, 3, 6}, 2, 2), "t": tensor.From(make([]float32, 4), 2, 2)}}
			rec := &recorder{Events: NoEvents()}
			task := &Task{Models: []Model{{Model: m}}, Phases: []Phase{phaseOf(0.1, Pass{Loss: squares})}, Streams: map[string]Stream{"s": data}}
			r, err := Run(t.Context(), Config{Steps: 1, Threads: 2}, task, rec)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, not %s", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string][]float32{"m": c.mean, "v": c.wide} {
				if got := valueOf(t, r.Models[""], name); !near(got, want) {
					t.Errorf("%s is %v, not %v", name, got, want)
				}
			}
			if told := strings.Join(r.Notes, "\n"); (c.note != "") != strings.Contains(told, "batch normalisation") || !strings.Contains(told, c.note) {
				t.Errorf("notes: %q", told)
			}
			again, err := Recalibrate(t.Context(), kernel.NewCPU(kernel.Options{Threads: 1}), m, data, 1)
			if err != nil {
				t.Fatal(err)
			}
			got := valueOf(t, again, "v")
			for i, v := range valueOf(t, r.Models[""], "v") { // a momentum of 0 in the place of 0.9
				old := valueOf(t, m, "v")[i]
				if want := old + 10*(v-old); !near([]float32{got[i]}, []float32{want}) && (got[i]-want > 1e-4 || want-got[i] > 1e-4) {
					t.Errorf("recalibrated v[%d] is %v, not %v", i, got[i], want)
				}
			}
		})
	}
}

// TestSampledStates runs a path of the elastic super-network: of the running states the parts in the path change, and nothing else.
func TestSampledStates(t *testing.T) {
	s, e := newSuperNetwork(t, 16, 2, elastic), NewEngine(testCPU(t, 2))
	before := map[string][]float32{}
	for _, v := range s.store.values() {
		before[v.Name] = slices.Clone(v.Values)
	}
	data, r := s.data(), rand.New(rand.NewPCG(9, 9))
	n := s.sample(t, r, data)
	s.gradients(t, e, n, data)
	in := map[string]int{}
	for _, p := range n.states {
		if p.first != 0 || p.step != 1 {
			t.Errorf("%v", p)
		}
		in["value/"+p.tensor] = p.n
	}
	narrow := 0
	for _, v := range s.store.values() {
		changed := 0
		for i, x := range v.Values {
			if x != before[v.Name][i] {
				if changed++; i >= in[v.Name] {
					t.Fatalf("%s[%d] has changed, of which the path has %d", v.Name, i, in[v.Name])
				}
			}
		}
		if strings.HasSuffix(v.Name, ".var") && changed != in[v.Name] { // a mean may well be 0 as before
			t.Errorf("%d elements of %s have changed, the path has %d", changed, v.Name, in[v.Name])
		}
		if changed > 0 && changed < len(v.Values) {
			narrow++
		}
	}
	if narrow < 10 {
		t.Errorf("%d parts", narrow)
	}
}
