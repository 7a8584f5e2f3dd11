package archive

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/effml/effml/onnx"
)

// benchWeights is the number of weights of the benchmarks' tensor, 32 MB.
const benchWeights = 8 << 20

func benchModel() (*onnx.Model, []float32) {
	w := laplace(1, benchWeights)
	return initializers(floatTensor("w", onnx.Float, w, 2048, benchWeights/2048)), w
}

// BenchmarkWrite writes 32 MB of Laplace weights; zstd is what people use instead.
func BenchmarkWrite(b *testing.B) {
	m, w := benchModel()
	raw := mustBytes(b, m.Graph.Initializers[0])
	write := func(o Options) func(b *testing.B) {
		return func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			var total int64
			for b.Loop() {
				s, err := Write(context.Background(), io.Discard, m, o)
				if err != nil {
					b.Fatal(err)
				}
				total = s.Total
			}
			b.ReportMetric(float64(len(raw))/float64(total), "ratio")
		}
	}
	b.Run("lossless", write(Options{}))
	b.Run("lossless-1-thread", write(Options{Threads: 1}))
	grid := gridPack(w, 0.01)
	packing := func(onnx.TensorRef) (*Packed, error) { return grid, nil }
	b.Run("grid-all-coders", write(Options{Pack: packing}))
	b.Run("grid-huffman", write(Options{Pack: packing, Coders: []string{"huffman"}}))
	b.Run("zstd-3", func(b *testing.B) {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault))
		if err != nil {
			b.Fatal(err)
		}
		defer enc.Close()
		b.SetBytes(int64(len(raw)))
		var out []byte
		for b.Loop() {
			enc.Reset(discard{&out})
			out = out[:0]
			if _, err := enc.Write(raw); err != nil {
				b.Fatal(err)
			}
			if err := enc.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(raw))/float64(len(out)), "ratio")
	})
}

// discard keeps what is written in a reused slice.
type discard struct{ out *[]byte }

func (d discard) Write(p []byte) (int, error) {
	*d.out = append(*d.out, p...)
	return len(p), nil
}

// BenchmarkRead decodes what BenchmarkWrite wrote.
func BenchmarkRead(b *testing.B) {
	m, w := benchModel()
	grid := gridPack(w, 0.01)
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"lossless", Options{}},
		{"grid-context", Options{Coders: []string{"context"}, Pack: func(onnx.TensorRef) (*Packed, error) { return grid, nil }}},
		{"grid-huffman", Options{Coders: []string{"huffman"}, Pack: func(onnx.TensorRef) (*Packed, error) { return grid, nil }}},
	} {
		var out bytes.Buffer
		if _, err := Write(context.Background(), &out, m, c.o); err != nil {
			b.Fatal(err)
		}
		r, err := NewReader(out.Bytes())
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name+"/stream", func(b *testing.B) {
			b.SetBytes(4 * benchWeights)
			for b.Loop() {
				model, err := r.Model()
				if err != nil {
					b.Fatal(err)
				}
				if _, err := model.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/verify", func(b *testing.B) {
			b.SetBytes(4 * benchWeights)
			for b.Loop() {
				if d, err := r.Verify(context.Background(), 0, nil); err != nil || len(d) > 0 {
					b.Fatal(d, err)
				}
			}
		})
	}
}
