package kernel

import "unsafe"

// Transpose permutes dimensions as ONNX does: dimension i of dst is dimension perm[i] of src, whose shape is given. Both are
// dense and row-major, and must not overlap.
func Transpose[T Element](c *CPU, dst, src []T, shape, perm []int) {
	total := 1
	for _, n := range shape {
		total *= n
	}
	if total == 0 {
		return
	}
	_, _ = dst[total-1], src[total-1]
	t := newVecTask(c, nil)
	t.dims = permutedAxes(t.dims, shape, perm)
	t.to, t.from = unsafe.Pointer(unsafe.SliceData(dst)), unsafe.Pointer(unsafe.SliceData(src))
	t.permute(c, total, int(unsafe.Sizeof(dst[0])))
	t.release()
}

// ChannelsLast repacks src [n, ch, hw] to dst [n, hw, ch].
func ChannelsLast[T Element](c *CPU, dst, src []T, n, ch, hw int) { swap(c, dst, src, n, ch, hw) }

// ChannelsFirst repacks src [n, hw, ch] to dst [n, ch, hw].
func ChannelsFirst[T Element](c *CPU, dst, src []T, n, ch, hw int) { swap(c, dst, src, n, hw, ch) }

// swap transposes n matrices of rows × cols.
func swap[T Element](c *CPU, dst, src []T, n, rows, cols int) {
	shape, perm := [3]int{n, rows, cols}, [3]int{0, 2, 1}
	Transpose(c, dst, src, shape[:], perm[:])
}

// permutedAxes lists the dimensions of the result, innermost first, those merged that stay neighbours. a is the distance in
// the source.
func permutedAxes(dims []axis, shape, perm []int) []axis {
	d := 1
	for k := len(perm) - 1; k >= 0; k-- {
		n, a := shape[perm[k]], 1
		for _, m := range shape[perm[k]+1:] {
			a *= m
		}
		if n == 1 {
			continue
		}
		if last := len(dims) - 1; last >= 0 && a == dims[last].a*dims[last].n {
			dims[last].n *= n
		} else {
			dims = append(dims, axis{n: n, d: d, a: a})
		}
		d *= n
	}
	if len(dims) == 0 {
		dims = append(dims, axis{n: 1, d: 1, a: 1})
	}
	return dims
}

// permute moves elements of size bytes, as t.dims says.
func (t *vecTask) permute(c *CPU, total, size int) {
	inner := t.dims[0]
	if inner.a == 1 { // rows stay rows
		t.n = inner.n * size
		for i := range t.dims {
			t.dims[i].d *= size
			t.dims[i].a *= size
		}
		t.do = permuteRowsPiece
		t.run(c, total/inner.n, rowsPerPiece(t.n/4))
		return
	}
	// The dimension that is dense in the source changes places with the one that is dense in the result: put it second.
	for i := 2; i < len(t.dims); i++ {
		if t.dims[i].a == 1 {
			t.dims[1], t.dims[i] = t.dims[i], t.dims[1]
		}
	}
	t.n = tileSide(inner.n, t.dims[1].n)
	t.inner = tileSide(t.dims[1].n, t.n)
	t.chunk, t.chunks = (inner.n+t.n-1)/t.n, (t.dims[1].n+t.inner-1)/t.inner
	switch size {
	case 1:
		t.do = permuteTilesPiece[uint8]
	case 2:
		t.do = permuteTilesPiece[uint16]
	case 4:
		t.do = permuteTilesPiece[uint32]
	case 8:
		t.do = permuteTilesPiece[uint64]
	default:
		t.do = permuteTilesPiece[[2]uint64]
	}
	t.run(c, total/(inner.n*t.dims[1].n)*t.chunk*t.chunks, rowsPerPiece(t.n*t.inner))
}

// tileSide returns the side of tiles, a multiple of 16 unless it is n itself, so that a tile by other (or less) is about a piece.
func tileSide(n, other int) int { return min(n, max(16, pieceSize/min(other, 256)&^15)) }

func permuteRowsPiece(t *vecTask, lo, hi, _ int) {
	for r := lo; r < hi; r++ {
		row, d, a := r, 0, 0
		for _, x := range t.dims[1:] {
			k := row % x.n
			row /= x.n
			d, a = d+k*x.d, a+k*x.a
		}
		copy(unsafe.Slice((*byte)(unsafe.Add(t.to, d)), t.n), unsafe.Slice((*byte)(unsafe.Add(t.from, a)), t.n))
	}
}

// permuteTilesPiece transposes tiles of t.n × t.inner elements of the first two dimensions; where a tile is all of these,
// those that follow each other in the third together.
func permuteTilesPiece[T any](t *vecTask, lo, hi, _ int) {
	var zero T
	size := int(unsafe.Sizeof(zero))
	x, y := t.dims[0], t.dims[1]
	for i := lo; i < hi; {
		rest := i
		col := rest % t.chunks * t.inner
		rest /= t.chunks
		row := rest % t.chunk * t.n
		rest /= t.chunk
		count, next := 1, axis{}
		if t.chunk*t.chunks == 1 && len(t.dims) > 2 {
			next = t.dims[2]
			count = min(next.n-rest%next.n, hi-i)
		}
		i += count
		d, a := row+col*y.d, row*x.a+col
		for _, z := range t.dims[2:] {
			k := rest % z.n
			rest /= z.n
			d, a = d+k*z.d, a+k*z.a
		}
		rows, cols := min(t.n, x.n-row), min(t.inner, y.n-col)
		to := unsafe.Slice((*T)(unsafe.Add(t.to, d*size)), (count-1)*next.d+(cols-1)*y.d+rows)
		from := unsafe.Slice((*T)(unsafe.Add(t.from, a*size)), (count-1)*next.a+(rows-1)*x.a+cols)
		if size == 4 {
			transposeTiles(t.set, words(to), words(from), rows, cols, y.d, x.a, count, next.d, next.a)
			continue
		}
		for k := range count {
			transposeGeneric(to[k*next.d:], from[k*next.a:], rows, cols, y.d, x.a)
		}
	}
}

// words is s, whose elements have 4 bytes, as uint32.
func words[T any](s []T) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
}

// transposeGeneric computes dst[j·dstStride + i] = src[i·srcStride + j] for i below rows and j below cols.
func transposeGeneric[T any](dst, src []T, rows, cols, dstStride, srcStride int) {
	const side = 16 // rows at a time, so that a cache line of dst is filled while it is near
	for i := 0; i < rows; i += side {
		n := min(side, rows-i)
		for j := range cols {
			d, s := dst[j*dstStride+i:][:n], src[i*srcStride+j:]
			for k := range d {
				d[k] = s[k*srcStride]
			}
		}
	}
}
