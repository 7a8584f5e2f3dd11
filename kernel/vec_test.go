package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/effml/effml/internal/isa"
)

// eachSet runs a test on every instruction set that this processor has.
func eachSet(t *testing.T, test func(t *testing.T, c *CPU)) {
	t.Helper()
	for set := isa.Generic; set <= isa.Best(); set++ {
		t.Run(set.String(), func(t *testing.T) {
			c := NewCPU(Options{Threads: 2, ISA: set})
			defer c.Close()
			test(t, c)
		})
	}
}

// guard surrounds a buffer: a NaN that no kernel computes.
const guard = 0x7fabcdef

// buffer is memory for n elements between guards.
type buffer struct {
	all   []float32
	first int
	data  []float32
}

// newBuffer returns n elements, off elements from where an allocation begins.
func newBuffer(n, off int) buffer {
	b := buffer{all: make([]float32, n+off+64), first: off + 32}
	for i := range b.all {
		b.all[i] = math.Float32frombits(guard)
	}
	b.data = b.all[b.first : b.first+n]
	return b
}

// check fails if a guard is gone.
func (b buffer) check(t *testing.T, what string) {
	t.Helper()
	for i, x := range b.all {
		if (i < b.first || i >= b.first+len(b.data)) && math.Float32bits(x) != guard {
			t.Fatalf("%s: wrote outside of %d elements, at %d", what, len(b.data), i-b.first)
		}
	}
}

// fill sets a buffer to normal numbers of a standard deviation and returns it.
func (b buffer) fill(r *rand.Rand, deviation float64) buffer {
	for i := range b.data {
		b.data[i] = float32(r.NormFloat64() * deviation)
	}
	return b
}

// sprinkle puts special numbers in some places.
func (b buffer) sprinkle(r *rand.Rand) buffer {
	for i := range b.data {
		if r.IntN(4) == 0 {
			b.data[i] = specials[r.IntN(len(specials))]
		}
	}
	return b
}

var specials = []float32{
	0, float32(math.Copysign(0, -1)), 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 8388609, -8388609,
	float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.MaxFloat32, -math.MaxFloat32,
	math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 0x1p-126, -0x1p-126, 0x1.fffffcp-127, 0x1p-140, -0x1p-140,
	88.72, 88.73, 89, 90, 128, -87.3, -87.4, -88.7, -103.9, -104, -105, -106, -150, 1e10, -1e10, 1e30, -1e30,
}

func random() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// ulps is the distance of got from want in units in the last place of want, which for denormal numbers is the smallest one.
func ulps(got float32, want float64) float64 {
	w := float32(want)
	switch {
	case math.IsNaN(want) || math.IsInf(float64(w), 0):
		if math.IsNaN(want) && got != got || got == w {
			return 0
		}
		if float64(got) == math.Copysign(math.MaxFloat32, want) {
			return 1
		}
		return math.Inf(1)
	case got != got:
		return math.Inf(1)
	}
	_, exp := math.Frexp(want)
	unit := math.Ldexp(1, max(exp-24, -149))
	return math.Abs(float64(got)-want) / unit
}

// checkClose fails where got is further than relative·|want| + absolute from want.
func checkClose(t *testing.T, what string, got []float32, want []float64, relative, absolute float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d results for %d", what, len(got), len(want))
	}
	for i, w := range want {
		g := float64(got[i])
		if math.IsNaN(w) && math.IsNaN(g) || float32(w) == got[i] || math.Abs(g-w) <= relative*math.Abs(w)+absolute {
			continue
		}
		t.Fatalf("%s: element %d of %d is %v, want %v", what, i, len(want), g, w)
	}
}

