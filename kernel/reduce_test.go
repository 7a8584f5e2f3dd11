package kernel

import (
	"fmt"
	"math"
	"testing"
)

// slowReduce is the definition, in float64.
func slowReduce(op ReduceOp, x []float64) float64 {
	sum, squares, magnitudes, product, exps := 0.0, 0.0, 0.0, 1.0, 0.0
	largest, smallest := math.Inf(-1), math.Inf(1)
	for _, v := range x {
		sum, squares, magnitudes, product = sum+v, squares+v*v, magnitudes+math.Abs(v), product*v
		largest, smallest = max(largest, v), min(smallest, v)
	}
	for _, v := range x {
		if v == largest {
			exps++ // also of infinities
		} else {
			exps += math.Exp(v - largest)
		}
	}
	switch op {
	case ReduceSum:
		return sum
	case ReduceMean:
		return sum / float64(len(x))
	case ReduceMax:
		return largest
	case ReduceMin:
		return smallest
	case ReduceProd:
		return product
	case ReduceL1:
		return magnitudes
	case ReduceL2:
		return math.Sqrt(squares)
	case ReduceSumSquare:
		return squares
	case ReduceLogSum:
		return math.Log(sum)
	}
	return largest + math.Log(exps)
}

type reduceCase struct{ outer, n, inner int }

func reduceCases() []reduceCase {
	var cases []reduceCase
	for n := range 131 {
		cases = append(cases, reduceCase{1 + n%4, n, 1}, reduceCase{1 + n%3, n, 1 + n%19}, reduceCase{1, n % 7, n})
	}
	return append(cases, reduceCase{2, 5000, 1}, reduceCase{1, 100003, 1}, reduceCase{2, 700, 33}, reduceCase{1, 9, 2000}, reduceCase{0, 3, 3},
		reduceCase{1, 30000, 3}, reduceCase{3, 1, 600})
}

func TestReduce(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for op := range numReduceOps {
			for k, s := range reduceCases() {
				src, dst := newBuffer(s.outer*s.n*s.inner, k%5).fill(r, 1), newBuffer(s.outer*s.inner, k%3)
				if k%4 == 0 {
					src.sprinkle(r)
				}
				for i := range src.data {
					switch {
					case op == ReduceProd:
						src.data[i] = 1 + src.data[i]/1024 // no overflow
					case op == ReduceLogSum:
						src.data[i] = float32(math.Abs(float64(src.data[i])))
					case op == ReduceLogSumExp:
						src.data[i] *= 30
					}
				}
				what := fmt.Sprint("reduction ", op, s)
				Reduce(c, op, dst.data, src.data, s.outer, s.n, s.inner)
				dst.check(t, what)
				checkReduction(t, what, op, s, dst.data, src.data)
			}
		}
	})
}

// checkReduction bounds the error by that of the sum of magnitudes. Where the definition passes the range of float32 only the
// kind of the result is compared.
func checkReduction(t *testing.T, what string, op ReduceOp, s reduceCase, got, src []float32) {
	t.Helper()
	for i, g := range got {
		column := make([]float64, s.n)
		magnitude, extreme := 0.0, false
		for k := range column {
			column[k] = float64(src[(i/s.inner*s.n+k)*s.inner+i%s.inner])
			a := math.Abs(column[k])
			if !math.IsInf(a, 0) && a == a {
				magnitude += a
			}
			extreme = extreme || a > 1e18 || a != 0 && a < 1e-18
		}
		want := slowReduce(op, column)
		bound := 1e-6*math.Abs(want) + 1e-6*magnitude
		switch {
		case op == ReduceMax || op == ReduceMin:
			bound = 0
		case extreme && op != ReduceSum && op != ReduceMean && op != ReduceLogSumExp:
			if math.IsNaN(want) != (g != g) && !math.IsInf(float64(float32(want)), 0) && !math.IsNaN(float64(g)) {
				t.Fatalf("%s: result %d is %v, want %v", what, i, g, want)
			}
			continue
		case op == ReduceLogSum:
			bound = 2e-6 * (1 + math.Abs(want))
		case op == ReduceProd:
			bound = 1e-4 * math.Abs(want)
		case op == ReduceLogSumExp:
			bound = 2e-6 * (1 + math.Abs(want))
		}
		if magnitude > math.MaxFloat32 && bound != 0 {
			continue // partial sums may overflow
		}
		if !(math.IsNaN(want) && g != g || float32(want) == g || math.Abs(float64(g)-want) <= bound) {
			t.Fatalf("%s: result %d is %v, want %v", what, i, g, want)
		}
	}
}

// The mean of a million numbers far from 0 is as good as float32 can say.
func TestReduceAccuracy(t *testing.T) {
	const n = 1 << 20
	r := random()
	src := make([]float32, n)
	var sum float64
	for i := range src {
		src[i] = float32(1000 + r.NormFloat64())
		sum += float64(src[i])
	}
	eachSet(t, func(t *testing.T, c *CPU) {
		for _, inner := range []int{1, 8} {
			dst := make([]float32, inner)
			Reduce(c, ReduceMean, dst, src, 1, n/inner, inner)
			for i, got := range dst {
				want := 0.0
				for k := i; k < n; k += inner {
					want += float64(src[k]) / float64(n/inner)
				}
				if e := math.Abs(float64(got)/want - 1); e > 2e-6 {
					t.Errorf("mean of %d columns: %v, want %v: relative error %.2g", inner, got, want, e)
				}
			}
		}
	})
}
