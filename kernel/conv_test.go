package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/effml/effml/internal/isa"
)

// slowConv is the definition, in float64. It also returns Σ |w·x|, to which errors are relative.
func slowConv(s ConvShape, src, weights, bias []float32, n, h, w int, ep *Epilogue) (y, size []float64) {
	wx, wy := s.window(1, w), s.window(0, h)
	oh, ow := wy.outputs(), wx.outputs()
	in, out := s.In/s.Groups, s.Out/s.Groups
	y, size = make([]float64, n*oh*ow*s.Out), make([]float64, n*oh*ow*s.Out)
	taps := s.Kernel[0] * s.Kernel[1]
	for at := range y {
		o, ox, oy, b := at%s.Out, at/s.Out%ow, at/s.Out/ow%oh, at/s.Out/ow/oh
		var sum, sumAbs float64
		for i := range s.Kernel[0] {
			for j := range s.Kernel[1] {
				iy, ix := oy*s.Stride[0]-s.Pads[0]+i*s.Dilation[0], ox*s.Stride[1]-s.Pads[1]+j*s.Dilation[1]
				if iy < 0 || ix < 0 || iy >= h || ix >= w {
					continue
				}
				weights := weights[o*in*taps+i*s.Kernel[1]+j:]
				for c, x := range src[((b*h+iy)*w+ix)*s.In+o/out*in:][:in] {
					v := float64(x) * float64(weights[c*taps])
					sum, sumAbs = sum+v, sumAbs+math.Abs(v)
				}
			}
		}
		if bias != nil {
			sum += float64(bias[o])
		}
		if ep != nil {
			if ep.Add != nil {
				sum += float64(ep.Add[at])
				sumAbs += math.Abs(float64(ep.Add[at]))
			}
			x := []float32{float32(sum)}
			mapGeneric(ep.Act, x, x)
			if ep.Act.Kind != None {
				sum = float64(x[0])
			}
		}
		y[at], size[at] = sum, sumAbs+1
	}
	return y, size
}

// convCase is a convolution with its operands.
type convCase struct {
	s            ConvShape
	n, h, w      int
	src, weights buffer
	bias         []float32
	ep           *Epilogue

	want, size []float64 // of slowConv, once computed
}

func (k *convCase) String() string {
	return fmt.Sprintf("%+v of %dx%dx%d, epilogue %v", k.s, k.n, k.h, k.w, k.ep != nil)
}

func newConvCase(r *rand.Rand, s ConvShape, n, h, w int) *convCase {
	k := &convCase{s: s, n: n, h: h, w: w}
	k.src = newBuffer(n*h*w*s.In, r.IntN(4)).fill(r, 1)
	k.weights = newBuffer(s.Out*s.In/s.Groups*s.Kernel[0]*s.Kernel[1], r.IntN(4)).fill(r, 1)
	if r.IntN(3) > 0 {
		k.bias = newBuffer(s.Out, 0).fill(r, 1).data
	}
	oh, ow := s.window(0, h).outputs(), s.window(1, w).outputs()
	if r.IntN(2) == 0 {
		k.ep = &Epilogue{Act: []Activation{{}, {Kind: ClipTo, B: float32(math.Inf(1))}, {Kind: HardSwish}}[r.IntN(3)]}
		if r.IntN(2) == 0 {
			k.ep.Add = newBuffer(n*oh*ow*s.Out, r.IntN(4)).fill(r, 1).data
		}
	}
	return k
}

// run returns the result; the destination and the scratch memory are full of NaN before.
func (k *convCase) run(t *testing.T, c *CPU) []float32 {
	t.Helper()
	cv := NewConv(c, k.s, k.weights.data, k.bias, k.h, k.w)
	oh, ow := cv.Output(k.h, k.w)
	dst, scratch := newBuffer(k.n*oh*ow*k.s.Out, len(k.bias)%4), newBuffer(cv.Scratch(k.n, k.h, k.w), 3)
	cv.Run(c, dst.data, k.src.data, k.n, k.h, k.w, k.ep, scratch.data)
	dst.check(t, k.String())
	scratch.check(t, k.String()+": scratch")
	return dst.data
}

