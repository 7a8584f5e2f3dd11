package huffman

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// scaled returns symbols in rows × width of a Laplace distribution whose scale
// differs from row to row and from column to column, as that of trained weights
// does.
func scaled(rows, width int, scale float64) []int32 {
	rng := rand.New(rand.NewPCG(7, uint64(rows)))
	column := make([]float64, width)
	for i := range column {
		column[i] = math.Exp(0.7 * rng.NormFloat64())
	}
	sym := make([]int32, 0, rows*width)
	for range rows {
		r := math.Exp(0.7 * rng.NormFloat64())
		for _, c := range column {
			v := int32(math.Round(rng.ExpFloat64() * scale * r * c))
			if rng.IntN(2) == 0 {
				v = -v
			}
			sym = append(sym, min(max(v, -1000), 1000))
		}
	}
	return sym
}

func contextBytes(t *testing.T, sym []int32, shape ...int) int {
	t.Helper()
	p := limits(sym)
	b, err := contextCoder{}.Encode(nil, sym, shape, p)
	if err != nil {
		t.Fatal(err)
	}
	back := make([]int32, len(sym))
	if err := (contextCoder{}).Decode(back, b, shape, p); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(back, sym) {
		t.Fatal("decoded symbols differ")
	}
	return len(b)
}

func TestContextAgainstEntropy(t *testing.T) {
	for _, c := range []struct {
		name  string
		sym   []int32
		shape []int
		most  float64 // of the order-0 entropy
	}{
		{"dense, independent", laplace(200_000, 4, 0, -15, 15), []int{400, 500}, 1.005},
		{"90 % zeros, independent", laplace(200_000, 1.5, 0.9, -15, 15), []int{400, 500}, 1.006},
		{"one-sided", absolute(laplace(100_000, 4, 0, -30, 30)), []int{100_000}, 1.006},
		{"rows and columns of own scale", scaled(300, 300, 4), []int{300, 300}, 0.96},
		{"the same, pruned", scaled(300, 300, 0.2), []int{300, 300}, 0.91},
	} {
		ideal := entropyOf(c.sym) / 8
		if n := contextBytes(t, c.sym, c.shape...); float64(n) > c.most*ideal {
			t.Errorf("%s: %d bytes, order-0 entropy %.0f", c.name, n, ideal)
		}
	}
}

func absolute(sym []int32) []int32 {
	for i, s := range sym {
		sym[i] = max(s, -s)
	}
	return sym
}

func TestContextOnEmptyRows(t *testing.T) {
	if n := contextBytes(t, make([]int32, 1_000_000), 1000, 1000); n > 16 {
		t.Errorf("a million zeros took %d bytes", n)
	}
	full := laplace(50_000, 4, 0, -15, 15)
	sparse := make([]int32, 0, 10*len(full))
	for row := range slices.Chunk(full, 500) { // one row in ten has symbols
		sparse = append(append(sparse, row...), make([]int32, 9*500)...)
	}
	alone, among := contextBytes(t, full, 100, 500), contextBytes(t, sparse, 1000, 500)
	if among > alone+alone/25 {
		t.Errorf("%d bytes among empty rows, %d alone", among, alone)
	}
}

func TestContextOnFewSymbols(t *testing.T) {
	for _, n := range []int{100, 500, 2000} {
		for _, scale := range []float64{0.5, 3, 30} {
			sym := laplace(n, scale, 0, -500, 500)
			h, err := huffmanCoder{}.Encode(nil, sym, []int{n}, limits(sym))
			if err != nil {
				t.Fatal(err)
			}
			if got := contextBytes(t, sym, n); got > len(h)+len(h)/100+1 {
				t.Errorf("%d symbols of scale %g: %d bytes, Huffman %d", n, scale, got, len(h))
			}
		}
	}
}

func TestContextTakesAnyShapeAndRange(t *testing.T) {
	wide := []int32{math.MinInt32, math.MaxInt32, 0, -1, 1, math.MinInt32, 1 << 20, 0, 0, 0, 0, 0, 0, 7}
	for _, shape := range [][]int{nil, {14}, {0}, {7, 2}, {2, 7}, {3, 5}, {1, 1, 14}, {-3, -4}, {2, math.MaxInt, math.MaxInt}, {math.MaxInt, 0, 3}} {
		contextBytes(t, wide, shape...)
		contextBytes(t, wide[2:5], shape...)
		contextBytes(t, []int32{9, 9, 5, 7, 9, 5}, shape...)
		contextBytes(t, []int32{-9, -9, -5, -7, -9, -5}, shape...)
	}
}

