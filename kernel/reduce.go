package kernel

import (
	"math"

	"github.com/effml/effml/internal/isa"
)

// ReduceOp makes one number of many.
type ReduceOp uint8

// The reductions, of x₁ … xₙ. NaN gives NaN.
const (
	ReduceSum       ReduceOp = iota // Σ x; 0 of nothing
	ReduceMean                      // Σ x / n; NaN of nothing
	ReduceMax                       // the largest; −Inf of nothing
	ReduceMin                       // the smallest; +Inf of nothing
	ReduceProd                      // Π x; 1 of nothing
	ReduceL1                        // Σ |x|
	ReduceL2                        // √Σ x²
	ReduceSumSquare                 // Σ x²
	ReduceLogSum                    // log Σ x
	ReduceLogSumExp                 // log Σ exp x, without overflow
	numReduceOps
)

const (
	sumBlock = 1 << 11 // elements of a row that are added in float32, in many lanes, before float64 takes over
	colBlock = 1 << 7  // rows that are added to one in float32
)

// Reduce computes dst [outer, inner] from src [outer, n, inner]. Sums are added in float32 over blocks of 2,048 elements of a
// row (128 where inner > 1) and in float64 over blocks: their error is below 10⁻⁵ (2·10⁻⁵) of the sum of magnitudes, and
// typically 10⁻⁷ of it. The slices must not overlap.
func Reduce(c *CPU, op ReduceOp, dst, src []float32, outer, n, inner int) {
	if outer*inner == 0 {
		return
	}
	_ = dst[outer*inner-1]
	dst = dst[:outer*inner]
	src = src[:outer*n*inner]
	t := newVecTask(c, reduceRowsPiece)
	defer t.release()
	t.src, t.outer, t.n, t.inner = src, outer, n, inner
	if op == ReduceLogSumExp {
		t.y = dst // the largest, which is subtracted
		t.reduce(c, ReduceMax)
		t.finish(ReduceMax, dst)
	}
	t.reduce(c, op)
	t.finish(op, dst)
}

// reduce fills sums [outer, chunks, inner] with the results over chunks of n.
func (t *vecTask) reduce(c *CPU, op ReduceOp) {
	t.op = int(op)
	if t.inner == 1 {
		t.chunk = max(1, min(t.n, 2*pieceSize))
	} else {
		t.chunk = max(1, min(t.n, max(colBlock, pieceSize/t.inner)))
	}
	t.chunks = max(1, (t.n+t.chunk-1)/t.chunk)
	t.sums = grow(t.sums, t.outer*t.chunks*t.inner)
	if t.inner == 1 {
		t.do = reduceRowsPiece
		t.run(c, t.outer*t.chunks, rowsPerPiece(t.chunk))
		return
	}
	t.do = reduceColumnsPiece
	blocks := (t.inner + maxColumns - 1) / maxColumns
	t.run(c, t.outer*t.chunks*blocks, rowsPerPiece(t.chunk*min(t.inner, maxColumns)))
}

// finish combines the chunks, in order, and applies what follows the sum.
func (t *vecTask) finish(op ReduceOp, dst []float32) {
	for i := range dst {
		v := t.sums[i]
		if t.chunks > 1 {
			first := i/t.inner*t.chunks*t.inner + i%t.inner
			v = t.sums[first]
			for k := 1; k < t.chunks; k++ {
				v = op.combine(v, t.sums[first+k*t.inner])
			}
		}
		switch op {
		case ReduceMean:
			v /= float64(t.n)
		case ReduceL2:
			v = math.Sqrt(v)
		case ReduceLogSum:
			v = math.Log(v)
		case ReduceLogSumExp:
			if m := float64(dst[i]); math.IsInf(m, 0) {
				v = m
			} else {
				v = m + math.Log(v)
			}
		}
		dst[i] = float32(v)
	}
}

// combine joins two results, or a result and a term.
func (op ReduceOp) combine(x, y float64) float64 {
	switch op {
	case ReduceMax:
		return max(x, y)
	case ReduceMin:
		return min(x, y)
	case ReduceProd:
		return x * y
	}
	return x + y
}

// empty is the result over no element.
func (op ReduceOp) empty() float64 {
	switch op {
	case ReduceMax:
		return math.Inf(-1)
	case ReduceMin:
		return math.Inf(1)
	case ReduceProd:
		return 1
	}
	return 0
}

// term is what of an element is added.
func (op ReduceOp) term(x, shift float32) float64 {
	switch op {
	case ReduceL1:
		return math.Abs(float64(x))
	case ReduceL2, ReduceSumSquare:
		d := float64(x - shift)
		return d * d
	case ReduceLogSumExp:
		return math.Exp(float64(x) - float64(shift))
	}
	return float64(x)
}

