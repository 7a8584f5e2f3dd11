package huffman

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func fuzzElem(width uint8, float bool) Elem { return Elem{1 << (width % 4), float} }

func FuzzValuesRoundTrip(f *testing.F) {
	f.Add(laplaceFloats(50), uint8(2), true, uint8(1), uint8(0))
	f.Add(bytes.Repeat([]byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}, 9), uint8(2), true, uint8(2), uint8(3))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 255}, uint8(3), false, uint8(0), uint8(90))
	f.Fuzz(func(t *testing.T, raw []byte, width uint8, float bool, effort, repeat uint8) {
		if len(raw)*int(repeat+1) > 1<<14 {
			return
		}
		raw = bytes.Repeat(raw, int(repeat)+1)
		b := codeValues(t, raw, fuzzElem(width, float), int(effort%3))
		describeValues(t, b)
	})
}

func FuzzDecodeValues(f *testing.F) {
	for i, raw := range [][]byte{laplaceFloats(40), make([]byte, 100), bytes.Repeat(laplaceFloats(5), 12), float32s(50, func(i int) float32 { return float32(i%7) * 0.3 })} {
		f.Add(AppendValues(nil, raw, Elem{4, true}, i%3), uint16(len(raw)), uint8(2), true)
	}
	f.Fuzz(func(t *testing.T, src []byte, n uint16, width uint8, float bool) {
		dst := make([]byte, n%4096)
		e := fuzzElem(width, float)
		if err := DecodeValues(dst, src, e); err != nil {
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		again := make([]byte, len(dst))
		if err := DecodeValues(again, AppendValues(nil, dst, e, 1), e); err != nil || !bytes.Equal(again, dst) {
			t.Fatalf("what was decoded does not come back: %v", err)
		}
	})
}

func benchValues() map[string][]byte {
	rng := rand.New(rand.NewPCG(41, 41))
	return map[string][]byte{
		"laplace":     laplaceFloats(1 << 18),
		"dequantised": float32s(1<<18, func(int) float32 { return float32(math.Round(rng.NormFloat64()*30)) * 0.0123 }),
		"pruned": float32s(1<<18, func(int) float32 {
			return float32(rng.NormFloat64()) * float32(max(rng.IntN(10)-8, 0))
		}),
	}
}

func BenchmarkValues(b *testing.B) {
	for name, raw := range benchValues() {
		e := Elem{4, true}
		for effort := range 2 {
			packed := AppendValues(nil, raw, e, effort)
			ratio := float64(len(raw)) / float64(len(packed))
			b.Run(fmt.Sprintf("%s/encode/effort%d", name, effort), func(b *testing.B) {
				b.SetBytes(int64(len(raw)))
				var out []byte
				for b.Loop() {
					out = AppendValues(out[:0], raw, e, effort)
				}
				b.ReportMetric(ratio, "ratio")
			})
			b.Run(fmt.Sprintf("%s/decode/effort%d", name, effort), func(b *testing.B) {
				b.SetBytes(int64(len(raw)))
				out := make([]byte, len(raw))
				for b.Loop() {
					if err := DecodeValues(out, packed, e); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(ratio, "ratio")
			})
		}
	}
}

func BenchmarkMix(b *testing.B) {
	text := bytes.Repeat([]byte("/layer1/layer1.0/conv1/Conv_output_0\x00layer1.0.bn1.weight\x00"), 1000)
	for i := range text {
		if i%37 == 0 {
			text[i] = byte('0' + i/37%10)
		}
	}
	for _, n := range []int{300, 50_000} {
		packed := AppendMix(nil, text[:n], 0)
		b.Run(fmt.Sprintf("encode/%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				AppendMix(nil, text[:n], 0)
			}
			b.ReportMetric(float64(n)/float64(len(packed)), "ratio")
		})
		b.Run(fmt.Sprintf("decode/%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			out := make([]byte, n)
			for b.Loop() {
				if err := DecodeMix(out, packed, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
