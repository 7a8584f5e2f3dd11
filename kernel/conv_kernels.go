package kernel

import (
	"math"
	"unsafe"

	"github.com/effml/effml/internal/isa"
)

// convKernel names a kernel that takes one of the structures of arguments.
type convKernel uint8

const (
	kernelCopySpans convKernel = iota
	kernelTapsDot
	kernelTapsSum
	kernelTapsMax
	kernelSpreadFirst
	kernelSpreadAll
	kernelDepthwise3x1 // width x stride
	kernelDepthwise3x2
	kernelDepthwise5x1
	kernelDepthwise5x2
	kernelDepthwise7x1
	kernelDepthwise7x2
	kernelSlideGrad3 // width
	kernelSlideGrad5
	kernelSlideGrad7
	kernelWinogradInput2
	kernelWinogradInput4
	kernelWinogradOutput2
	kernelWinogradOutput4
	kernelWinogradWeights2
	kernelWinogradWeights4
)

// The kernels run on the calling thread. They panic when a slice is too short.

func copySpans(set isa.Set, a *copyArgs) {
	if a.count <= 0 || a.n <= 0 {
		return
	}
	_, _ = a.dst[(a.count-1)*a.dstStep+a.n-1], a.src[(a.count-1)*a.srcStep+a.n-1]
	if !callConv(set, kernelCopySpans, unsafe.Pointer(a)) {
		copySpansGeneric(a)
	}
}

// hasDepthwiseRow reports whether depthwiseRow is fast for windows of a width and stride.
func hasDepthwiseRow(width, stride int) bool {
	return (width == 3 || width == 5 || width == 7) && (stride == 1 || stride == 2)
}

func depthwiseRow(set isa.Set, a *rowArgs) {
	if a.pixels <= 0 || a.ch <= 0 {
		return
	}
	x, end := a.pixels-1, a.ch-1
	_, _ = a.dst[x*a.dstStep+end], a.bias[end]
	if a.height > 0 {
		_ = a.src[(a.height-1)*a.srcRow+(x*a.stride+a.width-1)*a.srcStep+end]
		_ = a.w[(a.height*a.width-1)*a.wStep+end]
	}
	k := kernelDepthwise3x1 + convKernel(a.width-3) + convKernel(a.stride-1)
	if a.height <= 0 || !hasDepthwiseRow(a.width, a.stride) || !callConv(set, k, unsafe.Pointer(a)) {
		depthwiseRowGeneric(a)
	}
}

// slideGrad adds products of pixels and what windows show, which must be inside the image.
func slideGrad(set isa.Set, a *slideGradArgs) {
	if a.pixels <= 0 || a.ch <= 0 || a.height <= 0 {
		return
	}
	x, end := a.pixels-1, a.ch-1
	_, _ = a.dst[(a.height*a.width-1)*a.tapStep+end], a.w[x*a.wStep+end]
	_ = a.src[(a.height-1)*a.srcRow+x*a.nextStep+(a.width-1)*a.srcStep+end]
	k := kernelSlideGrad3 + convKernel(a.width-3)/2
	if a.width != 3 && a.width != 5 && a.width != 7 || !callConv(set, k, unsafe.Pointer(a)) {
		slideGradGeneric(a)
	}
}

// taps runs one of the three kernels of tapArgs.
func taps(set isa.Set, k convKernel, a *tapArgs) {
	if a.pixels <= 0 || a.ch <= 0 {
		return
	}
	x, end := a.pixels-1, a.ch-1
	_ = a.dst[x*a.dstStep+end]
	for _, at := range a.at {
		_, _ = a.src[at], a.src[x*a.srcStep+at+end]
	}
	if k == kernelTapsDot {
		_, _ = a.bias[end], a.wAt[:len(a.at)]
		for _, at := range a.wAt {
			_ = a.w[at : at+a.ch]
		}
	}
	switch {
	case callConv(set, k, unsafe.Pointer(a)):
	case k == kernelTapsDot:
		tapsDotGeneric(a)
	case k == kernelTapsSum:
		tapsSumGeneric(a)
	default:
		tapsMaxGeneric(a)
	}
}

