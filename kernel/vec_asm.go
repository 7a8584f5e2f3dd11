//go:build amd64 && gc && !noasm

package kernel

import "github.com/effml/effml/internal/isa"

// mapRow computes dst[i] = a(src[i]) for slices of one length.
func mapRow(set isa.Set, a Activation, dst, src []float32) {
	n := len(src)
	if n == 0 {
		return
	}
	_ = dst[n-1]
	done := false
	switch {
	case a.Kind == Celu && !(a.A > 0): // the kernel bounds x/A from above by 0
	case set == isa.AVX512:
		done = mapAVX512(a.Kind, &dst[0], &src[0], n, a.A, a.B)
	case set == isa.AVX2:
		done = mapAVX2(a.Kind, &dst[0], &src[0], n, a.A, a.B)
	}
	if !done {
		mapGeneric(a, dst, src)
	}
}

// pairMode says whether an operand has, within a row, an element for each result (V) or one for all (S).
type pairMode uint8

const (
	pairsVV pairMode = iota
	pairsVS
	pairsSV
	pairsOther
)

func (p *rowsOfPairs) mode() pairMode {
	switch [2]int{p.stepA, p.stepB} {
	case [2]int{1, 1}:
		return pairsVV
	case [2]int{1, 0}:
		return pairsVS
	case [2]int{0, 1}:
		return pairsSV
	}
	return pairsOther
}

// pairs computes min(max(op(a, b), lo), hi) for all rows.
func (p *rowsOfPairs) pairs(set isa.Set, op BinaryOp, dst, a, b []float32, lo, hi float32) {
	if p.rows <= 0 || p.n <= 0 {
		return
	}
	last := p.rows - 1
	_, _, _ = dst[last*p.strideD+p.n-1], a[last*p.strideA+(p.n-1)*p.stepA], b[last*p.strideB+(p.n-1)*p.stepB]
	q, mode := *p, p.mode()
	if mode == pairsSV && (op == Add || op == Mul || op == Min || op == Max) {
		a, b, mode = b, a, pairsVS
		q.strideA, q.strideB, q.stepA, q.stepB = q.strideB, q.strideA, q.stepB, q.stepA
	}
	done := false
	switch set {
	case isa.AVX512:
		done = pairsAVX512(op, mode, &dst[0], &a[0], &b[0], q.rows, q.n, q.strideD, q.strideA, q.strideB, lo, hi)
	case isa.AVX2:
		done = pairsAVX2(op, mode, &dst[0], &a[0], &b[0], q.rows, q.n, q.strideD, q.strideA, q.strideB, lo, hi)
	}
	if !done {
		q.generic(op, dst, a, b, lo, hi)
	}
}

// affineRows computes dense rows of n elements, see affineAct.
func affineRows(set isa.Set, dst, src, scale, shift []float32, n, step int, lo, hi float32) {
	rows := len(src) / n
	if rows == 0 {
		return
	}
	last := n - 1
	if step == 1 {
		last = rows - 1
	}
	_, _, _ = dst[rows*n-1], scale[last], shift[last]
	switch {
	case set == isa.AVX512 && step == 0:
		affineVAVX512(&dst[0], &src[0], &scale[0], &shift[0], rows, n, lo, hi)
	case set == isa.AVX512:
		affineSAVX512(&dst[0], &src[0], &scale[0], &shift[0], rows, n, lo, hi)
	case set == isa.AVX2 && step == 0:
		affineVAVX2(&dst[0], &src[0], &scale[0], &shift[0], rows, n, lo, hi)
	case set == isa.AVX2:
		affineSAVX2(&dst[0], &src[0], &scale[0], &shift[0], rows, n, lo, hi)
	default:
		affineGeneric(dst, src, scale, shift, n, step, lo, hi)
	}
}

// normRow computes (src − mean)·inv·gamma + beta, see normGeneric.
func normRow(set isa.Set, dst, src, gamma, beta []float32, mean, inv float32) {
	n := len(src)
	if set == isa.Generic || n == 0 {
		normGeneric(dst, src, gamma, beta, mean, inv)
		return
	}
	_ = dst[n-1]
	var g, b [16]float32
	pg, stepG := repeated(&g, gamma, n, 1)
	pb, stepB := repeated(&b, beta, n, 0)
	if set == isa.AVX512 {
		normAVX512(&dst[0], &src[0], pg, pb, n, stepG, stepB, mean, inv)
	} else {
		normAVX2(&dst[0], &src[0], pg, pb, n, stepG, stepB, mean, inv)
	}
}

