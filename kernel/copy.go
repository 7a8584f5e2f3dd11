package kernel

import (
	"unsafe"

	"github.com/effml/effml/internal/isa"
)

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
	moveRows(t.set, unsafe.Add(t.to, lo*s.d), unsafe.Add(t.from, lo*s.a), hi-lo, t.n, s.d, s.a)
}

// moveRows copies rows of n bytes, of which neighbours begin some bytes apart.
func moveRows(set isa.Set, to, from unsafe.Pointer, rows, n, stepTo, stepFrom int) {
	if (n|stepTo|stepFrom)%4 == 0 {
		copySpans(set, &copyArgs{
			dst: unsafe.Slice((*float32)(to), ((rows-1)*stepTo+n)/4), src: unsafe.Slice((*float32)(from), ((rows-1)*stepFrom+n)/4),
			count: rows, n: n / 4, dstStep: stepTo / 4, srcStep: stepFrom / 4,
		})
		return
	}
	for i := range rows {
		copy(unsafe.Slice((*byte)(unsafe.Add(to, i*stepTo)), n), unsafe.Slice((*byte)(unsafe.Add(from, i*stepFrom)), n))
	}
}

// Part is a matrix of rows of N bytes.
type Part struct {
	Data []byte
	N    int
}

// Join copies matrices of a number of rows side by side: row i of dst is row i of the first part, then row i of the next. dst must
// not overlap them.
func Join(c *CPU, dst []byte, parts []Part, rows int) {
	t := newVecTask(c, joinPiece)
	for _, p := range parts {
		_ = p.Data[:rows*p.N]
		t.n += p.N
	}
	t.to, t.parts = unsafe.Pointer(unsafe.SliceData(dst[:rows*t.n])), parts
	if t.n > 0 {
		t.run(c, rows, rowsPerPiece(t.n/4))
	}
	t.release()
}

func joinPiece(t *vecTask, lo, hi, _ int) {
	at := lo * t.n
	for _, p := range t.parts {
		if p.N > 0 {
			moveRows(t.set, unsafe.Add(t.to, at), unsafe.Pointer(&p.Data[lo*p.N]), hi-lo, p.N, t.n, p.N)
		}
		at += p.N
	}
}

// Element is what data movement moves: any type without pointers that is 1, 2, 4, 8 or 16 bytes long.
type Element interface {
	~bool | ~int8 | ~uint8 | ~int16 | ~uint16 | ~int32 | ~uint32 | ~int64 | ~uint64 | ~float32 | ~float64 | ~complex64 | ~complex128
}
