package huffman

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/onnx"
)

// float32s returns the raw bytes of n numbers.
func float32s(n int, value func(i int) float32) []byte {
	raw := make([]byte, 0, 4*n)
	for i := range n {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(value(i)))
	}
	return raw
}

// laplaceFloats returns the raw bytes of n Laplace-distributed weights.
func laplaceFloats(n int) []byte {
	rng := rand.New(rand.NewPCG(11, uint64(n)))
	return float32s(n, func(int) float32 { return float32((rng.ExpFloat64() - rng.ExpFloat64()) * 0.005) })
}

// integers64 returns the raw bytes of numbers of the given width.
func integersOf[T int | int64](width int, values ...T) []byte {
	raw := make([]byte, len(values)*width)
	for i, v := range values {
		store(raw, i, width, uint64(v))
	}
	return raw
}

// codeValues round-trips raw and returns its coding.
func codeValues(t *testing.T, raw []byte, e Elem, effort int) []byte {
	t.Helper()
	b := AppendValues([]byte("head"), raw, e, effort)
	if string(b[:4]) != "head" {
		t.Fatal("AppendValues changed what it appends to")
	}
	back := bytes.Repeat([]byte{0xa5}, len(raw))
	if err := DecodeValues(back, b[4:], e); err != nil {
		t.Fatalf("%d bytes of %+v, effort %d: %v", len(raw), e, effort, err)
	}
	if !bytes.Equal(back, raw) {
		t.Fatalf("%d bytes of %+v come back changed, effort %d", len(raw), e, effort)
	}
	chunks := (len(raw) + valueChunk - 1) / valueChunk
	if len(b)-4 > len(raw)+4*chunks+1 {
		t.Fatalf("%d bytes of %+v became %d", len(raw), e, len(b)-4)
	}
	return b[4:]
}

func describeValues(t *testing.T, b []byte) string {
	t.Helper()
	s, err := DescribeValues(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestValuesFindTheMethod(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 12))
	f32, f16, i64, i8 := Elem{4, true}, Elem{2, true}, Elem{8, false}, Elem{1, false}
	weight := func(int) float32 { return float32(rng.NormFloat64()) }
	few := make([]float32, 100)
	for i := range few {
		few[i] = weight(i)
	}
	for _, c := range []struct {
		method string
		raw    []byte
		e      Elem
		most   int // bytes at effort 0
	}{
		{"zero", make([]byte, 40_000), f32, 1},
		{"constant", bytes.Repeat([]byte{0, 0, 0x80, 0x3f}, 9999), f32, 5},
		{"constant", bytes.Repeat([]byte{0, 0, 0, 0x80}, 10), f32, 5}, // −0
		{"stored", float32s(3, weight), f32, 13},
		{"planes", float32s(5000, weight), f32, 5000*3 + 1800},
		{"palette 100", float32s(5000, func(int) float32 { return few[rng.IntN(100)] }), f32, 5000*7/8 + 400},
		{"grid", float32s(5000, func(int) float32 { return float32(rng.IntN(200)-90) * 0.0123 }), f32, 5200},
		{"grid", float32s(5000, func(int) float32 { return float32(float64(rng.IntN(200)-90) * 0.012345678901) }), f32, 5200},
		{"grid", float32s(200, func(int) float32 { return float32(rng.IntN(20_000)-9000) * 0.00071 }), f32, 440},
		{"float16 planes", float32s(5000, func(i int) float32 { return math.Float32frombits(math.Float32bits(weight(i)) &^ 0x1fff) }), f32, 5000 * 2},
		{"bfloat16 planes", float32s(10_000, func(i int) float32 { return math.Float32frombits(math.Float32bits(weight(i)) &^ 0xffff) }), f32, 10_000 * 3 / 2},
		{"sparse planes", float32s(5000, func(i int) float32 {
			if rng.IntN(10) > 0 {
				return 0
			}
			return weight(i)
		}), f32, 5000*32/80 + 400},
		{"sparse planes", float32s(5000, func(i int) float32 { return weight(i) * float32(max(rng.IntN(10)-8, 0)) }), f32, 5000*32/80 + 5000/8 + 400}, // −0 too
		{"planes", float16s(5000, rng), f16, 5000*2 - 800},
		{"planes less 29 bits", float64s(5000, func(i int) float64 { return float64(weight(i)) }), Elem{8, true}, 5000*3 + 1800},
		{"integers", integersOf(8, 1, -1, 3, 224, 224, 0, 0, 1), i64, 40},
		{"deltas", sequence(1000, 1<<30), i64, 40},
		{"integers", randomIntegers(1, 5000, -20, 20, rng), i8, 5000*55/80 + 10},
		{"integers", randomIntegers(4, 5000, 1<<30-500, 1<<30, rng), Elem{4, false}, 5000*9/8 + 100},
		{"stored", randomIntegers(8, 500, math.MinInt64/2, math.MaxInt64/2, rng), i64, 4001},
	} {
		b := codeValues(t, c.raw, c.e, 0)
		if got := describeValues(t, b); got != c.method || len(b) > c.most {
			t.Errorf("%s: %d elements of %d bytes are coded as %s in %d bytes, expected at most %d", c.method, len(c.raw)/c.e.Width, c.e.Width, got, len(b), c.most)
		}
		for effort := 1; effort <= 2 && !testing.Short(); effort++ {
			if n := len(codeValues(t, c.raw, c.e, effort)); n > len(b)+len(b)/100+2 {
				t.Errorf("%s: effort %d makes %d bytes, effort 0 %d", c.method, effort, n, len(b))
			}
		}
	}
}

