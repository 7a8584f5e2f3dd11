//go:build amd64 && gc && !noasm

package kernel

import "github.com/effml/effml/internal/isa"

// transposeTiles does count transpositions, from element to element stepD and stepS apart: dst[j·dstStride + i] =
// src[i·srcStride + j] for i below rows and j below cols.
func transposeTiles(set isa.Set, dst, src []uint32, rows, cols, dstStride, srcStride, count, stepD, stepS int) {
	last := count - 1
	_, _ = dst[last*stepD+(cols-1)*dstStride+rows-1], src[last*stepS+(rows-1)*srcStride+cols-1]
	side := 8
	if set == isa.AVX512 {
		side = 16
	}
	k, back, n, stride := rows, false, cols, srcStride
	if cols < rows {
		k, back, n, stride = cols, true, rows, dstStride
	}
	dense := dstStride == k
	if back {
		dense = srcStride == k
	}
	switch {
	case set == isa.Generic || k < 2 || k > 4 || n < side || !dense:
		for i := range count {
			transposeTile(set, dst[i*stepD:], src[i*stepS:], rows, cols, dstStride, srcStride)
		}
	case set == isa.AVX512:
		weaveAVX512(k, back, &dst[0], &src[0], n, stride, count, stepD, stepS)
	default:
		weaveAVX2(k, back, &dst[0], &src[0], n, stride, count, stepD, stepS)
	}
}

// transposeTile computes dst[j·dstStride + i] = src[i·srcStride + j] for i below rows and j below cols.
func transposeTile(set isa.Set, dst, src []uint32, rows, cols, dstStride, srcStride int) {
	if set == isa.Generic {
		transposeGeneric(dst, src, rows, cols, dstStride, srcStride)
		return
	}
	side, band, part := 8, transposeBandAVX2, transposePartAVX2
	if set == isa.AVX512 {
		side, band, part = 16, transposeBandAVX512, transposePartAVX512
	}
	if rows >= side && cols >= side {
		for i := 0; i < rows; i += side {
			i := min(i, rows-side) // the last band overlaps the one before
			band(&dst[i], &src[i*srcStride], cols, dstStride, srcStride)
		}
		return
	}
	for i := 0; i < rows; i += side {
		for j := 0; j < cols; j += side {
			part(&dst[j*dstStride+i], &src[i*srcStride+j], min(side, rows-i), min(side, cols-j), dstStride, srcStride)
		}
	}
}
