package kernel

import "github.com/effml/effml/internal/pages"

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
	byRows         bool      // pieces of the same rows follow each other, not those of the same panels
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

var gemmTasks pages.Pool[gemmTask]

func newGemmTask(c *CPU) *gemmTask {
	t := gemmTasks.Get()
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
	t.b, t.ldb, t.trans = p.B, p.LDB, p.TransB
	t.own.resize(t.cpu.set, p.K, p.N)
	height, few := tileRows(t.cpu.set), p.M <= fewRows
	filling := few && p.M > 2*height && t.own.panels() >= 4*t.cpu.threads && p.M*p.N*p.K >= 32*pieceWork
	switch {
	case !p.TransB && p.K > 0 && (p.M <= height || p.K*p.LDB <= nearElements && !filling):
		t.own.data, t.own.rowStride, t.own.step = p.B, p.LDB, t.own.width
		t.own.last = t.memory(t.own.lastWidth * p.K)
		t.own.packPanels(p.N/t.own.width, t.own.panels(), p.B, p.LDB, false)
		t.multiply(&t.own)
	case few && p.K > 0 && !p.TransB:
		t.fillAndMultiply()
	case few:
		t.transposeAndMultiply()
	default:
		t.own.divide(t.memory(t.own.size()))
		t.pack(&t.own, p.B, p.LDB, p.TransB)
		t.multiply(&t.own)
	}
}

const (
	// nearElements is how many elements stay in the second-level cache: of so many, B is read where it is.
	nearElements = 1 << 18

	// fewRows is for how many rows it does not pay to pack B as a whole, that is to write it to memory.
	fewRows = 200
)

// memory returns n elements for packed panels.
func (t *gemmTask) memory(n int) []float32 {
	if cap(t.packed) < n {
		t.packed = alignedFloats(n)
	}
	return t.packed[:n]
}

// transposeAndMultiply packs some panels at a time to the memory of a worker, and multiplies all rows by them.
func (t *gemmTask) transposeAndMultiply() {
	t.do = transposedPiece
	panels := t.own.panels()
	t.nBlock = max(1, min(packTogether, nearElements/4/max(1, t.own.k*t.own.width), panels/4))
	t.scratch = grow(t.scratch, t.cpu.threads)
	t.run((panels + t.nBlock - 1) / t.nBlock)
}

func transposedPiece(t *gemmTask, i, worker int) {
	r := t.r
	first := i * t.nBlock * t.own.width
	var p Packed
	p.resize(t.own.set, t.own.k, min(t.nBlock*t.own.width, t.own.n-first))
	var panels []float32
	panels, r.scratch = t.workerMemory(worker, p.size())
	p.divide(panels)
	p.packPanels(0, p.panels(), t.b[min(first*t.ldb, len(t.b)):], t.ldb, true)
	r.dst = r.dst[first:]
	if r.ep.Bias != nil {
		r.ep.Bias = r.ep.Bias[first:]
	}
	if r.ep.Add != nil {
		r.ep.Add = r.ep.Add[first:]
	}
	p.rows(&r, 0, p.panels())
}

// fillAndMultiply multiplies all rows by one panel after another, in the memory of a worker, which meanwhile packs the next one.
func (t *gemmTask) fillAndMultiply() {
	p := &t.own
	p.source, p.sourceStride = t.b, t.ldb
	p.last = t.memory(p.lastWidth * p.k)
	p.packPanels(p.n/p.width, p.panels(), t.b, t.ldb, false)
	t.do, t.nBlocks = filledPiece, t.cpu.threads // nobody fills the first panel of a piece beside something else: few pieces
	if t.nBlocks > 1 && p.panels() >= 16*t.nBlocks {
		t.nBlocks *= 2
	}
	t.scratch = grow(t.scratch, t.cpu.threads)
	t.run(t.nBlocks)
}

func filledPiece(t *gemmTask, i, worker int) {
	p, r := t.own, t.r
	p.data, r.scratch = t.workerMemory(worker, 2*p.step)
	p.rows(&r, i*p.panels()/t.nBlocks, (i+1)*p.panels()/t.nBlocks)
}

// workerMemory returns n elements for panels of t.own, and those in which to transpose rows of A, if that is to be done.
func (t *gemmTask) workerMemory(worker, n int) (panels, rows []float32) {
	all := n
	if t.r.transA {
		all += scratchFor(t.own.set, t.r.m, t.own.k)
	}
	if cap(t.scratch[worker]) < all {
		t.scratch[worker] = alignedFloats(all)
	}
	memory := t.scratch[worker][:all]
	return memory[:n], memory[n:]
}

// pack fills all panels of p.
func (t *gemmTask) pack(p *Packed, b []float32, ldb int, trans bool) {
	t.do, t.p, t.b, t.ldb, t.trans = packPiece, p, b, ldb, trans
	t.nBlock = min(packTogether, max(1, p.panels()/4))
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
	if t.r.transA {
		t.scratchPerTask = scratchFor(p.set, (t.r.m+t.mBlocks-1)/t.mBlocks, p.k)
		t.scratch = grow(t.scratch, t.cpu.threads)
	}
	t.run(t.mBlocks * t.nBlocks)
}

// pieceWork is the number of products of a piece that is worth handing over.
const (
	pieceWork = 1 << 18
	loadRows  = 8 // to load B takes as long as to multiply so many rows by it
)

// cut chooses how many rows and panels make a piece, by the shape alone: about a hundred rows, over which the loads of panels are
// shared, and as many panels as stay in the third-level cache; less where that gives too few pieces to share out evenly.
func (t *gemmTask) cut() {
	height := tileRows(t.p.set)
	panels := t.p.panels()
	// Where there is more of A and C than of B a thread that does some rows, all panels, has them at hand when it does them in the next task too.
	t.byRows = t.r.m*(t.p.n+t.p.k) > t.p.n*t.p.k && t.p.n*t.p.k <= nearElements
	work := max(t.r.m, loadRows) * t.p.n * t.p.k
	rows := max(112, pieceWork/max(1, t.p.n*t.p.k)) / height * height
	t.mBlocks = (t.r.m + rows - 1) / rows
	t.nBlock = min(panels, max(1, 4*nearElements/max(1, t.p.k*t.p.width)))
	for {
		t.nBlocks = (panels + t.nBlock - 1) / t.nBlock
		pieces := t.mBlocks * t.nBlocks
		if pieces >= 16 || work/pieces < pieceWork {
			return
		}
		switch rows := t.r.m / t.mBlocks; {
		case t.nBlock > 8 || rows <= 2*height && t.nBlock > 1:
			t.nBlock = (t.nBlock + 1) / 2
		case rows > height/2:
			t.mBlocks *= 2
		default:
			return
		}
	}
}

// rowsPiece does some rows and some panels.
func rowsPiece(t *gemmTask, i, worker int) {
	r := t.r
	block, part := i%t.mBlocks, i/t.mBlocks
	if t.byRows {
		block, part = i/t.nBlocks, i%t.nBlocks
	}
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
	from := part * t.nBlock
	t.p.rows(&r, from, min(from+t.nBlock, t.p.panels()))
}
