package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/effml/effml/internal/isa"
)

// slowWeightGrad is the definition, in float64, and the sums of magnitudes to which errors are relative.
func slowWeightGrad(s ConvShape, x, dy []float32, n, h, w int) (dw, size []float64) {
	oh, ow := s.window(0, h).outputs(), s.window(1, w).outputs()
	in, out, taps := s.In/s.Groups, s.Out/s.Groups, s.Kernel[0]*s.Kernel[1]
	dw, size = make([]float64, s.Out*in*taps), make([]float64, s.Out*in*taps)
	for p := range n * oh * ow {
		ox, oy, b := p%ow, p/ow%oh, p/ow/oh
		for k := range taps {
			iy := oy*s.Stride[0] - s.Pads[0] + k/s.Kernel[1]*s.Dilation[0]
			ix := ox*s.Stride[1] - s.Pads[1] + k%s.Kernel[1]*s.Dilation[1]
			if iy < 0 || ix < 0 || iy >= h || ix >= w {
				continue
			}
			for o := range s.Out {
				for c := range in {
					v := float64(dy[p*s.Out+o]) * float64(x[((b*h+iy)*w+ix)*s.In+o/out*in+c])
					dw[(o*in+c)*taps+k] += v
					size[(o*in+c)*taps+k] += math.Abs(v)
				}
			}
		}
	}
	return dw, size
}

// weightGrad computes a gradient with memory full of NaN, and what it is computed from.
func weightGrad(t *testing.T, r *rand.Rand, c *CPU, s ConvShape, n, h, w int) (dw, x, dy []float32) {
	t.Helper()
	g := NewConvWeightGrad(c, s, n, h, w)
	x = newBuffer(n*h*w*s.In, r.IntN(4)).fill(r, 1).data
	dy = newBuffer(n*g.oh*g.ow*s.Out, r.IntN(4)).fill(r, 1).data
	d, scratch := newBuffer(s.Out*s.In/s.Groups*s.Kernel[0]*s.Kernel[1], r.IntN(4)), newBuffer(g.Scratch(), r.IntN(4))
	g.Run(c, d.data, x, dy, scratch.data)
	what := fmt.Sprintf("%+v of %dx%dx%d", s, n, h, w)
	d.check(t, what)
	scratch.check(t, what+": scratch")
	return d.data, x, dy
}

func checkWeightGrad(t *testing.T, r *rand.Rand, c *CPU, s ConvShape, n, h, w int) {
	t.Helper()
	got, x, dy := weightGrad(t, r, c, s, n, h, w)
	want, size := slowWeightGrad(s, x, dy, n, h, w)
	for i, v := range want {
		if !(math.Abs(float64(got[i])-v) <= 4e-6*(1+size[i])) {
			t.Fatalf("%+v of %dx%dx%d: element %d of %d is %v, want %v", s, n, h, w, i, len(want), got[i], v)
		}
	}
}

func TestConvWeightGrad(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		runs := 300
		if testing.Short() {
			runs = 60
		}
		for range runs {
			k := randomConv(r)
			checkWeightGrad(t, r, c, k.s, k.n, k.h, k.w)
		}
	})
}

// Layers whose sizes reach the limits of chunks and pieces.
func TestConvWeightGradLayers(t *testing.T) {
	if testing.Short() {
		t.Skip("convolves in float64 for seconds")
	}
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		checkWeightGrad(t, r, c, square(3, 20, 1, 3, 2, 1), 3, 63, 63)
		checkWeightGrad(t, r, c, square(70, 40, 1, 3, 1, 1), 5, 9, 9)
		checkWeightGrad(t, r, c, square(130, 72, 1, 1, 2, 0), 2, 21, 21)
		checkWeightGrad(t, r, c, square(300, 300, 1, 3, 1, 1), 1, 5, 5)
		checkWeightGrad(t, r, c, square(70, 70, 70, 5, 2, 2), 3, 20, 20)
		checkWeightGrad(t, r, c, square(64, 32, 1, 2, 2, 0), 9, 8, 8)
	})
}

// Any number of threads gives the same bits, and nothing is allocated once memory is there.
func TestConvWeightGradThreads(t *testing.T) {
	for _, s := range []ConvShape{square(3, 24, 1, 3, 2, 1), square(40, 72, 1, 3, 1, 1), square(80, 80, 80, 5, 2, 2), square(48, 48, 6, 3, 1, 1)} {
		var want []float32
		for _, threads := range []int{1, 2, 7} {
			c := NewCPU(Options{Threads: threads, ISA: isa.Best()})
			got, x, dy := weightGrad(t, random(), c, s, 2, 30, 30)
			if want == nil {
				want = got
			}
			for i := range got {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("%+v: %d threads give other bits than one", s, threads)
				}
			}
			g := NewConvWeightGrad(c, s, 2, 30, 30)
			scratch := make([]float32, g.Scratch())
			if n := testing.AllocsPerRun(20, func() { g.Run(c, got, x, dy, scratch) }); n >= 1 && !raceEnabled {
				t.Errorf("%+v, %d threads: %v allocations a run", s, threads, n)
			}
			c.Close()
		}
	}
}
