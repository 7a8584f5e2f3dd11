package kernel

// minimalPlan says how a convolution with Winograd's algorithm is cut into pieces: blocks of tiles by blocks of output channels. A
// piece transforms its tiles, [size², tiles, In], and for some panels of the weights at a time multiplies element by element of
// the transform, [size², tiles, columns], and transforms back, so that it is all done near the core. Images of few
// blocks are transformed first, by all threads, as many pieces would have to do it again.
type minimalPlan struct {
	tilesX, tilesY, total int
	tiles, blocks         int  // of a piece; blocks of tiles
	panels, panelBlocks   int  // of a piece; blocks of panels
	together, columns     int  // panels of products that are transformed back at a time, and their columns
	first                 bool // all is transformed first
	bring                 bool // the weights are more than what stays near: each panel brings the next
	in, size              int  // elements from tile to tile of the transformed input; of a tile
	inPosition            int  // from element to element of the transform
	outPosition           int
	edge                  int // elements of a copy of a tile
}

const (
	minimalTiles  = 56      // of a piece: enough to load the weights for
	minimalIn     = 1 << 20 // elements of the transformed tiles of a piece
	minimalOut    = 1 << 17 // elements of products that are transformed back at a time
	minimalPieces = 8       // pieces that share the work among threads well
	minimalPanels = 4       // of a piece, so many that transforming its tiles is little
	minimalFirst  = 4       // blocks below which all is transformed first
	nearWeights   = 1 << 18 // elements of weights that stay in the second-level cache
)

func (cv *Conv) planMinimal(n, oh, ow int) minimalPlan {
	win, set, s := cv.winograd, cv.set, &cv.shape
	p := minimalPlan{tilesX: ceilDiv(ow, win.out), tilesY: ceilDiv(oh, win.out), size: win.size * win.size}
	p.total = n * p.tilesX * p.tilesY
	p.in = roundUp(s.In, winogradLanes)
	if p.in%collideStride == 0 {
		p.in += cacheLine
	}
	all := cv.packed[0].panels()
	most := min(minimalTiles, minimalIn/(p.size*p.in))
	p.bring = p.size*s.In*s.Out > nearWeights
	if !p.bring { // weights are at hand, so that pieces may be small
		most = min(most, max(tileRows(set), ceilDiv(p.total, minimalPieces)))
		if all == 1 && p.total >= tileRows(set) {
			most = min(most, ceilDiv(p.total, 2))
		}
	}
	p.tiles = ceilDiv(p.total, ceilDiv(p.total, max(1, most)))
	p.blocks = ceilDiv(p.total, p.tiles)
	p.panelBlocks = min(all, ceilDiv(minimalPieces, p.blocks))
	if p.first = p.blocks < minimalFirst && p.panelBlocks > 1; !p.first {
		p.panelBlocks = min(p.panelBlocks, max(1, all/minimalPanels))
	}
	p.panels = ceilDiv(all, p.panelBlocks)
	p.panelBlocks = ceilDiv(all, p.panels)
	p.together = max(1, min(p.panels, minimalOut/(p.size*p.tiles*tileWidth(set))))
	p.columns = p.together * tileWidth(set)
	p.inPosition = p.tiles*p.in | cacheLine
	p.outPosition = p.tiles*p.columns | cacheLine
	p.edge = roundUp(p.size*s.In, cacheLine)
	return p
}

func (p *minimalPlan) pieces() int { return p.blocks * p.panelBlocks }

// scratch is the number of elements for a number of workers.
func (p *minimalPlan) scratch(workers int) int {
	inputs := workers
	if p.first {
		inputs = p.blocks
	}
	return inputs*p.size*p.inPosition + workers*(p.size*p.outPosition+p.edge)
}

// input returns where the transform of block i, or of the block of worker i, goes.
func (p *minimalPlan) input(scratch []float32, workers, i int) []float32 {
	n := p.size * p.inPosition
	return scratch[workers*(p.size*p.outPosition+p.edge)+i*n:][:n]
}

// own returns the memory of a worker, for products and for a copy of a tile.
func (p *minimalPlan) own(scratch []float32, worker int) (out, edge []float32) {
	n := p.size * p.outPosition
	out = scratch[worker*(n+p.edge):][:n+p.edge]
	return out[:n], out[n:]
}

// minimalRun does all pieces.
func (t *convTask) minimalRun(c *CPU) {
	p := &t.minimal
	if p.first {
		t.transforming = true
		c.Parallel(ceilDiv(p.total, p.tilesX), t)
		t.transforming = false
	}
	c.Parallel(p.pieces(), t)
}

// minimalRow transforms a row of tiles, before all pieces.
func (t *convTask) minimalRow(i, worker int) {
	p := &t.minimal
	_, edge := p.own(t.scratch, worker)
	for tile, end := i*p.tilesX, (i+1)*p.tilesX; tile < end; {
		block, at := tile/p.tiles, tile%p.tiles
		in := p.input(t.scratch, t.cv.workers, block)
		tile += t.transformTiles(in[at*p.in:], edge, tile, min(end-tile, p.tiles-at))
	}
}

