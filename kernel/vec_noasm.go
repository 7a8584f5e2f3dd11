//go:build !amd64 || !gc || noasm

package kernel

import "github.com/effml/effml/internal/isa"

// mapRow computes dst[i] = a(src[i]) for slices of one length.
func mapRow(_ isa.Set, a Activation, dst, src []float32) { mapGeneric(a, dst, src) }

// pairs computes min(max(op(a, b), lo), hi) for all rows.
func (p *rowsOfPairs) pairs(_ isa.Set, op BinaryOp, dst, a, b []float32, lo, hi float32) {
	p.generic(op, dst, a, b, lo, hi)
}

func affineRows(_ isa.Set, dst, src, scale, shift []float32, n, step int, lo, hi float32) {
	affineGeneric(dst, src, scale, shift, n, step, lo, hi)
}

func normRow(_ isa.Set, dst, src, gamma, beta []float32, mean, inv float32) {
	normGeneric(dst, src, gamma, beta, mean, inv)
}

func pairSums(_ isa.Set, sum, product, x, y, shiftX, shiftY []float32, rows, stride int) {
	pairSumsGeneric(sum, product, x, y, shiftX, shiftY, rows, stride)
}

func blend(_ isa.Set, dst, x, y, a, b, mean, shift []float32) {
	blendGeneric(dst, x, y, a, b, mean, shift)
}

func slopeRow(_ isa.Set, a Activation, dst, v, dy []float32) { slopeGeneric(a, dst, v, dy) }

func reduceBlock(_ isa.Set, op ReduceOp, x []float32, shift float32) float64 {
	return reduceGeneric(op, x, shift)
}

func expSum(_ isa.Set, dst, src []float32, shift float32) float32 {
	return expSumGeneric(dst, src, shift)
}

func mixRows(_ isa.Set, dst, src []float32, taps Taps, first, rows, n int) {
	first *= taps.N
	mixGeneric(dst, src, taps.Index[first:], taps.Weight[first:], rows, taps.N, n)
}

func transposeTiles(_ isa.Set, dst, src []uint32, rows, cols, dstStride, srcStride, count, stepD, stepS int) {
	for i := range count {
		transposeGeneric(dst[i*stepD:], src[i*stepS:], rows, cols, dstStride, srcStride)
	}
}

func transposeTile(_ isa.Set, dst, src []uint32, rows, cols, dstStride, srcStride int) {
	transposeGeneric(dst, src, rows, cols, dstStride, srcStride)
}

func solve(_ isa.Set, f formula, x *[4][]float32, coefficients *[repeats * maxCoefficients]float32) {
	solveGeneric(f, x, coefficients)
}
