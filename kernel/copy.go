package kernel

import "unsafe"

// Copy copies src to dst, slices of one length, with all threads.
func Copy[T Element](c *CPU, dst, src []T) {
	sameLen("Copy", len(dst), len(src))
	CopyRows(c, dst, src, 1, len(src), 0, 0)
}

// CopyRows copies rows of n elements: dst[i·dstStride + j] = src[i·srcStride + j]. It is what joining, splitting and slicing
// along any axis come to. The slices must not overlap; srcStride may be 0 to repeat a row.
func CopyRows[T Element](c *CPU, dst, src []T, rows, n, dstStride, srcStride int) {
	if rows <= 0 || n <= 0 {
		return
	}
	_ = dst[(rows-1)*dstStride+n-1]
	_ = src[(rows-1)*srcStride+n-1]
	size := int(unsafe.Sizeof(dst[0]))
	t := newVecTask(c, copyRowsPiece)
	t.to, t.from = unsafe.Pointer(unsafe.SliceData(dst)), unsafe.Pointer(unsafe.SliceData(src))
	if dstStride == n && srcStride == n {
		rows, n = 1, rows*n
	}
	t.n = n * size
	if rows == 1 {
		t.do = copyBytesPiece
		t.run(c, t.n, 4*pieceSize)
	} else {
		t.dims = append(t.dims, axis{d: dstStride * size, a: srcStride * size})
		t.run(c, rows, rowsPerPiece(t.n/4))
	}
	t.release()
}

func copyBytesPiece(t *vecTask, lo, hi, _ int) {
	copy(unsafe.Slice((*byte)(unsafe.Add(t.to, lo)), hi-lo), unsafe.Slice((*byte)(unsafe.Add(t.from, lo)), hi-lo))
}

func copyRowsPiece(t *vecTask, lo, hi, _ int) {
	s := t.dims[0]
	for i := lo; i < hi; i++ {
		copy(unsafe.Slice((*byte)(unsafe.Add(t.to, i*s.d)), t.n), unsafe.Slice((*byte)(unsafe.Add(t.from, i*s.a)), t.n))
	}
}

// Element is what data movement moves: any type without pointers that is 1, 2, 4, 8 or 16 bytes long.
type Element interface {
	~bool | ~int8 | ~uint8 | ~int16 | ~uint16 | ~int32 | ~uint32 | ~int64 | ~uint64 | ~float32 | ~float64 | ~complex64 | ~complex128
}