// reduceRowsPiece does chunks lo to hi of all rows.
func reduceRowsPiece(t *vecTask, lo, hi, _ int) {
	for i := lo; i < hi; i++ {
		row := i / t.chunks
		at := i % t.chunks * t.chunk
		x := t.src[row*t.n+at : row*t.n+min(t.n, at+t.chunk)]
		var shift float32
		if t.y != nil && ReduceOp(t.op) == ReduceLogSumExp {
			shift = t.y[row]
		}
		t.sums[i] = reduceRow(t.set, ReduceOp(t.op), x, shift)
	}
}

// reduceRow reduces a row without what follows the sum; shift is subtracted for squares and exponentials.
func reduceRow(set isa.Set, op ReduceOp, x []float32, shift float32) float64 {
	v := op.empty()
	for len(x) > 0 {
		n := min(len(x), sumBlock)
		v = op.combine(v, reduceBlock(set, op, x[:n], shift))
		x = x[n:]
	}
	return v
}

func reduceGeneric(op ReduceOp, x []float32, shift float32) float64 {
	v := op.empty()
	for _, x := range x {
		v = op.combine(v, op.term(x, shift))
	}
	return v
}

// maxColumns is the number of columns that are reduced together: their sums fit on the stack.
const maxColumns = 512

// reduceColumnsPiece does blocks lo to hi, each maxColumns columns of a chunk of rows.
func reduceColumnsPiece(t *vecTask, lo, hi, _ int) {
	blocks := (t.inner + maxColumns - 1) / maxColumns
	for i := lo; i < hi; i++ {
		chunk := i / blocks
		col := i % blocks * maxColumns
		width := min(maxColumns, t.inner-col)
		outer, from := chunk/t.chunks, chunk%t.chunks*t.chunk
		to := min(t.n, from+t.chunk)
		var shift []float32
		if t.y != nil && ReduceOp(t.op) == ReduceLogSumExp {
			shift = t.y[outer*t.inner+col:][:width]
		}
		reduceColumns(t.set, ReduceOp(t.op), t.sums[chunk*t.inner+col:][:width], t.src[(outer*t.n+from)*t.inner+col:], to-from, t.inner, shift)
	}
}

// reduceColumns reduces rows of len(out) elements, which begin stride apart, column by column.
func reduceColumns(set isa.Set, op ReduceOp, out []float64, src []float32, rows, stride int, shift []float32) {
	var acc, tmp [maxColumns]float32
	n := len(out)
	join := op.columnOp()
	empty := op.empty()
	for i := range out {
		out[i] = empty
	}
	for r := 0; r < rows; r += colBlock {
		for i := range n {
			acc[i] = float32(empty)
		}
		block := src[r*stride:]
		count := min(colBlock, rows-r)
		if act, ok := op.columnTerm(); !ok {
			p := rowsOfPairs{rows: count, n: n, strideB: stride, stepA: 1, stepB: 1}
			p.apply(set, join, acc[:n], acc[:n], block)
		} else {
			p := rowsOfPairs{rows: 1, n: n, stepA: 1, stepB: 1}
			for k := range count {
				x := block[k*stride:][:n]
				switch {
				case op == ReduceLogSumExp:
					p.apply(set, Sub, tmp[:n], x, shift)
					mapRow(set, act, tmp[:n], tmp[:n])
				case act.Kind == None:
					p.apply(set, Mul, tmp[:n], x, x)
				default:
					mapRow(set, act, tmp[:n], x)
				}
				p.apply(set, join, acc[:n], acc[:n], tmp[:n])
			}
		}
		if join == Add {
			for i := range out {
				out[i] += float64(acc[i])
			}
			continue
		}
		for i := range out {
			out[i] = op.combine(out[i], float64(acc[i]))
		}
	}
}

// columnOp joins two rows.
func (op ReduceOp) columnOp() BinaryOp {
	switch op {
	case ReduceMax:
		return Max
	case ReduceMin:
		return Min
	case ReduceProd:
		return Mul
	}
	return Add
}

// columnTerm is the function of the elements that is added, None for squares; false when the elements are added themselves.
func (op ReduceOp) columnTerm() (Activation, bool) {
	switch op {
	case ReduceL1:
		return Activation{Kind: Abs}, true
	case ReduceLogSumExp:
		return Activation{Kind: Exp}, true
	case ReduceL2, ReduceSumSquare:
		return Activation{}, true
	}
	return Activation{}, false
}
