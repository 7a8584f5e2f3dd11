package kernel

import (
	"math"

	"github.com/effml/effml/internal/pages"
)

// slideTask is one call: it moves windows over images and keeps channels apart, for depthwise convolutions and pooling. A piece
// is some output rows, all channels of a pixel one after the other, as they are in memory. Windows that reach over the border are done one
// by one, with the taps that they have inside.
type slideTask struct {
	c             *CPU
	kind          convKernel // one of the kernels of tapArgs
	x, y          window
	ch            int
	n, oh, ow     int
	dst, src      []float32
	weights, bias []float32 // of kernelTapsDot; weights are what is spread
	to            place
	ep            Epilogue // its Add and Act
	countPad      bool     // of kernelTapsSum and kernelSpreadAll: what is summed is divided by all taps in the padded image

	pieces int
	lists  [][]int // of taps, twice as long as there are taps, one a worker
}

const (
	slidePiece  = 1 << 17 // products that are worth a piece
	slidePieces = 16      // pieces that share the work among threads well
)

var slideTasks pages.Pool[slideTask]

// release forgets the operands and keeps the memory for the next call.
func (t *slideTask) release() {
	*t = slideTask{lists: t.lists}
	slideTasks.Put(t)
}

func (t *slideTask) run(c *CPU) {
	if t.n <= 0 || t.oh <= 0 || t.ow <= 0 || t.ch <= 0 {
		return
	}
	taps := t.x.kernel * t.y.kernel
	row := t.ow * t.ch * taps
	rows := t.n * t.oh
	if t.pieces = max(1, rows*row/slidePiece); t.pieces > 1 {
		t.pieces = min(rows, slidePieces, roundUp(t.pieces, vecPieces))
	}
	for len(t.lists) < c.Threads() {
		t.lists = append(t.lists, nil)
	}
	for i := range t.lists {
		t.lists[i] = grow(t.lists[i], 2*taps)
	}
	if t.spreads() {
		t.pieces = t.n // windows of neighbouring rows overlap
	}
	t.c = c
	c.Parallel(t.pieces, t)
}

// spreads reports whether dst is what windows show: pixels add to it.
func (t *slideTask) spreads() bool { return t.kind == kernelSpreadFirst || t.kind == kernelSpreadAll }

// Piece implements [Task].
func (t *slideTask) Piece(i, worker int) {
	rows := t.n * t.oh
	from, to := i*rows/t.pieces, (i+1)*rows/t.pieces
	if t.spreads() {
		size := t.y.size * t.x.size * t.ch
		clear(t.dst[i*size:][:size])
	}
	ep := splitEpilogue(t.ep)
	r := slideRow{slideTask: t, list: t.lists[worker], lo: ep.lo, hi: ep.hi}
	for row := from; row < to; row++ {
		r.run(row/t.oh, row%t.oh)
	}
	if !t.spreads() {
		ep.finish(t.c.ISA(), t.dst, from*t.ow*t.ch, to*t.ow*t.ch)
	}
}

// slideRow is the work of one worker on output rows.
type slideRow struct {
	*slideTask
	list   []int
	lo, hi float32
}

// run computes row oy of an image.
func (r *slideRow) run(image, oy int) {
	top, bottom := r.y.inside(oy, 0, 0)
	left, right := r.x.whole(r.ow)
	for ox := range left {
		r.pixels(image, oy, ox, 1, top, bottom)
	}
	if r.kind == kernelTapsDot && r.x.dilation == 1 && top < bottom && hasDepthwiseRow(r.x.kernel, r.x.stride) {
		r.fast(image, oy, left, right-left, top, bottom)
	} else if left < right {
		r.pixels(image, oy, left, right-left, top, bottom)
	}
	for ox := right; ox < r.ow; ox++ {
		r.pixels(image, oy, ox, 1, top, bottom)
	}
}

// at returns where element (i, j) of the window of a pixel is.
func (r *slideRow) at(image, oy, ox, i, j int) int {
	y, x := r.y.start(oy)+i*r.y.dilation, r.x.start(ox)+j*r.x.dilation
	return ((image*r.y.size+y)*r.x.size + x) * r.ch
}

func (r *slideRow) output(image, oy, ox int) []float32 {
	return r.dst[image*r.to.image+oy*r.to.row+ox*r.to.pixel:]
}

// fast computes pixels whose windows lie inside the image, but for rows before top and from bottom on.
func (r *slideRow) fast(image, oy, ox, pixels, top, bottom int) {
	if pixels <= 0 {
		return
	}
	depthwiseRow(r.c.ISA(), &rowArgs{
		dst: r.output(image, oy, ox), src: r.src[r.at(image, oy, ox, top, 0):],
		w: r.weights[top*r.x.kernel*r.ch:], bias: r.bias,
		pixels: pixels, ch: r.ch, height: bottom - top,
		dstStep: r.to.pixel, srcStep: r.ch, srcRow: r.y.dilation * r.x.size * r.ch, wStep: r.ch,
		lo: r.lo, hi: r.hi, width: r.x.kernel, stride: r.x.stride,
	})
}

// pixels computes pixels whose windows have the same taps inside the image.
func (r *slideRow) pixels(image, oy, ox, pixels, top, bottom int) {
	left, right := r.x.inside(ox, 0, 0)
	a := tapArgs{
		pixels: pixels, ch: r.ch, dstStep: r.to.pixel, srcStep: r.x.stride * r.ch,
		at: r.list[:0], wAt: r.list[len(r.list)/2:][:0], lo: r.lo, hi: r.hi,
	}
	if r.kind == kernelTapsMax || r.kind == kernelSpreadFirst {
		a.lo = float32(math.Inf(-1))
	}
	for i := top; i < bottom; i++ {
		for j := left; j < right; j++ {
			a.at = append(a.at, ((i-top)*r.y.dilation*r.x.size+(j-left)*r.x.dilation)*r.ch)
			a.wAt = append(a.wAt, (i*r.x.kernel+j)*r.ch)
		}
	}
	if !r.spreads() {
		a.dst = r.output(image, oy, ox)
	}
	if len(a.at) > 0 && r.kind != kernelSpreadAll {
		a.src = r.src[r.at(image, oy, ox, top, left):]
	}
	switch r.kind {
	case kernelTapsDot:
		a.w, a.bias = r.weights, r.bias
	case kernelTapsSum, kernelSpreadAll:
		count := len(a.at)
		if r.countPad {
			i0, i1 := r.y.inside(oy, r.y.before, r.y.after)
			j0, j1 := r.x.inside(ox, r.x.before, r.x.after)
			count = (i1 - i0) * (j1 - j0)
		}
		a.scale = 1 / float32(max(1, count))
	}
	if !r.spreads() {
		taps(r.c.ISA(), r.kind, &a)
	} else if len(a.at) > 0 {
		a.dst, a.w = r.dst[r.at(image, oy, ox, top, left):], r.weights[((image*r.oh+oy)*r.ow+ox)*r.ch:]
		spread(r.c.ISA(), r.kind, &a)
	}
}