func float64s(n int, value func(i int) float64) []byte {
	raw := make([]byte, 0, 8*n)
	for i := range n {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(value(i)))
	}
	return raw
}

// float16s returns the raw bytes of numbers with a narrow exponent.
func float16s(n int, rng *rand.Rand) []byte {
	raw := make([]byte, 0, 2*n)
	for range n {
		e := max(12-int(rng.ExpFloat64()), 1)
		raw = binary.LittleEndian.AppendUint16(raw, uint16(rng.IntN(2)<<15|e<<10|rng.IntN(1024)))
	}
	return raw
}

func sequence(n int, step int64) []byte {
	v := make([]int64, n)
	for i := range v {
		v[i] = 7 + int64(i)*(step>>30)
	}
	return integersOf(8, v...)
}

func randomIntegers(width, n int, lo, hi int64, rng *rand.Rand) []byte {
	v := make([]int64, n)
	for i := range v {
		v[i] = lo + int64(rng.Uint64N(uint64(hi-lo)+1))
	}
	return integersOf(width, v...)
}

// Every bit pattern comes back: NaN payloads, −0, infinities, denormals.
func TestValuesAreBitExact(t *testing.T) {
	special := []uint32{0x7fc00001, 0xffc12345, 0x7f800001, 0x7f800000, 0xff800000, 0x80000000, 0, 1, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0x3f800000}
	mixed := func(every int) []byte {
		raw := laplaceFloats(1300)
		for i, v := range special {
			binary.LittleEndian.PutUint32(raw[4*every*i:], v)
		}
		return raw
	}
	var only []byte
	for i := range 500 {
		only = binary.LittleEndian.AppendUint32(only, special[i*i%len(special)])
	}
	grid := float32s(1000, func(i int) float32 { return float32(i%90-40) * 0.01 })
	spoilt := slices.Clone(grid)
	copy(spoilt[400:], []byte{0, 0, 0, 0x80})
	for name, raw := range map[string][]byte{"among weights": mixed(100), "beside each other": mixed(1), "alone": only, "grid with −0": spoilt, "grid": grid} {
		for effort := range 3 {
			for _, e := range []Elem{{4, true}, {4, false}, {2, true}, {8, true}, {1, true}} {
				codeValues(t, raw, e, effort)
			}
		}
		_ = name
	}
	all := make([]byte, 2<<16) // every 16-bit pattern
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(all[2*i:], uint16(i*40503))
	}
	codeValues(t, all, Elem{2, true}, 1)
	codeValues(t, all, Elem{2, false}, 0)
}

