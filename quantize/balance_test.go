package quantize

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// balanceCase is a weight tensor and what its layer sums.
type balanceCase struct {
	name string
	n    int
	sums Sums
	size int // weights a group
}

var balanceCases = []balanceCase{
	{"convolution 3x3", 64 * 32 * 9, Sums{Row: 32 * 9, Kernel: 9}, 0},
	{"convolution 1x1", 64 * 48, Sums{Row: 48, Kernel: 1}, 0},
	{"depthwise 5x5", 96 * 25, Sums{Row: 25, Kernel: 25}, 0},
	{"gemm", 40 * 1000, Sums{Row: 1000}, 0},
	{"gemm by channel", 40 * 1000, Sums{Row: 1000}, 1000},
	{"matmul", 700 * 300, Sums{Columns: 300}, 0},
	{"long rows", 3 * (section + 777), Sums{Row: section + 777}, 0},
	{"last row cut", 10*288 + 5, Sums{Row: 288, Kernel: 9}, 0},
}

func balanceFixture(t *testing.T, c balanceCase) (*Balanced, []float32) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, uint64(c.n)))
	w := make([]float32, c.n)
	for i := range w {
		w[i] = float32(r.ExpFloat64()-r.ExpFloat64()) * 0.05
		if r.IntN(10) == 0 {
			w[i] = 0
		}
	}
	g, _, err := Groups(Floats(w), c.size, func(src Source) (Quantizer, Stats, error) { return Uniform(src, 22, GridOptions{}) })
	if err != nil {
		t.Fatal(err)
	}
	return &Balanced{Source: Floats(w), Levels: g, Sums: c.sums}, w
}

// errorsOf returns w/step - code.
func errorsOf(b *Balanced, w []float32, codes []int32) []float64 {
	e := make([]float64, len(w))
	for i := range w {
		q := b.Levels.Q[0]
		if b.Levels.Size > 0 {
			q = b.Levels.Q[i/b.Levels.Size]
		}
		e[i] = float64(w[i])/float64(q.Step) - float64(codes[i])
	}
	return e
}

func TestBalancedErrorsCancel(t *testing.T) {
	for _, c := range balanceCases {
		t.Run(c.name, func(t *testing.T) {
			b, w := balanceFixture(t, c)
			codes := make([]int32, c.n)
			if err := b.Codes(codes, 0); err != nil {
				t.Fatal(err)
			}
			e := errorsOf(b, w, codes)
			for i := range e {
				if math.Abs(e[i]) > 1 {
					t.Fatalf("weight %d is off by %v steps", i, e[i])
				}
				if w[i] == 0 && codes[i] != 0 {
					t.Fatalf("zero weight %d has code %d", i, codes[i])
				}
			}
			// Every sum within half a step of zero: over each section of an output, and over each kernel but for the one weight
			// that the output may have needed.
			for lo := 0; lo < c.n; {
				_, hi := b.unit(lo)
				if cols := c.sums.Columns; cols > 0 {
					for j := range cols {
						sum := 0.0
						for i := lo + j; i < hi; i += cols {
							sum += e[i]
						}
						if math.Abs(sum) > 0.5+1e-6 {
							t.Fatalf("column %d of the panel at %d sums to %v steps", j, lo, sum)
						}
					}
				} else {
					if sum := total(e[lo:hi]); math.Abs(sum) > 0.5+1e-6 {
						t.Fatalf("weights %d…%d sum to %v steps", lo, hi, sum)
					}
					for k := lo; c.sums.Kernel > 1 && k < hi; k += c.sums.Kernel {
						if sum := total(e[k:min(hi, k+c.sums.Kernel)]); math.Abs(sum) > 1+1e-6 {
							t.Fatalf("kernel at %d sums to %v steps", k, sum)
						}
					}
				}
				lo = hi
			}
		})
	}
}

