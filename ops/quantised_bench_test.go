package ops

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// benchmark runs an operator, packed where it can be, and reports GMAC/s. Inputs after the first are constant.
func benchmark(b *testing.B, n *onnx.Node, in ...*tensor.Tensor) {
	b.Helper()
	set, err := isa.FromEnv()
	if err != nil {
		b.Fatal(err)
	}
	cpu := kernel.NewCPU(kernel.Options{Threads: 2, ISA: set})
	defer cpu.Close()
	for i := range in {
		n.Inputs = append(n.Inputs, fmt.Sprint("in", i))
	}
	n.Outputs = []string{"out"}
	op, err := New(&Node{Node: n, Opset: 23})
	if err != nil {
		b.Fatal(err)
	}
	info := describeAll(in)
	out, err := op.Infer(info)
	if err != nil {
		b.Fatal(err)
	}
	var macs int64
	if c, ok := op.(Coster); ok {
		macs = c.Cost(info, out).MACs
	}
	c := &Call{CPU: cpu, In: in, Outs: make([]*tensor.Tensor, 1)}
	for i := range info[1:] {
		info[1+i] = Of(in[1+i])
	}
	if p, ok := op.(Packer); ok {
		packed, _, err := p.Pack(cpu, info)
		if err != nil {
			b.Fatal(err)
		}
		op = packed
	}
	if s, ok := op.(Scratcher); ok {
		c.Scratch = make([]float32, s.Scratch(cpu, info))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := op.Run(c); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(macs)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
}

func BenchmarkQuantised(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	one := tensor.Scalar[float32](1)
	for _, s := range [][5]int{{64, 56, 64, 3, 1}, {256, 14, 256, 3, 1}, {64, 56, 256, 1, 1}, {96, 56, 96, 3, 96}} {
		in, size, out, k, group := s[0], s[1], s[2], s[3], s[4]
		b.Run(fmt.Sprintf("QLinearConv/%dx%dx%d-%d-%dx%d-g%d", in, size, size, out, k, k, group), func(b *testing.B) {
			n := &onnx.Node{OpType: "QLinearConv", Attributes: []*onnx.Attribute{
				intAttr("group", int64(group)), {Name: "auto_pad", Type: onnx.AttributeString, S: []byte("SAME_UPPER")},
			}}
			benchmark(b, n, randomCodes(rng, onnx.Uint8, 1, in, size, size), one, randomCodes(rng, onnx.Uint8),
				randomCodes(rng, onnx.Int8, out, in/group, k, k), one, tensor.Scalar[int8](0), one, randomCodes(rng, onnx.Uint8))
		})
	}
	for _, s := range [][3]int{{1, 1024, 1024}, {128, 768, 768}} {
		b.Run(fmt.Sprintf("MatMulInteger/%dx%dx%d", s[0], s[1], s[2]), func(b *testing.B) {
			benchmark(b, &onnx.Node{OpType: "MatMulInteger"}, randomCodes(rng, onnx.Uint8, s[0], s[2]), randomCodes(rng, onnx.Int8, s[2], s[1]))
		})
	}
	b.Run("QuantizeLinear/1x64x112x112", func(b *testing.B) {
		x, _ := tensor.New(onnx.Float, 1, 64, 112, 112)
		b.SetBytes(int64(x.Size()))
		benchmark(b, &onnx.Node{OpType: "QuantizeLinear"}, x, one)
	})
}

func BenchmarkSequence(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	random := func(shape ...int) *tensor.Tensor {
		v, _ := tensor.New(onnx.Float, shape...)
		for i := range tensor.Of[float32](v) {
			tensor.Of[float32](v)[i] = float32(rng.NormFloat64()) * 0.1
		}
		return v
	}
	for _, batch := range []int{1, 16} {
		for op, gates := range map[string]int{"LSTM": 4, "GRU": 3} {
			b.Run(fmt.Sprintf("%s/100x%dx256-256", op, batch), func(b *testing.B) {
				benchmark(b, &onnx.Node{OpType: op}, random(100, batch, 256), random(1, gates*256, 256), random(1, gates*256, 256))
			})
		}
	}
	b.Run("Attention/1x12x197x64", func(b *testing.B) {
		benchmark(b, &onnx.Node{OpType: "Attention"}, random(1, 12, 197, 64), random(1, 12, 197, 64), random(1, 12, 197, 64))
	})
}
