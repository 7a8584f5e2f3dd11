package huffman

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestCodersAreFoundByNameAndID(t *testing.T) {
	for i, want := range []string{"fixed", "huffman", "relative", "context"} {
		c, err := ByID(byte(i))
		if err != nil || c.Name() != want || c.ID() != byte(i) {
			t.Errorf("number %d: %v, %v; want %s", i, c, err, want)
		}
		if d, err := ByName(want); err != nil || d != c {
			t.Errorf("name %s: %v, %v", want, d, err)
		}
	}
	if _, err := ByID(200); err == nil {
		t.Error("a coder has the number 200")
	}
	if _, err := ByName("zip"); err == nil {
		t.Error(`a coder is named "zip"`)
	}
}

// conforming are the symbols that every coder must take.
func conforming() map[string][]int32 {
	c := cases()
	c["zeros"] = make([]int32, 777)
	c["last"] = append(make([]int32, 5000), 9)
	c["first"] = append([]int32{-9}, make([]int32, 300)...)
	c["positive"] = slices.Repeat([]int32{3, 4, 9, 3}, 100)
	return c
}

func TestCodersRoundTrip(t *testing.T) {
	for _, coder := range Coders() {
		for name, sym := range conforming() {
			t.Run(coder.Name()+"/"+name, func(t *testing.T) {
				p := limits(sym)
				shapes := [][]int{{len(sym)}, {len(sym)/50 + 1, 50}}
				if len(sym) > 10000 {
					shapes = shapes[1:] // size matters here, not the shape
				}
				for _, shape := range shapes {
					b, err := coder.Encode([]byte("head"), sym, shape, p)
					if err != nil {
						t.Fatal(err)
					}
					if string(b[:4]) != "head" {
						t.Fatal("the bytes before were changed")
					}
					b = b[4:]
					if len(sym) == 0 && len(b) > 0 {
						t.Errorf("no symbols take %d bytes", len(b))
					}
					checkDecodes(t, coder, b, sym, shape, p)
				}
			})
		}
	}
}

// checkDecodes requires that b decodes to sym, and neither a part of it nor more.
// Only prefix codes promise to notice each cut: the last bytes of a range coder
// choose among symbols, so that others may come out without them.
func checkDecodes(t *testing.T, coder Coder, b []byte, sym []int32, shape []int, p Params) {
	t.Helper()
	got := make([]int32, len(sym))
	for i := range got {
		got[i] = 12345
	}
	if err := coder.Decode(got, b, shape, p); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, sym) {
		t.Fatal("other symbols came back")
	}
	var corrupt *CorruptError
	if err := coder.Decode(got, append(b[:len(b):len(b)], 0), shape, p); !errors.As(err, &corrupt) {
		t.Errorf("a byte too many: %v", err)
	}
	for _, cut := range []int{0, len(b) / 2, len(b) - 1} {
		if cut < len(b)-1 && len(b) > 1<<15 {
			continue // the time is better spent on small payloads
		}
		if cut < 0 || cut >= len(b) {
			continue
		}
		err := coder.Decode(got, b[:cut], shape, p)
		if err == nil && coder.Name() == "context" && !slices.Equal(got, sym) && checkSymbols(got, p) == nil {
			continue
		}
		if !errors.As(err, &corrupt) {
			t.Errorf("cut to %d of %d bytes: %v", cut, len(b), err)
		}
	}
	if parts, ok := coder.(Parts); ok {
		codes, positions, err := parts.Parts(b)
		if err != nil || codes < 0 || positions < 0 || codes+positions != len(b) {
			t.Errorf("parts %d + %d of %d bytes, %v", codes, positions, len(b), err)
		}
	}
}

func TestCodersRefuseSymbolsOutsideTheRange(t *testing.T) {
	for _, coder := range Coders() {
		for _, bad := range []int32{-5, 5, math.MinInt32, math.MaxInt32} {
			_, err := coder.Encode(nil, []int32{0, 1, bad, 0}, []int{4}, Params{-4, 4})
			var r *RangeError
			if !errors.As(err, &r) || r.Index != 2 || r.Symbol != bad {
				t.Errorf("%s: symbol %d: %v", coder.Name(), bad, err)
			}
		}
		var r *RangeError
		if _, err := coder.Encode(nil, nil, []int{0}, Params{1, 0}); !errors.As(err, &r) {
			t.Errorf("%s: encode with an empty range: %v", coder.Name(), err)
		}
		if err := coder.Decode(nil, nil, []int{0}, Params{1, 0}); !errors.As(err, &r) {
			t.Errorf("%s: decode with an empty range: %v", coder.Name(), err)
		}
	}
}

