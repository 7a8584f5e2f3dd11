package train

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/zoo"
)

// BenchmarkStep measures steps of SGD with momentum on the networks of bench/peers/train.py.
func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		name, spec     string
		batch, classes int
	}{
		{"lenet300", "lenet-300-100", 64, 10},
		{"lenet5", "lenet-5", 64, 10},
		{"resnet20", "resnet-20", 128, 10},
		{"mobilenet_v2_96", "mobilenet-v2,size=96,classes=100", 32, 100},
		{"mobilenet_v2_224", "mobilenet-v2", 16, 1000},
		{"resnet18_224", "resnet-18", 16, 1000},
	} {
		for threads := range runtime.GOMAXPROCS(0) {
			b.Run(fmt.Sprintf("%s/threads=%d", c.name, threads+1), func(b *testing.B) {
				spec, err := zoo.Parse(c.spec)
				if err != nil {
					b.Fatal(err)
				}
				m, err := spec.Model()
				if err != nil {
					b.Fatal(err)
				}
				n, batch := crossEntropyOf(b, m, c.batch, c.classes)
				set, err := isa.FromEnv()
				if err != nil {
					b.Fatal(err)
				}
				cpu := kernel.NewCPU(kernel.Options{Threads: threads + 1, ISA: set})
				defer cpu.Close()
				e := NewEngine(cpu)
				s, err := e.compile(n)
				if err != nil {
					b.Fatal(err)
				}
				var params []Parameter
				for _, name := range sortedKeys(n.parameters) {
					params = append(params, n.parameters[name].solved())
				}
				solver, err := NewSolver(cpu, SolverConfig{Kind: SGD, Momentum: 0.9}, params)
				if err != nil {
					b.Fatal(err)
				}
				step := func() {
					if _, err := s.run(b.Context(), batch); err != nil {
						b.Fatal(err)
					}
					if _, err := solver.Step(0.01, 1); err != nil {
						b.Fatal(err)
					}
					for _, p := range n.parameters {
						p.clear()
					}
				}
				step()
				step()
				b.ReportAllocs()
				for b.Loop() {
					step()
				}
				b.ReportMetric(float64(c.batch)*float64(b.N)/b.Elapsed().Seconds(), "images/s")
				b.ReportMetric(float64(e.compiler.memory.Bytes())/1e6, "MB")
				b.ReportMetric(float64(len(s.places)), "segments")
			})
		}
	}
}

func sortedKeys[T any](m map[string]T) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
