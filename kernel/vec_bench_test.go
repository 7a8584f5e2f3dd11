package kernel

import (
	"fmt"
	"testing"

	"github.com/effml/effml/internal/isa"
)

// Sizes of the element-wise benchmarks: one in the second-level cache, one in memory.
var benchSizes = []int{1 << 16, 16 << 20}

// benchSets runs a benchmark on the instruction sets, one thread.
func benchSets(b *testing.B, bytes int64, run func(c *CPU)) {
	for set := isa.Generic; set <= isa.Best(); set++ {
		b.Run(set.String(), func(b *testing.B) {
			c := NewCPU(Options{Threads: 1, ISA: set})
			defer c.Close()
			b.SetBytes(bytes)
			run(c)
			for b.Loop() {
				run(c)
			}
		})
	}
}

// BenchmarkCopy is what memory allows the others.
func BenchmarkCopy(b *testing.B) {
	for _, n := range benchSizes {
		dst, src := make([]float32, n), make([]float32, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(8 * n))
			copy(dst, src)
			for b.Loop() {
				copy(dst, src)
			}
		})
	}
}

func BenchmarkActivate(b *testing.B) {
	for _, k := range []struct {
		name string
		kind ActivationKind
	}{
		{"Relu", ClipTo},
		{"HardSwish", HardSwish},
		{"Exp", Exp},
		{"Sigmoid", Sigmoid},
		{"Swish", Swish},
		{"Tanh", Tanh},
		{"Erf", Erf},
		{"Gelu", Gelu},
		{"Mish", Mish},
		{"Softplus", Softplus},
		{"Elu", Elu},
		{"Log", Log},
		{"Sqrt", Sqrt},
	} {
		for _, n := range benchSizes {
			src, dst := newBuffer(n, 0).fill(random(), 2).data, make([]float32, n)
			b.Run(fmt.Sprintf("%s/%d", k.name, n), func(b *testing.B) {
				benchSets(b, int64(8*n), func(c *CPU) { Activate(c, Activation{k.kind, 1, 6}, dst, src) })
			})
		}
	}
}

func BenchmarkBinary(b *testing.B) {
	for _, n := range benchSizes {
		x, y, dst := make([]float32, n), make([]float32, n), make([]float32, n)
		b.Run(fmt.Sprintf("Add/same/%d", n), func(b *testing.B) {
			benchSets(b, int64(12*n), func(c *CPU) { Binary(c, Add, dst, x, y, []int{n}, []int{1}, []int{1}, Activation{}) })
		})
		for _, ch := range []int{24, 256} {
			rows := n / ch
			b.Run(fmt.Sprintf("Mul/channels=%d/%d", ch, n), func(b *testing.B) {
				benchSets(b, int64(8*n), func(c *CPU) {
					Binary(c, Mul, dst, x, y, []int{rows, ch}, []int{ch, 1}, []int{0, 1}, Activation{})
				})
			})
		}
	}
}

func BenchmarkRows(b *testing.B) {
	const rows, n = 196, 768
	src, dst, gamma := newBuffer(rows*n, 0).fill(random(), 1).data, make([]float32, rows*n), make([]float32, n)
	for _, k := range []struct {
		name string
		run  func(c *CPU)
	}{
		{"Softmax", func(c *CPU) { Softmax(c, dst, src, rows, n, 1, false) }},
		{"SoftmaxColumns", func(c *CPU) { Softmax(c, dst, src, 1, n, rows, false) }},
		{"LayerNorm", func(c *CPU) { LayerNorm(c, dst, src, gamma, gamma, rows, n, 1e-5, nil, nil) }},
		{"GroupNorm", func(c *CPU) { GroupNorm(c, dst, src, gamma, gamma, 1, n, rows, 32, 1e-5) }},
		{"Affine", func(c *CPU) { Affine(c, dst, src, gamma, gamma, rows, n, 1, Activation{}) }},
		{"ReduceSum", func(c *CPU) { Reduce(c, ReduceSum, dst, src, rows, n, 1) }},
		{"ReduceMeanColumns", func(c *CPU) { Reduce(c, ReduceMean, dst, src, 1, rows, n) }},
		{"ReduceMax", func(c *CPU) { Reduce(c, ReduceMax, dst, src, rows, n, 1) }},
	} {
		b.Run(fmt.Sprintf("%s/%dx%d", k.name, rows, n), func(b *testing.B) { benchSets(b, 8*rows*n, k.run) })
	}
}

func BenchmarkTranspose(b *testing.B) {
	for _, s := range []struct{ ch, hw int }{{3, 224 * 224}, {64, 56 * 56}, {256, 28 * 28}, {512, 49}, {1000, 1000}} {
		n := s.ch * s.hw
		src, dst := make([]float32, n), make([]float32, n)
		b.Run(fmt.Sprintf("ChannelsLast/%dx%d", s.ch, s.hw), func(b *testing.B) {
			benchSets(b, int64(8*n), func(c *CPU) { ChannelsLast(c, dst, src, 1, s.ch, s.hw) })
		})
		b.Run(fmt.Sprintf("ChannelsFirst/%dx%d", s.ch, s.hw), func(b *testing.B) {
			benchSets(b, int64(8*n), func(c *CPU) { ChannelsFirst(c, dst, src, 1, s.ch, s.hw) })
		})
	}
	const n = 784 * 116
	src, dst := make([]float32, n), make([]float32, n)
	shape, perm := []int{784, 2, 58}, []int{0, 2, 1}
	b.Run("Shuffle/784x2x58", func(b *testing.B) {
		benchSets(b, 8*n, func(c *CPU) { Transpose(c, dst, src, shape, perm) })
	})
	b.Run("CopyRows/784x58", func(b *testing.B) {
		benchSets(b, 8*784*58, func(c *CPU) { CopyRows(c, dst, src, 784, 58, 116, 58) })
	})
}

func BenchmarkResize(b *testing.B) {
	const ch, side = 32, 64
	src, dst := make([]float32, ch*side*side), make([]float32, ch*side*side*4)
	for name, taps := range map[string]Taps{"nearest": nearestTaps(side, 2*side), "linear": linearTaps(side, 2*side)} {
		b.Run(fmt.Sprintf("%s/%dx%d-x2", name, ch, side), func(b *testing.B) {
			benchSets(b, 4*int64(len(src)+len(dst)), func(c *CPU) { Resize(c, dst, src, 1, ch, side, side, taps, taps) })
		})
	}
}

// BenchmarkSmall is what a call costs beside its work.
func BenchmarkSmall(b *testing.B) {
	x, y, dst := make([]float32, 64), make([]float32, 64), make([]float32, 64)
	b.Run("Activate/64", func(b *testing.B) {
		benchSets(b, 512, func(c *CPU) { Activate(c, Activation{ClipTo, 0, 6}, dst, x) })
	})
	b.Run("Binary/64", func(b *testing.B) {
		benchSets(b, 768, func(c *CPU) { Binary(c, Add, dst, x, y, []int{64}, []int{1}, []int{1}, Activation{}) })
	})
	b.Run("Row/64", func(b *testing.B) {
		benchSets(b, 512, func(c *CPU) { activateRow(c.set, Activation{ClipTo, 0, 6}, x) })
	})
	b.Run("RowSwish/32", func(b *testing.B) {
		benchSets(b, 256, func(c *CPU) { activateRow(c.set, Activation{Swish, 1, 0}, x[:32]) })
	})
}
