package quantize

import (
	"encoding/binary"
	"math"
	"os"
	"testing"
)

// benchWeights are the float32 in the file that $EFFML_WEIGHTS names, say those of bench/peers/sharing.py, else as many
// Laplace weights as that script has: VGG-16's fc6 with 4 % kept.
func benchWeights(b *testing.B) []float32 {
	b.Helper()
	path := os.Getenv("EFFML_WEIGHTS")
	if path == "" {
		return laplace(25088*4096/25, 0.005, 1)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	w := make([]float32, len(raw)/4)
	for i := range w {
		w[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return w
}

// perSecond reports millions of weights a second.
func perSecond(b *testing.B, n int) {
	b.Helper()
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mweights/s")
}

func BenchmarkKMeans32(b *testing.B) {
	w := benchWeights(b)
	for _, init := range []Init{InitLinear, InitDensity, InitOptimal} {
		b.Run(init.String(), func(b *testing.B) {
			var s Stats
			for b.Loop() {
				var err error
				if _, s, err = KMeans(Floats(w), KMeansOptions{K: 32, Init: init}); err != nil {
					b.Fatal(err)
				}
			}
			perSecond(b, len(w))
			b.ReportMetric(s.MSE*1e9, "MSE/1e-9")
		})
	}
	// The reference: the optimum on 32,768 bins.
	b.Run("optimum", func(b *testing.B) {
		var s Stats
		for b.Loop() {
			var err error
			if _, s, err = Optimal(Floats(w), 32, maxBins, false); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(s.MSE*1e9, "MSE/1e-9")
	})
}

func BenchmarkUniform30dB(b *testing.B) {
	w := benchWeights(b)
	for b.Loop() {
		if _, _, err := Uniform(Floats(w), 30, GridOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, len(w))
}

func BenchmarkCodes(b *testing.B) {
	w := laplace(1<<18, 0.005, 1)
	codes := make([]int32, len(w))
	book := Quantizer{Origin: 16}
	for i := range 32 {
		book.Codebook = append(book.Codebook, float32(i-16)*0.002)
	}
	for name, q := range map[string]Quantizer{"grid": {Step: 0.0007, Min: -127, Max: 127}, "codebook": book} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				q.Codes(codes, w)
			}
			perSecond(b, len(w))
		})
	}
}

func BenchmarkMeasure(b *testing.B) {
	w := laplace(1<<22, 0.005, 1)
	for b.Loop() {
		if _, err := Measure(Floats(w), Quantizer{Step: 0.0007, Min: -127, Max: 127}, nil); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, len(w))
}
