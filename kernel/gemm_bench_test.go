package kernel

import (
	"fmt"
	"testing"

	"github.com/effml/effml/internal/isa"
)

// benchProducts runs a product of each shape (MxNxK) with one and two threads. The names pair with bench/peers/gemm.py.
func benchProducts(b *testing.B, shapes []string, run func(b *testing.B, c *CPU, p *Product)) {
	set, err := isa.FromEnv()
	if err != nil {
		b.Fatal(err)
	}
	r := random()
	for _, shape := range shapes {
		p := Product{Alpha: 1}
		if _, err := fmt.Sscanf(shape, "%dx%dx%d", &p.M, &p.N, &p.K); err != nil {
			b.Fatal(err)
		}
		p.LDA, p.LDB, p.LDC = p.K, p.N, p.N
		p.A, p.B = newBuffer(p.M*p.K, 0).fill(r, 1).data, newBuffer(p.K*p.N, 0).fill(r, 1).data
		p.C = make([]float32, p.M*p.N)
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads=%d", shape, threads), func(b *testing.B) {
				c := NewCPU(Options{Threads: threads, ISA: set})
				defer c.Close()
				run(b, c, &p)
				b.ReportMetric(2*float64(p.M)*float64(p.N)*float64(p.K)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
			})
		}
	}
}

// BenchmarkGemm packs B in each call, as the peer must.
func BenchmarkGemm(b *testing.B) {
	benchProducts(b, []string{
		"256x256x256", "1024x1024x1024", "2048x2048x2048", "64x300x784", "64x500x800", "64x3136x576", "1000x1x2048",
	}, func(b *testing.B, c *CPU, p *Product) {
		for b.Loop() {
			Gemm(c, p)
		}
	})
}

// BenchmarkPackedGemm is what a network runs: products with weights packed before, those of 1×1 convolutions and full connections.
func BenchmarkPackedGemm(b *testing.B) {
	benchProducts(b, []string{
		"256x256x256", "1024x1024x1024", "12544x16x32", "12544x96x16", "3136x144x24", "3136x24x144", "784x32x192", "196x384x64", "196x2048x512",
		"196x256x1024", "49x160x960", "49x512x2048", "49x1280x320", "1x1000x1280", "1x4096x4096", "4x1000x2048", "32x10x84",
	}, func(b *testing.B, c *CPU, p *Product) {
		packed := Pack(c, p.B, p.LDB, p.K, p.N, false)
		for b.Loop() {
			packed.Gemm(c, p.M, p.A, p.LDA, p.C, p.LDC, nil, 0)
		}
	})
}

// BenchmarkGemv reads weights where they are: NxK.
func BenchmarkGemv(b *testing.B) {
	for _, size := range [][2]int{{1000, 1280}, {1000, 4096}, {4096, 4096}, {4096, 25088}} {
		n, k := size[0], size[1]
		r := random()
		w, x, dst := make([]float32, n*k), newBuffer(k, 0).fill(r, 1).data, make([]float32, n)
		for i := range w {
			w[i] = x[i%k]
		}
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%dx%d/threads=%d", n, k, threads), func(b *testing.B) {
				c := NewCPU(Options{Threads: threads, ISA: isa.Best()})
				defer c.Close()
				b.SetBytes(int64(4 * n * k))
				for b.Loop() {
					Gemv(c, dst, w, k, x, n, k, nil)
				}
			})
		}
	}
}