// The same bits must come of any number of threads: of every kernel, at a size that is cut into pieces.
func TestVecThreads(t *testing.T) {
	r := random()
	const n = 70001
	src, gamma := newBuffer(n, 1).fill(r, 2).data, newBuffer(n, 0).fill(r, 1).data
	calls := map[string]func(c *CPU, dst []float32){
		"activate": func(c *CPU, dst []float32) { Activate(c, Activation{Kind: Gelu}, dst, src) },
		"binary": func(c *CPU, dst []float32) {
			Binary(c, Div, dst, src, gamma, []int{10000, 7}, []int{7, 1}, []int{0, 1}, Activation{Kind: ClipTo, A: -1, B: 1})
		},
		"affine":        func(c *CPU, dst []float32) { Affine(c, dst, src, gamma, src, 100, 7, 100, Activation{}) },
		"affine last":   func(c *CPU, dst []float32) { Affine(c, dst, src, gamma, src, 2000, 35, 1, Activation{}) },
		"soft-max":      func(c *CPU, dst []float32) { Softmax(c, dst, src, 70, 1000, 1, false) },
		"soft-max axis": func(c *CPU, dst []float32) { Softmax(c, dst, src, 7, 10, 1000, true) },
		"layer norm":    func(c *CPU, dst []float32) { LayerNorm(c, dst, src, gamma, nil, 70, 1000, 1e-5, nil, nil) },
		"group norm":    func(c *CPU, dst []float32) { GroupNorm(c, dst, src, gamma, gamma, 7, 10, 1000, 5, 1e-5) },
		"reduce all":    func(c *CPU, dst []float32) { Reduce(c, ReduceSum, dst, src, 1, n, 1) },
		"reduce rows":   func(c *CPU, dst []float32) { Reduce(c, ReduceLogSumExp, dst, src, 700, 100, 1) },
		"reduce columns": func(c *CPU, dst []float32) {
			Reduce(c, ReduceL2, dst, src, 2, 50, 700)
			Reduce(c, ReduceMean, dst[1400:], src, 1, 35000, 2)
		},
		"channels last": func(c *CPU, dst []float32) { ChannelsLast(c, dst, src, 2, 35, 1000) },
		"copy":          func(c *CPU, dst []float32) { CopyRows(c, dst, src, 1000, 30, 70, 60) },
		"join": func(c *CPU, dst []float32) {
			Join(c, bytesOf(dst), []Part{{bytesOf(src[:30000]), 120}, {bytesOf(src[30000:]), 160}}, 250)
		},
		"resize": func(c *CPU, dst []float32) {
			Resize(c, dst, src, 1, 10, 70, 100, linearTaps(70, 50), linearTaps(100, 90))
		},
	}
	for set := isa.Generic; set <= isa.Best(); set++ {
		results := map[string][]uint32{}
		for _, threads := range []int{1, 2, 7} {
			c := NewCPU(Options{Threads: threads, ISA: set})
			for name, call := range calls {
				dst := make([]float32, n)
				call(c, dst)
				bits := make([]uint32, n)
				for i, x := range dst {
					bits[i] = math.Float32bits(x)
				}
				if threads == 1 {
					results[name] = bits
				} else if !slices.Equal(bits, results[name]) {
					t.Errorf("%s: %s differs between 1 and %d threads", set, name, threads)
				}
			}
			c.Close()
		}
	}
}

// After the first call no kernel allocates.
func TestVecAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	const n = 40000
	src, dst, small := make([]float32, n), make([]float32, n), make([]float32, n)
	shape, full, last, perm := []int{400, 100}, []int{100, 1}, []int{0, 1}, []int{1, 0}
	up, along := linearTaps(40, 50), linearTaps(10, 8)
	parts := []Part{{bytesOf(src[:20000]), 800}, {bytesOf(src[20000:]), 800}}
	eachSet(t, func(t *testing.T, c *CPU) {
		for name, call := range map[string]func(){
			"activate":  func() { Activate(c, Activation{Kind: Swish, A: 1}, dst, src) },
			"binary":    func() { Binary(c, Add, dst, src, small, shape, full, last, Activation{Kind: Tanh}) },
			"affine":    func() { Affine(c, dst, src, small, small, 4, 100, 100, Activation{Kind: ClipTo, B: 6}) },
			"soft-max":  func() { Softmax(c, dst, src, 4, 100, 100, true) },
			"norm":      func() { LayerNorm(c, dst, src, small, small, 400, 100, 1e-5, nil, nil) },
			"reduce":    func() { Reduce(c, ReduceLogSumExp, dst, src, 4, 100, 100) },
			"reduce 1":  func() { Reduce(c, ReduceSum, dst, src, 1, n, 1) },
			"transpose": func() { Transpose(c, dst, src, shape, perm) },
			"last":      func() { ChannelsLast(c, dst, src, 1, 3, 10000) },
			"copy":      func() { CopyRows(c, dst, src, 100, 300, 400, 400) },
			"join":      func() { Join(c, bytesOf(dst), parts, 100) },
			"resize":    func() { Resize(c, dst, src, 1, 100, 40, 10, up, along) },
		} {
			if allocs := testing.AllocsPerRun(20, call); allocs >= 1 {
				t.Errorf("%s: %v allocations a call", name, allocs)
			}
		}
	})
}

func bytesOf(s []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), 4*len(s))
}
