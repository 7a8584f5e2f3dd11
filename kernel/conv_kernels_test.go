package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/effml/effml/internal/isa"
)

// Kernels on random arguments against their definitions in Go, which TestConv and TestPool hold against loops in float64.
func TestConvKernels(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		set := c.ISA()
		for ch := 1; ch <= 150; ch += 1 + r.IntN(1+ch/8) {
			testCopySpans(t, r, set, ch)
			for _, width := range []int{3, 5, 7} {
				testDepthwiseRow(t, r, set, ch, width, 1)
				testDepthwiseRow(t, r, set, ch, width, 2)
			}
			testTaps(t, r, set, ch)
			testWinogradKernels(t, r, set, newF23(), ch)
			testWinogradKernels(t, r, set, newF43(), ch)
			testWinogradWeights(t, r, set, newF23(), 8*(1+ch%5))
			testWinogradWeights(t, r, set, newF43(), 8*(1+ch%5))
		}
	})
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func testCopySpans(t *testing.T, r *rand.Rand, set isa.Set, n int) {
	a := copyArgs{count: 1 + r.IntN(4), n: n, dstStep: n + r.IntN(3), srcStep: r.IntN(2 * n)}
	src := newBuffer((a.count-1)*a.srcStep+n, r.IntN(4)).sprinkle(r)
	dst, want := newBuffer((a.count-1)*a.dstStep+n, r.IntN(4)), newBuffer((a.count-1)*a.dstStep+n, 0)
	a.src, a.dst = src.data, want.data
	copySpansGeneric(&a)
	a.dst = dst.data
	copySpans(set, &a)
	dst.check(t, "copySpans")
	for i, x := range want.data {
		if math.Float32bits(x) != math.Float32bits(dst.data[i]) {
			t.Fatalf("copySpans of %d: element %d is %v, want %v", n, i, dst.data[i], x)
		}
	}
}

func testDepthwiseRow(t *testing.T, r *rand.Rand, set isa.Set, ch, width, stride int) {
	a := rowArgs{
		pixels: 1 + r.IntN(13), ch: ch, height: 1 + r.IntN(7), width: width, stride: stride,
		dstStep: ch + r.IntN(3), srcStep: ch + r.IntN(3), wStep: ch + r.IntN(3), lo: -3, hi: float32(math.Inf(1)),
	}
	a.srcRow = a.srcStep*(width+(a.pixels-1)*stride) + r.IntN(3)
	size := (a.height-1)*a.srcRow + ((a.pixels-1)*stride+width-1)*a.srcStep + ch
	src, w := newBuffer(size, r.IntN(4)).fill(r, 1), newBuffer((a.height*width-1)*a.wStep+ch, r.IntN(4)).fill(r, 1)
	bias := newBuffer(ch, 1).fill(r, 1)
	src.data[r.IntN(size)] = specials[r.IntN(len(specials)-16)]
	n := (a.pixels-1)*a.dstStep + ch
	dst, want := newBuffer(n, r.IntN(4)), newBuffer(n, 0)
	a.src, a.w, a.bias, a.dst = src.data, w.data, bias.data, want.data
	depthwiseRowGeneric(&a)
	a.dst = dst.data
	depthwiseRow(set, &a)
	dst.check(t, "depthwiseRow")
	checkClose(t, fmt.Sprintf("depthwise %dx%d stride %d of %d channels, %d pixels", a.height, width, stride, ch, a.pixels),
		dst.data, widen(want.data), 1e-5, 2e-5)
}

