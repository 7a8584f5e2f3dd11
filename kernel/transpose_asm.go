//go:build amd64 && gc && !noasm

package kernel

import "github.com/effml/effml/internal/isa"

// transposeTile computes dst[j·dstStride + i] = src[i·srcStride + j] for i below rows and j below cols.
func transposeTile(set isa.Set, dst, src []uint32, rows, cols, dstStride, srcStride int) {
	if set == isa.Generic {
		transposeGeneric(dst, src, rows, cols, dstStride, srcStride)
		return
	}
	_, _ = dst[(cols-1)*dstStride+rows-1], src[(rows-1)*srcStride+cols-1]
	side := 8
	band, part, turns := transposeBandAVX2, transposePartAVX2, interleaveAVX2
	if set == isa.AVX512 {
		side = 16
		band, part, turns = transposeBandAVX512, transposePartAVX512, interleaveAVX512
	}
	switch {
	case rows == 2 && dstStride == 2 && cols >= side:
		// Of what a whole number of vectors leaves, the last vector does some again.
		whole := cols &^ (side - 1)
		turns(&dst[0], &src[0], &src[srcStride], whole)
		if rest := cols - side; whole < cols {
			turns(&dst[2*rest], &src[rest], &src[srcStride+rest], side)
		}
	case rows >= side && cols >= side:
		for i := 0; i < rows; i += side {
			i := min(i, rows-side)
			band(&dst[i], &src[i*srcStride], cols, dstStride, srcStride)
		}
	default:
		for i := 0; i < rows; i += side {
			for j := 0; j < cols; j += side {
				part(&dst[j*dstStride+i], &src[i*srcStride+j], min(side, rows-i), min(side, cols-j), dstStride, srcStride)
			}
		}
	}
}
