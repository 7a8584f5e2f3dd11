package kernel

// directPlan says how the direct convolution cuts a run into pieces: some output rows by some panels of the weights of a group.
// It multiplies rows of windows by the packed weights: an output row is a block of rows of A, see [rowBlock], read from the image
// itself or, where windows reach over its borders or pixels collide in the cache, from a copy of the image rows of the piece
// with zeros around them. Only where output rows are so short that tiles of A would be, too, the windows of a piece are unfolded.
type directPlan struct {
	n, oh, ow    int
	rows, panels int // of a piece
	rowPieces    int // of an image
	panelPieces  int
	groups       int // of a piece
	groupPieces  int

	copied   bool
	colStep  int // of the copy: pixels of the image from one column to the next
	cols     int
	pixel    int // from one column to the next in what is read
	pitch    int // from one row to the next
	lda      int // from one window to the next
	rowStep  int // from one row of windows to the next, in rows
	unfolded int // distance of unfolded windows, 0 if they are not
	scratch  int // elements for a worker
}

const (
	directPixels  = 112     // pixels of a piece: enough to load the weights for
	directCopy    = 1 << 17 // elements of the copy of a piece, so that it stays in the second-level cache
	directUnfold  = 1 << 18 // elements of the unfolded windows of a piece, likewise
	directPieces  = 16      // pieces that share the work among threads well
	directFew     = 4       // pieces that do, if there is much to copy for each
	unfoldDepth   = 32      // channels below which it takes too long
	directCost    = 4       // panels for which the product must be so many times as long as what is copied
	collideStride = 512     // elements: rows so far apart, or a multiple, collide in the first-level cache
)

func (cv *Conv) planDirect(n, h, w, oh, ow int) directPlan {
	s := &cv.shape
	pointwise := s.pointwise()
	if pointwise && !cv.apart {
		n, w, oh, ow = 1, n*h*w, 1, n*h*w
	}
	p := directPlan{n: n, oh: oh, ow: ow, groups: 1, colStep: 1, rowStep: s.Stride[0]}
	p.pixel, p.pitch, p.lda = s.In, w*s.In, s.Stride[1]*s.In
	p.rows = min(oh, max(1, (directPixels+ow/2)/ow))
	p.rows = ceilDiv(oh, ceilDiv(oh, p.rows))
	all, k := cv.packed[0].panels(), cv.packed[0].k
	if all == 1 { // one copy of the image serves several groups
		p.groups = ceilDiv(s.Groups, ceilDiv(directPieces, p.n*ceilDiv(oh, p.rows)))
	}
	p.groupPieces = ceilDiv(s.Groups, p.groups)
	switch height := tileRows(cv.set); {
	case p.rows > 1 && !cv.apart && s.In/s.Groups >= unfoldDepth && 4*ow < 3*height*ceilDiv(ow, height):
		p.unfolded = scratchStride(k)
		p.rows = min(p.rows, max(1, directUnfold/(ow*p.unfolded)))
		p.scratch = p.rows * ow * p.unfolded
	case (!pointwise || cv.apart) && (s.beyond(h, w, oh, ow) || p.lda%collideStride == 0):
		p.planCopy(s, w)
	}
	p.rowPieces = ceilDiv(oh, p.rows)
	pieces := p.n * p.rowPieces * p.groupPieces
	least := min(ceilDiv(directCost*p.scratch, p.rows*ow*k+1), ceilDiv(all, ceilDiv(directFew, pieces)))
	p.panels = max(1, least, ceilDiv(all, ceilDiv(directPieces, pieces)))
	p.panelPieces = ceilDiv(all, p.panels)
	return p
}

// planCopy plans a copy of the channels of some groups, without pixels that no window sees.
func (p *directPlan) planCopy(s *ConvShape, w int) {
	p.copied = true
	step := s.Stride[1]
	if s.Kernel[1] == 1 {
		p.colStep, step = step, 1
	}
	if s.Kernel[0] == 1 {
		p.rowStep = 1
	}
	wx, wy := s.window(1, w), s.window(0, 1)
	p.cols = (p.ow-1)*step + wx.extent()
	p.pixel = s.In / s.Groups * p.groups
	if step*p.pixel%collideStride == 0 {
		p.pixel += cacheLine
	}
	p.lda = step * p.pixel
	p.pitch = p.cols * p.pixel
	for p.rows > 1 && p.copyRows(wy)*p.pitch > directCopy {
		p.rows--
	}
	p.scratch = roundUp(p.copyRows(wy)*p.pitch, cacheLine)
}

// beyond reports whether windows see anything but the image, or not where it begins.
func (s *ConvShape) beyond(h, w, oh, ow int) bool {
	wy, wx := s.window(0, h), s.window(1, w)
	return s.Pads != [4]int{} || wy.start(oh-1)+wy.extent() > h || wx.start(ow-1)+wx.extent() > w
}

// pointwise reports whether every output pixel depends on the input pixel at its place alone.
func (s *ConvShape) pointwise() bool {
	return s.Kernel == [2]int{1, 1} && s.Stride == [2]int{1, 1} && s.Pads == [4]int{}
}

// copyRows is the number of image rows that p.rows rows of windows read.
func (p *directPlan) copyRows(w window) int { return (p.rows-1)*p.rowStep + w.extent() }

func (p *directPlan) pieces() int { return p.n * p.rowPieces * p.groupPieces * p.panelPieces }

// segments appends the offsets of the parts of a window whose elements are together.
func (p *directPlan) segments(offsets []int, s *ConvShape) []int {
	joined := p.pixel == s.In/s.Groups && (s.Dilation[1] == 1 || s.Kernel[1] == 1)
	for i := range s.Kernel[0] {
		at := i * s.Dilation[0] * p.pitch
		if joined {
			offsets = append(offsets, at)
			continue
		}
		for j := range s.Kernel[1] {
			offsets = append(offsets, at+j*s.Dilation[1]*p.pixel)
		}
	}
	return offsets
}

