package tensor

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/effml/effml/onnx"
)

var small = []onnx.DataType{onnx.Float8E4M3FN, onnx.Float8E4M3FNUZ, onnx.Float8E5M2, onnx.Float8E5M2FNUZ, onnx.Float4E2M1}

func TestSmallFloatLandmarks(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		dt    onnx.DataType
		code  uint8
		value float32
	}{
		{onnx.Float8E4M3FN, 0x7e, 448},
		{onnx.Float8E4M3FN, 0x01, 0x1p-9},
		{onnx.Float8E4M3FN, 0x38, 1},
		{onnx.Float8E4M3FN, 0xff, nan},
		{onnx.Float8E4M3FNUZ, 0x7f, 240},
		{onnx.Float8E4M3FNUZ, 0x01, 0x1p-10},
		{onnx.Float8E4M3FNUZ, 0x80, nan},
		{onnx.Float8E5M2, 0x7b, 57344},
		{onnx.Float8E5M2, 0x01, 0x1p-16},
		{onnx.Float8E5M2, 0xfc, -inf},
		{onnx.Float8E5M2, 0x7d, nan},
		{onnx.Float8E5M2FNUZ, 0x7f, 57344},
		{onnx.Float8E5M2FNUZ, 0x01, 0x1p-17},
		{onnx.Float4E2M1, 0x7, 6},
		{onnx.Float4E2M1, 0x9, -0.5},
		{onnx.Float8E8M0, 0x7f, 1},
		{onnx.Float8E8M0, 0x00, 0x1p-127},
		{onnx.Float8E8M0, 0xff, nan},
	} {
		got := make([]float32, 1)
		x := Over([]byte{c.code}, c.dt, []int{1}, Plain)
		if !x.Floats(got, 0) || got[0] != c.value && (got[0] == got[0] || c.value == c.value) {
			t.Errorf("%s %#x is %v, want %v", c.dt, c.code, got[0], c.value)
		}
	}
}

// TestSmallFloatNearest compares the rounding with a search through all numbers of the type.
func TestSmallFloatNearest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, dt := range small {
		f, _ := formatOf(dt)
		largest := float64(f.decode(f.largest))
		for range 20000 {
			v := float32(math.Ldexp(rng.Float64()*2-1, rng.IntN(36)-19))
			if rng.IntN(4) == 0 { // a tie, or a number of the type
				c := uint8(rng.IntN(int(f.largest)))
				v = (f.decode(c) + f.decode(c+uint8(rng.IntN(2)))) / 2
			}
			if math.Abs(float64(v)) > largest {
				continue
			}
			best, dist := uint8(0), math.Inf(1)
			for c := range int(f.largest) + 1 {
				d := math.Abs(math.Abs(float64(v)) - float64(f.decode(uint8(c))))
				if d < dist || d == dist && c%2 == 0 {
					best, dist = uint8(c), d
				}
			}
			if v < 0 && (best != 0 || !f.onlyZero) {
				best |= f.sign
			}
			if got := f.encode(v, true); got != best {
				t.Fatalf("%s: %v is code %#x, want %#x", dt, v, got, best)
			}
		}
	}
}

func TestSmallFloatOverflow(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		dt       onnx.DataType
		v        float32
		saturate bool
		want     uint8
	}{
		{onnx.Float8E4M3FN, 464, false, 0x7e}, // a tie, to the even 448
		{onnx.Float8E4M3FN, 465, false, 0x7f},
		{onnx.Float8E4M3FN, -465, false, 0xff},
		{onnx.Float8E4M3FN, 1e9, true, 0x7e},
		{onnx.Float8E4M3FN, inf, true, 0x7e},
		{onnx.Float8E4M3FN, nan, true, 0x7f},
		{onnx.Float8E4M3FNUZ, -inf, true, 0xff},
		{onnx.Float8E4M3FNUZ, -inf, false, 0x80},
		{onnx.Float8E4M3FNUZ, nan, true, 0x80},
		{onnx.Float8E4M3FNUZ, float32(math.Copysign(0, -1)), true, 0},
		{onnx.Float8E5M2, 1e6, false, 0x7c},
		{onnx.Float8E5M2, -1e6, true, 0xfb},
		{onnx.Float8E5M2, inf, false, 0x7c},
		{onnx.Float8E5M2FNUZ, 1e6, false, 0x80},
		{onnx.Float4E2M1, -100, false, 0xf},
		{onnx.Float4E2M1, inf, false, 7},
		{onnx.Float4E2M1, nan, false, 8},
	} {
		x, err := New(c.dt, 1)
		if err != nil {
			t.Fatal(err)
		}
		if !x.SetFloats(0, []float32{c.v}, c.saturate) || x.Bytes()[0] != c.want {
			t.Errorf("%s of %v, saturate %v: %#x, want %#x", c.dt, c.v, c.saturate, x.Bytes()[0], c.want)
		}
	}
}

// TestFloatsRoundTrip stores every number of 16 bits and less again as itself.
func TestFloatsRoundTrip(t *testing.T) {
	for _, dt := range append([]onnx.DataType{onnx.Float16, onnx.BFloat16}, small...) {
		n := 1 << dt.Bits()
		x, err := New(dt, n)
		if err != nil {
			t.Fatal(err)
		}
		w := Width(dt)
		for i := range n {
			x.Bytes()[w*i] = byte(i)
			if w == 2 {
				x.Bytes()[w*i+1] = byte(i >> 8)
			}
		}
		v, again := make([]float32, n), make([]float32, n)
		y := x.Clone()
		clear(y.Bytes())
		if !x.Floats(v, 0) || !y.SetFloats(0, v, false) || !y.Floats(again, 0) {
			t.Fatal(dt)
		}
		for i := range n {
			if math.Float32bits(v[i]) != math.Float32bits(again[i]) && (v[i] == v[i] || again[i] == again[i]) {
				t.Fatalf("%s %#x: %v became %v", dt, i, v[i], again[i])
			}
		}
	}
}
