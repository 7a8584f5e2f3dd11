package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/effml/effml/internal/isa"
)

// slowSolver is one weight in float64, as the papers and PyTorch's documentation write it.
type slowSolver func(w, g float64, state []float64, s Step) float64

func solvers() map[string]struct {
	solver Solver
	slow   slowSolver
} {
	type entry = struct {
		solver Solver
		slow   slowSolver
	}
	sgd := func(mu float64, nesterov bool) entry {
		return entry{SGD{Momentum: mu, Nesterov: nesterov}, func(w, g float64, state []float64, s Step) float64 {
			g += s.Decay * w
			if mu != 0 {
				if s.Number == 1 { // PyTorch begins with the gradient itself
					state[0] = g
				} else {
					state[0] = mu*state[0] + g
				}
				if nesterov {
					g += mu * state[0]
				} else {
					g = state[0]
				}
			}
			return w - s.Rate*g
		}}
	}
	adam := func(decoupled bool) entry {
		return entry{Adam{0.9, 0.99, 1e-8, decoupled}, func(w, g float64, state []float64, s Step) float64 {
			if decoupled {
				w -= s.Rate * s.Decay * w
			} else {
				g += s.Decay * w
			}
			state[0] = 0.9*state[0] + 0.1*g
			state[1] = 0.99*state[1] + 0.01*g*g
			mean := state[0] / (1 - math.Pow(0.9, float64(s.Number)))
			square := state[1] / (1 - math.Pow(0.99, float64(s.Number)))
			return w - s.Rate*mean/(math.Sqrt(square)+1e-8)
		}}
	}
	rms := func(mu float64) entry {
		return entry{RMSProp{0.9, 1e-8, mu}, func(w, g float64, state []float64, s Step) float64 {
			g += s.Decay * w
			state[0] = 0.9*state[0] + 0.1*g*g
			d := g / (math.Sqrt(state[0]) + 1e-8)
			if mu != 0 {
				state[1] = mu*state[1] + d
				d = state[1]
			}
			return w - s.Rate*d
		}}
	}
	return map[string]entry{
		"sgd": sgd(0, false), "momentum": sgd(0.9, false), "nesterov": sgd(0.9, true),
		"adam": adam(false), "adamw": adam(true), "rmsprop": rms(0), "rmsprop momentum": rms(0.9),
	}
}

// Lengths around those of vectors, and over several pieces.
var solverLengths = []int{1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 100, 1000, 2*pieceSize + 5}

func TestSolvers(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		for name, o := range solvers() {
			for _, n := range solverLengths {
				for _, masked := range []bool{false, true} {
					rng := random()
					w, g := newBuffer(n, 1).fill(rng, 1), newBuffer(n, 2)
					state, slow := make([]buffer, o.solver.States()), make([][]float64, n)
					s := Step{Weights: w.data, Gradient: g.data, Decay: 0.03, Scale: 0.7}
					for i := range state {
						state[i] = newBuffer(n, 3+i).fill(rng, 0)
						s.State = append(s.State, state[i].data)
					}
					want := make([]float64, n)
					for i, v := range w.data {
						want[i], slow[i] = float64(v), make([]float64, len(state))
					}
					if masked {
						s.Mask = make([]float32, n)
						for i := range s.Mask {
							s.Mask[i] = float32(rng.IntN(2))
						}
					}
					for s.Number = 1; s.Number <= 4; s.Number++ {
						s.Rate = 0.1 / float64(s.Number)
						g.fill(rng, 1)
						for i, v := range g.data {
							want[i] = o.slow(want[i], float64(v)*s.Scale, slow[i], s)
							if masked && s.Mask[i] == 0 {
								want[i] = 0
							}
						}
						o.solver.Update(c, s)
					}
					what := fmt.Sprintf("%s, %d weights, masked %v", name, n, masked)
					checkClose(t, what, w.data, want, 2e-5, 2e-5)
					for i, m := range s.Mask {
						if m == 0 && math.Float32bits(w.data[i]) != 0 {
							t.Fatalf("%s: weight %d is %v", what, i, w.data[i])
						}
					}
					for _, b := range append(state, w, g) {
						b.check(t, what)
					}
				}
			}
		}
	})
}

// Three steps by hand, of one weight of 1 with a gradient of 2.
func TestSolversByHand(t *testing.T) {
	c := NewCPU(Options{Threads: 1, ISA: isa.Best()})
	defer c.Close()
	for _, e := range []struct {
		name   string
		solver Solver
		decay  float64
		want   [3]float64
	}{
		{"sgd", SGD{}, 0, [3]float64{0.8, 0.6, 0.4}},
		{"momentum", SGD{Momentum: 0.5}, 0, [3]float64{0.8, 0.5, 0.15}},                                                                                   // s = 2, 3, 3.5
		{"nesterov", SGD{Momentum: 0.5, Nesterov: true}, 0, [3]float64{0.7, 0.35, -0.025}},                                                                // g + s/2 = 3, 3.5, 3.75
		{"decay", SGD{}, 0.5, [3]float64{0.75, 0.5125, 0.286875}},                                                                                         // w ← 0.95w − 0.2
		{"adam", Adam{Beta1: 0.9, Beta2: 0.999}, 0, [3]float64{0.9, 0.8, 0.7}},                                                                            // a constant gradient: steps of η
		{"adamw", Adam{Beta1: 0.9, Beta2: 0.999, Decoupled: true}, 1, [3]float64{0.8, 0.62, 0.458}},                                                       // w ← 0.9w − 0.1
		{"rmsprop", RMSProp{Alpha: 0.75}, 0, [3]float64{0.8, 1 - 0.2 - 0.1/math.Sqrt(0.4375), 1 - 0.2 - 0.1/math.Sqrt(0.4375) - 0.1/math.Sqrt(0.578125)}}, // v = 1, 1.75, 2.3125
		{"lamb", LAMB{Beta1: 0.9, Beta2: 0.999}, 0, [3]float64{0.9, 0.81, 0.729}},                                                                         // w ← w − η·|w|
	} {
		s := Step{Weights: []float32{1}, Rate: 0.1, Decay: e.decay, Scale: 0.5}
		for range e.solver.States() {
			s.State = append(s.State, []float32{0})
		}
		for i, want := range e.want {
			s.Gradient, s.Number = []float32{4}, i+1
			if e.solver.Update(c, s); math.Abs(float64(s.Weights[0])-want) > 1e-6 {
				t.Errorf("%s, step %d: %v, want %v", e.name, i+1, s.Weights[0], want)
			}
		}
	}
}