// pairSums adds sums over rows, see pairSumsGeneric.
func pairSums(set isa.Set, sum, product, x, y, shiftX, shiftY []float32, rows, stride int) {
	n := len(sum)
	if set == isa.Generic || n == 0 || rows <= 0 {
		pairSumsGeneric(sum, product, x, y, shiftX, shiftY, rows, stride)
		return
	}
	last := (rows-1)*stride + n - 1
	_, _, _, _, _ = product[n-1], x[last], y[last], shiftX[n-1], shiftY[n-1]
	if set == isa.AVX512 {
		pairSumsAVX512(&sum[0], &product[0], &x[0], &y[0], &shiftX[0], &shiftY[0], rows, n, stride)
	} else {
		pairSumsAVX2(&sum[0], &product[0], &x[0], &y[0], &shiftX[0], &shiftY[0], rows, n, stride)
	}
}

// blend computes dense rows of len(a) elements, see blendGeneric.
func blend(set isa.Set, dst, x, y, a, b, mean, shift []float32) {
	n := len(a)
	_, _, _, _, _ = b[n-1], mean[n-1], shift[n-1], x[len(dst)-1], y[len(dst)-1]
	switch set {
	case isa.AVX512:
		blendAVX512(&dst[0], &x[0], &y[0], &a[0], &b[0], &mean[0], &shift[0], len(dst)/n, n)
	case isa.AVX2:
		blendAVX2(&dst[0], &x[0], &y[0], &a[0], &b[0], &mean[0], &shift[0], len(dst)/n, n)
	default:
		blendGeneric(dst, x, y, a, b, mean, shift)
	}
}

// slopeRow computes dst[i] = dy[i] times the slope of a function, see Slope.
func slopeRow(set isa.Set, a Activation, dst, v, dy []float32) {
	n := len(dst)
	if n == 0 {
		return
	}
	_, _ = v[n-1], dy[n-1]
	done := false
	switch set {
	case isa.AVX512:
		done = slopeAVX512(a.Kind, &dst[0], &v[0], &dy[0], n, a.A, a.B)
	case isa.AVX2:
		done = slopeAVX2(a.Kind, &dst[0], &v[0], &dy[0], n, a.A, a.B)
	}
	if !done {
		slopeGeneric(a, dst, v, dy)
	}
}

// repeated returns a pointer to s, and 1, if it has n elements, else to its one element, or empty if there is none, repeated
// in buf, and 0.
func repeated(buf *[16]float32, s []float32, n int, empty float32) (*float32, int) {
	if len(s) > 1 || len(s) == n {
		return &s[:n][0], 1
	}
	if len(s) == 1 {
		empty = s[0]
	}
	for i := range buf {
		buf[i] = empty
	}
	return &buf[0], 0
}

// reduceBlock reduces at most sumBlock elements.
func reduceBlock(set isa.Set, op ReduceOp, x []float32, shift float32) float64 {
	var v float32
	done := false
	switch set {
	case isa.AVX512:
		v, done = reduceBlockAVX512(op, &x[0], len(x), shift)
	case isa.AVX2:
		v, done = reduceBlockAVX2(op, &x[0], len(x), shift)
	}
	if done {
		return float64(v)
	}
	return reduceGeneric(op, x, shift)
}

// expSum computes dst[i] = exp(src[i] − shift) and returns their sum.
func expSum(set isa.Set, dst, src []float32, shift float32) float32 {
	_ = dst[len(src)-1]
	switch set {
	case isa.AVX512:
		return reduceStoreExpAVX512(&dst[0], &src[0], len(src), shift)
	case isa.AVX2:
		return reduceStoreExpAVX2(&dst[0], &src[0], len(src), shift)
	}
	return expSumGeneric(dst, src, shift)
}

// mixRows computes rows of n elements from tap first on, see Taps.
func mixRows(set isa.Set, dst, src []float32, taps Taps, first, rows, n int) {
	last := (first+rows)*taps.N - 1
	first *= taps.N
	_, _ = dst[rows*n-1], taps.Weight[last]
	for _, at := range taps.Index[first : last+1] {
		_ = src[int(at)*n+n-1]
	}
	switch set {
	case isa.AVX512:
		mixAVX512(&dst[0], &src[0], &taps.Index[first], &taps.Weight[first], rows, taps.N, n)
	case isa.AVX2:
		mixAVX2(&dst[0], &src[0], &taps.Index[first], &taps.Weight[first], rows, taps.N, n)
	default:
		mixGeneric(dst, src, taps.Index[first:], taps.Weight[first:], rows, taps.N, n)
	}
}

// solve updates slices of one length, of which there are as many as the formula has arrays.
func solve(set isa.Set, f formula, x *[4][]float32, coefficients *[repeats * maxCoefficients]float32) {
	if set == isa.Generic {
		solveGeneric(f, x, coefficients)
		return
	}
	var p [4]*float32
	for i, a := range x {
		if a != nil {
			p[i] = &a[0]
		}
	}
	if n := len(x[0]); set == isa.AVX512 {
		solveAVX512(f, &p, &coefficients[0], n)
	} else {
		solveAVX2(f, &p, &coefficients[0], n)
	}
}
