package kernel

import (
	"math"

	"github.com/effml/effml/internal/isa"
)

// Softmax computes, for src of shape [outer, n, inner], exp(x − m) / Σ exp(x − m) over n, m being the largest x, or if log is
// true x − m − log Σ exp(x − m). The sum is taken in float32, as [Reduce] does. NaN, or +Inf, among the n makes all NaN; so
// does −Inf alone. dst may be src.
func Softmax(c *CPU, dst, src []float32, outer, n, inner int, log bool) {
	total := outer * n * inner
	if total == 0 {
		return
	}
	_, _ = dst[total-1], src[total-1]
	t := newVecTask(c, softmaxRowsPiece)
	t.dst, t.src, t.n, t.inner = dst, src, n, inner
	if log {
		t.op = 1
	}
	if inner == 1 {
		t.run(c, outer, rowsPerPiece(n))
	} else {
		t.do = softmaxColumnsPiece
		t.run(c, outer*((inner+maxColumns-1)/maxColumns), rowsPerPiece(n*min(inner, maxColumns)))
	}
	t.release()
}

func softmaxRowsPiece(t *vecTask, lo, hi, _ int) {
	for r := lo; r < hi; r++ {
		softmaxRow(t.set, t.dst[r*t.n:][:t.n], t.src[r*t.n:][:t.n], t.op == 1)
	}
}

func softmaxRow(set isa.Set, dst, src []float32, log bool) {
	m := float32(reduceRow(set, ReduceMax, src, 0))
	p := rowsOfPairs{rows: 1, n: len(src), stepA: 1}
	if log {
		// Two subtractions: rounded together, m + log Σ would lose the small one of them.
		s := [1]float32{float32(math.Log(reduceRow(set, ReduceLogSumExp, src, m)))}
		shift := [1]float32{m}
		p.apply(set, Sub, dst, src, shift[:])
		p.apply(set, Sub, dst, dst, s[:])
		return
	}
	var sum float64
	for i := 0; i < len(src); i += sumBlock {
		end := min(len(src), i+sumBlock)
		sum += float64(expSum(set, dst[i:end], src[i:end], m))
	}
	scale := [1]float32{float32(1 / sum)}
	p.apply(set, Mul, dst, dst, scale[:])
}

func expSumGeneric(dst, src []float32, shift float32) float32 {
	var sum float64
	for i, x := range src {
		e := math.Exp(float64(x) - float64(shift))
		dst[i] = float32(e)
		sum += e
	}
	return float32(sum)
}

// softmaxColumnsPiece does blocks of maxColumns columns.
func softmaxColumnsPiece(t *vecTask, lo, hi, _ int) {
	blocks := (t.inner + maxColumns - 1) / maxColumns
	for i := lo; i < hi; i++ {
		col := i % blocks * maxColumns
		at := i/blocks*t.n*t.inner + col
		softmaxColumns(t.set, t.dst[at:], t.src[at:], t.n, min(maxColumns, t.inner-col), t.inner, t.op == 1)
	}
}

func softmaxColumns(set isa.Set, dst, src []float32, rows, n, stride int, log bool) {
	var largest, sum, part, tmp [maxColumns]float32
	m, s, few := largest[:n], sum[:n], part[:n]
	copy(m, src[:n])
	p := rowsOfPairs{rows: rows, n: n, strideB: stride, stepA: 1, stepB: 1}
	p.apply(set, Max, m, m, src)
	p.rows = 1
	exp := Activation{Kind: Exp}
	for r := range rows {
		d, e := dst[r*stride:][:n], tmp[:n]
		if !log {
			e = d
		}
		p.apply(set, Sub, d, src[r*stride:], m)
		mapRow(set, exp, e, d)
		p.apply(set, Add, few, few, e)
		if r%colBlock == colBlock-1 || r == rows-1 { // so that the error grows with 128 + n/128 rather than n
			p.apply(set, Add, s, s, few)
			clear(few)
		}
	}
	join := Mul
	if log {
		join = Sub
		mapRow(set, Activation{Kind: Log}, s, s)
	} else {
		mapRow(set, Activation{Kind: Reciprocal}, s, s)
	}
	p = rowsOfPairs{rows: rows, n: n, strideD: stride, strideA: stride, stepA: 1, stepB: 1}
	p.apply(set, join, dst, dst, s)
}
