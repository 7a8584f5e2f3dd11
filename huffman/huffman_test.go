package huffman

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
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

func TestAppendHuffmanIsNearTheEntropy(t *testing.T) {
	for name, c := range map[string]struct {
		sym  []int32
		over float64 // allowed, relative to the zero-order entropy
	}{
		"laplace, 32 levels":     {laplace(1<<18, 2.5, 0, -16, 15), 0.01},
		"flat laplace":           {laplace(1<<18, 6, 0, -16, 15), 0.01},
		"half zeros":             {laplace(1<<18, 2.5, 0.5, -16, 15), 0.015},
		"ternary":                {laplace(1<<18, 0.6, 0, -1, 1), 0.02},
		"8 bits":                 {laplace(1<<18, 20, 0, -128, 127), 0.01},
		"4000 levels":            {laplace(1<<18, 300, 0, -2000, 1999), 0.03},
		"one outlier, 31 bits":   {append(laplace(1<<18, 4, 0, -16, 15), math.MaxInt32), 0.02},
		"exponents of 2¹⁶ words": {toSymbols(exponents(1 << 16)), 0.01},
	} {
		p := limits(c.sym)
		got, h := float64(8*len(AppendHuffman(nil, c.sym, p.Min, p.Max))), entropyOf(c.sym)
		if over := got/h - 1; over > c.over {
			t.Errorf("%s: %.2f %% above the entropy of %.3f bits", name, 100*over, h/float64(len(c.sym)))
		}
	}
}

func toSymbols(b []byte) []int32 {
	sym := make([]int32, len(b))
	for i, v := range b {
		sym[i] = int32(v)
	}
	return sym
}

// What a payload takes beyond its codewords matters in small tensors.
func TestAppendHuffmanOverhead(t *testing.T) {
	for name, c := range map[string]struct {
		sym  []int32
		over int // bytes allowed beyond the entropy, rounding to whole bits included
	}{
		"300 symbols, 32 levels": {laplace(300, 4, 0, -16, 15), 17},
		"300 symbols, 8 levels":  {laplace(300, 1.2, 0, -4, 3), 8},
		"64 symbols, 4 levels":   {laplace(64, 0.8, 0, -2, 1), 5},
		"constant":               {slices.Repeat([]int32{-7}, 5000), 1},
		"two of 65536 symbols":   {slices.Repeat([]int32{0, 65535}, 100), 7},
		"10 of 65536 symbols":    {slices.Repeat([]int32{7, 900, 4000, 4001, 9000, 20000, 33000, 47000, 60000, 65535}, 100), 60},
	} {
		p := Params{min(limits(c.sym).Min, -16), max(limits(c.sym).Max, 15)}
		got, h := len(AppendHuffman(nil, c.sym, p.Min, p.Max)), entropyOf(c.sym)/8
		if float64(got) > h+float64(c.over) {
			t.Errorf("%s: %d bytes, entropy %.1f", name, got, h)
		}
		t.Logf("%s: %d bytes, entropy %.1f", name, got, h)
	}
}

// A payload written out by hand from the format's description.
func TestAppendHuffmanBytes(t *testing.T) {
	// a×4 b×2 c×1 d×1 of the range a…z: lengths 1 2 3 3, words 0 10 110 111.
	// Form 2, one stream (00), γ(0), first length 1, then against the first
	// direction (110), on (10), same (0): in the order of the bits
	// 01 00 1 1000 110 10 0, then the words of a b a c a b a d.
	stream := "01" + "00" + "1" + "1000" + "110" + "10" + "0" + "0" + "10" + "0" + "110" + "0" + "10" + "0" + "111"
	var want []byte
	for i, bit := range stream {
		if i%8 == 0 {
			want = append(want, 0)
		}
		want[i/8] |= byte(bit-'0') << (i % 8)
	}
	got := AppendHuffman(nil, []byte("abacabad"), 'a', 'z')
	if !slices.Equal(got, want) {
		t.Errorf("payload %08b, want %08b", got, want)
	}
	for _, c := range []struct {
		sym    []int32
		lo, hi int32
		want   []byte
	}{
		{[]int32{}, 0, 9, nil},
		{[]int32{5, 5, 5}, 5, 5, nil},
		{[]int32{3, 3, 3}, 0, 7, []byte{formConstant + 3<<2}},
		{[]int32{0, 3, 1}, 0, 3, []byte{formRaw + 0<<2 + 3<<4 + 1<<6}},
	} {
		if got := AppendHuffman(nil, c.sym, c.lo, c.hi); !slices.Equal(got, c.want) {
			t.Errorf("%v: payload %08b, want %08b", c.sym, got, c.want)
		}
	}
}

