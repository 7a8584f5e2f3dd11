//go:build amd64 && gc && !noasm

package kernel

import (
	"unsafe"

	"github.com/effml/effml/internal/isa"
)

// run computes the tile: narrow if the panel has half the width.
func (t *tile) run(set isa.Set, rows int, narrow bool) {
	arg := (*byte)(unsafe.Pointer(t))
	switch {
	case set == isa.AVX512 && narrow:
		tile16AVX512(arg, rows)
	case set == isa.AVX512:
		tile32AVX512(arg, rows)
	case set == isa.AVX2 && narrow:
		tile8AVX2(arg, rows)
	case set == isa.AVX2:
		tile16AVX2(arg, rows)
	default:
		tileGeneric(t, rows)
	}
}

// copyRuns copies rows of runs, each as long as a panel is wide: run i of row r, at src[r·srcStride + i·width], to
// dst[r·dstStride + i·dstStep].
func copyRuns(set isa.Set, dst, src []float32, rows, runs, dstStride, dstStep, srcStride int) {
	if rows <= 0 || runs <= 0 {
		return
	}
	width := tileWidth(set)
	_, _ = dst[(rows-1)*dstStride+(runs-1)*dstStep+width-1], src[(rows-1)*srcStride+runs*width-1]
	switch set {
	case isa.AVX512:
		copyRunsAVX512(&dst[0], &src[0], rows, runs, 4*dstStride, 4*dstStep, 4*srcStride)
	case isa.AVX2:
		copyRunsAVX2(&dst[0], &src[0], rows, runs, 4*dstStride, 4*dstStep, 4*srcStride)
	default:
		copyRunsGeneric(dst, src, rows, runs, dstStride, dstStep, srcStride)
	}
}

// dots computes dst[r] = Σ w[r·stride + i]·x[i].
func dots(set isa.Set, dst, w, x []float32, stride int) {
	rows, n := len(dst), len(x)
	if rows == 0 {
		return
	}
	if set == isa.Generic || n == 0 {
		dotsGeneric(dst, w, x, stride)
		return
	}
	_ = w[(rows-1)*stride+n-1]
	if set == isa.AVX512 {
		dotsAVX512(&dst[0], &w[0], &x[0], rows, n, 4*stride)
	} else {
		dotsAVX2(&dst[0], &w[0], &x[0], rows, n, 4*stride)
	}
}
