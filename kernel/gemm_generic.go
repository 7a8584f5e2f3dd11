package kernel

import (
	"unsafe"

	"github.com/effml/effml/internal/isa"
)

// tileGeneric is the definition of the micro-kernels: a tile of the given rows.
func tileGeneric(t *tile, rows int) {
	n := int(t.columns)
	var sums [4][8]float32
	for r := 0; r < rows; r += 2 {
		for j := 0; j < n; j += 4 {
			t.corner(r, min(r+1, rows-1), j, &sums)
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

// corner adds up two rows of four columns; a panel has a multiple of them.
func (t *tile) corner(r0, r1, j int, sums *[4][8]float32) {
	var s00, s01, s02, s03, s10, s11, s12, s13 float32
	at := 4 * j
	for _, offset := range unsafe.Slice(t.offsets, t.segments) {
		row0, row1 := floats(t.a, r0*t.lda+4*offset, t.k), floats(t.a, r1*t.lda+4*offset, t.k)
		row1 = row1[:len(row0)]
		for k, x := range row0 {
			y := row1[k]
			b := (*[4]float32)(unsafe.Add(t.b, at))
			at += t.ldb
			s00 += x * b[0]
			s01 += x * b[1]
			s02 += x * b[2]
			s03 += x * b[3]
			s10 += y * b[0]
			s11 += y * b[1]
			s12 += y * b[2]
			s13 += y * b[3]
		}
	}
	*(*[4]float32)(sums[r0][j:]) = [4]float32{s00, s01, s02, s03}
	*(*[4]float32)(sums[r1][j:]) = [4]float32{s10, s11, s12, s13}
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
