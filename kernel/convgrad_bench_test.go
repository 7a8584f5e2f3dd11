package kernel

import (
	"fmt"
	"testing"

	"github.com/effml/effml/internal/isa"
)

// trainings lists the convolutions of some networks as they are trained, as networks does, and how many images are in a batch.
func trainings() []struct {
	name   string
	batch  int
	layers string
} {
	return []struct {
		name   string
		batch  int
		layers string
	}{
		{"resnet20", 128, `
		1x3>16k3s1p1@32 6x16>16k3s1p1@32 1x16>32k3s2p1@32 5x32>32k3s1p1@16 1x32>64k3s2p1@16 5x64>64k3s1p1@8 1x16>32k1s2p0@32
		1x32>64k1s2p0@16`},
		{"lenet5", 64, `1x1>20k5s1p0@28 1x20>50k5s1p0@12`},
		{"mobilenet_v2", 32, `
		1x3>32k3s2p1@96 1x32>32g32k3s1p1@48 1x32>16k1s1p0@48 1x16>96k1s1p0@48 1x96>96g96k3s2p1@48 1x96>24k1s1p0@24
		2x24>144k1s1p0@24 1x144>144g144k3s1p1@24 1x144>24k1s1p0@24 1x144>144g144k3s2p1@24 1x144>32k1s1p0@12 3x32>192k1s1p0@12
		2x192>192g192k3s1p1@12 2x192>32k1s1p0@12 1x192>192g192k3s2p1@12 1x192>64k1s1p0@6 4x64>384k1s1p0@6 4x384>384g384k3s1p1@6
		3x384>64k1s1p0@6 1x384>96k1s1p0@6 3x96>576k1s1p0@6 2x576>576g576k3s1p1@6 2x576>96k1s1p0@6 1x576>576g576k3s2p1@6
		1x576>160k1s1p0@3 3x160>960k1s1p0@3 3x960>960g960k3s1p1@3 2x960>160k1s1p0@3 1x960>320k1s1p0@3 1x320>1280k1s1p0@3`},
		{"resnet18", 16, networks()[2].layers},
	}
}

// BenchmarkConvGrad runs, layer by layer, the convolution and its gradients with respect to input and weights, with weights that change.
// GFLOP/s are those of a direct convolution.
func BenchmarkConvGrad(b *testing.B) {
	for _, net := range trainings() {
		for _, l := range layersOf(b, net.layers) {
			for threads := 1; threads <= 2; threads++ {
				for _, what := range []string{"forward", "input", "weights"} {
					b.Run(fmt.Sprintf("%s/%s/threads=%d/%s", net.name, l.name, threads, what), func(b *testing.B) {
						c := NewCPU(Options{Threads: threads, ISA: isa.Best()})
						defer c.Close()
						run, flops := newGradRun(c, &l, net.batch, what)
						run()
						for b.Loop() {
							run()
						}
						b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
						b.ReportMetric(float64(l.count)*b.Elapsed().Seconds()*1e3/float64(b.N), "ms/network")
					})
				}
			}
		}
	}
}

func newGradRun(c *CPU, l *convLayer, batch int, what string) (run func(), flops float64) {
	r := random()
	s := l.s
	weights := newBuffer(s.Out*s.In/s.Groups*s.Kernel[0]*s.Kernel[1], 0).fill(r, 1).data
	oh, ow := s.window(0, l.size).outputs(), s.window(1, l.size).outputs()
	x, y := alignedFloats(batch*l.size*l.size*s.In), alignedFloats(batch*oh*ow*s.Out)
	for _, v := range [][]float32{x, y} {
		for i := range v {
			v[i] = r.Float32() - 0.5
		}
	}
	flops = 2 * float64(batch*oh*ow) * float64(len(weights))
	switch what {
	case "forward":
		cv := PlanConv(c, s, l.size, l.size)
		memory, scratch := alignedFloats(cv.Memory()), alignedFloats(cv.Scratch(batch, l.size, l.size))
		return func() { cv.Load(c, weights, nil, memory); cv.Run(c, y, x, batch, l.size, l.size, nil, scratch) }, flops
	case "input":
		cv := PlanConvTranspose(c, ConvShape{
			In: s.Out, Out: s.In, Groups: s.Groups, Kernel: s.Kernel, Stride: s.Stride, Dilation: s.Dilation, Pads: s.Pads,
		}, l.size, l.size)
		memory, scratch := alignedFloats(cv.Memory()), alignedFloats(cv.Scratch(batch, oh, ow, l.size, l.size))
		return func() { cv.Load(c, weights, nil, memory); cv.Run(c, x, y, batch, oh, ow, l.size, l.size, nil, scratch) }, flops
	}
	g := NewConvWeightGrad(c, s, batch, l.size, l.size)
	scratch := alignedFloats(g.Scratch())
	return func() { g.Run(c, weights, x, y, scratch) }, flops
}
