package kernel

import (
	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/pages"
)

// ConvWeightGrad computes the gradient of a two-dimensional convolution with respect to its weights, for tensors that are
// channels-last: dW[m, c, i, j] = Σ x[n, y·stride − pad + i·dilation, …, c] · dy[n, y, …, m] over images and output pixels.
//
// That is, for each element of the window, a product of the image's channels by the pixels with the pixels by dy's channels. A piece
// of the work transposes some channels of some rows of the image once and multiplies them for all elements of the window, which are
// but other places to begin to read: windows are never laid out. Sums over parts of the pixels are added in order.
// Several goroutines may run one ConvWeightGrad.
type ConvWeightGrad struct {
	shape       ConvShape
	set         isa.Set
	workers     int
	n, h, w     int
	oh, ow      int
	depthwise   bool
	viewsX      gradViews
	viewsY      gradViews
	products    []gradProduct
	offsets     []int // of the output rows of a chunk in a plane
	channels    int   // of a piece
	blocks      int   // of channels of a group
	splits      int   // of the pixels
	rows        int   // output rows of a chunk
	images      int   // of a chunk, whose rows are then all
	chunks      int
	plane, rest int  // elements of a view of a channel; of dy's chunk packed
	final       int  // channels of a piece of the last pass
	inPlace     bool // dy is read where it is, but for a last panel that is not full
	swapped     bool // image and dy have changed places, as they may where windows are of one element: the one of fewer channels is transposed
}

// gradViews says which pixels along one dimension are seen: view v begins at pixel start[v] of the padded image and has every
// stride-th of extent pixels. Element k of a window of output o is pixel o + shift[k] of view view[k].
type gradViews struct {
	start, view, shift []int
	most               int // of the shifts
}

// gradProduct is a product of the channels of count views from view on, read from offset on, which are elements of the window from tap on.
type gradProduct struct{ view, count, offset, tap int }

const (
	gradPieces   = 16      // pieces that share the work among threads well
	gradPixels   = 1024    // of a chunk: how long sums are
	gradFew      = 128     // pixels below which a chunk is not worth its while
	gradImage    = 1 << 17 // elements of the transposed part of the image, which stays in the second-level cache
	gradPacked   = 1 << 18 // elements of the part of dy
	gradPartial  = 1 << 20 // elements of all partial sums, above which channels are shared out rather than pixels
	gradChannels = 64      // of a piece
	gradReads    = 5       // so often dy is read where it is rather than packed
	gradFinal    = 1 << 14 // elements of a piece of the last pass
)

// NewConvWeightGrad plans for n images of a size, on c or a CPU of the same instruction set and no more threads.
func NewConvWeightGrad(c *CPU, s ConvShape, n, h, w int) *ConvWeightGrad {
	g := &ConvWeightGrad{shape: s, set: c.ISA(), workers: c.Threads(), n: n, h: h, w: w}
	g.oh, g.ow = s.window(0, h).outputs(), s.window(1, w).outputs()
	if n <= 0 || g.oh <= 0 || g.ow <= 0 || s.In == 0 || s.Out == 0 {
		g.n = 0
		return g
	}
	if s.pointwise() && s.Groups == 1 && s.Out < s.In {
		g.swapped = true
		s.In, s.Out = s.Out, s.In
		g.shape = s
	}
	in, out, taps := s.In/s.Groups, s.Out/s.Groups, s.Kernel[0]*s.Kernel[1]
	g.final = min(in, max(1, gradFinal/(taps*out)))
	if g.depthwise = in == 1 && out == 1 && s.Groups > 1; g.depthwise {
		g.splits = min(n*g.oh, gradPieces)
		return g
	}
	wide := in <= gradUnfold && s.Kernel[1] > 1
	g.viewsX = s.gradViews(1, wide)
	g.viewsY = s.gradViews(0, wide && in*s.Kernel[1] <= gradUnfoldRows)
	g.share(in, out, taps)
	g.join()
	g.inPlace = len(g.products)*ceilDiv(g.channels, tileRows(g.set)) <= gradReads && s.Out%collideStride != 0
	return g
}

const (
	gradUnfold     = 8  // channels for so few the elements of a window's row are laid out
	gradUnfoldRows = 10 // elements of a window's row, for so few all its rows are
)

