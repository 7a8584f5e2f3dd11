package huffman

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// laplace returns n symbols of a Laplace distribution, scale in symbols, clipped
// to lo…hi, of which a further share of zeros is exactly 0.
func laplace(n int, scale, zeros float64, lo, hi int32) []int32 {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	sym := make([]int32, n)
	for i := range sym {
		if rng.Float64() < zeros {
			continue
		}
		v := math.Round(rng.ExpFloat64() * scale)
		if rng.IntN(2) == 0 {
			v = -v
		}
		sym[i] = int32(min(max(v, float64(lo)), float64(hi)))
	}
	return sym
}

// exponents returns the exponent bytes of n Laplace-distributed float32 weights.
func exponents(n int) []byte {
	rng := rand.New(rand.NewPCG(2, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(math.Float32bits(float32(0.02*rng.ExpFloat64())) >> 23)
	}
	return b
}

// entropyOf returns the zero-order entropy of sym in bits, by definition.
func entropyOf[T Symbol](sym []T) float64 {
	counts := map[T]int{}
	for _, s := range sym {
		counts[s]++
	}
	h := 0.0
	for _, n := range counts {
		h -= float64(n) * math.Log2(float64(n)/float64(len(sym)))
	}
	return h
}

// cases are symbols that the forms of a payload were made for.
func cases() map[string][]int32 {
	c := map[string][]int32{
		"empty":     {},
		"one":       {3},
		"constant":  slices.Repeat([]int32{-5}, 1000),
		"two":       {1, 2},
		"alternate": slices.Repeat([]int32{0, 1}, 5000),
		"skewed":    append(slices.Repeat([]int32{0}, 100000), 1, 2, 3, 4, 5, -6, -7, 100),
		"outlier":   append(laplace(3000, 3, 0, -100, 100), math.MaxInt32, math.MinInt32),
		"extremes":  {math.MinInt32, math.MaxInt32, 0, -1, 1},
		"scattered": {0, 65535, 30000, 30000, 30000, 0, 0, 0, 0, 65535, 12345},
	}
	for _, n := range []int{2, 5, 63, 64, 65, 300, 4095, 4096, 4097, 4099, 70000} {
		c[fmt.Sprintf("laplace%d", n)] = laplace(n, 4, 0, -16, 15)
		c[fmt.Sprintf("sparse%d", n)] = laplace(n, 4, 0.9, -16, 15)
		c[fmt.Sprintf("wide%d", n)] = laplace(n, 600, 0, -1<<20, 1<<20)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	all := make([]int32, 1<<17)
	for i := range all {
		all[i] = int32(rng.IntN(1 << 16))
	}
	c["alphabet65536"] = all
	few := make([]int32, 50000)
	for i := range few {
		few[i] = all[rng.IntN(400)]
	}
	c["sparse alphabet"] = few
	fib, a, b := []int32{}, 1, 1
	for s := range 22 { // textbook lengths up to 21 bits
		fib = append(fib, slices.Repeat([]int32{int32(s)}, a)...)
		a, b = b, a+b
	}
	rng.Shuffle(len(fib), func(i, j int) { fib[i], fib[j] = fib[j], fib[i] })
	c["fibonacci"] = fib
	return c
}

func limits(sym []int32) Params {
	if len(sym) == 0 {
		return Params{-1, 1}
	}
	return Params{slices.Min(sym), slices.Max(sym)}
}

func TestAppendHuffmanRoundTrip(t *testing.T) {
	for name, sym := range cases() {
		t.Run(name, func(t *testing.T) {
			p := limits(sym)
			for _, q := range []Params{p, {min(p.Min, -77), max(p.Max, 300)}, {math.MinInt32, math.MaxInt32}} {
				b := AppendHuffman([]byte("head"), sym, q.Min, q.Max)
				if string(b[:4]) != "head" {
					t.Fatal("the bytes before were changed")
				}
				if limit := (len(sym)*int(fixedWidth(q.levels())) + 9 + 7) / 8; len(b)-4 > limit {
					t.Errorf("%d bytes, more than %d", len(b)-4, limit)
				}
				got := make([]int32, len(sym))
				n, err := DecodeHuffman(got, append(b[4:len(b):len(b)], 0xff, 0xff), q.Min, q.Max)
				if err != nil {
					t.Fatal(err)
				}
				if n != len(b)-4 {
					t.Errorf("consumed %d of %d bytes", n, len(b)-4)
				}
				if !slices.Equal(got, sym) {
					t.Fatal("other symbols came back")
				}
			}
			t.Logf("%d symbols, %d bytes, entropy %.0f", len(sym), len(AppendHuffman(nil, sym, p.Min, p.Max)), entropyOf(sym)/8)
		})
	}
}

var _ = errors.New
var _ = rapid.Check
