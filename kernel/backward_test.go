package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/effml/effml/internal/isa"
)

// columnShapes are numbers of rows, channels and elements of a channel.
var columnShapes = [][3]int{{1, 1, 1}, {300, 16, 1}, {5000, 24, 1}, {3, 600, 1}, {700, 520, 1}, {2, 3, 1000}, {4, 5, 7}, {2, 2, 20000}, {1, 70, 64}, {129, 33, 1}}

func TestBatchMoments(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, s := range columnShapes {
			outer, ch, inner := s[0], s[1], s[2]
			x := newBuffer(outer*ch*inner, r.IntN(4)).fill(r, 1).data
			for i := range x {
				x[i] += float32(100 * (i / inner % ch % 3)) // a mean that is large beside the deviations
			}
			mean, variance := make([]float64, ch), make([]float64, ch)
			BatchMoments(c, mean, variance, x, outer, ch, inner)
			n := float64(outer * inner)
			wantM, wantV := make([]float64, ch), make([]float64, ch)
			for i, v := range x {
				wantM[i/inner%ch] += float64(v) / n
			}
			for i, v := range x {
				k := i / inner % ch
				wantV[k] += (float64(v) - wantM[k]) * (float64(v) - wantM[k]) / n
			}
			for k := range ch {
				if math.Abs(mean[k]-wantM[k]) > 1e-6*(1+math.Abs(wantM[k])) || math.Abs(variance[k]-wantV[k]) > 1e-5*(1e-9+wantV[k]) {
					t.Fatalf("%v: channel %d: mean %v, variance %v, want %v and %v", s, k, mean[k], variance[k], wantM[k], wantV[k])
				}
			}
		}
	})
}

func TestBatchSumsAndBlend(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, s := range columnShapes {
			outer, ch, inner := s[0], s[1], s[2]
			n := outer * ch * inner
			x, dy := newBuffer(n, r.IntN(4)).fill(r, 1).data, newBuffer(n, r.IntN(4)).fill(r, 1).data
			var p [4][]float32
			for i := range p {
				p[i] = newBuffer(ch, r.IntN(4)).fill(r, 1).data
			}
			b := Blend{p[0], p[1], p[2], p[3]}
			sum, product := make([]float64, ch), make([]float64, ch)
			BatchSums(c, sum, product, x, dy, b.Mean, outer, ch, inner)
			wantS, wantP, size := make([]float64, ch), make([]float64, ch), make([]float64, ch)
			want := make([]float64, n)
			for i := range x {
				k := i / inner % ch
				d := float64(x[i]) - float64(b.Mean[k])
				wantS[k] += float64(dy[i])
				wantP[k] += float64(dy[i]) * d
				size[k] += math.Abs(float64(dy[i])) * (1 + math.Abs(d))
				want[i] = float64(b.A[k])*float64(dy[i]) + float64(b.B[k])*d + float64(b.Shift[k])
			}
			for k := range ch {
				if math.Abs(sum[k]-wantS[k]) > 1e-6*size[k] || math.Abs(product[k]-wantP[k]) > 1e-6*size[k] {
					t.Fatalf("%v: channel %d: sums %v and %v, want %v and %v", s, k, sum[k], product[k], wantS[k], wantP[k])
				}
			}
			got := newBuffer(n, r.IntN(4))
			BlendPairs(c, got.data, x, dy, &b, outer, ch, inner)
			got.check(t, "BlendPairs")
			checkClose(t, fmt.Sprintf("BlendPairs of %v", s), got.data, want, 1e-5, 1e-5)
		}
	})
}