// A flipped bit is refused or yields symbols of the range, and never a panic.
func TestCodersSurviveFlippedBits(t *testing.T) {
	rng, trials := rand.New(rand.NewPCG(11, 12)), 300
	if testing.Short() {
		trials = 50
	}
	for _, coder := range Coders() {
		for _, sym := range [][]int32{
			laplace(300, 4, 0.9, -16, 15), laplace(6000, 4, 0, -16, 15), laplace(5000, 1, 0.95, -3, 3), laplace(900, 700, 0, -1<<15, 1<<15),
		} {
			p := limits(sym)
			shape := []int{len(sym)/20 + 1, 20}
			b, err := coder.Encode(nil, sym, shape, p)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]int32, len(sym))
			for range trials {
				c := slices.Clone(b)
				for range 1 + rng.IntN(3) {
					c[rng.IntN(min(len(c), 1+1<<rng.IntN(14)))] ^= 1 << rng.IntN(8)
				}
				if coder.Decode(got, c, shape, p) == nil {
					if err := checkSymbols(got, p); err != nil {
						t.Fatalf("%s: %v", coder.Name(), err)
					}
				}
			}
		}
	}
}

// Payloads of a few bytes that claim millions of symbols must not cost more
// memory than the symbols themselves.
func TestDecodersTakeNoMemoryForClaims(t *testing.T) {
	dst := make([]int32, 1<<22)
	for _, coder := range []Coder{fixedCoder{}, huffmanCoder{}, relativeCoder{}} {
		sym := laplace(200, 4, 0.5, -16, 15)
		b, err := coder.Encode(nil, sym, []int{200}, Params{-16, 15})
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if coder.Decode(dst, b, []int{len(dst)}, Params{-16, 15}) == nil && coder.Name() != "relative" {
			t.Errorf("%s: %d bytes became %d symbols", coder.Name(), len(b), len(dst))
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<19 {
			t.Errorf("%s: %d bytes were allocated", coder.Name(), used)
		}
	}
}

func TestFixedTakesTheBitsOfTheRange(t *testing.T) {
	for _, c := range []struct {
		p     Params
		n     int
		bytes int
	}{
		{Params{7, 7}, 1000, 0},
		{Params{0, 1}, 1000, 125},
		{Params{-16, 15}, 1000, 625},
		{Params{-16, 16}, 1000, 750},
		{Params{0, 65535}, 3, 6},
		{Params{math.MinInt32, math.MaxInt32}, 3, 12},
	} {
		b, err := fixedCoder{}.Encode(nil, slices.Repeat([]int32{c.p.Max}, c.n), nil, c.p)
		if err != nil || len(b) != c.bytes {
			t.Errorf("%d symbols of %v: %d bytes, %v; want %d", c.n, c.p, len(b), err, c.bytes)
		}
	}
	b, err := fixedCoder{}.Encode(nil, []int32{-1, 1, 0}, nil, Params{-1, 1})
	if want := []byte{0b01_10_00}; err != nil || !slices.Equal(b, want) {
		t.Errorf("bytes %08b, want %08b", b, want)
	}
	for name, src := range map[string][]byte{"outside": {0b11}, "padding": {0b01_00_10_00}} {
		if err := (fixedCoder{}).Decode(make([]int32, 3), src, nil, Params{-1, 1}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for err, want := range map[error]string{
		corruptf(7, "no %s", "end"):                            "huffman: corrupt data at byte 7: no end",
		&RangeError{Index: 3, Symbol: 9, Params: Params{0, 8}}: "huffman: symbol 9 at index 3 is outside 0…8",
		&RangeError{Index: -1, Params: Params{2, 1}}:           "huffman: empty symbol range 2…1",
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
}

func TestCodersOnRandomSymbols(t *testing.T) {
	for _, coder := range Coders() {
		t.Run(coder.Name(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				lo := rapid.Int32Range(-40, 3).Draw(t, "lo")
				hi := rapid.Int32Range(lo, lo+70).Draw(t, "hi")
				sym := rapid.SliceOf(rapid.Int32Range(lo, hi)).Draw(t, "sym")
				p := Params{lo, hi}
				shape := []int{rapid.IntRange(1, 9).Draw(t, "rows"), rapid.IntRange(1, 9).Draw(t, "columns")}
				b, err := coder.Encode(nil, sym, shape, p)
				if err != nil {
					t.Fatal(err)
				}
				got := make([]int32, len(sym))
				if err := coder.Decode(got, b, shape, p); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, sym) {
					t.Fatal(fmt.Sprint(got, " instead of ", sym))
				}
			})
		})
	}
}
