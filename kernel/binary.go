package kernel

import (
	"math"

	"github.com/effml/effml/internal/isa"
)

// BinaryOp is a function of two variables.
type BinaryOp uint8

// The functions of two variables.
const (
	Add   BinaryOp = iota // a + b
	Sub                   // a − b
	Mul                   // a · b
	Div                   // a / b
	Min                   // the smaller; NaN if either is
	Max                   // the larger; NaN if either is
	PRelu                 // a < 0 ? a·b : a
	Pow                   // a to the power b, as math.Pow, rounded once; a·a if b is 2 everywhere
	numBinaryOps
)

// Binary computes dst[i] = act(op(a[i·strideA], b[i·strideB])) for every index i of shape. dst is dense and row-major; a
// stride of 0 repeats an operand along a dimension. dst may be a or b if that has dst's strides, but must not overlap
// them otherwise. Results have the error of one rounding before act.
func Binary(c *CPU, op BinaryOp, dst, a, b []float32, shape, strideA, strideB []int, act Activation) {
	t := newVecTask(c, binaryPiece)
	defer t.release()
	t.dims = mergeAxes(t.dims, shape, strideA, strideB)
	total, lastA, lastB := 1, 0, 0
	for _, x := range t.dims {
		total *= x.n
		lastA += (x.n - 1) * x.a
		lastB += (x.n - 1) * x.b
	}
	if total == 0 {
		return
	}
	_, _, _ = dst[total-1], a[lastA], b[lastB]
	if op == Pow && lastB == 0 && b[0] == 2 {
		op, b = Mul, a
		for i := range t.dims {
			t.dims[i].b = t.dims[i].a
		}
	}
	t.op, t.dst, t.src, t.y, t.act = int(op), dst, a, b, act
	n := t.dims[0].n
	rows := total / n
	if t.chunks = (n + pieceSize - 1) / pieceSize; t.chunks > 1 {
		t.run(c, rows*t.chunks, 1)
	} else {
		t.run(c, rows, rowsPerPiece(n))
	}
}

// mergeAxes lists the dimensions of shape, the innermost first, as few as the strides allow: at least one.
func mergeAxes(dims []axis, shape, strideA, strideB []int) []axis {
	d := 1
	for k := len(shape) - 1; k >= 0; k-- {
		n, a, b := shape[k], strideA[k], strideB[k]
		if n == 1 {
			continue
		}
		if last := len(dims) - 1; last >= 0 && a == dims[last].a*dims[last].n && b == dims[last].b*dims[last].n {
			dims[last].n *= n
		} else {
			dims = append(dims, axis{n, d, a, b})
		}
		d *= n
	}
	if len(dims) == 0 {
		dims = append(dims, axis{n: 1, d: 1})
	}
	return dims
}

// binaryPiece does rows lo to hi, or if these are long, blocks of pieceSize elements of them.
func binaryPiece(t *vecTask, lo, hi, _ int) {
	inner := t.dims[0]
	for i := lo; i < hi; {
		p := rowsOfPairs{rows: 1, n: inner.n, stepA: inner.a, stepB: inner.b}
		row, skip := i, 0
		if t.chunks > 1 {
			row, skip = i/t.chunks, i%t.chunks*pieceSize
			p.n = min(pieceSize, inner.n-skip)
		} else if len(t.dims) > 1 {
			next := t.dims[1]
			p.rows = min(next.n-row%next.n, hi-i)
			p.strideD, p.strideA, p.strideB = next.d, next.a, next.b
		}
		i += p.rows
		d, a, b := skip, skip*inner.a, skip*inner.b
		for _, x := range t.dims[1:] {
			k := row % x.n
			row /= x.n
			d, a, b = d+k*x.d, a+k*x.a, b+k*x.b
		}
		p.run(t.set, BinaryOp(t.op), t.dst[d:], t.src[a:], t.y[b:], t.act)
	}
}

// rowsOfPairs says where the elements of rows of pairs are: distances between rows, and within a row.
type rowsOfPairs struct {
	rows, n                   int
	strideD, strideA, strideB int
	stepA, stepB              int
}