// directPiece computes some output rows of some groups, or of some panels of one group, of one image.
func (t *convTask) directPiece(i, worker int) {
	p, s := &t.direct, &t.cv.shape
	first := i % p.panelPieces * p.panels
	i /= p.panelPieces
	from := i % p.groupPieces * p.groups
	i /= p.groupPieces
	y := i % p.rowPieces * p.rows
	image := i / p.rowPieces
	rows := min(p.rows, p.oh-y)
	in, out := s.In/s.Groups, s.Out/s.Groups
	src := t.src[image*(len(t.src)/p.n):]
	scratch := t.scratch[min(len(t.scratch), worker*p.scratch):]
	to := min(from+p.groups, s.Groups)
	if p.copied {
		t.copyImage(scratch, src[from*in:], (to-from)*in, y, rows)
	}
	act, _, _, more := clipOnly(t.ep.Act)
	for g := from; g < to; g++ {
		packed := &t.cv.packed[g]
		b := rowBlock{m: p.ow, lda: p.lda, offsets: t.offsets, k: packed.k / len(t.offsets), ldc: t.to.pixel, addStride: s.Out}
		b.blocks, b.step, b.dstStep = rows, p.rowStep*p.pitch, t.to.row
		switch {
		case p.unfolded > 0:
			t.unfold(scratch, src[g*in:], y, rows)
			b.a, b.m, b.blocks, b.lda, b.offsets, b.k = scratch, rows*p.ow, 1, p.unfolded, nil, packed.k
		case p.copied:
			b.a = scratch[(g-from)*in:]
		default:
			b.a = src[y*s.Stride[0]*p.pitch+g*in:]
		}
		start := image*t.to.image + y*t.to.row + g*out
		b.dst = t.dst[start:]
		b.ep = Epilogue{Bias: t.ep.Bias[g*out : (g+1)*out], Act: act}
		if t.ep.Add != nil {
			b.ep.Add = t.ep.Add[start:]
		}
		last := min(first+p.panels, packed.panels())
		packed.rows(&b, first, last)
		if more {
			lo, hi := first*packed.width, min(last*packed.width, out)
			t.activate(start+lo, rows*p.ow, hi-lo)
		}
	}
}

// activate applies the activation to n of the channels of pixels, the first at element at.
func (t *convTask) activate(at, pixels, n int) {
	stride := t.cv.shape.Out
	if n == stride {
		pixels, n = 1, pixels*n
	}
	for i := range pixels {
		activateRow(t.cv.set, t.ep.Act, t.dst[at+i*stride:][:n])
	}
}

// unfold copies the windows of all pixels of some output rows.
func (t *convTask) unfold(dst, src []float32, y, rows int) {
	p, s := &t.direct, &t.cv.shape
	wx, wy := s.window(1, t.w), s.window(0, t.h)
	in := s.In / s.Groups
	a := copyArgs{n: in, dstStep: p.unfolded, srcStep: s.Stride[1] * s.In}
	for r := range rows {
		for i := range s.Kernel[0] {
			iy := wy.start(y+r) + i*s.Dilation[0]
			for j := range s.Kernel[1] {
				to := dst[r*p.ow*p.unfolded+(i*s.Kernel[1]+j)*in:]
				from, end := wx.seen(j, p.ow)
				if iy < 0 || iy >= t.h {
					from, end = p.ow, p.ow
				}
				for x := range from {
					clear(to[x*p.unfolded:][:in])
				}
				for x := end; x < p.ow; x++ {
					clear(to[x*p.unfolded:][:in])
				}
				if a.count = end - from; a.count > 0 {
					a.dst, a.src = to[from*p.unfolded:], src[(iy*t.w+wx.start(from)+j*s.Dilation[1])*s.In:]
					copySpans(t.cv.set, &a)
				}
			}
		}
	}
}

// seen returns the range of windows, of n, whose element j lies inside the image.
func (w window) seen(j, n int) (from, end int) {
	at := j*w.dilation - w.before
	from = min(n, max(0, ceilDiv(-at, w.stride)))
	return from, max(from, min(n, ceilDiv(w.size-at, w.stride)))
}

// copyImage copies what rows of windows from row y on read of some channels, with zeros where the image ends.
func (t *convTask) copyImage(dst, src []float32, channels, y, rows int) {
	p, s := &t.direct, &t.cv.shape
	wx, wy := s.window(1, t.w), s.window(0, t.h)
	rowStep := s.Stride[0] / p.rowStep // pixels of the image from row to row
	columns := window{kernel: 1, stride: p.colStep, dilation: 1, before: wx.before, size: t.w}
	from, end := columns.seen(0, p.cols)
	a := copyArgs{count: end - from, n: channels, dstStep: p.pixel, srcStep: p.colStep * s.In}
	if channels == s.In && p.pixel == s.In && p.colStep == 1 {
		a.count, a.n = min(1, a.count), a.count*a.n
	}
	for r := range (rows-1)*p.rowStep + wy.extent() {
		row := dst[r*p.pitch:][:p.pitch]
		iy := wy.start(y) + r*rowStep
		if iy < 0 || iy >= t.h || from == end {
			clear(row)
			continue
		}
		clear(row[:from*p.pixel])
		clear(row[end*p.pixel:])
		a.dst, a.src = row[from*p.pixel:], src[(iy*t.w+columns.start(from))*s.In:]
		copySpans(t.cv.set, &a)
	}
}