// What goes through a function is dy times its slope.
func TestBatchSumsThrough(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, s := range append(columnShapes, [3]int{7, 1100, 1}, [3]int{2, 3, 5000}) {
			outer, ch, inner := s[0], s[1], s[2]
			n := outer * ch * inner
			x, dy := newBuffer(n, r.IntN(4)).fill(r, 1).data, newBuffer(n, r.IntN(4)).fill(r, 1).data
			var p [3][]float32
			for i := range p {
				p[i] = newBuffer(ch, r.IntN(4)).fill(r, 1).data
			}
			act := []Activation{{Kind: ClipTo, B: 0.5}, {Kind: HardSwish}}[r.IntN(2)]
			want, sums := make([]float32, n), make([]float64, 4*ch)
			Affine(c, want, x, p[0], p[1], outer, ch, inner, Activation{})
			Slope(c, act, want, want, dy)
			BatchSums(c, sums[:ch], sums[ch:2*ch], x, want, p[2], outer, ch, inner)
			got := newBuffer(n, r.IntN(4))
			if r.IntN(2) == 0 {
				copy(got.data, dy)
				dy = got.data
			}
			BatchSumsThrough(c, sums[2*ch:3*ch], sums[3*ch:], got.data, x, dy, p[2], Through{p[0], p[1], act}, outer, ch, inner)
			got.check(t, "BatchSumsThrough")
			for i, v := range want {
				if got.data[i] != v {
					t.Fatalf("%v: element %d is %v, want %v", s, i, got.data[i], v)
				}
			}
			if !slices.Equal(sums[:2*ch], sums[2*ch:]) {
				t.Fatalf("%v: other sums", s)
			}
		}
	})
}

// Any number of threads gives the same bits, and nothing is allocated once memory is there.
func TestBackwardThreads(t *testing.T) {
	r := random()
	const outer, ch = 4000, 48
	x, dy := newBuffer(outer*ch, 0).fill(r, 1).data, newBuffer(outer*ch, 0).fill(r, 1).data
	pool := PoolShape{Kernel: [2]int{3, 3}, Stride: [2]int{2, 2}, Dilation: [2]int{1, 1}, Pads: [4]int{1, 1, 1, 1}}
	var want []float64
	for _, threads := range []int{1, 2, 7} {
		c := NewCPU(Options{Threads: threads, ISA: isa.Best()})
		sums := make([]float64, 4*ch)
		dx := make([]float32, outer*ch)
		run := func() {
			BatchMoments(c, sums[:ch], sums[ch:2*ch], x, outer, ch, 1)
			BatchSums(c, sums[2*ch:3*ch], sums[3*ch:], x, dy, x[:ch], outer, ch, 1)
			MaxPoolGrad(c, dx, x, dy, 4, ch, 40, 25, pool)
			AveragePoolGrad(c, dx, dy, 4, ch, 40, 25, pool)
			Slope(c, Activation{Kind: Gelu}, dx, x, dy)
		}
		if n := testing.AllocsPerRun(10, run); n >= 1 && !raceEnabled {
			t.Errorf("%d threads: %v allocations a run", threads, n)
		}
		if want == nil {
			want = sums
		}
		for i := range sums {
			if sums[i] != want[i] {
				t.Fatalf("%d threads give other sums than one", threads)
			}
		}
		c.Close()
	}
}

