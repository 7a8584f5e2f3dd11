package train

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"gorgonia.org/gorgonia"
)

// scale is y = w·Σ inputs, with a gradient of w; the last one of a network sums up to a scalar.
type scale struct {
	name   string
	w, dw  float32
	n      int
	wants  []bool
	scalar bool
	in     [][]float32
	y      []float32
	dx     [][]float32
}

func newScale(name string, w float32, n int, wants ...bool) *scale {
	s := &scale{name: name, w: w, n: n, wants: wants, y: make([]float32, n)}
	for range wants {
		s.dx = append(s.dx, make([]float32, n))
	}
	return s
}

func (s *scale) String() string         { return s.name }
func (s *scale) differentiable() []bool { return s.wants }
func (s *scale) trains() bool           { return true }
func (s *scale) shape() []int {
	if s.scalar {
		return nil
	}
	return []int{s.n}
}

func (s *scale) forward(in [][]float32) ([]float32, error) {
	s.in = append(s.in[:0], in...)
	clear(s.y)
	for _, x := range in {
		for i, v := range x {
			if s.scalar {
				i = 0
			}
			s.y[i] += s.w * v
		}
	}
	return s.y, nil
}

func (s *scale) backward(grad []float32) ([][]float32, error) {
	for k, x := range s.in {
		for i, v := range x {
			g := grad[0]
			if !s.scalar {
				g = grad[i]
			}
			s.dw += g * v
			s.dx[k][i] = g * s.w
		}
	}
	return s.dx, nil
}

// loss of a network with a fork: h = a·x, l = d·Σ(b·h + c·h). Gradients are computed by hand.
func forked(t testing.TB) (stages [4]*scale, machine gorgonia.VM, loss *gorgonia.Node) {
	x := []float32{1, 2, 3}
	stages = [4]*scale{newScale("a", 2, 3, false), newScale("b", 3, 3, true), newScale("c", 5, 3, true), newScale("d", 7, 3, true, true)}
	stages[3].scalar = true
	a := newAdapter()
	apply := func(s stage, in ...*gorgonia.Node) *gorgonia.Node {
		n, err := a.apply(s, in...)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	h := apply(stages[0], a.input("x", []int{3}, x))
	loss = apply(stages[3], apply(stages[1], h), apply(stages[2], h))
	machine, err := a.compile(loss)
	if err != nil {
		t.Fatal(err)
	}
	return stages, machine, loss
}

func TestGradientsReachEveryStage(t *testing.T) {
	stages, machine, loss := forked(t)
	for step := 1; step <= 3; step++ { // a second RunAll must not add to what the first left in Gorgonia
		for _, s := range stages {
			s.dw = 0
		}
		if err := machine.RunAll(); err != nil {
			t.Fatal(err)
		}
		machine.Reset()
		if l := float64(loss.Value().Data().(float32)); l != 7*(3+5)*2*6 {
			t.Fatalf("step %d: loss %v", step, l)
		}
		// dl/da = d(b+c)Σx, dl/db = dl/dc = d·aΣx, dl/dd = (b+c)·aΣx
		for i, want := range []float64{7 * 8 * 6, 7 * 2 * 6, 7 * 2 * 6, 8 * 2 * 6} {
			if got := float64(stages[i].dw); math.Abs(got-want) > 1e-4 {
				t.Errorf("step %d: gradient of %s is %v, want %v", step, stages[i], got, want)
			}
		}
	}
}

// TestEqualStagesAreTwo applies a stage twice to the same input: Gorgonia merges nodes that hash alike, and one of the two would not run.
func TestEqualStagesAreTwo(t *testing.T) {
	first, a := newScale("a", 2, 1, false), newAdapter()
	again, last := *first, newScale("d", 1, 1, true, true)
	again.y, again.dx, last.scalar = []float32{0}, [][]float32{{0}}, true
	x := a.input("x", []int{1}, []float32{3})
	var nodes []*gorgonia.Node
	for _, s := range []*scale{first, &again} {
		n, err := a.apply(s, x)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	loss, err := a.apply(last, nodes...)
	if err != nil {
		t.Fatal(err)
	}
	machine, err := a.compile(loss)
	if err != nil {
		t.Fatal(err)
	}
	hashes, stages := map[uint32]string{}, 0
	for _, n := range a.graph.AllNodes() {
		var op *stageOp
		switch o := n.Op().(type) {
		case *forwardOp:
			op = &o.stageOp
		case *backwardOp:
			op = &o.stageOp
		case *pickOp:
			op = &o.stageOp
		default:
			continue
		}
		stages++
		if other, taken := hashes[op.Hashcode()]; taken {
			t.Errorf("%s and %s hash alike", other, n.Op())
		}
		hashes[op.Hashcode()] = n.Op().String()
	}
	if stages != 7 { // three forward, three back, and the second gradient that the last one left
		t.Errorf("%d operators are left", stages)
	}
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	if l := loss.Value().Data().(float32); l != 12 || first.dw != 3 || again.dw != 3 {
		t.Errorf("loss %v, gradients %v and %v", l, first.dw, again.dw)
	}
}

// TestMachineAllocatesLittle runs a step of stages whose results lie in memory of their own, which Gorgonia must not copy nor replace.
func TestMachineAllocatesLittle(t *testing.T) {
	const stages, size = 10, 1 << 16
	a := newAdapter()
	h := a.input("x", []int{size}, make([]float32, size))
	var err error
	for i := range stages {
		s := newScale("s", 1, size, i > 0)
		s.scalar = i == stages-1
		if h, err = a.apply(s, h); err != nil {
			t.Fatal(err)
		}
	}
	m, err := a.compile(h)
	if err != nil {
		t.Fatal(err)
	}
	step := func() {
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		m.Reset()
	}
	step()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		step()
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / 10; n > 4*size/4 {
		t.Errorf("%d bytes a step, of results of %d", n, 4*size)
	}
}

func BenchmarkAdapter(b *testing.B) {
	for _, n := range []int{3, 14, 60} {
		b.Run(fmt.Sprintf("stages=%d", n), func(b *testing.B) {
			a := newAdapter()
			h := a.input("x", []int{1}, []float32{1})
			var err error
			for i := range n {
				s := newScale(fmt.Sprint(i), 1, 1, i > 0)
				s.scalar = i == n-1
				if h, err = a.apply(s, h); err != nil {
					b.Fatal(err)
				}
			}
			m, err := a.compile(h)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := m.RunAll(); err != nil {
					b.Fatal(err)
				}
				m.Reset()
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{14, 30} {
		b.Run(fmt.Sprintf("stages=%d", n), func(b *testing.B) {
			for b.Loop() {
				a := newAdapter()
				h := a.input("x", []int{1}, []float32{1})
				for i := range n {
					s := newScale("s", 1, 1, i > 0)
					s.scalar = i == n-1
					h, _ = a.apply(s, h)
				}
				if _, err := a.compile(h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
