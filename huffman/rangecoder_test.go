package huffman

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// codedBit is a bit and the probability of 65536 that it is 1.
type codedBit struct {
	bit int
	p   uint32
}

// randomBits returns bits drawn with their probabilities; extreme ones are
// frequent, so that carries run through many bytes.
func randomBits(n int, seed uint64) []codedBit {
	rng := rand.New(rand.NewPCG(seed, 3))
	out := make([]codedBit, n)
	for i := range out {
		p := uint32(1 + rng.IntN(65535))
		switch rng.IntN(4) {
		case 0:
			p = 1
		case 1:
			p = 65535
		}
		bit := 0
		if uint32(rng.IntN(65536)) < p {
			bit = 1
		}
		if rng.IntN(50) == 0 {
			bit ^= 1
		}
		out[i] = codedBit{bit, p}
	}
	return out
}

func encodeBits(in []codedBit) []byte {
	e := newRangeEncoder(nil)
	for _, c := range in {
		e.bit(c.bit, c.p)
	}
	return e.flush()
}

// exactCode is the definition in exact arithmetic: the low end as an integer of
// unlimited length instead of bytes that carries are added to.
func exactCode(in []codedBit) []byte {
	low, width, shifts := new(big.Int), uint64(math.MaxUint64), 0
	for _, c := range in {
		bound := width / 65536 * uint64(c.p)
		if c.bit == 1 {
			width = bound
		} else {
			low.Add(low, new(big.Int).SetUint64(bound))
			width -= bound
		}
		if width < 1<<32 {
			low.Lsh(low, 32)
			width <<= 32
			shifts++
		}
	}
	keep := 1 // the fewest leading bytes of the last eight with a multiple of their unit in the interval for certain
	for new(big.Int).Lsh(big.NewInt(1), uint(64-8*keep)).Cmp(new(big.Int).SetUint64(width)) > 0 {
		keep++
	}
	drop := uint(64 - 8*keep)
	unit := new(big.Int).Lsh(big.NewInt(1), drop)
	low.Add(low, unit.Sub(unit, big.NewInt(1)))
	low.Rsh(low, drop)
	return low.FillBytes(make([]byte, 4*shifts+keep))
}

func TestRangeCoderIsExact(t *testing.T) {
	for seed := range uint64(300) {
		in := randomBits(int(seed*7), seed)
		got, want := encodeBits(in), exactCode(in)
		if string(got) != string(want) {
			t.Fatalf("seed %d: %x, by definition %x", seed, got, want)
		}
		d := newRangeDecoder(got)
		for i, c := range in {
			if b := d.bit(0, c.p); b != c.bit {
				t.Fatalf("seed %d: bit %d of %d is %d", seed, i, len(in), b)
			}
		}
		if err := d.close(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestRangeCoderTakesTheBitsThatProbabilitiesAllow(t *testing.T) {
	in := randomBits(200_000, 5)
	ideal := 0.0
	for _, c := range in {
		ideal += bitPrice(c.bit != 0, c.p)
	}
	if n := float64(8 * len(encodeBits(in))); n > ideal*1.0001+16 || n < ideal*0.999 { // zeros also get what rounding leaves
		t.Errorf("%.0f bits, ideal %.1f", n, ideal)
	}
}

func TestRangeDecoderKnowsTheLength(t *testing.T) {
	in := randomBits(400, 9)
	code := encodeBits(in)
	for n := range len(code) + 12 {
		src := append([]byte(nil), code...)
		if n < len(src) {
			src = src[:n]
		} else {
			src = append(src, make([]byte, n-len(src))...)
		}
		d := newRangeDecoder(src)
		for _, c := range in {
			d.bit(0, c.p)
		}
		if err := d.close(); (err == nil) != (n == len(code)) && n > len(code)-8 {
			t.Errorf("%d bytes of %d: %v", n, len(code), err)
		}
	}
}

func TestSquashIsTheLogisticFunction(t *testing.T) {
	for d := int32(-3000); d <= 3000; d++ {
		clipped := float64(min(max(d, -2047), 2047))
		want := 65536 / (1 + math.Exp(-clipped/192))
		if got := float64(squash(d)); math.Abs(got-want) > 200 || got < 1 || got > 65535 {
			t.Fatalf("squash(%d) = %v, the function is %.1f", d, got, want)
		}
		if d > -3000 && squash(d) < squash(d-1) {
			t.Fatalf("squash falls at %d", d)
		}
		if squash(d)+squash(-d) != 65536 {
			t.Fatalf("squash(%d) + squash(−%d) = %d", d, d, squash(d)+squash(-d))
		}
	}
	for p := range uint32(4096) {
		d := newAdaptive(16*p, 0).stretch()
		if d < 2047 && squash(d) < 16*p+8 || d > -2047 && squash(d-1) >= 16*p+8 {
			t.Fatalf("stretch(%d) = %d, squash of it %d", p, d, squash(d))
		}
	}
}

func TestAdaptiveIsTheMeanAtFirst(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	a := newAdaptive(probHalf, 0)
	ones := 0
	for n := 1; n <= 500; n++ {
		bit := 0
		if rng.IntN(5) == 0 {
			bit = 1
			ones++
		}
		a.update(bit, 1023)
		// Rates 1/(n+1.5) make the mean of the bits and one half counted half as a bit.
		want := (float64(ones) + 0.25) / (float64(n) + 0.5)
		if got := float64(a>>10) / (1 << 22); math.Abs(got-want) > 3e-4 {
			t.Fatalf("after %d bits: %.5f, mean %.5f", n, got, want)
		}
	}
	for range 5000 {
		a.update(1, 32)
	}
	if p := a.prob(); p < 65000 || p > 65536-32 {
		t.Errorf("probability after many ones: %d", p)
	}
}

func FuzzRangeCoder(f *testing.F) {
	f.Add([]byte{1, 2, 3, 0xff, 0xff, 0xff, 0, 0, 0}, []byte{1, 2})
	f.Fuzz(func(t *testing.T, data, garbage []byte) {
		var in []codedBit
		for ; len(data) >= 3; data = data[3:] {
			in = append(in, codedBit{int(data[2] & 1), max(uint32(data[0])<<8|uint32(data[1]), 1)})
		}
		code := encodeBits(in)
		d := newRangeDecoder(code)
		for i, c := range in {
			if d.bit(0, c.p) != c.bit {
				t.Fatalf("bit %d differs", i)
			}
		}
		if err := d.close(); err != nil {
			t.Fatal(err)
		}
		d = newRangeDecoder(garbage)
		for _, c := range in {
			d.bit(0, c.p)
		}
		_ = d.close() // must not panic
	})
}