// gradViews lists the views along a dimension: where elements of the window are the stride apart they share one, unless all are to have their own.
func (s *ConvShape) gradViews(axis int, own bool) gradViews {
	var v gradViews
	for k := range s.Kernel[axis] {
		at := k * s.Dilation[axis]
		start, shift := at%s.Stride[axis], at/s.Stride[axis]
		if own {
			start, shift = at, 0
		}
		i := 0
		for i < len(v.start) && v.start[i] != start {
			i++
		}
		if i == len(v.start) {
			v.start = append(v.start, start)
		}
		v.view, v.shift, v.most = append(v.view, i), append(v.shift, shift), max(v.most, shift)
	}
	return v
}

// share chooses chunks and pieces, by the shape alone.
func (g *ConvWeightGrad) share(in, out, taps int) {
	views := len(g.viewsX.start) * len(g.viewsY.start)
	g.blocks = ceilDiv(in, gradChannels)
	if size := taps * g.shape.In * out; size*ceilDiv(gradPieces, g.blocks*g.shape.Groups) > gradPartial {
		g.blocks = min(max(g.blocks, ceilDiv(gradPieces, g.shape.Groups)), ceilDiv(in, tileRows(g.set)))
	}
	g.channels = ceilDiv(in, g.blocks)
	g.blocks = ceilDiv(in, g.channels)
	pixels := min(gradPixels, tileDepth(g.set), max(gradFew, gradPacked/out))
	pixels = min(pixels, max(gradFew, gradImage/(views*g.channels)))
	g.splits = ceilDiv(gradPieces, g.blocks*g.shape.Groups)
	pixels = max(1, min(pixels, max(gradFew, g.n*g.oh*g.ow/g.splits)))
	g.rows, g.images = g.oh, 1
	if g.oh*g.ow > pixels {
		g.rows = max(1, pixels/g.ow)
		g.rows = ceilDiv(g.oh, ceilDiv(g.oh, g.rows))
	} else {
		g.images = min(g.n, max(1, pixels/(g.oh*g.ow)))
	}
	g.chunks = ceilDiv(g.n, g.images) * ceilDiv(g.oh, g.rows)
	g.splits = min(g.splits, g.chunks)
	g.plane = g.images * g.stored() * g.pitch()
	if g.plane%collideStride < cacheLine {
		g.plane = roundUp(g.plane, cacheLine) + cacheLine
	}
	var p Packed
	p.resize(g.set, g.images*g.rows*g.ow, out)
	g.rest = roundUp(p.size(), cacheLine)
}

// pitch is the number of pixels of a row of a view; stored is the number of its rows of an image.
func (g *ConvWeightGrad) pitch() int  { return g.ow + g.viewsX.most }
func (g *ConvWeightGrad) stored() int { return g.rows + g.viewsY.most }

// join lists the products: neighbouring elements of the window whose views are neighbours make one.
func (g *ConvWeightGrad) join() {
	for i := range g.shape.Kernel[0] {
		for j := range g.shape.Kernel[1] {
			p := gradProduct{
				view: g.viewsY.view[i]*len(g.viewsX.start) + g.viewsX.view[j], count: 1,
				offset: g.viewsY.shift[i]*g.pitch() + g.viewsX.shift[j], tap: i*g.shape.Kernel[1] + j,
			}
			if k := len(g.products) - 1; k >= 0 && g.blocks == 1 {
				if last := &g.products[k]; last.view+last.count == p.view && last.offset == p.offset {
					last.count++
					continue
				}
			}
			g.products = append(g.products, p)
		}
	}
	for image := range g.images {
		for r := range g.rows {
			g.offsets = append(g.offsets, (image*g.stored()+r)*g.pitch())
		}
	}
}

// Scratch returns how many elements of scratch memory Run needs.
func (g *ConvWeightGrad) Scratch() int {
	if g.n == 0 {
		return 0
	}
	return g.splits*g.size() + g.workers*g.own() + cacheLine
}

// size is the number of elements of partial sums, [Groups, KH·KW, In/Groups, Out/Groups].
func (g *ConvWeightGrad) size() int {
	s := &g.shape
	return roundUp(s.Out*s.In/s.Groups*s.Kernel[0]*s.Kernel[1], cacheLine)
}

// own is the memory of a worker.
func (g *ConvWeightGrad) own() int {
	s := &g.shape
	last := 2 * s.Kernel[0] * s.Kernel[1] * g.final * (s.Out / s.Groups)
	if g.depthwise {
		return 0
	}
	return roundUp(max(len(g.viewsX.start)*len(g.viewsY.start)*g.channels*g.plane+g.rest, last), cacheLine)
}

