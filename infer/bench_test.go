package infer

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkRun times a run of real models, batch 1, and reports GFLOP/s, a multiplication and an addition being two.
func BenchmarkRun(b *testing.B) {
	for _, path := range models(b) {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads=%d", strings.TrimSuffix(filepath.Base(path), ".onnx"), threads), func(b *testing.B) {
				s := load(b, path, Options{ISA: best(b), Threads: threads})
				in := randomInputs(b, s, 1, 7)
				r := s.NewRunner()
				if _, err := r.Run(context.Background(), in); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := r.Run(context.Background(), in); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(2*float64(s.Stats().MACs)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
			})
		}
	}
}

// BenchmarkStart times how long it takes from a file to the first answer.
func BenchmarkStart(b *testing.B) {
	for _, path := range models(b) {
		b.Run(strings.TrimSuffix(filepath.Base(path), ".onnx"), func(b *testing.B) {
			for b.Loop() {
				s, err := Load(path, Options{ISA: best(b)})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.NewRunner().Run(context.Background(), randomInputs(b, s, 1, 7)); err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}