// run computes act(op(a, b)) for rows that lie dense in dst.
func (p *rowsOfPairs) run(set isa.Set, op BinaryOp, dst, a, b []float32, act Activation) {
	lo, hi := float32(math.Inf(-1)), float32(math.Inf(1))
	if act.Kind == ClipTo {
		lo, hi = act.A, act.B
	}
	p.pairs(set, op, dst, a, b, lo, hi)
	if act.Kind != ClipTo {
		activateRow(set, act, dst[:p.rows*p.n])
	}
}

// apply computes op(a, b).
func (p *rowsOfPairs) apply(set isa.Set, op BinaryOp, dst, a, b []float32) {
	p.pairs(set, op, dst, a, b, float32(math.Inf(-1)), float32(math.Inf(1)))
}

// generic computes min(max(op(a, b), lo), hi) row after row.
func (p *rowsOfPairs) generic(op BinaryOp, dst, a, b []float32, lo, hi float32) {
	for r := range p.rows {
		d, x, y := dst[r*p.strideD:], a[r*p.strideA:], b[r*p.strideB:]
		for i := range p.n {
			d[i] = clip(op.of(x[i*p.stepA], y[i*p.stepB]), lo, hi)
		}
	}
}

// of computes one result.
func (op BinaryOp) of(x, y float32) float32 {
	switch op {
	case Add:
		return x + y
	case Sub:
		return x - y
	case Mul:
		return x * y
	case Div:
		return x / y
	case Min:
		return min(x, y)
	case Max:
		return max(x, y)
	case PRelu:
		if x < 0 {
			return x * y
		}
		return x
	case Pow:
		return float32(math.Pow(float64(x), float64(y)))
	}
	panic("kernel: unknown function of two variables")
}

// Affine computes dst = act(src·scale[ch] + shift[ch]) for src of shape [outer, ch, inner], rounding once or twice before
// act; inner is 1 for tensors that are channels-last. dst may be src.
func Affine(c *CPU, dst, src, scale, shift []float32, outer, ch, inner int, act Activation) {
	total := outer * ch * inner
	if total == 0 {
		return
	}
	_, _, _, _ = dst[total-1], src[total-1], scale[ch-1], shift[ch-1]
	t := newVecTask(c, affinePiece)
	t.dst, t.src, t.y, t.z, t.act = dst, src, scale, shift, act
	t.outer, t.n, t.inner = outer, ch, inner
	if inner == 1 {
		t.do = affineLastPiece
		t.run(c, outer, rowsPerPiece(ch))
	} else {
		t.run(c, outer*ch, rowsPerPiece(inner))
	}
	t.release()
}

// affineLastPiece does rows lo to hi of one element a channel.
func affineLastPiece(t *vecTask, lo, hi, _ int) {
	ch := t.n
	affineAct(t, lo*ch, hi-lo, ch, 0, t.y[:ch], t.z[:ch])
}

// affinePiece does rows lo to hi, which lie in one channel each.
func affinePiece(t *vecTask, lo, hi, _ int) {
	for r := lo; r < hi; {
		first := r % t.n
		rows := min(t.n-first, hi-r)
		affineAct(t, r*t.inner, rows, t.inner, 1, t.y[first:], t.z[first:])
		r += rows
	}
}

// affineAct computes rows of n elements from offset at on. Row r has scale[i] and shift[i] for element i where step is 0, and
// scale[r] and shift[r] for all elements where it is 1.
func affineAct(t *vecTask, at, rows, n, step int, scale, shift []float32) {
	lo, hi := float32(math.Inf(-1)), float32(math.Inf(1))
	if t.act.Kind == ClipTo {
		lo, hi = t.act.A, t.act.B
	}
	dst := t.dst[at : at+rows*n]
	affineRows(t.set, dst, t.src[at:at+rows*n], scale, shift, n, step, lo, hi)
	if t.act.Kind != ClipTo {
		activateRow(t.set, t.act, dst)
	}
}

func affineGeneric(dst, src, scale, shift []float32, n, step int, lo, hi float32) {
	for i, x := range src {
		k := i % n
		if step == 1 {
			k = i / n
		}
		dst[i] = clip(float32(x*scale[k])+shift[k], lo, hi)
	}
}
