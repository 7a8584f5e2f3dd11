package kernel

// directPlan says how the direct convolution cuts a run into pieces. It multiplies rows of windows by the packed weights: an
// output row is a block of rows of A, see [rowBlock], read from the image itself, or, where windows reach over its borders or
// pixels collide in the cache, from a copy of the image rows of the piece with zeros around them. Only where output rows are so
// short that tiles of A would be, too, the windows of a piece are unfolded.
type directPlan struct {
	n, oh, ow    int
	rows, panels int // of a piece
	rowPieces    int // of an image
	panelPieces  int
	groups       int

	copied          bool
	colStep, inRows int // of the copy: pixels of the image from one column to the next, its rows for all rows of a piece
	cols            int
	pixel           int // from one column to the next in what is read
	pitch           int // from one row to the next
	lda             int // from one window to the next
	rowStep         int // from one row of windows to the next, in rows
	image           int // elements of the copy
	unfolded        int // distance of unfolded windows, 0 if they are not
	scratch         int // elements for a worker
}

const (
	directPixels  = 112     // pixels of a piece: enough to load the weights for
	directCopy    = 1 << 16 // elements of the copy of a piece, so that it stays in the second-level cache
	directUnfold  = 1 << 18 // elements of the unfolded windows of a piece, likewise
	directPieces  = 16      // pieces that share the work among threads well
	collideStride = 512     // elements: rows so far apart, or a multiple, collide in the first-level cache
)

func (cv *Conv) planDirect(n, h, w int) directPlan {
	s := &cv.shape
	oh, ow := cv.Output(h, w)
	pointwise := s.pointwise()
	if pointwise {
		n, h, w, oh, ow = 1, 1, n*h*w, 1, n*h*w
	}
	p := directPlan{n: n, oh: oh, ow: ow, groups: s.Groups, colStep: 1, rowStep: s.Stride[0]}
	p.pixel, p.pitch, p.lda = s.In, w*s.In, s.Stride[1]*s.In
	wx, wy := s.window(1, w), s.window(0, h)
	p.copied = !pointwise && (s.Pads != [4]int{} || p.lda%collideStride == 0)
	if p.copied {
		step := s.Stride[1]
		if s.Kernel[1] == 1 {
			p.colStep, step = step, 1
		}
		if s.Kernel[0] == 1 {
			p.rowStep = 1
		}
		p.cols = (ow-1)*step + wx.extent()
		if step*p.pixel%collideStride == 0 {
			p.pixel += cacheLine
		}
		p.lda = step * p.pixel
		p.pitch = p.cols * p.pixel
	}
	p.rows = min(oh, max(1, (directPixels+ow/2)/max(ow, 1)))
	p.rows = ceilDiv(oh, ceilDiv(oh, p.rows))
	k := cv.packed[0].k
	height := tileRows(cv.set)
	if p.rows > 1 && 4*ow < 3*height*ceilDiv(ow, height) {
		p.unfolded = scratchStride(k)
		for p.rows > 1 && p.rows*ow*p.unfolded > directUnfold {
			p.rows--
		}
		p.scratch = roundUp(p.rows*ow*p.unfolded, cacheLine)
	}
	if p.copied {
		for p.rows > 1 && p.copyRows(wy)*p.pitch > directCopy {
			p.rows--
		}
		p.inRows = p.copyRows(wy)
		p.image = roundUp(p.inRows*p.pitch, cacheLine)
		p.scratch += p.image
	}
	p.rowPieces = ceilDiv(oh, p.rows)
	all := cv.packed[0].panels()
	p.panelPieces = min(all, ceilDiv(directPieces, p.n*p.rowPieces*p.groups))
	p.panels = ceilDiv(all, p.panelPieces)
	p.panelPieces = ceilDiv(all, p.panels)
	return p
}

// pointwise reports whether every output pixel depends on the input pixel at its place alone.
func (s *ConvShape) pointwise() bool {
	return s.Kernel == [2]int{1, 1} && s.Stride == [2]int{1, 1} && s.Pads == [4]int{}
}

// copyRows is the number of image rows that p.rows rows of windows read.
func (p *directPlan) copyRows(w window) int { return (p.rows-1)*p.rowStep + w.extent() }

func (p *directPlan) pieces() int { return p.n * p.rowPieces * p.groups * p.panelPieces }

