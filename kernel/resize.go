package kernel

import "github.com/effml/effml/internal/isa"

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
		at := r % oh * rows.N
		from := mixed
		if rows.Weight == nil {
			from = image[int(rows.Index[at])*line:][:line]
		} else {
			rows.mix(t.set, mixed, image, at, line)
		}
		resizeLine(t.set, t.dst[r*t.chunk*t.inner:][:t.chunk*t.inner], from, cols, t.inner)
	}
}

// resizeLine does one row: each position is ch elements.
func resizeLine(set isa.Set, dst, src []float32, cols Taps, ch int) {
	for o := 0; len(dst) > 0; o += cols.N {
		if cols.Weight == nil {
			copy(dst[:ch], src[int(cols.Index[o])*ch:])
		} else {
			cols.mix(set, dst[:ch], src, o, ch)
		}
		dst = dst[ch:]
	}
}

// mix adds the parts of src, of n elements each, that taps from at on name.
func (t Taps) mix(set isa.Set, dst, src []float32, at, n int) {
	part := func(k int) []float32 { return src[int(t.Index[at+k])*n:][:n] }
	w := t.Weight[at:][:t.N]
	if t.N == 1 {
		scale := [1]float32{w[0]}
		p := rowsOfPairs{rows: 1, n: n, stepA: 1}
		p.apply(set, Mul, dst, part(0), scale[:])
		return
	}
	combine(set, dst, part(0), part(1), w[0], w[1])
	for k := 2; k < t.N; k++ {
		combine(set, dst, dst, part(k), 1, w[k])
	}
}

func combineGeneric(dst, x, y []float32, a, b float32) {
	for i := range dst {
		dst[i] = float32(a*x[i]) + float32(b*y[i])
	}
}
