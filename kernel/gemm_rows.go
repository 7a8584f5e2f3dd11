package kernel

import (
	"unsafe"

	"github.com/effml/effml/internal/isa"
)

// rowBlock is the operand on the left, and the destination, of one step of a product or a convolution: m rows, each a
// concatenation of segments of k elements. Row i's segment s begins at a[i·lda + offsets[s]], so that a convolution reads
// its windows in place: a row is an output pixel, a segment a kernel row of kw·channels elements, lda the horizontal stride times
// the channels. All rows of a block share the offsets; a block is therefore (a part of) one output row of one image.
type rowBlock struct {
	m       int // any number: rows cuts it into tiles of even height
	a       []float32
	lda     int
	offsets []int // nil: one segment, at 0
	k       int   // elements of a segment

	dst []float32 // row i is dst[i·ldc : i·ldc+N]
	ldc int

	// More blocks with the same panels, block i's first row at a[i·step], its results after those of the block before. They take no scratch.
	blocks, step int // 0: one
	dstStep      int // from the results of a block to those of the next; 0: they follow

	ep        Epilogue // Bias has N elements; row i of Add, which may be dst, begins at i·addStride
	addStride int

	scale      *scaling  // nil: the sums alone
	transA     bool      // element k of row i is a[k·lda + i]: rows are transposed to scratch first. Without offsets
	next       []float32 // what will be packed afterwards, as p's columns are; nil: the next panel is needed next
	nextStride int
	scratch    []float32 // scratchFor(m, K) elements
}

// scaling makes α·A·B + β·C of A·B. C is not read where β is 0.
type scaling struct{ alpha, beta float32 }

// rows multiplies a block by panels from to to−1 of p and stores act(A·B + bias + add): the building block of products and
// convolutions. It runs on the calling thread, allocates nothing and may be called for different blocks or panels at the same
// time. len(offsets)·k must be p's K.
//
// K is cut into chunks by K and the segment length alone, sums of chunks are added in dst in order, and an element's sum is
// formed in the same order whatever m, from and to are: a result depends neither on how rows are cut into blocks nor on threads.
// Time is lowest where m is a multiple of, or little less than a multiple of, 14 (AVX-512) or 6 (AVX2), and where a block has
// about 100 rows or more, over which the loads of p are shared.
func (p *Packed) rows(r *rowBlock, from, to int) {
	if r.m <= 0 || from >= to {
		return
	}
	segments := max(1, len(r.offsets))
	if segments*r.k != p.k || to > p.panels() {
		panic("kernel: rows of another product")
	}
	t := tile{offsets: &wholeRow[0], segments: 1, k: r.k}
	size, group := chunks(p.set, segments, r.k)
	for s := 0; s < segments; s += group {
		if r.offsets != nil {
			t.offsets, t.segments = &r.offsets[s], min(group, segments-s)
		}
		for at := 0; ; at += size {
			t.k = min(size, r.k-at)
			first, last := s == 0 && at == 0, s+group >= segments && at+size >= r.k
			p.chunk(&t, r, at, s*r.k+at, from, to, first, last)
			if at+size >= r.k {
				break
			}
		}
	}
	if r.ep.Act.Kind > ClipTo {
		lo, hi := from*p.width, min(to*p.width, p.n)
		m, n := r.m*max(1, r.blocks), hi-lo
		if n == r.ldc {
			m, n = 1, m*n
		}
		for i := range m {
			activateRow(p.set, r.ep.Act, r.dst[i*r.ldc+lo:][:n])
		}
	}
}

var wholeRow = [1]int{0} // the offsets of a row of one segment

// chunks returns how K is cut: into parts of size elements of one segment, or groups of segments.
func chunks(set isa.Set, segments, k int) (size, group int) {
	depth := tileDepth(set)
	if k > depth {
		n := (k + depth - 1) / depth
		return ((k+n-1)/n + 3) &^ 3, 1
	}
	n := (segments*k + depth - 1) / depth
	if n <= 1 {
		return max(k, 1), segments
	}
	return k, max(1, (segments+n-1)/n)
}

// chunk adds to dst what t.segments × t.k elements of the rows from element at give, elements from row of op(B).
func (p *Packed) chunk(t *tile, r *rowBlock, at, row, from, to int, first, last bool) {
	if r.transA {
		t.a, t.lda = r.transposeRows(p.set, at, t.k)
	} else {
		t.a, t.lda = unsafe.Pointer(unsafe.SliceData(r.a[min(at, len(r.a)):])), 4*r.lda
	}
	t.c, t.ldc = nil, 4*r.ldc
	t.flags = 0
	ep := &r.ep
	bias, add := ep.Bias, ep.Add
	if r.scale != nil {
		t.alpha, t.beta = r.scale.alpha, r.scale.beta
		t.flag(scaled, t.alpha != 1)
		t.flag(loaded, t.beta != 0)
	}
	if !first {
		t.beta = 1
		t.flag(loaded, true)
		bias, add = nil, nil
	}
	t.lo, t.hi = ep.Act.A, ep.Act.B
	t.flag(clipped, last && ep.Act.Kind == ClipTo)
	t.addStride = 4 * r.addStride
	height := tileRows(p.set)
	tiles := (r.m + height - 1) / height
	height, higher := r.m/tiles, r.m%tiles // the first tiles have a row more
	a := t.a
	for j := from; j < to; j++ {
		var narrow bool
		t.b, t.ldb, t.columns, narrow = p.panel(j, row)
		n := j * p.width
		t.bias = at32(bias, n)
		if j == from {
			p.fill(j, row, t.k)
		}
		filled := p.ahead(t, r, j, row, to, tiles)
		quarter := uintptr(t.k * t.segments / 4 * t.step)
		for block := range max(1, r.blocks) {
			at := block * r.m
			t.a = unsafe.Add(a, 4*block*r.step)
			to := at * r.ldc
			if r.dstStep > 0 {
				to = block * r.dstStep
			}
			t.c = unsafe.Pointer(&r.dst[to+n])
			_ = r.dst[to+(r.m-1)*r.ldc+n+int(t.columns)-1]
			t.add = at32(add, at*r.addStride+n)
			rows := 0
			for i := range tiles {
				t.forward(rows)
				if rows = height; i < higher {
					rows++
				}
				if j+1 == to && r.next == nil { // what comes next is other rows
					t.ahead, t.step = uintptr(t.a)+uintptr(2*height*t.lda), 128
				}
				t.run(p.set, rows, narrow)
				if t.ahead += quarter; block == 0 && i == 3 {
					quarter, t.step, t.keep = 0, 0, nil
				}
				if t.keep != nil {
					t.keep = unsafe.Add(t.keep, t.k/4*4*p.rowStride)
				}
			}
		}
		if t.keep = nil; j+1 < to {
			p.fill(j+1, row+filled, t.k-filled)
		}
	}
	t.a = a
}