// check compares a result with the definition.
func (k *convCase) check(t *testing.T, c *CPU, got []float32, tolerance float64) {
	t.Helper()
	if k.want == nil {
		k.want, k.size = slowConv(k.s, k.src.data, k.weights.data, k.bias, k.n, k.h, k.w, k.ep)
	}
	want, size := k.want, slices.Clone(k.size)
	if len(got) != len(want) {
		t.Fatalf("%v: %d results, want %d", k, len(got), len(want))
	}
	if how, _ := k.s.choose(c.ISA(), k.h, k.w); how == minimal && len(size) > 0 { // errors are relative to what a tile sees
		least := slices.Max(size) / 2
		for i := range size {
			size[i] = max(size[i], least)
		}
	}
	for i, w := range want {
		if g := float64(got[i]); !(math.Abs(g-w) <= tolerance*size[i]) && !(math.IsNaN(g) && math.IsNaN(w)) && g != w {
			t.Fatalf("%v: element %d of %d is %v, want %v ± %g", k, i, len(want), g, w, tolerance*size[i])
		}
	}
}

func randomConv(r *rand.Rand) *convCase {
	s := ConvShape{Groups: 1}
	h, w := 1+r.IntN(16), 1+r.IntN(16)
	for i := range 2 {
		s.Kernel[i], s.Stride[i], s.Dilation[i] = 1+r.IntN(5), 1, 1
		if r.IntN(3) == 0 {
			s.Stride[i] = 1 + r.IntN(3)
		}
		if r.IntN(4) == 0 {
			s.Dilation[i] = 1 + r.IntN(3)
		}
	}
	if r.IntN(3) == 0 {
		s.Kernel, s.Stride, s.Dilation = [2]int{3, 3}, [2]int{1, 1}, [2]int{1, 1}
	}
	if r.IntN(2) == 0 {
		for i := range s.Pads {
			s.Pads[i] = r.IntN(4)
		}
	}
	in, out := 1+r.IntN(8), 1+r.IntN(8)
	switch r.IntN(4) {
	case 0:
		s.Groups = 1 + r.IntN(40)
		in, out = 1, 1
	case 1:
		s.Groups = 1 + r.IntN(4)
	case 2:
		in, out = 1+r.IntN(60), 1+r.IntN(60)
	}
	s.In, s.Out = in*s.Groups, out*s.Groups
	return newConvCase(r, s, r.IntN(3), h, w)
}

func TestConv(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		runs := 300
		if testing.Short() {
			runs = 60
		}
		for range runs {
			k := randomConv(r)
			k.check(t, c, k.run(t, c), 4e-6)
		}
	})
}

// Layers whose sizes reach the limits of pieces, blocks and depths of sums.
func TestConvLayers(t *testing.T) {
	if testing.Short() {
		t.Skip("convolves in float64 for seconds")
	}
	r := random()
	cases := []*convCase{
		newConvCase(r, square(3, 40, 1, 7, 2, 3), 1, 61, 61),
		newConvCase(r, square(64, 24, 1, 3, 1, 1), 1, 40, 40),
		newConvCase(r, square(272, 40, 1, 3, 1, 1), 2, 9, 9),
		newConvCase(r, square(528, 70, 1, 3, 1, 1), 1, 7, 7),
		newConvCase(r, square(512, 40, 1, 1, 2, 0), 1, 15, 15),
		newConvCase(r, square(512, 40, 1, 3, 2, 1), 1, 15, 15),
		newConvCase(r, square(260, 260, 260, 5, 1, 2), 1, 20, 20),
		newConvCase(r, square(64, 64, 2, 3, 1, 1), 2, 14, 14),
		newConvCase(r, square(1024, 16, 2, 1, 1, 0), 1, 5, 9),
	}
	eachSet(t, func(t *testing.T, c *CPU) {
		for _, k := range cases {
			k.check(t, c, k.run(t, c), 4e-6)
		}
	})
}

// square is a convolution with the same numbers along both dimensions.
func square(in, out, groups, kernel, stride, pad int) ConvShape {
	return ConvShape{
		In: in, Out: out, Groups: groups, Kernel: [2]int{kernel, kernel}, Stride: [2]int{stride, stride}, Dilation: [2]int{1, 1},
		Pads: [4]int{pad, pad, pad, pad},
	}
}

