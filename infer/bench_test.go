package infer

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
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

// BenchmarkOverhead runs a chain of nodes that do next to nothing: what is measured is what a node costs beside its work.
func BenchmarkOverhead(b *testing.B) {
	const n = 1000
	nodes := make([]*onnx.Node, n)
	for i := range nodes {
		nodes[i] = nd(fmt.Sprintf("v%d = Abs v%d", i+1, i))
	}
	m := graphOf([]*onnx.ValueInfo{val("v0", 1)}, []*onnx.ValueInfo{val(fmt.Sprintf("v%d", n), 1)}, nil, nodes...)
	r := session(b, m, Options{ISA: best(b), Threads: 2}).NewRunner()
	in := []*tensor.Tensor{floats([]int{1}, 1)}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Run(ctx, in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/node")
}