// segments appends the offsets of the parts of a window whose elements are together.
func (p *directPlan) segments(offsets []int, s *ConvShape) []int {
	for i := range s.Kernel[0] {
		at := i * s.Dilation[0] * p.pitch
		if p.joined(s) {
			offsets = append(offsets, at)
			continue
		}
		for j := range s.Kernel[1] {
			offsets = append(offsets, at+j*s.Dilation[1]*p.pixel)
		}
	}
	return offsets
}

// joined reports whether a row of a window is together.
func (p *directPlan) joined(s *ConvShape) bool {
	return s.Groups == 1 && p.pixel == s.In && (s.Dilation[1] == 1 || s.Kernel[1] == 1)
}

// directPiece computes some output rows and panels of one image and group.
func (t *convTask) directPiece(i, worker int) {
	p, s := &t.direct, &t.cv.shape
	first := i % p.panelPieces * p.panels
	i /= p.panelPieces
	g := i % p.groups
	i /= p.groups
	y := i % p.rowPieces * p.rows
	image := i / p.rowPieces
	rows := min(p.rows, p.oh-y)
	in, out := s.In/s.Groups, s.Out/s.Groups
	src, scratch := t.src[image*(len(t.src)/p.n):], t.scratch[min(len(t.scratch), worker*p.scratch):]
	if p.copied {
		copied := scratch[:p.image]
		t.copyImage(copied, src, y, rows)
		src = copied
	} else {
		src = src[y*s.Stride[0]*p.pitch:]
	}
	packed := t.cv.packed[g]
	last := min(first+p.panels, packed.panels())
	act, _, _, more := clipOnly(t.ep.Act)
	ep := Epilogue{Bias: t.ep.Bias[g*out : (g+1)*out], Act: act}
	b := rowBlock{m: p.ow, lda: p.lda, offsets: t.offsets, k: packed.k / len(t.offsets), ldc: s.Out, ep: ep, addStride: s.Out}
	start := (image*p.oh+y)*p.ow*s.Out + g*out
	b.a, b.blocks, b.step = src[g*in:], rows, p.rowStep*p.pitch
	if p.unfolded > 0 {
		b.a, b.lda, b.offsets = t.unfold(scratch[p.image:p.scratch], b.a, rows, b.k), p.unfolded, nil
		b.m, b.k, b.blocks = rows*p.ow, packed.k, 1
	}
	b.dst = t.dst[start:]
	if t.ep.Add != nil {
		b.ep.Add = t.ep.Add[start:]
	}
	packed.rows(&b, first, last)
	if more {
		lo, hi := first*packed.width, min(last*packed.width, out)
		t.activate(start+lo, rows*p.ow, hi-lo)
	}
}

// unfold copies the windows of all pixels of some output rows, segments of k elements, and returns where they are.
func (t *convTask) unfold(dst, src []float32, rows, k int) []float32 {
	p := &t.direct
	a := copyArgs{count: p.ow, n: k, dstStep: p.unfolded, srcStep: p.lda}
	for r := range rows {
		for i, offset := range t.offsets {
			a.dst, a.src = dst[r*p.ow*p.unfolded+i*k:], src[r*p.rowStep*p.pitch+offset:]
			copySpans(t.cv.set, &a)
		}
	}
	return dst
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

// copyImage copies what rows of windows from row y on read, with zeros where the image ends.
func (t *convTask) copyImage(dst, src []float32, y, rows int) {
	p, s := &t.direct, &t.cv.shape
	wx, wy := s.window(1, t.w), s.window(0, t.h)
	rowStep := s.Stride[0] / p.rowStep // pixels of the image from row to row
	from, to := 0, 0                   // columns inside the image
	if x := wx.start(0); x < t.w {
		from = min(p.cols, max(0, ceilDiv(-x, p.colStep)))
		to = max(from, min(p.cols, ceilDiv(t.w-x, p.colStep)))
	}
	a := copyArgs{count: to - from, n: s.In, dstStep: p.pixel, srcStep: p.colStep * s.In}
	if p.pixel == s.In && p.colStep == 1 {
		a.count, a.n = min(1, a.count), a.count*a.n
	}
	for r := range (rows-1)*p.rowStep + wy.extent() {
		row := dst[r*p.pitch:][:p.pitch]
		iy := wy.start(y) + r*rowStep
		if iy < 0 || iy >= t.h || from == to {
			clear(row)
			continue
		}
		clear(row[:from*p.pixel])
		clear(row[to*p.pixel:])
		a.dst, a.src = row[from*p.pixel:], src[(iy*t.w+wx.start(0)+from*p.colStep)*s.In:]
		copySpans(t.cv.set, &a)
	}
}
