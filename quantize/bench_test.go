package quantize

import (
	"fmt"
	"testing"
)

func BenchmarkCodes(b *testing.B) {
	w := laplace(1<<18, 0.005, 1)
	codes := make([]int32, len(w))
	grid := Quantizer{Step: 0.0007, Min: -127, Max: 127}
	book := Quantizer{Origin: 16}
	for i := range 32 {
		book.Codebook = append(book.Codebook, float32(i-16)*0.002)
	}
	for _, c := range []struct {
		name string
		q    Quantizer
	}{{"grid", grid}, {"codebook32", book}} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				c.q.Codes(codes, w)
			}
			perSecond(b, len(w))
		})
	}
	b.Run("tally", func(b *testing.B) {
		n := 255
		t := &tally{value: grid.levels(nil), counts: make([]uint32, n), even: make([]uint32, n), codes: make([]int32, 4096)}
		grid.Codes(t.codes, w[:4096])
		for range b.N {
			for i := 0; i < len(w); i += 4096 {
				t.add(w[i:i+4096], -127)
			}
		}
		perSecond(b, len(w))
	})
	b.Run("survey", func(b *testing.B) {
		s := &survey{counts: make([]uint32, 1<<17)}
		for range b.N {
			s.add(w)
		}
		perSecond(b, len(w))
	})
}

// perSecond reports millions of weights a second.
func perSecond(b *testing.B, n int) {
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mweights/s")
}

var _ = fmt.Sprint
