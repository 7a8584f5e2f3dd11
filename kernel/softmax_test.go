package kernel

import (
	"fmt"
	"math"
	"testing"
)

func slowSoftmax(src []float32, outer, n, inner int, log bool) []float64 {
	want := make([]float64, len(src))
	for i := range outer * inner {
		at := func(k int) int { return (i/inner*n+k)*inner + i%inner }
		largest, sum := math.Inf(-1), 0.0
		for k := range n {
			largest = max(largest, float64(src[at(k)]))
		}
		for k := range n {
			sum += math.Exp(float64(src[at(k)]) - largest)
		}
		for k := range n {
			x := float64(src[at(k)]) - largest
			if log {
				want[at(k)] = x - math.Log(sum)
			} else {
				want[at(k)] = math.Exp(x) / sum
			}
		}
	}
	return want
}

func TestSoftmax(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for k, s := range reduceCases() {
			for _, log := range []bool{false, true} {
				n := s.outer * s.n * s.inner
				src, dst := newBuffer(n, k%5).fill(r, 10), newBuffer(n, k%3)
				if k%6 == 0 {
					src.sprinkle(r)
				}
				what := fmt.Sprint("Softmax ", s, log)
				want := slowSoftmax(src.data, s.outer, s.n, s.inner, log)
				Softmax(c, dst.data, src.data, s.outer, s.n, s.inner, log)
				checkClose(t, what, dst.data, want, 1e-6, 2e-6)
				dst.check(t, what)
				Softmax(c, src.data, src.data, s.outer, s.n, s.inner, log)
				checkClose(t, what+" in place", src.data, want, 1e-6, 2e-6)
				src.check(t, what)
			}
		}
	})
}