// TestBalancedLowersOutputError is the point of it all: with inputs that have a mean, as behind a ReLU, outputs are nearer
// to those of the original weights, though the weights themselves are farther away.
func TestBalancedLowersOutputError(t *testing.T) {
	c := balanceCases[0]
	b, w := balanceFixture(t, c)
	codes, plain := make([]int32, c.n), make([]int32, c.n)
	if err := b.Codes(codes, 0); err != nil {
		t.Fatal(err)
	}
	b.Levels.Codes(plain, w, 0)
	r := rand.New(rand.NewPCG(3, 4))
	noise := func(codes []int32) (out float64) {
		e := errorsOf(b, w, codes)
		for lo := 0; lo < len(e); lo += c.sums.Row {
			sum := 0.0
			for k := lo; k < lo+c.sums.Row; k += 9 {
				x := max(0, r.NormFloat64())
				for i := range 9 {
					sum += e[k+i] * (x + 0.2*r.NormFloat64())
				}
			}
			out += sum * sum
		}
		return out
	}
	if with, without := noise(codes), noise(plain); with > without/2 {
		t.Errorf("output error %v with balance, %v without: less than half was expected", with, without)
	}
}

func TestBalancedRangesAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range balanceCases {
		b, _ := balanceFixture(t, c)
		want := make([]int32, c.n)
		if err := b.Codes(want, 0); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			first := r.IntN(c.n)
			got := make([]int32, 1+r.IntN(c.n-first))
			if err := b.Codes(got, first); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want[first:first+len(got)]) {
				t.Fatalf("%s: codes %d…%d differ from those of the whole", c.name, first, first+len(got))
			}
		}
	}
}

func TestBalancedMeasure(t *testing.T) {
	for _, c := range balanceCases {
		b, w := balanceFixture(t, c)
		st, err := b.Measure(nil)
		if err != nil {
			t.Fatal(err)
		}
		codes, v := make([]int32, c.n), make([]float32, c.n)
		if err := b.Codes(codes, 0); err != nil {
			t.Fatal(err)
		}
		b.Levels.Values(v, codes, 0)
		var signal, noise float64
		zeros := 0
		counts := map[int32]float64{}
		for i := range w {
			signal += float64(w[i]) * float64(w[i])
			noise += (float64(w[i]) - float64(v[i])) * (float64(w[i]) - float64(v[i]))
			counts[codes[i]]++
			if v[i] == 0 {
				zeros++
			}
		}
		entropy := 0.0
		for _, k := range counts {
			entropy -= k / float64(c.n) * math.Log2(k/float64(c.n))
		}
		if want := 10 * math.Log10(signal/noise); math.Abs(st.SQNR-want) > 1e-9 || math.Abs(st.Entropy-entropy) > 1e-9 || st.Zeros != zeros {
			t.Errorf("%s: %+v, want SQNR %v, entropy %v, %d zeros", c.name, st, want, entropy, zeros)
		}
	}
}

// TestBalancedLeavesOthers checks that what cannot be balanced is rounded plainly.
func TestBalancedLeavesOthers(t *testing.T) {
	w := make([]float32, 999)
	for i := range w {
		w[i] = float32(math.Sin(float64(i)))
	}
	shared, _, err := KMeans(Floats(w), KMeansOptions{K: 16})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []*Balanced{
		{Source: Floats(w), Levels: Grouped{Q: []Quantizer{shared}}, Sums: Sums{Row: 9}},
		{Source: Floats(w), Levels: Grouped{Q: []Quantizer{{Step: 0.1, Min: -20, Max: 20}}}},
	} {
		got, want := make([]int32, len(w)), make([]int32, len(w))
		if err := b.Codes(got, 0); err != nil {
			t.Fatal(err)
		}
		b.Levels.Codes(want, w, 0)
		if !slices.Equal(got, want) {
			t.Error("codes are not those of plain rounding")
		}
	}
}

func BenchmarkBalanced(bm *testing.B) {
	for _, s := range []Sums{{Row: 4608, Kernel: 9}, {Row: 4096}, {Columns: 4096}} {
		r := rand.New(rand.NewPCG(1, 1))
		w := make([]float32, 1<<20)
		for i := range w {
			w[i] = float32(r.NormFloat64())
		}
		b := &Balanced{Source: Floats(w), Levels: Grouped{Q: []Quantizer{{Step: 0.2, Min: -100, Max: 100}}}, Sums: s}
		codes := make([]int32, 1<<18)
		bm.Run(fmt.Sprintf("%+v", s), func(bm *testing.B) {
			bm.SetBytes(4 << 18)
			for bm.Loop() {
				if err := b.Codes(codes, 1<<18); err != nil {
					bm.Fatal(err)
				}
			}
		})
	}
}
