package kernel

import (
	"fmt"
	"strings"
	"testing"

	"github.com/effml/effml/internal/isa"
)

// networks lists the convolutions of some networks at 224 pixels: how often × input channels > output channels, groups, kernel,
// stride, padding @ size of the image.
func networks() []struct{ name, layers string } {
	return []struct{ name, layers string }{
		{"vgg16", `
		1x3>64k3s1p1@224 1x64>64k3s1p1@224 1x64>128k3s1p1@112 1x128>128k3s1p1@112 1x128>256k3s1p1@56 2x256>256k3s1p1@56
		1x256>512k3s1p1@28 2x512>512k3s1p1@28 3x512>512k3s1p1@14`},
		{"resnet50", `
		1x3>64k7s2p3@224 1x64>64k1s1p0@56 3x64>64k3s1p1@56 4x64>256k1s1p0@56 2x256>64k1s1p0@56 1x256>128k1s1p0@56 1x128>128k3s2p1@56
		4x128>512k1s1p0@28 1x256>512k1s2p0@56 3x512>128k1s1p0@28 3x128>128k3s1p1@28 1x512>256k1s1p0@28 1x256>256k3s2p1@28
		6x256>1024k1s1p0@14 1x512>1024k1s2p0@28 5x1024>256k1s1p0@14 5x256>256k3s1p1@14 1x1024>512k1s1p0@14 1x512>512k3s2p1@14
		3x512>2048k1s1p0@7 1x1024>2048k1s2p0@14 2x2048>512k1s1p0@7 2x512>512k3s1p1@7`},
		{"resnet18", `
		1x3>64k7s2p3@224 4x64>64k3s1p1@56 1x64>128k3s2p1@56 3x128>128k3s1p1@28 1x64>128k1s2p0@56 1x128>256k3s2p1@28
		3x256>256k3s1p1@14 1x128>256k1s2p0@28 1x256>512k3s2p1@14 3x512>512k3s1p1@7 1x256>512k1s2p0@14`},
		{"mobilenet_v2", `
		1x3>32k3s2p1@224 1x32>32g32k3s1p1@112 1x32>16k1s1p0@112 1x16>96k1s1p0@112 1x96>96g96k3s2p1@112 1x96>24k1s1p0@56
		2x24>144k1s1p0@56 1x144>144g144k3s1p1@56 1x144>24k1s1p0@56 1x144>144g144k3s2p1@56 1x144>32k1s1p0@28 3x32>192k1s1p0@28
		2x192>192g192k3s1p1@28 2x192>32k1s1p0@28 1x192>192g192k3s2p1@28 1x192>64k1s1p0@14 4x64>384k1s1p0@14 4x384>384g384k3s1p1@14
		3x384>64k1s1p0@14 1x384>96k1s1p0@14 3x96>576k1s1p0@14 2x576>576g576k3s1p1@14 2x576>96k1s1p0@14 1x576>576g576k3s2p1@14
		1x576>160k1s1p0@7 3x160>960k1s1p0@7 3x960>960g960k3s1p1@7 2x960>160k1s1p0@7 1x960>320k1s1p0@7 1x320>1280k1s1p0@7`},
		{"mobilenet_v3_large", `
		1x3>16k3s2p1@224 1x16>16g16k3s1p1@112 1x16>16k1s1p0@112 1x16>64k1s1p0@112 1x64>64g64k3s2p1@112 1x64>24k1s1p0@56
		2x24>72k1s1p0@56 1x72>72g72k3s1p1@56 1x72>24k1s1p0@56 1x72>72g72k5s2p2@56 1x72>24k1s1p0@1 1x24>72k1s1p0@1 1x72>40k1s1p0@28
		2x40>120k1s1p0@28 2x120>120g120k5s1p2@28 2x120>32k1s1p0@1 2x32>120k1s1p0@1 2x120>40k1s1p0@28 1x40>240k1s1p0@28
		1x240>240g240k3s2p1@28 1x240>80k1s1p0@14 1x80>200k1s1p0@14 1x200>200g200k3s1p1@14 1x200>80k1s1p0@14 2x80>184k1s1p0@14
		2x184>184g184k3s1p1@14 2x184>80k1s1p0@14 1x80>480k1s1p0@14 1x480>480g480k3s1p1@14 1x480>120k1s1p0@1 1x120>480k1s1p0@1
		1x480>112k1s1p0@14 2x112>672k1s1p0@14 1x672>672g672k3s1p1@14 2x672>168k1s1p0@1 2x168>672k1s1p0@1 1x672>112k1s1p0@14
		1x672>672g672k5s2p2@14 1x672>160k1s1p0@7 3x160>960k1s1p0@7 2x960>960g960k5s1p2@7 2x960>240k1s1p0@1 2x240>960k1s1p0@1
		2x960>160k1s1p0@7`},
		{"shufflenet_v2_x1_0", `
		1x3>24k3s2p1@224 1x24>24g24k3s2p1@56 1x24>58k1s1p0@28 1x24>58k1s1p0@56 1x58>58g58k3s2p1@56 7x58>58k1s1p0@28
		3x58>58g58k3s1p1@28 2x116>116g116k3s2p1@28 16x116>116k1s1p0@14 1x116>116k1s1p0@28 7x116>116g116k3s1p1@14
		2x232>232g232k3s2p1@14 8x232>232k1s1p0@7 1x232>232k1s1p0@14 3x232>232g232k3s1p1@7 1x464>1024k1s1p0@7`},
		{"efficientnet_b0", `
		1x3>32k3s2p1@224 1x32>32g32k3s1p1@112 1x32>8k1s1p0@1 1x8>32k1s1p0@1 1x32>16k1s1p0@112 1x16>96k1s1p0@112 1x96>96g96k3s2p1@112
		1x96>4k1s1p0@1 1x4>96k1s1p0@1 1x96>24k1s1p0@56 2x24>144k1s1p0@56 1x144>144g144k3s1p1@56 2x144>6k1s1p0@1 2x6>144k1s1p0@1
		1x144>24k1s1p0@56 1x144>144g144k5s2p2@56 1x144>40k1s1p0@28 2x40>240k1s1p0@28 1x240>240g240k5s1p2@28 2x240>10k1s1p0@1
		2x10>240k1s1p0@1 1x240>40k1s1p0@28 1x240>240g240k3s2p1@28 1x240>80k1s1p0@14 3x80>480k1s1p0@14 2x480>480g480k3s1p1@14
		3x480>20k1s1p0@1 3x20>480k1s1p0@1 2x480>80k1s1p0@14 1x480>480g480k5s1p2@14 1x480>112k1s1p0@14 3x112>672k1s1p0@14
		2x672>672g672k5s1p2@14 3x672>28k1s1p0@1 3x28>672k1s1p0@1 2x672>112k1s1p0@14 1x672>672g672k5s2p2@14 1x672>192k1s1p0@7
		4x192>1152k1s1p0@7 3x1152>1152g1152k5s1p2@7 4x1152>48k1s1p0@1 4x48>1152k1s1p0@1 3x1152>192k1s1p0@7 1x1152>1152g1152k3s1p1@7
		1x1152>320k1s1p0@7 1x320>1280k1s1p0@7`},
		{"densenet121", `
		1x3>64k7s2p3@224 1x64>128k1s1p0@56 6x128>32k3s1p1@56 1x96>128k1s1p0@56 1x128>128k1s1p0@56 1x160>128k1s1p0@56
		1x192>128k1s1p0@56 1x224>128k1s1p0@56 1x256>128k1s1p0@56 1x128>128k1s1p0@28 12x128>32k3s1p1@28 1x160>128k1s1p0@28
		1x192>128k1s1p0@28 1x224>128k1s1p0@28 1x256>128k1s1p0@28 1x288>128k1s1p0@28 1x320>128k1s1p0@28 1x352>128k1s1p0@28
		1x384>128k1s1p0@28 1x416>128k1s1p0@28 1x448>128k1s1p0@28 1x480>128k1s1p0@28 1x512>256k1s1p0@28 1x256>128k1s1p0@14
		24x128>32k3s1p1@14 1x288>128k1s1p0@14 1x320>128k1s1p0@14 1x352>128k1s1p0@14 1x384>128k1s1p0@14 1x416>128k1s1p0@14
		1x448>128k1s1p0@14 1x480>128k1s1p0@14 1x512>128k1s1p0@14 1x544>128k1s1p0@14 1x576>128k1s1p0@14 1x608>128k1s1p0@14
		1x640>128k1s1p0@14 1x672>128k1s1p0@14 1x704>128k1s1p0@14 1x736>128k1s1p0@14 1x768>128k1s1p0@14 1x800>128k1s1p0@14
		1x832>128k1s1p0@14 1x864>128k1s1p0@14 1x896>128k1s1p0@14 1x928>128k1s1p0@14 1x960>128k1s1p0@14 1x992>128k1s1p0@14
		1x1024>512k1s1p0@14 1x512>128k1s1p0@7 16x128>32k3s1p1@7 1x544>128k1s1p0@7 1x576>128k1s1p0@7 1x608>128k1s1p0@7
		1x640>128k1s1p0@7 1x672>128k1s1p0@7 1x704>128k1s1p0@7 1x736>128k1s1p0@7 1x768>128k1s1p0@7 1x800>128k1s1p0@7 1x832>128k1s1p0@7
		1x864>128k1s1p0@7 1x896>128k1s1p0@7 1x928>128k1s1p0@7 1x960>128k1s1p0@7 1x992>128k1s1p0@7`},
		{"squeezenet1_1", `
		1x3>64k3s2p0@224 1x64>16k1s1p0@55 2x16>64k1s1p0@55 2x16>64k3s1p1@55 1x128>16k1s1p0@55 1x128>32k1s1p0@27 2x32>128k1s1p0@27
		2x32>128k3s1p1@27 1x256>32k1s1p0@27 1x256>48k1s1p0@13 2x48>192k1s1p0@13 2x48>192k3s1p1@13 1x384>48k1s1p0@13 1x384>64k1s1p0@13
		2x64>256k1s1p0@13 2x64>256k3s1p1@13 1x512>64k1s1p0@13 1x512>1000k1s1p0@13`},
		{"alexnet", `
		1x3>64k11s4p2@224 1x64>192k5s1p2@27 1x192>384k3s1p1@13 1x384>256k3s1p1@13 1x256>256k3s1p1@13`},
	}
}