// Bytes, a named type of bytes and symbols yield one and the same payload.
func TestAppendHuffmanOfAllTypes(t *testing.T) {
	type level uint8
	raw := exponents(9001)
	named := make([]level, len(raw))
	for i, b := range raw {
		named[i] = level(b)
	}
	want := AppendHuffman(nil, raw, 3, 200)
	if got := AppendHuffman(nil, named, 3, 200); !slices.Equal(got, want) {
		t.Error("the payload of a named type differs")
	}
	if got := AppendHuffman(nil, toSymbols(raw), 3, 200); !slices.Equal(got, want) {
		t.Error("the payload of int32 differs")
	}
	gotRaw, gotNamed := make([]byte, len(raw)), make([]level, len(raw))
	n, err := DecodeHuffman(gotRaw, want, 3, 200)
	m, err2 := DecodeHuffman(gotNamed, want, 3, 200)
	if err != nil || err2 != nil || n != len(want) || m != n || !slices.Equal(gotRaw, raw) || !slices.Equal(gotNamed, named) {
		t.Errorf("other symbols came back: %d, %d bytes, %v, %v", n, m, err, err2)
	}
	if _, err := DecodeHuffman(gotRaw, want, 200, 3); err == nil {
		t.Error("an empty range was accepted")
	}
}

func TestAppendHuffmanPanicsOutsideTheRange(t *testing.T) {
	defer func() {
		if r, ok := recover().(*RangeError); !ok || r.Index != 1 {
			t.Errorf("recovered %v", r)
		}
	}()
	AppendHuffman(nil, []byte{5, 4}, 5, 9)
}

// A payload cut anywhere is refused, and so is one with padding set.
func TestDecodeHuffmanRefusesCutPayloads(t *testing.T) {
	for name, sym := range cases() {
		p := limits(sym)
		b := AppendHuffman(nil, sym, p.Min, p.Max)
		got := make([]int32, len(sym))
		var corrupt *CorruptError
		for cut := max(0, len(b)-300); cut < len(b); cut += 1 + len(b)/2000 {
			if _, err := DecodeHuffman(got, b[:cut], p.Min, p.Max); !errors.As(err, &corrupt) {
				t.Errorf("%s: cut to %d of %d bytes: %v", name, cut, len(b), err)
			}
		}
	}
	padded := AppendHuffman(nil, []int32{1, 1, 1}, 0, 7)
	padded[0] |= 0x80
	if _, err := DecodeHuffman(make([]int32, 3), padded, 0, 7); err == nil {
		t.Error("padding was not checked")
	}
}

func TestSplitsAreInvertible(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for _, s := range splits {
		for i := range 20000 {
			v := uint32(i)
			if i > 9999 {
				v = rng.Uint32() >> rng.IntN(32)
			}
			token, extra := s.token(v)
			got, width, ok := s.value(token)
			if !ok || width != extra || got|v&(1<<extra-1) != v || token > 255 {
				t.Fatalf("%v: %d became token %d + %d bits, then %d + %d bits", s, v, token, extra, got, width)
			}
		}
		if _, _, ok := s.value(255); ok {
			t.Errorf("%v: token 255 has a value", s)
		}
	}
	for _, r := range [][2]int32{{-7, 9}, {4, 9}, {-9, -4}, {math.MinInt32, math.MaxInt32}, {math.MinInt32, -1}, {0, math.MaxInt32}} {
		f := newFold(r[0], r[1])
		for _, v := range []int64{f.lo, f.lo + 1, f.centre, f.hi - 1, f.hi, (f.lo + f.hi) / 2} {
			if got := f.symbol(f.value(v)); got != v {
				t.Errorf("%v: %d folds to %d, back to %d", r, v, f.value(v), got)
			}
		}
	}
}

// Prices of all symbols add up to the codewords of the payload.
func TestHuffmanPrices(t *testing.T) {
	sym := laplace(5000, 3, 0, -16, 15)
	p := limits(sym)
	pricer := huffmanCoder{}.NewPricer(sym, nil, p)
	sum := 0.0
	for _, s := range sym {
		sum += pricer.Price(s)
		pricer.Advance(s)
	}
	if size := float64(8 * len(AppendHuffman(nil, sym, p.Min, p.Max))); sum > size || sum < size-250 {
		t.Errorf("prices add up to %.0f of %.0f bits", sum, size)
	}
	for name, c := range map[string]struct {
		sample []int32
		sym    int32
		want   float64
	}{
		"no sample":      {nil, 3, 5},
		"constant":       {[]int32{2, 2, 2}, 2, 0},
		"lacking":        {[]int32{2, 2, 2}, 3, 2},
		"gap":            {[]int32{0, 0, 0, 2}, 1, 3},
		"codeword":       {[]int32{0, 0, 0, 2}, 0, 1},
		"too far apart":  {[]int32{0, 1 << 20, 0}, 0, 2},
		"below the rest": {[]int32{0, 1, 2, 3}, math.MinInt32, 3},
	} {
		if got := (huffmanCoder{}).NewPricer(c.sample, nil, Params{-16, 15}).Price(c.sym); got != c.want {
			t.Errorf("%s: %v bits, want %v", name, got, c.want)
		}
	}
}