// Run computes dw [Out, In/Groups, KH, KW] from x [n, h, w, In] and dy [n, oh, ow, Out]. What scratch, of
// [ConvWeightGrad.Scratch] elements, holds is arbitrary.
func (g *ConvWeightGrad) Run(c *CPU, dw, x, dy, scratch []float32) {
	s := &g.shape
	dw = dw[:s.Out*(s.In/s.Groups)*s.Kernel[0]*s.Kernel[1]]
	if g.n == 0 {
		clear(dw)
		return
	}
	if c.ISA() != g.set || c.Threads() > g.workers {
		panic("kernel: gradient of a convolution planned for another CPU")
	}
	if g.swapped {
		x, dy = dy, x
	}
	t := gradTasks.Get()
	t.begin, t.more = scaling{alpha: 1}, scaling{alpha: 1, beta: 1}
	t.g, t.dw, t.x, t.dy = g, dw, x[:g.n*g.h*g.w*s.In], dy[:g.n*g.oh*g.ow*s.Out]
	t.scratch = alignFloats(scratch[:g.Scratch()])
	if g.depthwise {
		t.slide(c)
	} else {
		c.Parallel(s.Groups*g.blocks*g.splits, t)
		t.last = true
		c.Parallel(s.Groups*ceilDiv(s.In/s.Groups, g.final), t)
	}
	*t = gradTask{at: t.at[:0]}
	gradTasks.Put(t)
}

// gradTask is one call of Run.
type gradTask struct {
	g         *ConvWeightGrad
	dw, x, dy []float32
	scratch   []float32
	last      bool // partial sums are added
	at        []int

	begin, more scaling // of the first chunk, and of those whose sums are added to it
}

var gradTasks pages.Pool[gradTask]

// partial returns the sums of a part of the pixels.
func (t *gradTask) partial(split int) []float32 { return t.scratch[split*t.g.size():][:t.g.size()] }

// own returns the memory of a worker.
func (t *gradTask) own(worker int) []float32 {
	return t.scratch[t.g.splits*t.g.size()+worker*t.g.own():][:t.g.own()]
}

// Piece implements [Task].
func (t *gradTask) Piece(i, worker int) {
	switch {
	case t.g.depthwise:
		t.slidePiece(i)
	case t.last:
		t.lastPiece(i, worker)
	default:
		t.sumPiece(i, worker)
	}
}

// sumPiece computes the sums over a part of the pixels, for some channels of the image.
func (t *gradTask) sumPiece(i, worker int) {
	g, s := t.g, &t.g.shape
	block, split, group := i%g.blocks, i/g.blocks%g.splits, i/g.blocks/g.splits
	in, out, taps := s.In/s.Groups, s.Out/s.Groups, s.Kernel[0]*s.Kernel[1]
	first := block * g.channels
	channels := min(g.channels, in-first)
	sums := t.partial(split)[group*taps*in*out:][:taps*in*out]
	memory := t.own(worker)
	packed, image := memory[:g.rest], memory[g.rest:]
	perImage := ceilDiv(g.oh, g.rows)
	sum := &t.begin
	for chunk := split * g.chunks / g.splits; chunk < (split+1)*g.chunks/g.splits; chunk++ {
		n, y := chunk/perImage*g.images, chunk%perImage*g.rows
		images, rows := min(g.images, g.n-n), min(g.rows, g.oh-y)
		for k := range images {
			t.view(image[k*g.stored()*g.pitch():], n+k, group*in+first, channels, y, rows)
		}
		var p Packed
		p.resize(g.set, images*rows*g.ow, out)
		t.pack(&p, packed, t.dy[((n*g.oh+y)*g.ow)*s.Out+group*out:])
		r := rowBlock{lda: g.plane, ldc: out, scale: sum, offsets: g.offsets[:images*rows], k: g.ow}
		switch { // rows that follow each other are one
		case g.pitch() == g.ow && (images == 1 || g.stored() == rows):
			r.offsets, r.k = nil, images*rows*g.ow
		case rows < g.rows: // of one image: several have all rows
			r.offsets = g.offsets[:rows]
		}
		for _, q := range g.products {
			r.m = q.count * channels
			r.a = image[q.view*channels*g.plane+q.offset:]
			r.dst = sums[(q.tap*in+first)*out:]
			p.rows(&r, 0, p.panels())
		}
		sum = &t.more
	}
}

