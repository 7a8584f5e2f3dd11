package kernel

import (
	"unsafe"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/pages"
)

// pieceSize is the number of elements in a piece of element-wise work: enough to outweigh the hand-over to a thread, little
// enough to stay in the second-level cache. Less than that runs on the calling thread.
const (
	pieceSize = 1 << 14
	vecPieces = 4 // there are a multiple of so many
)

// vecTask is one call of an element-wise, reducing or moving kernel: its arguments, and the function that does a range of
// its items. The function is a plain one, so that nothing is allocated; arguments have the meaning that it gives them.
type vecTask struct {
	do           func(t *vecTask, lo, hi, worker int)
	items, grain int // piece i is items i·grain to (i+1)·grain
	set          isa.Set

	dst, src, y, z []float32
	act            Activation
	op             int
	outer, n, inner,
	chunk, chunks int
	eps          float32
	mean, invStd []float32
	blend        Blend
	dims         []axis

	to, from unsafe.Pointer // of elements of any type
	taps     [2]Taps
	parts    []Part

	sums    []float64
	scratch []float32
}

// axis is a dimension with the distances, in elements, between neighbours in the output and in up to two inputs.
type axis struct{ n, d, a, b int }

var vecTasks pages.Pool[vecTask]

// newVecTask returns a task with what earlier uses left behind, which release then cleans up.
func newVecTask(c *CPU, do func(t *vecTask, lo, hi, worker int)) *vecTask {
	t := vecTasks.Get()
	t.set, t.do = c.set, do
	return t
}

// run does all items in pieces of grain items, on all threads.
func (t *vecTask) run(c *CPU, items, grain int) {
	if items <= 0 {
		return
	}
	t.items, t.grain = items, grain
	if items <= grain {
		t.do(t, 0, items, 0)
		return
	}
	// A number of pieces that a few threads can share out evenly.
	pieces := ceilDiv(items, grain)
	if pieces > 2 {
		pieces = min(items, roundUp(pieces, vecPieces))
	}
	t.grain = ceilDiv(items, pieces)
	c.Parallel(ceilDiv(items, t.grain), t)
}

// release forgets the operands and keeps the memory for the next call.
func (t *vecTask) release() {
	*t = vecTask{dims: t.dims[:0], sums: t.sums[:0], scratch: t.scratch[:0]}
	vecTasks.Put(t)
}

// Piece implements [Task].
func (t *vecTask) Piece(i, worker int) {
	lo := i * t.grain
	t.do(t, lo, min(t.items, lo+t.grain), worker)
}

// rowsPerPiece is the number of rows of n elements that make a piece.
func rowsPerPiece(n int) int { return max(1, pieceSize/max(n, 1)) }

// grow returns s with length n; what it holds is arbitrary.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
