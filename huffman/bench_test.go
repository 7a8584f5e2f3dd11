package huffman

import (
	"testing"

	"github.com/klauspost/compress/fse"
	"github.com/klauspost/compress/huff0"
)

// benchSymbols are what the coders are for, as bytes (for huff0 and fse) and as
// symbols.
func benchSymbols() []struct {
	name string
	sym  []int32
} {
	const n = 1 << 17 // huff0 takes no more at a time
	exp := exponents(n)
	wide := make([]int32, n)
	for i, b := range exp {
		wide[i] = int32(b)
	}
	return []struct {
		name string
		sym  []int32
	}{
		{"laplace5bit", laplace(n, 4, 0, -16, 15)},
		{"zeros90", laplace(n, 4, 0.9, -16, 15)},
		{"exponents", wide},
	}
}

// BenchmarkByteCoders codes the same bytes with AppendHuffman and with huff0 and
// fse of klauspost/compress. ratio is 5 or 8 bits a symbol over what was needed,
// bound the ratio at the zero-order entropy.
func BenchmarkByteCoders(b *testing.B) {
	for _, c := range benchSymbols() {
		p := limits(c.sym)
		raw := make([]byte, len(c.sym))
		for i, s := range c.sym {
			raw[i] = byte(s - p.Min)
		}
		for _, coder := range byteCoders() {
			packed, err := coder.encode(raw)
			if err != nil {
				b.Fatal(err)
			}
			report := func(b *testing.B) {
				width := float64(fixedWidth(p.levels()))
				b.ReportMetric(width*float64(len(raw))/8/float64(len(packed)), "ratio")
				b.ReportMetric(width*float64(len(raw))/entropyOf(raw), "bound")
			}
			b.Run(c.name+"/encode/"+coder.name, func(b *testing.B) {
				b.SetBytes(int64(len(raw)))
				for b.Loop() {
					if _, err := coder.encode(raw); err != nil {
						b.Fatal(err)
					}
				}
				report(b)
			})
			b.Run(c.name+"/decode/"+coder.name, func(b *testing.B) {
				b.SetBytes(int64(len(raw)))
				for b.Loop() {
					if err := coder.decode(packed, len(raw)); err != nil {
						b.Fatal(err)
					}
				}
				report(b)
			})
		}
	}
}

type byteCoder struct {
	name   string
	encode func(raw []byte) ([]byte, error)
	decode func(packed []byte, n int) error
}

func byteCoders() []byteCoder {
	var enc, out []byte
	huff, fsed := &huff0.Scratch{Reuse: huff0.ReusePolicyNone}, &fse.Scratch{}
	return []byteCoder{
		{"effml", func(raw []byte) ([]byte, error) {
			enc = AppendHuffman(enc[:0], raw, 0, 255)
			return enc, nil
		}, func(packed []byte, n int) error {
			if cap(out) < n {
				out = make([]byte, n)
			}
			_, err := DecodeHuffman(out[:n], packed, 0, 255)
			return err
		}},
		{"huff0", func(raw []byte) ([]byte, error) {
			packed, _, err := huff0.Compress4X(raw, huff)
			return append([]byte(nil), packed...), err
		}, func(packed []byte, n int) error {
			s, rest, err := huff0.ReadTable(packed, nil)
			if err != nil {
				return err
			}
			_, err = s.Decoder().Decompress4X(make([]byte, 0, n), rest)
			return err
		}},
		{"fse", func(raw []byte) ([]byte, error) {
			packed, err := fse.Compress(raw, fsed)
			return append([]byte(nil), packed...), err
		}, func(packed []byte, n int) error {
			fsed.DecompressLimit = n
			_, err := fse.Decompress(packed, fsed)
			return err
		}},
	}
}

// BenchmarkCoders codes symbols with every coder of the package.
func BenchmarkCoders(b *testing.B) {
	for _, c := range benchSymbols() {
		p := limits(c.sym)
		shape := []int{len(c.sym) / 512, 512}
		for _, coder := range Coders() {
			packed, err := coder.Encode(nil, c.sym, shape, p)
			if err != nil {
				b.Fatal(err)
			}
			report := func(b *testing.B) {
				width := float64(fixedWidth(p.levels()))
				b.ReportMetric(float64(len(c.sym))*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msym/s")
				b.ReportMetric(width*float64(len(c.sym))/8/float64(len(packed)), "ratio")
				b.ReportMetric(width*float64(len(c.sym))/entropyOf(c.sym), "bound")
			}
			b.Run(c.name+"/encode/"+coder.Name(), func(b *testing.B) {
				var out []byte
				for b.Loop() {
					if out, err = coder.Encode(out[:0], c.sym, shape, p); err != nil {
						b.Fatal(err)
					}
				}
				report(b)
			})
			b.Run(c.name+"/decode/"+coder.Name(), func(b *testing.B) {
				out := make([]int32, len(c.sym))
				for b.Loop() {
					if err := coder.Decode(out, packed, shape, p); err != nil {
						b.Fatal(err)
					}
				}
				report(b)
			})
		}
	}
}
