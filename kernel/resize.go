package kernel

// Taps says how the positions of one dimension of a resized image are made: position o is the sum of N positions of the
// source, Index[o·N + k], each times Weight[o·N + k]. N is 1 without Weight for the nearest neighbour, 2 for linear, 4
// for cubic interpolation and more with antialiasing. Every index must be valid, also where its weight is 0.
type Taps struct {
	N      int
	Index  []int32
	Weight []float32 // nil: N is 1 and the weight too
}

// Resize computes dst [n, len(rows), len(cols), ch] from src [n, h, w, ch], channels-last: each image first in the direction of
// h, then in that of w. dst and src must not overlap.
func Resize(c *CPU, dst, src []float32, n, ch, h, w int, rows, cols Taps) {
	oh, ow := len(rows.Index)/rows.N, len(cols.Index)/cols.N
	if n*oh*ow*ch == 0 {
		return
	}
	_, _ = dst[n*oh*ow*ch-1], src[n*h*w*ch-1]
	t := newVecTask(c, resizePiece)
	t.dst, t.src, t.outer, t.n, t.chunk, t.inner = dst, src, h, w, ow, ch
	t.taps = [2]Taps{rows, cols}
	t.scratch = grow(t.scratch, c.threads*w*ch)
	t.run(c, n*oh, rowsPerPiece(ow*ch))
	t.release()
}

// resizePiece does rows lo to hi of the result, of all images.
func resizePiece(t *vecTask, lo, hi, worker int) {
	line := t.n * t.inner
	mixed := t.scratch[worker*line:][:line]
	rows, cols := t.taps[0], t.taps[1]
	oh := len(rows.Index) / rows.N
	for r := lo; r < hi; r++ {
		image := t.src[r/oh*t.outer*line:][:t.outer*line]
		at := r % oh
		from := mixed
		if rows.Weight == nil {
			from = image[int(rows.Index[at])*line:][:line]
		} else {
			mixRows(t.set, mixed, image, rows, at, 1, line)
		}
		dst := t.dst[r*t.chunk*t.inner:][:t.chunk*t.inner]
		if cols.Weight != nil {
			mixRows(t.set, dst, from, cols, 0, t.chunk, t.inner)
			continue
		}
		for o, k := range cols.Index {
			copy(dst[o*t.inner:][:t.inner], from[int(k)*t.inner:])
		}
	}
}

// mixGeneric computes rows of n elements, each the sum of taps rows of src with weights.
func mixGeneric(dst, src []float32, index []int32, weight []float32, rows, taps, n int) {
	for r := range rows {
		d := dst[r*n:][:n]
		clear(d)
		for k := range taps {
			w := weight[r*taps+k]
			for i, x := range src[int(index[r*taps+k])*n:][:n] {
				d[i] += float32(w * x)
			}
		}
	}
}
