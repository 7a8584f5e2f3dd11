package kernel

import (
	"fmt"
	"math"
	"testing"
)

// slowNorm normalises rows of n elements; gamma and beta say the factor and summand of element i of all.
func slowNorm(src []float32, n int, eps float64, centred bool, gamma, beta func(i int) float64) (want, mean, inv []float64) {
	want = make([]float64, len(src))
	for at := 0; at < len(src); at += n {
		m, v := 0.0, 0.0
		for _, x := range src[at : at+n] {
			m += float64(x) / float64(n)
		}
		if centred {
			m = 0
		}
		for _, x := range src[at : at+n] {
			v += (float64(x) - m) * (float64(x) - m) / float64(n)
		}
		s := 1 / math.Sqrt(v+eps)
		for i, x := range src[at : at+n] {
			want[at+i] = (float64(x)-m)*s*gamma(at+i) + beta(at+i)
		}
		mean, inv = append(mean, m), append(inv, s)
	}
	return want, mean, inv
}

func TestLayerNorm(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for n := 1; n <= 2200; n += 1 + n/20 {
			outer := 1 + n%4
			src, dst := newBuffer(outer*n, n%5).fill(r, 3), newBuffer(outer*n, n%3)
			gamma, beta := newBuffer(n, 1).fill(r, 1), newBuffer(n, 0).fill(r, 1)
			for i := range src.data {
				src.data[i] += float32(n % 50) // a mean
			}
			g, b := func(i int) float64 { return float64(gamma.data[i%n]) }, func(i int) float64 { return float64(beta.data[i%n]) }
			one, zero := func(int) float64 { return 1 }, func(int) float64 { return 0 }
			what := fmt.Sprint("LayerNorm ", outer, n)
			mean, inv := newBuffer(outer, 0), newBuffer(outer, 0)
			want, means, invs := slowNorm(src.data, n, 1e-5, false, g, b)
			LayerNorm(c, dst.data, src.data, gamma.data, beta.data, outer, n, 1e-5, mean.data, inv.data)
			checkClose(t, what, dst.data, want, 2e-6, 5e-6)
			checkClose(t, what+" mean", mean.data, means, 1e-6, 1e-6)
			checkClose(t, what+" 1/std", inv.data, invs, 1e-6, 0)
			dst.check(t, what)
			want, _, _ = slowNorm(src.data, n, 1e-5, false, one, zero)
			LayerNorm(c, dst.data, src.data, nil, nil, outer, n, 1e-5, nil, nil)
			checkClose(t, what+" alone", dst.data, want, 2e-6, 5e-6)
			want, _, _ = slowNorm(src.data, n, 1e-5, true, g, zero)
			RMSNorm(c, src.data, src.data, gamma.data, outer, n, 1e-5)
			checkClose(t, what+" RMS", src.data, want, 2e-6, 5e-6)
			src.check(t, what)
		}
	})
}

func TestGroupNorm(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, s := range []struct{ n, ch, inner, groups int }{
			{1, 1, 1, 1}, {2, 6, 1, 3}, {2, 6, 17, 3}, {3, 8, 49, 8}, {1, 32, 200, 4}, {2, 5, 3000, 1}, {2, 5, 3000, 5}, {0, 4, 4, 2}, {2, 4, 0, 2},
		} {
			n := s.n * s.ch * s.inner
			src, dst := newBuffer(n, 3).fill(r, 3), newBuffer(n, 1)
			gamma, beta := newBuffer(s.ch, 1).fill(r, 1), newBuffer(s.ch, 0).fill(r, 1)
			channel := func(i int) int { return i / s.inner % s.ch }
			want, _, _ := slowNorm(src.data, max(1, s.ch/s.groups*s.inner), 1e-3, false,
				func(i int) float64 { return float64(gamma.data[channel(i)]) }, func(i int) float64 { return float64(beta.data[channel(i)]) })
			what := fmt.Sprint("GroupNorm ", s)
			GroupNorm(c, dst.data, src.data, gamma.data, beta.data, s.n, s.ch, s.inner, s.groups, 1e-3)
			checkClose(t, what, dst.data, want, 2e-6, 5e-6)
			dst.check(t, what)
			if s.groups == s.ch {
				InstanceNorm(c, src.data, src.data, gamma.data, beta.data, s.n, s.ch, s.inner, 1e-3)
				checkClose(t, what+" as instances", src.data, want, 2e-6, 5e-6)
			}
		}
	})
}

// A mean of a thousand deviations must not drown the variance, as E[x²] − E[x]² would.
func TestNormCancellation(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		src := newBuffer(4096, 0).fill(random(), 1)
		for i := range src.data {
			src.data[i] += 1000
		}
		want, _, _ := slowNorm(src.data, len(src.data), 1e-5, false, func(int) float64 { return 1 }, func(int) float64 { return 0 })
		LayerNorm(c, src.data, src.data, nil, nil, 1, len(src.data), 1e-5, nil, nil)
		checkClose(t, "LayerNorm", src.data, want, 1e-6, 1e-4) // half a unit in the last place of the mean is 3·10⁻⁵
	})
}