// view copies channels of the rows of one image that output rows from y on see to the planes [view, channel, row, pixel].
func (t *gradTask) view(dst []float32, image, channel, channels, y, rows int) {
	g, s := t.g, &t.g.shape
	src := t.x[image*g.h*g.w*s.In+channel:]
	pitch := g.pitch()
	stored := rows + g.viewsY.most
	for vy, startY := range g.viewsY.start {
		for vx, startX := range g.viewsX.start {
			to := dst[(vy*len(g.viewsX.start)+vx)*channels*g.plane:]
			x := window{kernel: 1, stride: s.Stride[1], dilation: 1, before: s.Pads[1] - startX, size: g.w}
			from, end := x.seen(0, pitch)
			if s.In == 1 && s.Stride[1] == 1 {
				t.viewRows(to, src, y*s.Stride[0]+startY-s.Pads[0], x.start(from), from, end, stored)
				continue
			}
			for r := range stored {
				iy := (y+r)*s.Stride[0] + startY - s.Pads[0]
				row := to[r*pitch:]
				if iy < 0 || iy >= g.h || from == end {
					for c := range channels {
						clear(row[c*g.plane:][:pitch])
					}
					continue
				}
				if from > 0 || end < pitch {
					for c := range channels {
						clear(row[c*g.plane:][:from])
						clear(row[c*g.plane+end:][:pitch-end])
					}
				}
				transposeTile(g.set, words(row[from:]), words(src[(iy*g.w+x.start(from))*s.In:]), end-from, channels, g.plane, s.Stride[1]*s.In)
			}
		}
	}
}

// viewRows copies pixels from…end of rows, of an image of one channel, from row iy and pixel ix on, which are where the first row and pixel is seen.
func (t *gradTask) viewRows(dst, src []float32, iy, ix, from, end, rows int) {
	g, s := t.g, &t.g.shape
	pitch, step := g.pitch(), s.Stride[0]
	if from > 0 || end < pitch {
		clear(dst[:rows*pitch])
	}
	first, last := min(rows, max(0, ceilDiv(-iy, step))), max(0, min(rows, ceilDiv(g.h-iy, step)))
	if first >= last || from >= end {
		clear(dst[:rows*pitch])
		return
	}
	clear(dst[:first*pitch])
	clear(dst[last*pitch : rows*pitch])
	copySpans(g.set, &copyArgs{
		dst: dst[first*pitch+from:], src: src[(iy+first*step)*g.w+ix:], count: last - first, n: end - from, dstStep: pitch, srcStep: step * g.w,
	})
}

// pack lays out a chunk of dy, in memory unless it is already as it should.
func (t *gradTask) pack(p *Packed, memory, dy []float32) {
	if out := t.g.shape.Out; p.n == out && (out == p.lastWidth || out == p.width) {
		p.data, p.last = dy, dy
		return
	}
	p.divide(memory[:p.size()])
	if t.g.inPlace {
		p.data, p.rowStride, p.step = dy, t.g.shape.Out, p.width
	} else {
		p.packPanels(0, p.n/p.width, dy, t.g.shape.Out, false)
	}
	if whole := p.n / p.width * p.width; whole < p.n {
		if p.n-whole < p.lastWidth {
			clear(p.last)
		}
		copySpans(p.set, &copyArgs{
			dst: p.last, src: dy[whole:], count: p.k, n: p.n - whole, dstStep: p.lastWidth, srcStep: t.g.shape.Out,
		})
	}
}

// lastPiece adds the partial sums of some channels and puts them where they belong.
func (t *gradTask) lastPiece(i, worker int) {
	g, s := t.g, &t.g.shape
	in, out, taps := s.In/s.Groups, s.Out/s.Groups, s.Kernel[0]*s.Kernel[1]
	perGroup := ceilDiv(in, g.final)
	group, first := i/perGroup, i%perGroup*g.final
	channels := min(g.final, in-first)
	run := channels * out
	memory := t.own(worker)
	sums, turned := memory[:taps*run], memory[taps*run:][:taps*run]
	pairs := rowsOfPairs{rows: 1, n: run, stepA: 1, stepB: 1}
	for tap := range taps {
		at := ((group*taps+tap)*in + first) * out
		sum := sums[tap*run:][:run]
		copy(sum, t.partial(0)[at:])
		for split := 1; split < g.splits; split++ {
			pairs.apply(g.set, Add, sum, sum, t.partial(split)[at:])
		}
	}
	if g.swapped {
		copy(t.dw[first*out:], sums)
		return
	}
	dw := t.dw[(group*out*in+first)*taps:]
	if taps == 1 {
		transposeTile(g.set, words(dw), words(sums), channels, out, in, out)
		return
	}
	transposeTile(g.set, words(turned), words(sums), taps*channels, out, taps*channels, out)
	transposeTiles(g.set, words(dw), words(turned), taps, channels, taps, channels, out, in*taps, taps*channels)
}
