package kernel

import (
	"fmt"
	"math"
	"testing"
)

// linearTaps maps n positions to m, aligned at pixel centres.
func linearTaps(n, m int) Taps {
	t := Taps{N: 2}
	for o := range m {
		x := (float64(o)+0.5)*float64(n)/float64(m) - 0.5
		x = math.Max(0, math.Min(x, float64(n-1)))
		lo := int(x)
		t.Index = append(t.Index, int32(lo), int32(min(lo+1, n-1)))
		t.Weight = append(t.Weight, float32(1-(x-float64(lo))), float32(x-float64(lo)))
	}
	return t
}

// randomTaps makes m positions of k random ones of n.
func randomTaps(n, m, k int) Taps {
	r := random()
	t := Taps{N: k}
	for range m * k {
		t.Index = append(t.Index, int32(r.IntN(n)))
		t.Weight = append(t.Weight, float32(r.NormFloat64()))
	}
	return t
}

func nearestTaps(n, m int) Taps {
	t := Taps{N: 1}
	for o := range m {
		t.Index = append(t.Index, int32(o*n/m))
	}
	return t
}

func (t Taps) weight(o, k int) float64 {
	if t.Weight == nil {
		return 1
	}
	return float64(t.Weight[o*t.N+k])
}

func TestResize(t *testing.T) {
	kinds := map[string]func(n, m int) Taps{
		"nearest": nearestTaps, "linear": linearTaps,
		"one":  func(n, m int) Taps { return randomTaps(n, m, 1) },
		"five": func(n, m int) Taps { return randomTaps(n, m, 5) },
	}
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for name, taps := range kinds {
			for _, s := range []struct{ n, ch, h, w, oh, ow int }{
				{1, 1, 1, 1, 3, 2}, {2, 3, 5, 7, 10, 14}, {1, 19, 8, 6, 4, 3}, {1, 64, 3, 3, 7, 5}, {2, 40, 20, 20, 33, 31}, {1, 5, 4, 4, 0, 3},
			} {
				src, dst := newBuffer(s.n*s.h*s.w*s.ch, 3).fill(r, 1), newBuffer(s.n*s.oh*s.ow*s.ch, 1)
				rows, cols := taps(s.h, s.oh), taps(s.w, s.ow)
				var want []float64
				for b := range s.n {
					for y := range s.oh {
						for x := range s.ow {
							for k := range s.ch {
								sum := 0.0
								for i := range rows.N {
									for j := range cols.N {
										at := ((b*s.h+int(rows.Index[y*rows.N+i]))*s.w+int(cols.Index[x*cols.N+j]))*s.ch + k
										sum += rows.weight(y, i) * cols.weight(x, j) * float64(src.data[at])
									}
								}
								want = append(want, sum)
							}
						}
					}
				}
				what := fmt.Sprint(name, s)
				Resize(c, dst.data, src.data, s.n, s.ch, s.h, s.w, rows, cols)
				checkClose(t, what, dst.data, want, 1e-6, 1e-5)
				dst.check(t, what)
			}
		}
	})
}