func TestValuesOfEveryLength(t *testing.T) {
	raw := laplaceFloats(200)
	ints := bytes.Repeat([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 9, 0}, 12)
	for _, data := range [][]byte{raw, ints, make([]byte, 200)} {
		for n := range 75 {
			for i, width := range []int{1, 2, 4, 8, 3, 0, -1} {
				b := codeValues(t, data[:n], Elem{width, (n+i)&1 == 0}, (n+i)/7%20/8)
				describeValues(t, b)
			}
		}
	}
	if n := len(AppendValues(nil, nil, Elem{4, true}, 0)); n != 0 {
		t.Errorf("nothing becomes %d bytes", n)
	}
}

func TestValuesOfManyChunks(t *testing.T) {
	raw := laplaceFloats(2*valueChunk + 100)
	clear(raw[:4*valueChunk])
	copy(raw[4*valueChunk:], float32s(1000, func(i int) float32 { return float32(i) }))
	raw = append(raw, 1, 2, 3)
	b := codeValues(t, raw, Elem{4, true}, 0)
	if got := describeValues(t, b); got != "zero, planes" {
		t.Errorf("methods %q", got)
	}
	var changed error
	for n := range 200 {
		cut := b[:len(b)*n/200]
		if err := DecodeValues(make([]byte, len(raw)), cut, Elem{4, true}); err == nil {
			t.Errorf("%d bytes of %d decode", len(cut), len(b))
		} else if changed == nil {
			changed = err
		}
	}
	for _, n := range []int{len(raw) - 3, len(raw) - 4, len(raw) + 1, 4 * valueChunk, 0} {
		if DecodeValues(make([]byte, n), b, Elem{4, true}) == nil {
			t.Errorf("%d bytes decode to %d instead of %d", len(b), n, len(raw))
		}
	}
	if changed == nil || !strings.Contains(changed.Error(), "byte 0") {
		t.Errorf("error without a position: %v", changed)
	}
}

func TestLaplaceRatio(t *testing.T) {
	raw := laplaceFloats(1 << 18)
	for effort, least := range []float64{1.19, 1.193} {
		b := codeValues(t, raw, Elem{4, true}, effort)
		if ratio := float64(len(raw)) / float64(len(b)); ratio < least {
			t.Errorf("effort %d: ratio %.4f", effort, ratio)
		}
	}
}

// TestValuesOnModels holds the bytes of all initializers of a model against
// what strong general compressors make of the same bytes in one piece.
func TestValuesOnModels(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	for name, m := range sharedModels(t) {
		var all []byte
		var coded [2]int
		for _, tensor := range m.Graph.Initializers {
			raw, err := tensor.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if len(all)+len(raw) > 1<<19 {
				continue // the others suffice
			}
			all = append(all, raw...)
			e := Elem{tensor.DataType.Bits() / 8, tensor.DataType == onnx.Float}
			for effort := range coded {
				coded[effort] += len(codeValues(t, raw, e, effort))
			}
		}
		for peer, size := range peers(t, all) {
			if coded[0] >= size || coded[1] > coded[0] {
				t.Errorf("%s: %d and %d bytes of %d, %s makes %d", name, coded[0], coded[1], len(all), peer, size)
			}
		}
		t.Logf("%s: %d bytes become %v", name, len(all), coded)
	}
}

func TestValuesSurviveFlippedBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 21))
	grid := float32s(600, func(int) float32 { return float32(rng.IntN(200)-90) * 0.0123 })
	palette := bytes.Repeat(laplaceFloats(40), 30)
	thin := laplaceFloats(900)
	for i := 0; i < len(thin); i += 20 {
		clear(thin[i : i+16])
	}
	for _, raw := range [][]byte{grid, palette, thin, laplaceFloats(300), sequence(300, 1<<33)} {
		for _, e := range []Elem{{4, true}, {8, false}, {2, true}} {
			for effort := range 3 {
				b := AppendValues(nil, raw, e, effort)
				back := make([]byte, len(raw))
				for range 90 >> (2 * effort) {
					bad := slices.Clone(b)
					for range 1 + rng.IntN(3) {
						bad[min(rng.IntN(len(bad)), rng.IntN(len(bad)))] ^= 1 << rng.IntN(8)
					}
					// Anything but a panic or a wrong kind of error will do.
					var corrupt *CorruptError
					if err := DecodeValues(back, bad, e); err != nil && !errors.As(err, &corrupt) {
						t.Fatalf("error of another kind: %v", err)
					}
					_, _ = DescribeValues(bad)
				}
			}
		}
	}
}

func TestDecodeValuesRefuses(t *testing.T) {
	f32 := Elem{4, true}
	huge := binary.AppendUvarint(nil, math.MaxUint64)
	with := func(head string, tail ...byte) []byte { return append([]byte(head), tail...) }
	symbols := func(coder byte, rest ...byte) []byte { return append([]byte{coder}, rest...) }
	for name, src := range map[string][]byte{
		"nothing":                   nil,
		"unknown method":            {0xbf},
		"stored, short":             {0x80, 1, 2},
		"zero with bytes":           {0x81, 0},
		"constant, short":           {0x82, 1, 2, 3},
		"length beyond the end":     append([]byte{0x40}, huge...),
		"length cut":                {0x40, 0x80},
		"planes, no header":         {0x83, 8},
		"planes of no bits":         {0x83, 0, 0},
		"planes of all bits":        {0x83, 30, 2},
		"planes, short":             {0x83, 8, 0, 1, 2, 3},
		"planes, no key":            with("\x83\x08\x00", make([]byte, 48)...),
		"planes, key too wide":      append(with("\x83\x08\x00", make([]byte, 48)...), 0x80, 0x80, 1),
		"planes, bytes for 16 bits": with("\x83\x10\x00", append(make([]byte, 32), 9, 0xff, 3)...),
		"planes, keys below zero":   with("\x83\x08\x00", append(make([]byte, 48), 3, 0xff, 9)...),
		"palette, no numbers":       {0x84, 3},
		"palette of none":           {0x84, 0, 0, 0},
		"palette of too many":       {0x84, 17, 0, 0},
		"palette, origin outside":   {0x84, 2, 2, 1, 1},
		"palette without values":    {0x84, 2, 0, 0, 0},
		"palette without symbols":   {0x84, 1, 0, 1, 1},
		"palette, nested too deep":  {0x84, 1, 0, 15, 4, 1, 0, 10, 4, 1, 0, 6, 4, 1, 0, 2, 4, 1, 0, 0},
		"grid without step":         {0x85, 4, 0, 0},
		"grid, size of step":        {0x85, 5, 0, 0, 0, 0, 0, 0},
		"sparse, positions cut":     {0x86, 9, 0},
		"sparse, symbol of 2":       append([]byte{0x86, 7}, append(symbols(0, 4, 0), 0, 0, 0, 0, 1)...),
		"integers, no mode":         {0x87},
		"integers, no symbols":      {0x87, 1},
		"integers, unknown coder":   append([]byte{0x87, 1}, symbols(99, 0, 0)...),
		"integers, no least":        append([]byte{0x87, 1}, symbols(0, 0x80)...),
		"integers, no span":         append([]byte{0x87, 1}, symbols(0, 0, 0x80)...),
		"integers beyond 32 bits":   append([]byte{0x87, 1, 0, 0}, huge...),
		"deltas cut":                append([]byte{0x88}, symbols(0, 0, 9, 0)...),
		"mix cut":                   {0x89},
		"first of two":              {0x01, 0},
	} {
		dst := make([]byte, 64)
		err := DecodeValues(dst, src, f32)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := DecodeValues(make([]byte, 64), []byte{0x85, 4, 0, 0, 0, 0, 0, 0, 0}, Elem{8, true}); err == nil {
		t.Error("a grid of float64")
	}
	for _, src := range [][]byte{{0xbf}, {0x83, 1}, {0x86}, {0x86, 3, 1}, {0x01}, {0x84}} {
		if s, err := DescribeValues(src); err == nil {
			t.Errorf("%x is %q", src, s)
		}
	}
}

// Short payloads that claim much must not cost more memory than dst.
func TestDecodeValuesTakesNoMemoryForClaims(t *testing.T) {
	dst := make([]byte, 4*valueChunk)
	for _, src := range [][]byte{
		{0x84, 0xff, 0xff, 3, 0, 1, 1, 3, 0, 0, 0},
		{0x86, 4, 3, 0, 2, 255, 1},
		{0x83, 8, 0, 1, 2},
		{0x89, 1, 2, 3},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = DecodeValues(dst, src, Elem{4, true})
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 12<<20 {
			t.Errorf("%x: %d bytes were allocated", src, used)
		}
	}
}

func TestGridStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 31))
	keysOf := func(raw []byte) []uint64 {
		c := &valueCoder{}
		keys, _, ok := c.distinct(raw, Elem{4, true}, len(raw), 0)
		if !ok {
			t.Fatal("too many values")
		}
		return keys
	}
	for trial := range 200 {
		step := float32(math.Exp(rng.NormFloat64() * 4))
		most := 1 << (3 + trial%13)
		raw := float32s(64, func(int) float32 { return step * float32(rng.IntN(2*most)-most) })
		got, ok := gridStep(keysOf(raw))
		if !ok {
			if most < 1<<14 { // beyond that the smallest of 64 may be too many steps
				t.Errorf("step %g up to %d not found", step, most)
			}
			continue
		}
		if q := got / float64(step); math.Abs(q-math.Round(q)) > 1e-5 {
			t.Errorf("step %g found as %g", step, got)
		}
	}
	for trial := range 200 {
		raw := laplaceFloats(20 + trial)
		if step, ok := gridStep(keysOf(raw)); ok {
			t.Errorf("%d random weights on a grid of %g", 20+trial, step)
		}
	}
	for _, raw := range [][]byte{float32s(2, func(i int) float32 { return float32(i) }), float32s(9, func(i int) float32 { return float32(math.Inf(1 - 2*(i&1))) }), float32s(9, func(i int) float32 { return float32(math.Pow(10, float64(i))) })} {
		if _, ok := gridStep(keysOf(raw)); ok {
			t.Error("a grid of one, of infinities or of powers")
		}
	}
}

func TestPaletteOrder(t *testing.T) {
	ascending := []float32{float32(math.Inf(-1)), -2, -1, -1e-45, float32(math.Copysign(0, -1)), 0, 1e-45, 1, 2, float32(math.Inf(1))}
	var before uint64
	for i, f := range ascending {
		k := rankKey(uint64(math.Float32bits(f)), Elem{4, true})
		if i > 0 && k <= before {
			t.Errorf("%g does not come after %g", f, ascending[i-1])
		}
		before = k
	}
	for _, e := range []Elem{{1, false}, {2, true}, {4, true}, {8, true}, {8, false}} {
		for _, v := range []uint64{0, 1, 0x7f, 0x80, 0xff, 0x8000, 0xffff, 1 << 31, math.MaxUint32, 1 << 63, math.MaxUint64} {
			v &= math.MaxUint64 >> (64 - 8*e.Width)
			if got := rankValue(rankKey(v, e), e); got != v {
				t.Errorf("%+v: %x becomes %x", e, v, got)
			}
		}
	}
}