// spread runs one of the two kernels that add to what taps show.
func spread(set isa.Set, k convKernel, a *tapArgs) {
	if a.pixels <= 0 || a.ch <= 0 {
		return
	}
	x, end := a.pixels-1, a.ch-1
	_ = a.w[x*a.dstStep+end]
	for _, at := range a.at {
		_, _ = a.dst[at], a.dst[x*a.srcStep+at+end]
		if k == kernelSpreadFirst {
			_, _ = a.src[at], a.src[x*a.srcStep+at+end]
		}
	}
	if !callConv(set, k, unsafe.Pointer(a)) {
		spreadGeneric(k, a)
	}
}

func winogradInput(set isa.Set, w *winograd, a *winogradInputArgs) {
	if a.ch <= 0 || a.tiles <= 0 {
		return
	}
	last, n := a.tiles-1, w.size-1
	_ = a.src[last*a.srcTile+n*(a.row+a.pixel)+a.ch-1]
	_ = a.dst[last*a.dstTile+(w.size*w.size-1)*a.position+roundUp(a.ch, winogradLanes)-1]
	k := kernelWinogradInput2
	if w.out == 4 {
		k = kernelWinogradInput4
	}
	if !callConv(set, k, unsafe.Pointer(a)) {
		winogradInputGeneric(w, a)
	}
}

func winogradOutput(set isa.Set, w *winograd, a *winogradOutputArgs) {
	rows, cols := min(a.rows, w.out), min(a.cols, w.out)
	if a.ch <= 0 || rows <= 0 || cols <= 0 {
		return
	}
	last := (rows-1)*a.row + (cols-1)*a.pixel + a.ch - 1
	_, _, _ = a.dst[last], a.bias[a.ch-1], a.src[(w.size*w.size-1)*a.position+a.ch-1]
	if a.add != nil {
		_ = a.add[last]
	}
	k := kernelWinogradOutput2
	if w.out == 4 {
		k = kernelWinogradOutput4
	}
	if !callConv(set, k, unsafe.Pointer(a)) {
		winogradOutputGeneric(w, a)
	}
}

func winogradWeights(set isa.Set, w *winograd, a *winogradWeightsArgs) {
	if a.in <= 0 || a.width <= 0 {
		return
	}
	n := a.in * a.width
	_, _, _ = a.dst[(w.size*w.size-1)*a.position+n-1], a.src[9*n-1], a.matrix[3*w.size-1]
	k := kernelWinogradWeights2
	if w.out == 4 {
		k = kernelWinogradWeights4
	}
	if a.width%winogradDoubles != 0 || !callConv(set, k, unsafe.Pointer(a)) {
		winogradWeightsGeneric(w, a)
	}
}

func roundUp(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }

// clipOnly returns the part of an activation that kernels do themselves, its bounds, and whether there is more to do.
func clipOnly(a Activation) (clip Activation, lo, hi float32, more bool) {
	if a.Kind == ClipTo {
		return a, a.A, a.B, false
	}
	return Activation{}, float32(math.Inf(-1)), float32(math.Inf(1)), a.Kind != None
}

// lateEpilogue is an epilogue of which kernels add the bias and clip to lo and hi; what they cannot, [lateEpilogue.finish] does.
type lateEpilogue struct {
	Epilogue
	lo, hi float32
	more   bool
}

func splitEpilogue(ep Epilogue) lateEpilogue {
	l := lateEpilogue{Epilogue: ep}
	if ep.Add == nil {
		_, l.lo, l.hi, l.more = clipOnly(ep.Act)
	} else {
		_, l.lo, l.hi, l.more = clipOnly(Activation{})
		l.more = true
	}
	return l
}

// finish adds and activates elements lo to hi−1 of dst.
func (l *lateEpilogue) finish(set isa.Set, dst []float32, lo, hi int) {
	switch {
	case !l.more:
	case l.Add != nil:
		pairs := rowsOfPairs{rows: 1, n: hi - lo, stepA: 1, stepB: 1}
		pairs.run(set, Add, dst[lo:hi], dst[lo:hi], l.Add[lo:hi], l.Act)
	default:
		activateRow(set, l.Act, dst[lo:hi])
	}
}