func testTaps(t *testing.T, r *rand.Rand, set isa.Set, ch int) {
	a := tapArgs{
		pixels: 1 + r.IntN(5), ch: ch, dstStep: ch + r.IntN(3), srcStep: ch + r.IntN(3),
		lo: -3, hi: 3, scale: 0.3,
	}
	count := r.IntN(12)
	for range count {
		a.at, a.wAt = append(a.at, r.IntN(500)), append(a.wAt, r.IntN(100))
	}
	src := newBuffer((a.pixels-1)*a.srcStep+500+ch, r.IntN(4)).fill(r, 1)
	w, bias := newBuffer(100+ch, r.IntN(4)).fill(r, 1), newBuffer(ch, 1).fill(r, 1)
	for range 3 {
		src.data[r.IntN(len(src.data))] = specials[r.IntN(len(specials)-16)]
	}
	n := (a.pixels-1)*a.dstStep + ch
	for k, generic := range map[convKernel]func(*tapArgs){
		kernelTapsDot: tapsDotGeneric, kernelTapsSum: tapsSumGeneric, kernelTapsMax: tapsMaxGeneric,
	} {
		dst, want := newBuffer(n, r.IntN(4)), newBuffer(n, 0)
		a.src, a.w, a.bias, a.dst = src.data, w.data, bias.data, want.data
		generic(&a)
		a.dst = dst.data
		taps(set, k, &a)
		dst.check(t, "taps")
		checkClose(t, fmt.Sprintf("taps %d of %d channels, %d pixels, %d taps", k, ch, a.pixels, count),
			dst.data, widen(want.data), 1e-5, 2e-5)
	}
}

func testWinogradKernels(t *testing.T, r *rand.Rand, set isa.Set, w *winograd, ch int) {
	n, lanes := w.size, roundUp(ch, winogradLanes)
	in := winogradInputArgs{ch: ch, tiles: 1 + r.IntN(3), pixel: ch + r.IntN(3), position: 3*lanes + r.IntN(3), srcTile: 2 * ch, dstTile: lanes}
	in.row = n*in.pixel + r.IntN(3)
	src := newBuffer((in.tiles-1)*in.srcTile+(n-1)*(in.row+in.pixel)+ch, r.IntN(4)).fill(r, 1)
	size := (n*n-1)*in.position + (in.tiles-1)*in.dstTile + lanes
	got, want := newBuffer(size, r.IntN(4)), newBuffer(size, 0)
	in.src, in.dst = src.data, want.data
	winogradInputGeneric(w, &in)
	in.dst = got.data
	winogradInput(set, w, &in)
	got.check(t, "winogradInput")
	for p := range n * n {
		for tile := range in.tiles {
			at := p*in.position + tile*in.dstTile
			checkClose(t, fmt.Sprintf("input of F(%d,3), %d channels, position %d, tile %d", w.out, ch, p, tile),
				got.data[at:at+ch], widen(want.data[at:at+ch]), 1e-4, 1e-5)
		}
	}
	out := winogradOutputArgs{ch: ch, rows: 1 + r.IntN(w.out), cols: 1 + r.IntN(w.out), pixel: ch + r.IntN(3), position: lanes, lo: -2, hi: 30}
	out.row = out.cols*out.pixel + r.IntN(3)
	size = (out.rows-1)*out.row + (out.cols-1)*out.pixel + ch
	m, bias, add := newBuffer(n*n*lanes, r.IntN(4)).fill(r, 1), newBuffer(ch, 1).fill(r, 1), newBuffer(size, 1).fill(r, 1)
	got, want = newBuffer(size, r.IntN(4)), newBuffer(size, 0)
	out.src, out.bias, out.dst = m.data, bias.data, want.data
	if r.IntN(2) == 0 {
		out.add = add.data
	}
	winogradOutputGeneric(w, &out)
	out.dst = got.data
	winogradOutput(set, w, &out)
	got.check(t, "winogradOutput")
	checkClose(t, fmt.Sprintf("output of F(%d,3), %d channels", w.out, ch), got.data, widen(want.data), 1e-4, 1e-4)
}

func testWinogradWeights(t *testing.T, r *rand.Rand, set isa.Set, w *winograd, width int) {
	a := winogradWeightsArgs{in: 1 + r.IntN(5), width: width, matrix: w.weights[:]}
	a.position = a.in*width + r.IntN(3)
	src := newBuffer(9*a.in*width, r.IntN(4)).fill(r, 1)
	size := (w.size*w.size-1)*a.position + a.in*width
	got, want := newBuffer(size, r.IntN(4)), newBuffer(size, 0)
	a.src, a.dst = src.data, want.data
	winogradWeightsGeneric(w, &a)
	a.dst = got.data
	winogradWeights(set, w, &a)
	got.check(t, "winogradWeights")
	for p := range w.size * w.size {
		at := p * a.position
		checkClose(t, fmt.Sprintf("weights of F(%d,3), %d outputs, position %d", w.out, width, p),
			got.data[at:at+a.in*width], widen(want.data[at:at+a.in*width]), 1e-7, 1e-7)
	}
}
