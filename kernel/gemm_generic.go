package kernel

import (
	"unsafe"

	"github.com/effml/effml/internal/isa"
)

// tileGeneric is the definition of the micro-kernels: a tile of the given rows.
func tileGeneric(t *tile, rows int) {
	n := int(t.columns)
	var sums [14][32]float32
	offsets := unsafe.Slice(t.offsets, t.segments)
	for r := range rows {
		b := t.b
		sum := sums[r][:n]
		for _, offset := range offsets {
			for _, x := range floats(t.a, r*t.lda+4*offset, t.k) {
				for j, y := range floats(b, 0, n) {
					sum[j] += x * y
				}
				b = unsafe.Add(b, t.ldb)
			}
		}
	}
	for r := range rows {
		sum, c := sums[r][:n], floats(t.c, r*t.ldc, n)
		if t.flags&scaled != 0 {
			for j := range sum {
				sum[j] *= t.alpha
			}
		}
		if t.flags&loaded != 0 {
			for j := range sum {
				sum[j] += t.beta * c[j]
			}
		}
		if t.bias != nil {
			for j, x := range floats(t.bias, 0, n) {
				sum[j] += x
			}
		}
		if t.add != nil {
			for j, x := range floats(t.add, r*t.addStride, n) {
				sum[j] += x
			}
		}
		if t.flags&clipped != 0 {
			for j, x := range sum {
				sum[j] = clip(x, t.lo, t.hi)
			}
		}
		copy(c, sum)
	}
}

// floats is n elements from so many bytes after p.
func floats(p unsafe.Pointer, offset, n int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Add(p, offset)), n)
}

func copyRunsGeneric(dst, src []float32, rows, runs, dstStride, dstStep, srcStride int) {
	width := tileWidth(isa.Generic)
	for r := range rows {
		for i := range runs {
			copy(dst[r*dstStride+i*dstStep:][:width], src[r*srcStride+i*width:])
		}
	}
}
