package kernel

import (
	"math"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/pages"
)

// Step is what a [Solver] changes and by how much. All slices have the length of Weights and do not overlap.
type Step struct {
	Weights []float32
	// Gradient is of the loss with respect to Weights. Afterwards it is 0 where Mask is, and LAMB leaves its direction here.
	Gradient []float32
	// Mask, where it is not nil, says which weights take part: one with a 0 is, afterwards, 0, and so is what a solver newly keeps of its gradient.
	Mask []float32
	// State is what the solver keeps between steps, zeros before the first; see Solver.States.
	State [][]float32

	Rate   float64 // learning rate η
	Decay  float64 // weight decay λ
	Scale  float64 // factor of the gradient, to clip it or to average: 1 leaves it
	Number int     // of the step, from 1
}

// Solver changes weights w by their gradient g. Formulas are those of PyTorch where it has the solver; there g stands for Scale·g.
//
// All work is done in one pass over memory, LAMB's in two.
type Solver interface {
	// States is the number of slices that the solver keeps for a slice of weights.
	States() int
	// Update does a step.
	Update(c *CPU, s Step)
}

// SGD is stochastic gradient descent: g += λw; s = μs + g; w −= η·s, or with Nesterov's momentum w −= η·(g + μs). Without momentum it keeps
// no state.
type SGD struct {
	Momentum float64 // μ
	Nesterov bool
}

// States implements [Solver].
func (o SGD) States() int {
	if o.Momentum == 0 {
		return 0
	}
	return 1
}

// Update implements [Solver].
func (o SGD) Update(c *CPU, s Step) {
	switch {
	case o.Momentum == 0:
		s.run(c, formulaDescent, s.Scale, s.Decay, s.Rate)
	case o.Nesterov:
		s.run(c, formulaMomentum, s.Scale, s.Decay, o.Momentum, s.Rate*o.Momentum, s.Rate)
	default:
		s.run(c, formulaMomentum, s.Scale, s.Decay, o.Momentum, s.Rate, 0)
	}
}

// Adam keeps running means of the gradient and of its square: m = β₁m + (1−β₁)g; v = β₂v + (1−β₂)g²;
// w −= η·m̂/(√v̂ + ε), with m̂ = m/(1−β₁ᵗ) and v̂ = v/(1−β₂ᵗ) in step t. Weight decay is g += λw before, or, when it is Decoupled (AdamW),
// w −= ηλw.
//
// D. P. Kingma, J. Ba: Adam, 2015, algorithm 1. I. Loshchilov, F. Hutter: Decoupled Weight Decay Regularization, 2019, algorithm 2.
type Adam struct {
	Beta1, Beta2, Epsilon float64
	Decoupled             bool
}

// States implements [Solver].
func (o Adam) States() int { return 2 }

// Update implements [Solver].
func (o Adam) Update(c *CPU, s Step) {
	decay, keep := s.Decay, 1.0
	if o.Decoupled {
		decay, keep = 0, 1-s.Rate*s.Decay
	}
	first, root := correction(o.Beta1, o.Beta2, s.Number)
	s.run(c, formulaAdam, s.Scale, decay, keep, o.Beta1, 1-o.Beta1, o.Beta2, 1-o.Beta2, root, o.Epsilon, s.Rate*first)
}

// correction is 1/(1−β₁ᵗ) and 1/√(1−β₂ᵗ).
func correction(beta1, beta2 float64, t int) (first, root float64) {
	return 1 / (1 - math.Pow(beta1, float64(t))), 1 / math.Sqrt(1-math.Pow(beta2, float64(t)))
}

// RMSProp divides by the root of a running mean: g += λw; v = αv + (1−α)g²; w −= η·g/(√v + ε), or with momentum b = μb + g/(√v + ε);
// w −= η·b.
//
// T. Tieleman, G. Hinton: Lecture 6.5 of Neural Networks for Machine Learning, 2012.
type RMSProp struct {
	Alpha, Epsilon float64
	Momentum       float64 // μ
}