// forward moves a tile down by some rows.
func (t *tile) forward(rows int) {
	t.a = unsafe.Add(t.a, rows*t.lda)
	t.c = unsafe.Add(t.c, rows*t.ldc)
	if t.add != nil {
		t.add = unsafe.Add(t.add, rows*t.addStride)
	}
}

// ahead says what will be needed after panel j, for its tiles to bring near, a quarter each, or, of a panel that is still to be filled, to
// copy. It returns how many rows they will have copied.
func (p *Packed) ahead(t *tile, r *rowBlock, j, row, to, tiles int) (filled int) {
	switch {
	case r.next != nil:
		t.ahead = uintptr(unsafe.Pointer(unsafe.SliceData(r.next))) + uintptr(4*(row*r.nextStride+j*p.width))
		t.step = 4 * r.nextStride
	case j+1 < to && p.sourced(j+1) && p.set != isa.Generic:
		t.ahead, t.step = uintptr(unsafe.Pointer(&p.source[row*p.sourceStride+(j+1)*p.width])), 4*p.sourceStride
		t.keep, _, _, _ = p.panel(j+1, row)
		filled = min(tiles, 4) * (t.k / 4)
	case j+1 < p.panels():
		next, stride, _, _ := p.panel(j+1, row)
		t.ahead, t.step = uintptr(next), stride
	default:
		t.ahead, t.step = uintptr(t.b), 0
	}
	return filled
}

// at32 returns where element i is; nil of nothing.
func at32(s []float32, i int) unsafe.Pointer {
	if s == nil {
		return nil
	}
	return unsafe.Pointer(&s[i])
}

// scratchFor returns the number of elements that scratch needs for blocks of m rows and sums of k products.
func scratchFor(set isa.Set, m, k int) int { return m * scratchStride(min(k, tileDepth(set)+4)) }

// scratchStride is a distance of rows of n elements that does not let them collide in the first-level cache.
func scratchStride(n int) int { return (n+15)&^15 | 16 }

// transposeRows puts n elements from element at of all rows, which are columns in memory, into scratch, and returns where they are and
// the distance of rows in bytes.
func (r *rowBlock) transposeRows(set isa.Set, at, n int) (unsafe.Pointer, int) {
	stride := scratchStride(n)
	if n > 0 {
		transposeTile(set, words(r.scratch), words(r.a[at*r.lda:]), n, r.m, stride, r.lda)
	}
	return unsafe.Pointer(unsafe.SliceData(r.scratch)), 4 * stride
}

// tile is the arguments of a micro-kernel, distances in bytes: C = act(α·A·B + β·C + bias + add), see [rowBlock].
type tile struct {
	a         unsafe.Pointer
	lda       int
	offsets   *int // of segments, in elements
	segments  int
	k         int // elements of a segment
	b         unsafe.Pointer
	ldb       int
	c         unsafe.Pointer
	ldc       int
	bias, add unsafe.Pointer // nil for none
	addStride int
	lo, hi    float32
	alpha     float32
	beta      float32
	flags     uint32
	columns   uint32
	ahead     uintptr // bring near meanwhile 128 bytes from here and, for every 4 of k, step further; nothing need be there
	step      int
	keep      unsafe.Pointer // where to copy the rows from ahead, of a panel's width, one after another; nil: bring near alone
}

// Bits of flags: which of alpha, beta, and lo and hi to use.
const (
	scaled  = 1
	loaded  = 2
	clipped = 4
)

func (t *tile) flag(bit uint32, on bool) {
	if on {
		t.flags |= bit
	} else {
		t.flags &^= bit
	}
}

// tileRows is the largest height of a tile.
func tileRows(set isa.Set) int { return [...]int{4, 6, 14}[set] }

// tileWidth is the number of columns of a panel. The last panel has half as many where that suffices.
func tileWidth(set isa.Set) int { return [...]int{8, 16, 32}[set] }

// tileDepth is the number of rows of a panel, that is elements of rows of A, that are used before other panels are. With some panels
// and a hundred rows of A they stay in the second-level cache.
func tileDepth(set isa.Set) int { return [...]int{512, 1536, 1536}[set] }
