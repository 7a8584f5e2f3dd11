package kernel

import (
	"unsafe"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/pages"
)

// Packed is the right-hand operand op(B), [K, N], of products, cut into panels of columns, whose elements are then together. The
// last panel, if it is not full, is padded with zeros. It belongs to the instruction set that made it.
type Packed struct {
	set   isa.Set
	k, n  int
	width int // columns of a panel, but for the last

	data      []float32
	rowStride int // from a row of a panel to the next
	step      int // from a panel to the next

	// Where there is a source, op(B) itself, whole panels are filled as they are used, by [Packed.rows]: data holds two, in turn.
	source       []float32
	sourceStride int

	last      []float32 // the last panel where it is not full
	lastWidth int       // distance of its rows
}

// Pack packs op(B), [k, n]: b is [k, n] with distance ldb between rows or, if trans, [n, k], as weights of
// fully connected layers are. b is not needed afterwards.
func Pack(c *CPU, b []float32, ldb, k, n int, trans bool) *Packed {
	p := &Packed{}
	t := newGemmTask(c)
	p.resize(c.set, k, n)
	data := alignedFloats(p.size())
	p.divide(data)
	t.pack(p, b, ldb, trans)
	t.release()
	return p
}

// Bytes is the memory that p takes.
func (p *Packed) Bytes() int { return 4 * p.size() }

func (p *Packed) resize(set isa.Set, k, n int) {
	width := tileWidth(set)
	*p = Packed{set: set, k: k, n: n, width: width, rowStride: width, step: width * k}
	switch rest := n % width; {
	case rest > width/2:
		p.lastWidth = width
	case rest > 0:
		p.lastWidth = width / 2
	}
}

func (p *Packed) size() int { return p.n/p.width*p.width*p.k + p.lastWidth*p.k }

func (p *Packed) divide(data []float32) {
	whole := p.n / p.width * p.width * p.k
	p.data, p.last = data[:whole], data[whole:p.size()]
}

// panels is the number of panels.
func (p *Packed) panels() int { return (p.n + p.width - 1) / p.width }

// panel returns row of panel j: where it is, the distance of rows in bytes, the columns, and whether it has half the width.
func (p *Packed) panel(j, row int) (at unsafe.Pointer, stride int, columns uint32, narrow bool) {
	if n := p.n - j*p.width; n < p.width {
		return unsafe.Pointer(unsafe.SliceData(p.last[row*p.lastWidth:])), 4 * p.lastWidth, uint32(n), p.lastWidth < p.width
	}
	if p.source != nil {
		j &= 1
	}
	return unsafe.Pointer(unsafe.SliceData(p.data[j*p.step+row*p.rowStride:])), 4 * p.rowStride, uint32(p.width), false
}

// sourced reports whether panel j is one to fill as it is used.
func (p *Packed) sourced(j int) bool { return p.source != nil && j < p.n/p.width }

// fill copies rows of panel j, if it is one to fill.
func (p *Packed) fill(j, row, rows int) {
	if !p.sourced(j) {
		return
	}
	copyRuns(p.set, p.data[j&1*p.step+row*p.width:], p.source[min(row*p.sourceStride+j*p.width, len(p.source)):], rows, 1, p.width, p.step, p.sourceStride)
}

// packPanels fills panels from to to−1 from op(B).
func (p *Packed) packPanels(from, to int, b []float32, ldb int, trans bool) {
	if p.k == 0 {
		return
	}
	whole := min(to, p.n/p.width)
	if trans {
		for j := from; j < whole; j++ {
			transposeTile(p.set, words(p.data[j*p.step:]), words(b[j*p.width*ldb:]), p.width, p.k, p.width, ldb)
		}
	} else if from < whole {
		copyRuns(p.set, p.data[from*p.step:], b[from*p.width:], p.k, whole-from, p.width, p.step, ldb)
	}
	if whole < to {
		p.packLast(b, ldb, trans)
	}
}

// packLast fills the last panel, which is not full.
func (p *Packed) packLast(b []float32, ldb int, trans bool) {
	whole := p.n / p.width * p.width
	n := p.n - whole
	if n < p.lastWidth {
		clear(p.last)
	}
	if trans {
		transposeTile(p.set, words(p.last), words(b[whole*ldb:]), n, p.k, p.lastWidth, ldb)
		return
	}
	k := 0
	if beyond := len(b) - whole - p.width; p.lastWidth == p.width && beyond >= 0 { // whole vectors, while what they read beyond the columns is there
		k = min(p.k, beyond/ldb+1)
		copyRuns(p.set, p.last, b[whole:], k, 1, p.width, 0, ldb)
	}
	for ; k < p.k; k++ {
		copy(p.last[k*p.lastWidth:][:n], b[k*ldb+whole:])
	}
}

// alignedFloats returns n elements that begin at a cache line.
func alignedFloats(n int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(pages.Buffer(4*n)))), n)
}