// States implements [Solver].
func (o RMSProp) States() int {
	if o.Momentum == 0 {
		return 1
	}
	return 2
}

// Update implements [Solver].
func (o RMSProp) Update(c *CPU, s Step) {
	if o.Momentum == 0 {
		s.run(c, formulaRMSProp, s.Scale, s.Decay, o.Alpha, 1-o.Alpha, o.Epsilon, s.Rate)
		return
	}
	s.run(c, formulaRMSPropMomentum, s.Scale, s.Decay, o.Alpha, 1-o.Alpha, o.Epsilon, s.Rate, o.Momentum)
}

// LAMB is Adam with a step as long as the weights of the slice: w −= η·(‖w‖/‖u‖)·u for u = m̂/(√v̂ + ε) + λw. Where a norm is 0 their ratio is 1.
//
// Y. You et al.: Large Batch Optimization for Deep Learning, 2020, algorithm 2, with φ(z) = z.
type LAMB struct{ Beta1, Beta2, Epsilon float64 }

// States implements [Solver].
func (o LAMB) States() int { return 2 }

// Update implements [Solver].
func (o LAMB) Update(c *CPU, s Step) {
	first, root := correction(o.Beta1, o.Beta2, s.Number)
	w, u := s.run(c, formulaLAMB, s.Scale, s.Decay, o.Beta1, 1-o.Beta1, o.Beta2, 1-o.Beta2, root, o.Epsilon, first)
	ratio := 1.0
	if w > 0 && u > 0 {
		ratio = math.Sqrt(w / u)
	}
	s.run(c, formulaDescent, 1, 0, s.Rate*ratio)
}

// Average moves dst towards src: dst += (1 − keep)·(src − dst), the exponential moving average of weights.
func Average(c *CPU, dst, src []float32, keep float64) {
	Step{Weights: dst, Gradient: src}.run(c, formulaAverage, 1-keep)
}

// SumSquares returns Σ x². It adds in float32 over blocks of 2,048 elements and in float64 over blocks, in an order that depends on the length only.
func SumSquares(c *CPU, x []float32) (sum float64) {
	if len(x) == 0 {
		return 0
	}
	t := newVecTask(c, reduceRowsPiece)
	defer t.release()
	t.src, t.outer, t.n, t.inner = x, 1, len(x), 1
	t.reduce(c, ReduceSumSquare)
	for _, s := range t.sums {
		sum += s
	}
	return sum
}

// formula numbers the updates that there are kernels for. Each has arrays and coefficients in the order of the kernel.
type formula uint8

const (
	formulaDescent formula = iota
	formulaMomentum
	formulaAdam
	formulaLAMB
	formulaRMSProp
	formulaRMSPropMomentum
	formulaMask
	formulaAverage
	numFormulas
)

// Coefficients are in memory 8 times, so that vectors of 8 read one whole.
const (
	maxCoefficients = 10
	repeats         = 8
)

// solverTask is an update of arrays.
type solverTask struct {
	formula      formula
	set          isa.Set
	x            [4][]float32
	mask         []float32
	coefficients [repeats * maxCoefficients]float32
	sums         [][2]float64 // of the squares of the first two arrays in each piece, for LAMB
}

var solverTasks pages.Pool[solverTask]

// run does an update on all threads. For LAMB it returns the sums of squares of the weights and of the direction.
func (s Step) run(c *CPU, f formula, coefficients ...float64) (w, u float64) {
	n := len(s.Weights)
	if n == 0 {
		return 0, 0
	}
	t := solverTasks.Get()
	t.formula, t.set, t.mask = f, c.set, s.Mask
	t.x = [4][]float32{s.Weights, s.Gradient[:n]}
	for i, state := range s.State {
		t.x[2+i] = state[:n]
	}
	for i, v := range coefficients {
		for k := range repeats {
			t.coefficients[repeats*i+k] = float32(v)
		}
	}
	pieces := (n + pieceSize - 1) / pieceSize
	if f == formulaLAMB {
		t.sums = grow(t.sums, pieces)
	}
	if pieces == 1 {
		t.Piece(0, 0)
	} else {
		c.Parallel(pieces, t)
	}
	if f == formulaLAMB {
		for _, s := range t.sums {
			w, u = w+s[0], u+s[1]
		}
	}
	*t = solverTask{sums: t.sums[:0]}
	solverTasks.Put(t)
	return w, u
}