// convLayer is a line of networks.
type convLayer struct {
	name  string
	count int
	s     ConvShape
	size  int
}

func layersOf(b *testing.B, list string) []convLayer {
	b.Helper()
	var layers []convLayer
	for _, f := range strings.Fields(list) {
		var l convLayer
		var in, out, k, s, p int
		g := 1
		if strings.Contains(f, "g") {
			if _, err := fmt.Sscanf(f, "%dx%d>%dg%dk%ds%dp%d@%d", &l.count, &in, &out, &g, &k, &s, &p, &l.size); err != nil {
				b.Fatal(f, err)
			}
		} else if _, err := fmt.Sscanf(f, "%dx%d>%dk%ds%dp%d@%d", &l.count, &in, &out, &k, &s, &p, &l.size); err != nil {
			b.Fatal(f, err)
		}
		_, l.name, _ = strings.Cut(f, "x")
		l.s = square(in, out, g, k, s, p)
		layers = append(layers, l)
	}
	return layers
}

// layerRun is a convolution with memory to run on.
type layerRun struct {
	cv                *Conv
	dst, src, scratch []float32
	size              int
	flops             float64
}

func newLayerRun(c *CPU, l *convLayer) *layerRun {
	r := random()
	s := l.s
	weights := newBuffer(s.Out*s.In/s.Groups*s.Kernel[0]*s.Kernel[1], 0).fill(r, 1).data
	run := &layerRun{cv: NewConv(c, s, weights, nil, l.size, l.size), size: l.size}
	oh, ow := run.cv.Output(l.size, l.size)
	run.src, run.dst = alignedFloats(l.size*l.size*s.In), alignedFloats(oh*ow*s.Out)
	for i := range run.src {
		run.src[i] = float32(r.NormFloat64())
	}
	run.scratch = alignedFloats(run.cv.Scratch(1, l.size, l.size))
	run.flops = 2 * float64(len(run.dst)) * float64(s.In/s.Groups*s.Kernel[0]*s.Kernel[1])
	return run
}