// Results must not depend on the number of threads.
func TestConvThreads(t *testing.T) {
	eachSet(t, func(t *testing.T, one *CPU) {
		r := random()
		cases := []*convCase{
			newConvCase(r, square(3, 24, 1, 3, 2, 1), 1, 63, 63), newConvCase(r, square(40, 72, 1, 3, 1, 1), 2, 21, 21),
			newConvCase(r, square(40, 72, 1, 3, 2, 1), 2, 21, 21), newConvCase(r, square(40, 72, 1, 1, 1, 0), 2, 21, 21),
			newConvCase(r, square(80, 80, 80, 5, 2, 2), 1, 40, 40), newConvCase(r, square(48, 48, 6, 3, 1, 1), 1, 30, 30),
		}
		for _, k := range cases {
			var want []float32
			for _, threads := range []int{1, 2, 7} {
				c := NewCPU(Options{Threads: threads, ISA: one.ISA()})
				got := k.run(t, c)
				c.Close()
				if want == nil {
					want = got
				} else if !slices.EqualFunc(got, want, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
					t.Errorf("%v: %d threads give other bits than one", k, threads)
				}
			}
		}
	})
}

// NaN and infinities must reach the outputs that see them, and, but for tiles of Winograd's algorithm, no others.
func TestConvSpecials(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, special := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			for _, s := range []ConvShape{square(5, 20, 1, 3, 2, 1), square(20, 20, 20, 3, 1, 1), square(20, 9, 1, 1, 1, 0), square(20, 20, 4, 3, 1, 1)} {
				k := newConvCase(r, s, 1, 9, 9)
				k.ep = nil
				k.src.data[r.IntN(len(k.src.data))] = float32(special)
				k.check(t, c, k.run(t, c), 4e-6)
			}
			k := newConvCase(r, square(20, 20, 1, 3, 1, 1), 1, 9, 9)
			k.ep = nil
			k.src.data[(4*9+4)*20] = float32(special)
			for i, x := range k.run(t, c) {
				y, x0 := i/20/9, i/20%9
				sees := y >= 3 && y <= 5 && x0 >= 3 && x0 <= 5
				if bad := math.IsNaN(float64(x)) || math.IsInf(float64(x), 0); sees && !bad {
					t.Errorf("pixel %d, %d lost %v", y, x0, special)
				}
			}
		}
	})
}

// A run must not allocate once scratch memory is there.
func TestConvAllocations(t *testing.T) {
	c := NewCPU(Options{Threads: 2, ISA: isa.Best()})
	defer c.Close()
	r := random()
	for _, s := range []ConvShape{square(3, 24, 1, 3, 2, 1), square(40, 72, 1, 3, 1, 1), square(80, 80, 80, 5, 2, 2), square(64, 64, 1, 1, 1, 0)} {
		k := newConvCase(r, s, 1, 40, 40)
		cv := NewConv(c, s, k.weights.data, k.bias, 40, 40)
		oh, ow := cv.Output(40, 40)
		dst, scratch := make([]float32, oh*ow*s.Out), make([]float32, cv.Scratch(1, 40, 40))
		ep := &Epilogue{Act: Activation{Kind: HardSwish}}
		run := func() { cv.Run(c, dst, k.src.data, 1, 40, 40, ep, scratch) }
		run()
		if n := testing.AllocsPerRun(20, run); n >= 1 && !raceEnabled {
			t.Errorf("%+v: %v allocations a run", s, n)
		}
	}
}

// Winograd's algorithms must not lose more than a few bits of what a direct convolution keeps: relative to the range of the
// results, which is what errors of networks are relative to, at most 5e-6 where float32 sums themselves have 1e-6.
func TestWinogradError(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		s := square(128, 16, 1, 3, 1, 1)
		k := newConvCase(r, s, 1, 16, 16)
		k.ep, k.bias = nil, nil
		for i, x := range k.src.data {
			k.src.data[i] = max(x, 0)
		}
		want, _ := slowConv(s, k.src.data, k.weights.data, nil, 1, 16, 16, nil)
		widest := max(slices.Max(want), -slices.Min(want))
		for _, win := range []*winograd{newF23(), newF43()} {
			cv := planConv(c, s, plainOrder(&s), minimal, win)
			cv.Own(c, k.weights.data, nil)
			got := make([]float32, len(want))
			cv.Run(c, got, k.src.data, 1, 16, 16, nil, make([]float32, cv.Scratch(1, 16, 16)))
			worst := 0.0
			for i, w := range want {
				worst = max(worst, math.Abs(float64(got[i])-w)/widest)
			}
			if worst > 5e-6 {
				t.Errorf("F(%d,3): error %.2g of the range", win.out, worst)
			}
		}
	})
}
