package train

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/effml/effml/onnx"
)

var superNetworks = []struct {
	name        string
	size, batch int
	build       func(*path)
}{
	{"candidates", 48, 64, candidates},
	{"elastic", 32, 64, elastic},
}

// TestSampledPaths trains paths that never come again, by one engine, and each by an engine that has run nothing before.
func TestSampledPaths(t *testing.T) {
	const most = 60 // segments that are kept
	for _, c := range superNetworks {
		t.Run(c.name, func(t *testing.T) {
			s, cpu := newSuperNetwork(t, c.size, 2, c.build), testCPU(t, 2)
			data, r := s.data(), rand.New(rand.NewPCG(3, 3))
			e := NewEngine(cpu)
			e.compiler.most = most
			made, memory, asked := map[*segment]bool{}, 0, uint64(0)
			steps := 8
			if testing.Short() {
				steps = 2
			}
			for range steps {
				n, fresh := s.sample(t, r, data), NewEngine(cpu)
				loss, grads := s.gradients(t, e, n, data)
				want, all := s.gradients(t, fresh, n, data)
				if loss != want {
					t.Errorf("the loss is %v, by an engine that has run nothing before %v", loss, want)
				}
				for name := range s.store.params {
					if (grads[name] != nil) != n.reads(name) || !slices.Equal(grads[name], all[name]) {
						t.Errorf("the gradient of %s, which is in the path: %t, depends on what the engine has run before", name, n.reads(name))
					}
				}
				for _, g := range e.compiler.segments {
					made[g] = true
				}
				memory, asked = max(memory, fresh.compiler.memory.Bytes()), asked+fresh.compiler.asked
			}
			if !testing.Short() && len(made) > int(asked)*3/5 {
				t.Errorf("%d segments were made for %d places", len(made), asked)
			}
			if len(e.compiler.segments) > most {
				t.Errorf("%d segments are kept", len(e.compiler.segments))
			}
			if have := e.compiler.memory.Bytes(); have > memory+memory/3 {
				t.Errorf("%d bytes after %d paths, of which the largest takes %d", have, steps, memory)
			}
		})
	}
}

// gradients runs a step, and returns a copy of the gradients that there are.
func (s *superNetwork) gradients(t *testing.T, e *Engine, n *network, data *Batch) (float32, map[string][]float32) {
	t.Helper()
	for _, p := range s.store.params {
		p.clear()
	}
	st, err := e.compile(n)
	if err != nil {
		t.Fatal(err)
	}
	loss, err := st.run(t.Context(), data.Fields)
	if err != nil {
		t.Fatal(err)
	}
	if nodes := st.nodes(); nodes > 60 {
		t.Errorf("%d nodes of Gorgonia's", nodes)
	}
	st.release()
	grads := map[string][]float32{}
	for name, p := range s.store.params {
		if p.fresh {
			grads[name] = slices.Clone(p.gradient())
		}
	}
	return loss, grads
}

// reads reports whether a node reads a value.
func (n *network) reads(name string) bool {
	return slices.ContainsFunc(n.nodes, func(x *onnx.Node) bool { return slices.Contains(x.Inputs, name) })
}

// BenchmarkSampledPath measures steps on paths that never come again, and how much of a step building and compiling takes.
func BenchmarkSampledPath(b *testing.B) {
	for _, c := range superNetworks {
		b.Run(c.name, func(b *testing.B) {
			s, e := newSuperNetwork(b, c.size, c.batch, c.build), NewEngine(testCPU(b, 2))
			data, r := s.data(), rand.New(rand.NewPCG(3, 3))
			var building, all time.Duration
			nodes := 0
			step := func() {
				start := time.Now()
				st, err := e.compile(s.sample(b, r, data))
				if err != nil {
					b.Fatal(err)
				}
				building += time.Since(start)
				if _, err := st.run(b.Context(), data.Fields); err != nil {
					b.Fatal(err)
				}
				st.release()
				for _, p := range s.store.params {
					p.clear()
				}
				all += time.Since(start)
				nodes = max(nodes, st.nodes())
			}
			for range 50 { // a training has thousands of steps
				step()
			}
			building, all = 0, 0
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				step()
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(100*building.Seconds()/all.Seconds(), "%building")
			b.ReportMetric(float64(building.Microseconds())/float64(b.N)/1e3, "ms-building/op")
			b.ReportMetric(float64(nodes), "nodes")
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/1e6, "MB-garbage/op")
			b.ReportMetric(float64(e.compiler.memory.Bytes())/1e6, "MB")
			b.ReportMetric(float64(len(e.compiler.segments)), "segments")
		})
	}
}