func (r *layerRun) run(c *CPU) {
	ep := Epilogue{Act: Activation{Kind: ClipTo, B: 6}}
	r.cv.Run(c, r.dst, r.src, 1, r.size, r.size, &ep, r.scratch)
}

// BenchmarkConv runs layers one by one. GFLOP/s are those of a direct convolution.
func BenchmarkConv(b *testing.B) {
	for _, net := range networks() {
		for _, l := range layersOf(b, net.layers) {
			for threads := 1; threads <= 2; threads++ {
				b.Run(fmt.Sprintf("%s/%s/threads=%d", net.name, l.name, threads), func(b *testing.B) {
					c := NewCPU(Options{Threads: threads, ISA: isa.Best()})
					defer c.Close()
					r := newLayerRun(c, &l)
					for b.Loop() {
						r.run(c)
					}
					b.ReportMetric(r.flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
					b.ReportMetric(float64(l.count)*b.Elapsed().Seconds()*1e3/float64(b.N), "ms/network")
				})
			}
		}
	}
}

// BenchmarkConvNetwork runs all convolutions of a network after each other, so that weights come from where they come from in
// use.
func BenchmarkConvNetwork(b *testing.B) {
	for _, net := range networks() {
		for threads := 1; threads <= 2; threads++ {
			b.Run(fmt.Sprintf("%s/threads=%d", net.name, threads), func(b *testing.B) {
				c := NewCPU(Options{Threads: threads, ISA: isa.Best()})
				defer c.Close()
				var runs []*layerRun
				var most int
				flops := 0.0
				for _, l := range layersOf(b, net.layers) {
					for range l.count {
						r := newLayerRun(c, &l)
						flops += r.flops
						runs = append(runs, r)
						most = max(most, len(r.src), len(r.dst), len(r.scratch))
					}
				}
				memory := [3][]float32{alignedFloats(most), alignedFloats(most), alignedFloats(most)}
				for i, r := range runs { // results are the next inputs, as far as they go
					r.src, r.dst, r.scratch = memory[i%2][:len(r.src)], memory[1-i%2][:len(r.dst)], memory[2][:len(r.scratch)]
				}
				for b.Loop() {
					for _, r := range runs {
						r.run(c)
					}
				}
				b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