// minimalPiece computes a block of tiles and of channels.
func (t *convTask) minimalPiece(i, worker int) {
	p, cv := &t.minimal, t.cv
	out, edge := p.own(t.scratch, worker)
	block := i / p.panelBlocks
	first, from := block*p.tiles, i%p.panelBlocks*p.panels
	tiles := min(p.tiles, p.total-first)
	input := worker
	if p.first {
		input = block
	}
	in := p.input(t.scratch, cv.workers, input)
	for tile := 0; tile < tiles && !p.first; {
		tile += t.transformTiles(in[tile*p.in:], edge, first+tile, tiles-tile)
	}
	width := cv.packed[0].width
	for to := min(from+p.panels, cv.packed[0].panels()); from < to; from += p.together {
		end := min(from+p.together, to)
		at := from * width
		channels := min(end*width, cv.shape.Out) - at
		t.multiply(in, out, tiles, from, end)
		for tile := range tiles {
			t.transformBack(out[tile*p.columns:], first+tile, at, channels)
		}
	}
}

// multiply computes the products of transformed tiles by panels from to to−1.
func (t *convTask) multiply(in, out []float32, tiles, from, to int) {
	p, packed := &t.minimal, t.cv.packed
	for k := range packed {
		b := rowBlock{m: tiles, a: in[k*p.inPosition:], lda: p.in, k: packed[k].k, dst: out[k*p.outPosition:], ldc: p.columns}
		if !p.bring {
			part := packed[k].part(from, to)
			part.rows(&b, 0, to-from)
			continue
		}
		b.nextStride = packed[k].width
		for j := from; j < to; j++ {
			switch {
			case j+1 < to:
				b.next = packed[k].part(j+1, j+2).data
			case k+1 < len(packed):
				b.next = packed[k+1].part(from, from+1).data
			}
			part := packed[k].part(j, j+1)
			part.rows(&b, 0, 1)
			if j+1 < to {
				b.dst = b.dst[part.n:]
			}
		}
	}
}

// part returns panels from to to−1.
func (p *Packed) part(from, to int) Packed {
	q := *p
	q.n = min(p.n, to*p.width) - from*p.width
	q.data = p.data[from*p.step:]
	return q
}

// transformTiles transforms a tile, and those to its right of the n next ones that lie inside the image like it. It returns how many.
func (t *convTask) transformTiles(dst, edge []float32, tile, n int) int {
	p, win, s := &t.minimal, t.cv.winograd, &t.cv.shape
	x, y, image := tile%p.tilesX, tile/p.tilesX%p.tilesY, tile/p.tilesX/p.tilesY
	ix, iy := x*win.out-s.Pads[1], y*win.out-s.Pads[0]
	src := t.src[image*t.h*t.w*s.In:][:t.h*t.w*s.In]
	a := winogradInputArgs{dst: dst, ch: s.In, tiles: 1, pixel: s.In, row: t.w * s.In, position: p.inPosition, srcTile: win.out * s.In, dstTile: p.in}
	if ix >= 0 && iy >= 0 && iy+win.size <= t.h && ix+win.size <= t.w {
		a.tiles = min(n, p.tilesX-x, (t.w-win.size-ix)/win.out+1)
		a.src = src[(iy*t.w+ix)*s.In:]
	} else {
		lo, hi := max(0, -ix), min(win.size, t.w-ix)
		for i := range win.size {
			row := edge[i*win.size*s.In:][:win.size*s.In]
			if iy+i < 0 || iy+i >= t.h || lo >= hi {
				clear(row)
				continue
			}
			clear(row[:lo*s.In])
			clear(row[hi*s.In:])
			copy(row[lo*s.In:hi*s.In], src[((iy+i)*t.w+ix+lo)*s.In:])
		}
		a.src, a.row = edge, win.size*s.In
	}
	winogradInput(t.cv.set, win, &a)
	return a.tiles
}

// transformBack transforms channels from at on of the products of a tile and stores the results.
func (t *convTask) transformBack(src []float32, tile, at, channels int) {
	p, cv := &t.minimal, t.cv
	out, stride := cv.winograd.out, cv.shape.Out
	x, y, image := tile%p.tilesX*out, tile/p.tilesX%p.tilesY*out, tile/p.tilesX/p.tilesY
	_, lo, hi, more := clipOnly(t.ep.Act)
	a := winogradOutputArgs{
		src: src, bias: t.ep.Bias[at:], ch: channels, rows: min(out, t.oh-y), cols: min(out, t.ow-x),
		pixel: stride, row: t.ow * stride, position: p.outPosition, lo: lo, hi: hi,
	}
	start := ((image*t.oh+y)*t.ow+x)*stride + at
	a.dst = t.dst[start:]
	if t.ep.Add != nil {
		a.add = t.ep.Add[start:]
	}
	winogradOutput(cv.set, cv.winograd, &a)
	if more {
		for i := range a.rows {
			t.activate(start+i*a.row, a.cols, channels)
		}
	}
}