// Slopes are differences of the functions, but at kinks.
func TestSlope(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, a := range []Activation{
			{Kind: ClipTo, A: 0, B: 6},
			{Kind: ClipTo, A: 0, B: float32(math.Inf(1))},
			{Kind: LeakyRelu, A: 0.1},
			{Kind: Elu, A: 1.5},
			{Kind: Selu, A: 1.67, B: 1.05},
			{Kind: Celu, A: 0.7},
			{Kind: Sigmoid},
			{Kind: HardSigmoid, A: 0.2, B: 0.5},
			{Kind: HardSwish},
			{Kind: Swish, A: 1.3},
			{Kind: Tanh},
			{Kind: Softplus},
			{Kind: Softsign},
			{Kind: Gelu},
			{Kind: GeluTanh},
			{Kind: Mish},
			{Kind: Erf},
		} {
			if !HasSlope(a.Kind) {
				t.Errorf("kind %d has no slope", a.Kind)
			}
			n := 1 + r.IntN(200)
			x, dy := newBuffer(n, 1).fill(r, 3).data, newBuffer(n, 2).fill(r, 1).data
			v, want := newBuffer(n, 3), make([]float64, n)
			for i := range x {
				for _, kink := range []float64{-3, -2.5, 0, 2.5, 3, 6} {
					if math.Abs(float64(x[i])-kink) < 1e-3 {
						x[i] += 0.01
					}
				}
				const h = 1e-5
				p, q, f := float64(x[i])-h, float64(x[i])+h, a.Of
				want[i] = float64(dy[i]) * (f(q) - f(p)) / (2 * h)
				v.data[i] = x[i]
				if SlopeOfOutput(a.Kind) {
					v.data[i] = float32(f(float64(x[i])))
				}
			}
			got := newBuffer(n, 1)
			Slope(c, a, got.data, v.data, dy)
			got.check(t, "Slope")
			checkClose(t, fmt.Sprintf("slope of %+v", a), got.data, want, 2e-4, 2e-6)
		}
		// At kinks: 0 for Relu at 0 and for Relu6 at 6.
		got := make([]float32, 3)
		Slope(c, Activation{Kind: ClipTo, B: 6}, got, []float32{0, 6, 1}, []float32{5, 5, 5})
		if got[0] != 0 || got[1] != 0 || got[2] != 5 {
			t.Errorf("slopes at the kinks of Relu6 and at 1 are %v, want 0, 0, 5", got)
		}
	})
}

func TestPoolGrad(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for range 200 {
			s := randomPool(r)
			n, ch, h, w := r.IntN(4), 1+r.IntN(70), 1+r.IntN(12), 1+r.IntN(12)
			oh, ow := s.Output(h, w)
			src, dy := newBuffer(n*ch*h*w, r.IntN(4)).fill(r, 1), newBuffer(n*ch*oh*ow, r.IntN(4)).fill(r, 1)
			for i := range src.data { // with equal elements
				src.data[i] = float32(math.Round(float64(src.data[i]) * 2))
			}
			for _, average := range []bool{false, true} {
				want := make([]float64, len(src.data))
				for at, d := range dy.data {
					slowPoolGrad(s, average, want, src.data, float64(d), ch, h, w, at)
				}
				got := newBuffer(len(src.data), r.IntN(4))
				if average {
					AveragePoolGrad(c, got.data, dy.data, n, ch, h, w, s)
				} else {
					MaxPoolGrad(c, got.data, src.data, dy.data, n, ch, h, w, s)
				}
				got.check(t, "gradient of pooling")
				checkClose(t, fmt.Sprintf("%+v of %dx%dx%dx%d, average %v", s, n, h, w, ch, average), got.data, want, 1e-5, 1e-5)
			}
		}
	})
}

// slowPoolGrad adds what element at of the result got to what its window shows.
func slowPoolGrad(s PoolShape, average bool, dx []float64, src []float32, dy float64, ch, h, w, at int) {
	oh, ow := s.Output(h, w)
	c, ox, oy, b := at%ch, at/ch%ow, at/ch/ow%oh, at/ch/ow/oh
	var seen []int
	padded := 0
	for i := range s.Kernel[0] {
		for j := range s.Kernel[1] {
			iy, ix := oy*s.Stride[0]-s.Pads[0]+i*s.Dilation[0], ox*s.Stride[1]-s.Pads[1]+j*s.Dilation[1]
			if iy < h+s.Pads[2] && ix < w+s.Pads[3] {
				padded++
			}
			if iy >= 0 && ix >= 0 && iy < h && ix < w {
				seen = append(seen, ((b*h+iy)*w+ix)*ch+c)
			}
		}
	}
	if average {
		count := len(seen)
		if s.CountPad {
			count = padded
		}
		for _, k := range seen {
			dx[k] += dy / float64(count)
		}
		return
	}
	best := -1
	for _, k := range seen {
		if best < 0 || src[k] > src[best] {
			best = k
		}
	}
	if best >= 0 {
		dx[best] += dy
	}
}