func TestContextHeader(t *testing.T) {
	for _, c := range []struct {
		sym  []int32
		want ctxShape
	}{
		{[]int32{0, 0, 0}, ctxShape{sparse: true, rates: 1}},
		{slices.Repeat([]int32{0, 0, 0, 1}, 100), ctxShape{sparse: true, nonzero: 64}},
		{slices.Repeat([]int32{0, 0, 0, 0, -8}, 100), ctxShape{sparse: true, rates: 1, nonzero: 51, ratio: 9}},
		{slices.Repeat([]int32{2, -2}, 100), ctxShape{nonzero: 255, ratio: 3}},
		{[]int32{math.MinInt32}, ctxShape{nonzero: 255, ratio: 31}},
	} {
		got := analyse(c.sym)
		if got != c.want {
			t.Errorf("header of %v…: %+v, want %+v", c.sym[:1], got, c.want)
		}
		if b := got.bytes(); parseShape(b[:]) != got {
			t.Errorf("%+v is read as %+v", got, parseShape(b[:]))
		}
	}
}

func TestContextPrices(t *testing.T) {
	sym := scaled(100, 120, 3)
	p := limits(sym)
	shape := []int{100, 120}
	pricer := contextCoder{}.NewPricer(sym, shape, p)
	bits := 0.0
	for i, s := range sym {
		if i%997 == 0 { // the prices of all symbols make a distribution
			sum := 0.0
			for v := p.Min; v <= p.Max; v++ {
				sum += math.Exp2(-pricer.Price(v))
			}
			// Mantissas may run past the range: then less than 1.
			if sum > 1+1e-9 || sum < 0.9 {
				t.Fatalf("symbol %d: the probabilities add up to %.6f", i, sum)
			}
		}
		bits += pricer.Price(s)
		pricer.Advance(s)
	}
	if n := float64(8 * contextBytes(t, sym, shape...)); math.Abs(n-bits) > 0.005*n+32 {
		t.Errorf("prices of %.0f bits, the payload has %.0f", bits, n)
	}
	for _, s := range []int32{p.Min - 1, p.Max + 1} {
		if !math.IsInf(pricer.Price(s), 1) {
			t.Errorf("%d outside the range costs %f bits", s, pricer.Price(s))
		}
		pricer.Advance(s) // counts as the nearest inside
	}
}

func TestContextPricerNeedsNoSample(t *testing.T) {
	pricer := contextCoder{}.NewPricer(nil, nil, Params{-3, 3})
	for range 100 {
		pricer.Advance(2)
	}
	if two, other := pricer.Price(2), pricer.Price(-1); two > 0.7 || other < 2 {
		t.Errorf("after many twos a two costs %.2f bits and a −1 %.2f", two, other)
	}
}

func TestContextDecodeRefuses(t *testing.T) {
	sym := laplace(3000, 2, 0.3, -7, 7)
	p := Params{-7, 7}
	shape := []int{30, 100}
	b, err := contextCoder{}.Encode(nil, sym, shape, p)
	if err != nil {
		t.Fatal(err)
	}
	back := make([]int32, len(sym))
	for n := range len(b) - 8 { // of the last word some cuts make another payload of the right length
		if (contextCoder{}).Decode(back, b[:n], shape, p) == nil {
			t.Errorf("the first %d bytes of %d decode", n, len(b))
		}
	}
	var corrupt *CorruptError
	if err := (contextCoder{}).Decode(back, append(slices.Clone(b), 0), shape, p); !errors.As(err, &corrupt) {
		t.Errorf("a byte too many: %v", err)
	}
	if codes, positions, err := (contextCoder{}).Parts(b); codes != len(b) || positions != 0 || err != nil {
		t.Errorf("parts %d and %d of %d: %v", codes, positions, len(b), err)
	}
}