// Piece implements [Task].
func (t *solverTask) Piece(i, _ int) {
	lo := i * pieceSize
	hi := min(len(t.x[0]), lo+pieceSize)
	var x [4][]float32
	for k, a := range t.x {
		if a != nil {
			x[k] = a[lo:hi]
		}
	}
	t.masked(lo, hi, x[0], x[1])
	solve(t.set, t.formula, &x, &t.coefficients)
	t.masked(lo, hi, x[0])
	if t.formula == formulaLAMB {
		t.masked(lo, hi, x[1])
		t.sums[i] = [2]float64{reduceRow(t.set, ReduceSumSquare, x[0], 0), reduceRow(t.set, ReduceSumSquare, x[1], 0)}
	}
}

// masked sets elements lo to hi of arrays to 0 where the mask is.
func (t *solverTask) masked(lo, hi int, arrays ...[]float32) {
	if t.mask == nil {
		return
	}
	for _, a := range arrays {
		solve(t.set, formulaMask, &[4][]float32{a, t.mask[lo:hi]}, &t.coefficients)
	}
}

// solveGeneric is what every kernel computes, one element after the other.
func solveGeneric(f formula, x *[4][]float32, coefficients *[repeats * maxCoefficients]float32) {
	var c [maxCoefficients]float32
	for i := range c {
		c[i] = coefficients[repeats*i]
	}
	w, g, s := x[0], x[1], x[2]
	switch f {
	case formulaDescent:
		for i := range w {
			w[i] -= c[2] * (c[0]*g[i] + c[1]*w[i])
		}
	case formulaMomentum:
		for i := range w {
			d := c[0]*g[i] + c[1]*w[i]
			s[i] = c[2]*s[i] + d
			w[i] -= c[3]*s[i] + c[4]*d
		}
	case formulaAdam:
		for i := range w {
			d := c[0]*g[i] + c[1]*w[i]
			w[i] = c[2]*w[i] - adaptive(s, x[3], i, d, (*[6]float32)(c[3:9]))*c[9]
		}
	case formulaLAMB:
		for i := range w {
			g[i] = adaptive(s, x[3], i, c[0]*g[i], (*[6]float32)(c[2:8]))*c[8] + c[1]*w[i]
		}
	case formulaRMSProp:
		for i := range w {
			w[i] -= c[5] * overRoot(s, i, c[0]*g[i]+c[1]*w[i], &c)
		}
	case formulaRMSPropMomentum:
		b := x[3]
		for i := range w {
			b[i] = c[6]*b[i] + overRoot(s, i, c[0]*g[i]+c[1]*w[i], &c)
			w[i] -= c[5] * b[i]
		}
	case formulaMask:
		for i := range w {
			if g[i] == 0 {
				w[i] = 0
			}
		}
	case formulaAverage:
		for i := range w {
			w[i] += c[0] * (g[i] - w[i])
		}
	}
}

// adaptive updates element i of the running means of g and its square, and returns their ratio; c is β₁, 1−β₁, β₂, 1−β₂, root, ε.
func adaptive(first, second []float32, i int, g float32, c *[6]float32) float32 {
	first[i] = c[0]*first[i] + c[1]*g
	second[i] = c[2]*second[i] + c[3]*(g*g)
	return first[i] / (float32(math.Sqrt(float64(second[i])))*c[4] + c[5])
}

// overRoot updates element i of the running mean of g², and returns g over its root; c[2:5] is α, 1−α, ε.
func overRoot(mean []float32, i int, g float32, c *[maxCoefficients]float32) float32 {
	mean[i] = c[2]*mean[i] + c[3]*(g*g)
	return g / (float32(math.Sqrt(float64(mean[i]))) + c[4])
}
