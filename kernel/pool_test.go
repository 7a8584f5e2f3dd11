package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// slowPool is the definition of both kinds of pooling.
func slowPool(s PoolShape, average bool, src []float32, n, ch, h, w int) []float64 {
	oh, ow := s.Output(h, w)
	y := make([]float64, n*oh*ow*ch)
	for at := range y {
		c, ox, oy, b := at%ch, at/ch%ow, at/ch/ow%oh, at/ch/ow/oh
		sum, best, count, padded := 0.0, math.Inf(-1), 0.0, 0.0
		for i := range s.Kernel[0] {
			for j := range s.Kernel[1] {
				iy, ix := oy*s.Stride[0]-s.Pads[0]+i*s.Dilation[0], ox*s.Stride[1]-s.Pads[1]+j*s.Dilation[1]
				if iy < h+s.Pads[2] && ix < w+s.Pads[3] {
					padded++
				}
				if iy < 0 || ix < 0 || iy >= h || ix >= w {
					continue
				}
				v := float64(src[((b*h+iy)*w+ix)*ch+c])
				sum, best, count = sum+v, max(best, v), count+1
			}
		}
		if s.CountPad {
			count = padded
		}
		y[at] = best
		if average {
			y[at] = sum / max(1, count)
		}
	}
	return y
}

func randomPool(r *rand.Rand) PoolShape {
	var s PoolShape
	for i := range 2 {
		s.Kernel[i], s.Stride[i], s.Dilation[i] = 1+r.IntN(4), 1+r.IntN(3), 1+r.IntN(4)/3
		s.Pads[i], s.Pads[i+2] = r.IntN(s.Kernel[i]), r.IntN(s.Kernel[i])
	}
	s.Ceil, s.CountPad = r.IntN(2) == 0, r.IntN(2) == 0
	return s
}

func TestPool(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for range 200 {
			s := randomPool(r)
			n, ch, h, w := r.IntN(3), 1+r.IntN(70), 1+r.IntN(12), 1+r.IntN(12)
			src := newBuffer(n*ch*h*w, r.IntN(4)).fill(r, 1)
			for range min(3, len(src.data)) {
				src.data[r.IntN(len(src.data))] = specials[r.IntN(len(specials)-16)]
			}
			for _, average := range []bool{false, true} {
				want := slowPool(s, average, src.data, n, ch, h, w)
				dst := newBuffer(len(want), r.IntN(4))
				if average {
					AveragePool(c, dst.data, src.data, n, ch, h, w, s)
				} else {
					MaxPool(c, dst.data, src.data, n, ch, h, w, s)
				}
				dst.check(t, "pooling")
				checkClose(t, "pooling", dst.data, want, 2e-6, 1e-6)
			}
		}
	})
}

// Sizes of outputs as PyTorch gives them.
func TestPoolOutput(t *testing.T) {
	for _, k := range []struct {
		size, kernel, stride, before, after int
		ceil                                bool
		want                                int
	}{
		{112, 3, 2, 1, 1, false, 56},
		{111, 3, 2, 0, 0, false, 55},
		{110, 3, 2, 0, 0, false, 54},
		{110, 3, 2, 0, 0, true, 55},
		{5, 2, 3, 0, 0, true, 2},
		{4, 1, 3, 0, 0, true, 2},
		{3, 1, 3, 0, 0, true, 1},
		{2, 3, 1, 0, 0, false, 0},
		{5, 3, 2, 1, 1, true, 3},
	} {
		s := PoolShape{
			Kernel: [2]int{k.kernel, 1}, Stride: [2]int{k.stride, 1}, Dilation: [2]int{1, 1},
			Pads: [4]int{k.before, 0, k.after, 0}, Ceil: k.ceil,
		}
		if got, _ := s.Output(k.size, 1); got != k.want {
			t.Errorf("%+v: %d outputs", k, got)
		}
	}
}

func TestGlobalAverage(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, hw := range []int{0, 1, 2, 49, 1023, 1024, 1025, 5000} {
			for _, n := range []int{0, 1, 3} {
				ch := 1 + r.IntN(70)
				src, dst := newBuffer(n*hw*ch, 1).fill(r, 1), newBuffer(n*ch, 2)
				want := make([]float64, n*ch)
				for i, x := range src.data {
					want[i/ch/hw*ch+i%ch] += float64(x) / float64(hw)
				}
				GlobalAverage(c, dst.data, src.data, n, ch, hw)
				dst.check(t, "average")
				checkClose(t, "average", dst.data, want, 1e-5, 1e-6)
			}
		}
	})
}

func TestPoolThreads(t *testing.T) {
	r := random()
	s := PoolShape{Kernel: [2]int{3, 3}, Stride: [2]int{2, 2}, Dilation: [2]int{1, 1}, Pads: [4]int{1, 1, 1, 1}}
	const ch, size = 70, 64
	src := newBuffer(ch*size*size, 0).fill(r, 1).data
	eachSet(t, func(t *testing.T, one *CPU) {
		var want []float32
		for _, threads := range []int{1, 2, 7} {
			c := NewCPU(Options{Threads: threads, ISA: one.ISA()})
			got := make([]float32, 2*ch*size*size/4+ch)
			MaxPool(c, got, src, 1, ch, size, size, s)
			AveragePool(c, got[ch*size*size/4:], src, 1, ch, size, size, s)
			GlobalAverage(c, got[2*ch*size*size/4:], src, 1, ch, size*size)
			c.Close()
			if want == nil {
				want = got
			} else if !slices.Equal(got, want) {
				t.Errorf("%d threads give other bits than one", threads)
			}
		}
	})
}
