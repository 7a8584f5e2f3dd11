package kernel

import "sync"

// gemmTask is one call of a product: its operands, how it is cut, and the memory that it needs.
type gemmTask struct {
	cpu   *CPU
	alone bool // on the calling thread
	do    func(t *gemmTask, i, worker int)

	p              *Packed
	r              rowBlock // all rows
	mBlocks        int
	nBlock         int // panels of a piece
	nBlocks        int
	b              []float32 // to pack
	ldb            int
	trans          bool
	batch          []Product
	own            Packed
	scaling        scaling
	packed         []float32   // memory for own
	scratch        [][]float32 // memory of each worker
	scratchPerTask int
}

var gemmTasks = sync.Pool{New: func() any { return new(gemmTask) }}

func newGemmTask(c *CPU) *gemmTask {
	t := gemmTasks.Get().(*gemmTask)
	t.cpu = c
	return t
}

// release forgets the operands and keeps the memory for the next call.
func (t *gemmTask) release() {
	*t = gemmTask{packed: t.packed, scratch: t.scratch}
	gemmTasks.Put(t)
}

// Piece implements [Task].
func (t *gemmTask) Piece(i, worker int) { t.do(t, i, worker) }

func (t *gemmTask) run(pieces int) {
	if !t.alone && pieces > 1 {
		t.cpu.Parallel(pieces, t)
		return
	}
	for i := range pieces {
		t.do(t, i, 0)
	}
}

// product computes p, packing B to memory of the task.
func (t *gemmTask) product(p *Product) {
	if p.M <= 0 || p.N <= 0 {
		return
	}
	t.scaling = scaling{alpha: p.Alpha, beta: p.Beta}
	t.r = rowBlock{
		m: p.M, a: p.A, lda: p.LDA, k: p.K, dst: p.C, ldc: p.LDC, transA: p.TransA,
		ep: p.Epilogue, addStride: p.LDC, scale: &t.scaling,
	}
	if t.vector(p) {
		return
	}
	t.own.resize(t.cpu.set, p.K, p.N)
	if size := t.own.size(); cap(t.packed) < size {
		t.packed = alignedFloats(size)
	}
	t.own.divide(t.packed[:cap(t.packed)])
	t.pack(&t.own, p.B, p.LDB, p.TransB)
	t.multiply(&t.own)
}

// pack fills all panels of p.
func (t *gemmTask) pack(p *Packed, b []float32, ldb int, trans bool) {
	t.do, t.p, t.b, t.ldb, t.trans = packPiece, p, b, ldb, trans
	t.nBlock = max(1, min(packTogether, pieceSize*4/max(1, p.k*p.width)))
	t.run((p.panels() + t.nBlock - 1) / t.nBlock)
}

// packTogether is how many panels are filled at once, so that the elements of a row that are read are many, and the
// places that are written few.
const packTogether = 8

func packPiece(t *gemmTask, i, _ int) {
	t.p.packPanels(i*t.nBlock, min((i+1)*t.nBlock, t.p.panels()), t.b, t.ldb, t.trans)
}

// multiply computes the product of t.r and p.
func (t *gemmTask) multiply(p *Packed) {
	t.p, t.do = p, rowsPiece
	t.cut()
	if t.r.transA || t.r.lda%256 == 0 && t.r.m > 1 && t.nBlock > 1 {
		t.scratchPerTask = scratchFor(p.set, (t.r.m+t.mBlocks-1)/t.mBlocks, p.k)
		t.scratch = grow(t.scratch, t.cpu.threads)
	}
	t.run(t.mBlocks * t.nBlocks)
}

// cut chooses how many rows and panels make a piece, by the shape alone.
func (t *gemmTask) cut() {
	height := tileRows(t.p.set)
	rows := 8 * height
	panels := t.p.panels()
	t.mBlocks = (t.r.m + rows - 1) / rows
	t.nBlock = panels
	for {
		t.nBlocks = (panels + t.nBlock - 1) / t.nBlock
		pieces := t.mBlocks * t.nBlocks
		work := t.r.m * t.p.n * t.p.k / pieces
		if pieces >= 16 || work < 1<<18 {
			return
		}
		switch {
		case t.r.m/t.mBlocks > 2*height || t.nBlock == 1 && t.r.m/t.mBlocks > height/2:
			t.mBlocks *= 2
		case t.nBlock > 1:
			t.nBlock = (t.nBlock + 1) / 2
		default:
			return
		}
	}
}

// rowsPiece does block i, those of the same columns one after another.
func rowsPiece(t *gemmTask, i, worker int) {
	r := t.r
	block := i % t.mBlocks
	lo, hi := block*r.m/t.mBlocks, (block+1)*r.m/t.mBlocks
	if r.ep.Add != nil {
		r.ep.Add = r.ep.Add[lo*r.addStride:]
	}
	r.m, r.dst = hi-lo, r.dst[lo*r.ldc:]
	if r.transA {
		r.a = r.a[min(lo, len(r.a)):]
	} else {
		r.a = r.a[min(lo*r.lda, len(r.a)):]
	}
	if t.scratchPerTask > 0 {
		t.scratch[worker] = grow(t.scratch[worker], t.scratchPerTask)
		r.scratch = t.scratch[worker]
	}
	from := i / t.mBlocks * t.nBlock
	t.p.rows(&r, from, min(from+t.nBlock, t.p.panels()))
}