func TestLAMB(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		for _, n := range solverLengths {
			rng := random()
			w, g := newBuffer(n, 0).fill(rng, 1), newBuffer(n, 1)
			m, v := newBuffer(n, 2).fill(rng, 0), newBuffer(n, 3).fill(rng, 0)
			s := Step{Weights: w.data, Gradient: g.data, State: [][]float32{m.data, v.data}, Rate: 0.1, Decay: 0.2, Scale: 1, Mask: make([]float32, n)}
			for i := range s.Mask {
				s.Mask[i] = float32(i % 3)
			}
			want, m64, v64 := make([]float64, n), make([]float64, n), make([]float64, n)
			for i, x := range w.data {
				if s.Mask[i] != 0 {
					want[i] = float64(x)
				}
			}
			for s.Number = 1; s.Number <= 3; s.Number++ {
				g.fill(rng, 1)
				u := make([]float64, n)
				var lengthW, lengthU float64
				for i, x := range g.data {
					if s.Mask[i] == 0 {
						x = 0
					}
					m64[i] = 0.9*m64[i] + 0.1*float64(x)
					v64[i] = 0.99*v64[i] + 0.01*float64(x)*float64(x)
					u[i] = m64[i]/(1-math.Pow(0.9, float64(s.Number)))/(math.Sqrt(v64[i]/(1-math.Pow(0.99, float64(s.Number))))+1e-6) + 0.2*want[i]
					lengthW, lengthU = lengthW+want[i]*want[i], lengthU+u[i]*u[i]
				}
				ratio := 1.0
				if lengthW > 0 && lengthU > 0 {
					ratio = math.Sqrt(lengthW / lengthU)
				}
				for i := range want {
					want[i] -= 0.1 * ratio * u[i]
				}
				LAMB{0.9, 0.99, 1e-6}.Update(c, s)
			}
			checkClose(t, fmt.Sprintf("%d weights", n), w.data, want, 2e-5, 2e-5)
			for _, b := range []buffer{w, g, m, v} {
				b.check(t, "lamb")
			}
		}
	})
}

func TestAverageAndSumSquares(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		for _, n := range append(solverLengths, 0, 5*pieceSize) {
			rng := random()
			dst, src := newBuffer(n, 1).fill(rng, 1), newBuffer(n, 2).fill(rng, 1)
			want := make([]float64, n)
			var sum float64
			for i, x := range dst.data {
				want[i] = 0.99*float64(x) + 0.01*float64(src.data[i])
				sum += float64(x) * float64(x)
			}
			if got := SumSquares(c, dst.data); math.Abs(got-sum) > 1e-6*sum {
				t.Errorf("sum of %d squares is %v, want %v", n, got, sum)
			}
			Average(c, dst.data, src.data, 0.99)
			checkClose(t, "average", dst.data, want, 1e-6, 1e-6)
			dst.check(t, "average")
		}
	})
}

// Results have the same bits for any number of threads, and nothing is allocated.
func TestSolverThreads(t *testing.T) {
	const n = 7*pieceSize + 13
	var want []float32
	var sum float64
	for _, threads := range []int{1, 2, 7} {
		c := NewCPU(Options{Threads: threads, ISA: isa.Best()})
		rng := random()
		w, g := newBuffer(n, 0).fill(rng, 1), newBuffer(n, 0).fill(rng, 1)
		state := [][]float32{make([]float32, n), make([]float32, n)}
		var got []float32
		for _, o := range []Solver{SGD{Momentum: 0.9}, LAMB{0.9, 0.999, 1e-6}, Adam{0.9, 0.999, 1e-8, true}} {
			s := Step{Weights: w.data, Gradient: g.data, State: state[:o.States()], Rate: 0.1, Decay: 0.1, Scale: 0.3, Number: 1}
			o.Update(c, s)
			got = append(got, w.data...)
			if allocs := testing.AllocsPerRun(3, func() { o.Update(c, s) }); allocs > 0 && !raceEnabled {
				t.Errorf("%T: %v allocations a step", o, allocs)
			}
			w.fill(random(), 1)
			g.fill(random(), 2)
		}
		norm := SumSquares(c, g.data)
		c.Close()
		if want == nil {
			want, sum = got, norm
		}
		if !slices.Equal(got, want) || norm != sum {
			t.Errorf("%d threads give other bits", threads)
		}
	}
}

func BenchmarkSolver(b *testing.B) {
	for name, o := range solvers() {
		for _, n := range []int{1 << 12, 1 << 18} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				c := NewCPU(Options{Threads: 1, ISA: isa.Best()})
				defer c.Close()
				s := Step{Weights: make([]float32, n), Gradient: make([]float32, n), Rate: 0.1, Scale: 1, Number: 1}
				for range o.solver.States() {
					s.State = append(s.State, make([]float32, n))
				}
				b.SetBytes(int64(4 * n * (3 + 2*len(s.State))))
				for b.Loop() {
					o.solver.Update(c, s)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/weight")
			})
		}
	}
}
