package huffman

import (
	"slices"
	"testing"
)

// fuzzSymbols makes symbols of lo…hi out of fuzzed bytes; runs makes each byte
// count several times, so that long inputs are reached.
func fuzzSymbols(data []byte, lo, hi int32, runs uint8) []int32 {
	sym := make([]int32, 0, len(data)*(int(runs)+1))
	levels := Params{lo, hi}.levels()
	for i, b := range data {
		v := uint64(b) << (8 * (i % 3)) // large symbols too where the range allows
		s := int32(int64(lo) + int64(v%levels))
		for range int(runs) + 1 {
			sym = append(sym, s)
		}
	}
	return sym
}

// FuzzCodersRoundTrip encodes and decodes with every coder that has no model.
func FuzzCodersRoundTrip(f *testing.F) {
	f.Add([]byte{}, int32(0), int32(0), uint8(0))
	f.Add([]byte("abacabad"), int32(0), int32(127), uint8(0))
	f.Add([]byte("\x00\x00\x00\x00\x01\x00\x02\x03"), int32(-1), int32(3), uint8(200))
	f.Add([]byte("a wide alphabet, see"), int32(-1<<31), int32(1<<31-1), uint8(3))
	f.Add(AppendHuffman(nil, laplace(4000, 9, 0, -99, 99), -99, 99), int32(-70000), int32(70000), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, lo, hi int32, runs uint8) {
		if lo > hi || len(data)*(int(runs)+1) > 1<<14 {
			return
		}
		sym, p := fuzzSymbols(data, lo, hi, runs), Params{lo, hi}
		for _, coder := range []Coder{fixedCoder{}, huffmanCoder{}, relativeCoder{}} {
			b, err := coder.Encode(nil, sym, nil, p)
			if err != nil {
				t.Fatalf("%s: %v", coder.Name(), err)
			}
			got := make([]int32, len(sym))
			if err := coder.Decode(got, b, nil, p); err != nil {
				t.Fatalf("%s: %v", coder.Name(), err)
			}
			if !slices.Equal(got, sym) {
				t.Fatalf("%s: other symbols came back", coder.Name())
			}
		}
		b := AppendHuffman(nil, data, 0, 255)
		got := make([]byte, len(data))
		if n, err := DecodeHuffman(got, b, 0, 255); err != nil || n != len(b) || !slices.Equal(got, data) {
			t.Fatalf("bytes: %d of %d bytes consumed, %v", n, len(b), err)
		}
	})
}

// FuzzCodersDecode hands any bytes to the decoders. What they accept must lie in
// the range and survive another round.
func FuzzCodersDecode(f *testing.F) {
	coders := []Coder{fixedCoder{}, huffmanCoder{}, relativeCoder{}}
	for which, coder := range coders {
		for _, sym := range [][]int32{
			{1, 2, 3}, laplace(100, 4, 0, -16, 15), laplace(5000, 4, 0.9, -16, 15), laplace(4500, 0.5, 0, -1, 1), laplace(300, 900, 0, -5000, 5000),
		} {
			p := limits(sym)
			b, err := coder.Encode(nil, sym, nil, p)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(which), b, uint16(len(sym)), p.Min, p.Max)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, src []byte, n uint16, lo, hi int32) {
		coder, p := coders[int(which)%len(coders)], Params{lo, hi}
		sym := make([]int32, n)
		if parts, ok := coder.(Parts); ok {
			if a, b, err := parts.Parts(src); err == nil && (a < 0 || b < 0 || a+b != len(src)) {
				t.Fatalf("parts %d + %d of %d bytes", a, b, len(src))
			}
		}
		if coder.Decode(sym, src, nil, p) != nil {
			return
		}
		b, err := coder.Encode(nil, sym, nil, p)
		if err != nil {
			t.Fatalf("%s: %v", coder.Name(), err)
		}
		got := make([]int32, n)
		if err := coder.Decode(got, b, nil, p); err != nil || !slices.Equal(got, sym) {
			t.Fatalf("%s: second round: %v", coder.Name(), err)
		}
	})
}

// FuzzDecodeHuffmanBytes decodes any bytes to a plane of bytes in front of others.
func FuzzDecodeHuffmanBytes(f *testing.F) {
	for _, n := range []int{5, 300, 5000} {
		f.Add(AppendHuffman(nil, exponents(n), 0, 255), uint16(n), uint8(0), uint8(255))
		f.Add(AppendHuffman(nil, slices.Repeat([]byte{7, 7, 7, 8, 7}, n), 0, 9), uint16(5*n), uint8(0), uint8(9))
	}
	f.Fuzz(func(t *testing.T, src []byte, n uint16, lo, hi uint8) {
		guarded := make([]byte, int(n)+8)
		dst := guarded[: n : n+8]
		used, err := DecodeHuffman(dst, src, lo, hi)
		if slices.Max(guarded[n:]) != 0 {
			t.Fatal("bytes behind the destination were written")
		}
		if err != nil {
			return
		}
		if used < 0 || used > len(src) {
			t.Fatalf("%d of %d bytes used", used, len(src))
		}
		for _, s := range dst {
			if s < lo || s > hi {
				t.Fatalf("symbol %d is outside %d…%d", s, lo, hi)
			}
		}
		again := make([]byte, n)
		if m, err := DecodeHuffman(again, src[:used], lo, hi); err != nil || m != used || !slices.Equal(again, dst) {
			t.Fatalf("without the bytes behind: %d of %d bytes, %v", m, used, err)
		}
	})
}
