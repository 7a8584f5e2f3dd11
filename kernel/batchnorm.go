package kernel

import (
	"math"

	"github.com/effml/effml/internal/isa"
)

// BatchMoments computes the means and variances (of the population) of the channels of src [outer, ch, inner]; inner is 1 for tensors that
// are channels-last. It reads src once: over blocks of rows, in float32, deviations from the first row of a block are summed and
// squared, and blocks are joined in order in float64 as Chan, Golub, LeVeque: Updating Formulae and a Pairwise Algorithm for Computing
// Sample Variances, 1979, equation 2.1, so that a mean which is large beside the deviations costs little.
func BatchMoments(c *CPU, mean, variance []float64, src []float32, outer, ch, inner int) {
	t := newVecTask(c, nil)
	t.src, t.y = src[:outer*ch*inner], src[:outer*ch*inner]
	t.columns(c, outer, ch, inner)
	for k := range ch {
		var all moment
		t.eachPart(k, func(count int, first, second float64) { all.join(moment{float64(count), first, second}) })
		mean[k], variance[k] = all.mean, all.squares/max(1, all.n)
	}
	t.release()
}

// BatchSums computes for each channel of dy and x [outer, ch, inner] the sums of dy and of dy·(x − mean), which are what the gradient of a
// normalisation needs. Blocks of rows are summed in float32, blocks in order in float64.
func BatchSums(c *CPU, sum, product []float64, x, dy, mean []float32, outer, ch, inner int) {
	t := newVecTask(c, nil)
	t.sumColumns(c, sum, product, x, dy, mean, outer, ch, inner)
	t.release()
}

func (t *vecTask) sumColumns(c *CPU, sum, product []float64, x, dy, mean []float32, outer, ch, inner int) {
	t.src, t.y, t.mean = x[:outer*ch*inner], dy[:outer*ch*inner], mean[:ch]
	t.columns(c, outer, ch, inner)
	for k := range ch {
		sum[k], product[k] = 0, 0
		t.eachPart(k, func(_ int, first, second float64) {
			sum[k] += first
			product[k] += second
		})
	}
}

// Through is a function that follows a normalisation, y = act(Scale·x + Shift), as [Affine] computes it. Its slope is one that follows from what it
// takes, see [SlopeOfOutput].
type Through struct {
	Scale, Shift []float32
	Act          Activation
}

// BatchSumsThrough is [BatchSums] of what arrives at x through a function, dy times its slope, which it stores in dst; that may be dy.
func BatchSumsThrough(c *CPU, sum, product []float64, dst, x, dy, mean []float32, f Through, outer, ch, inner int) {
	t := newVecTask(c, nil)
	total := outer * ch * inner
	t.dst, t.z = dst[:total], dy[:total]
	t.blend.A, t.blend.B, t.act = f.Scale[:ch], f.Shift[:ch], f.Act
	t.sumColumns(c, sum, product, x, t.dst, mean, outer, ch, inner)
	t.release()
}

const throughBlock = 2048 // elements that go through at once: at least maxColumns

// through does rows of n elements, stride apart, from element at on, of channels from k on.
func (t *vecTask) through(at, rows, n, stride, k int) {
	var own [throughBlock]float32
	together := 1
	if n == stride {
		together = throughBlock / n
	}
	for r := 0; r < rows; r += together {
		from, count := at+r*stride, min(together, rows-r)*n
		affineRows(t.set, own[:count], t.src[from:][:count], t.blend.A[k:], t.blend.B[k:], n, 0, float32(math.Inf(-1)), float32(math.Inf(1)))
		slopeRow(t.set, t.act, t.dst[from:][:count], own[:count], t.z[from:])
	}
}

// throughRow does a row of n elements of a channel.
func (t *vecTask) throughRow(at, n, k int) {
	var own [throughBlock]float32
	for end := at + n; at < end; at += throughBlock {
		count := min(throughBlock, end-at)
		affineRows(t.set, own[:count], t.src[at:][:count], t.blend.A[k:], t.blend.B[k:], count, 1, float32(math.Inf(-1)), float32(math.Inf(1)))
		slopeRow(t.set, t.act, t.dst[at:][:count], own[:count], t.z[at:])
	}
}

// moment is the number, the mean and the sum of the squares of the deviations of some numbers.
type moment struct{ n, mean, squares float64 }

// join adds more numbers.
func (m *moment) join(o moment) {
	if o.n == 0 {
		return
	}
	n := m.n + o.n
	d := o.mean - m.mean
	m.squares += o.squares + d*d*m.n*(o.n/n)
	m.mean += d * (o.n / n)
	m.n = n
}

const pairColumns = 64 // columns as which a row of one channel is seen

// columns computes t.sums [part, 2, ch]: for a part of the rows, or for one of outer, the sums of BatchSums; or, if there are no t.mean,
// mean and squares of deviations.
func (t *vecTask) columns(c *CPU, outer, ch, inner int) {
	t.outer, t.n, t.inner = outer, ch, inner
	if inner == 1 {
		t.chunk = max(1, min(outer, max(colBlock, 2*pieceSize/max(1, ch))))
		t.chunks = ceilDiv(outer, t.chunk)
		t.sums = grow(t.sums, 2*t.chunks*ch)
		t.do = pairColumnsPiece
		t.run(c, t.chunks*ceilDiv(ch, maxColumns), 1)
		return
	}
	t.chunks = outer
	t.sums = grow(t.sums, 2*t.chunks*ch)
	t.do = pairRowPiece
	t.run(c, outer*ch, rowsPerPiece(inner))
}

// eachPart calls f with what parts say of a channel, in order.
func (t *vecTask) eachPart(k int, f func(count int, first, second float64)) {
	for part := range t.chunks {
		count := t.inner
		if t.inner == 1 {
			count = min(t.chunk, t.outer-part*t.chunk)
		}
		f(count, t.sums[2*part*t.n+k], t.sums[(2*part+1)*t.n+k])
	}
}

// pairColumnsPiece does blocks lo to hi, each maxColumns channels of a part of the rows.
func pairColumnsPiece(t *vecTask, lo, hi, _ int) {
	var acc [2][maxColumns]float32
	var zero [maxColumns]float32
	var all [maxColumns]moment
	blocks := ceilDiv(t.n, maxColumns)
	for i := lo; i < hi; i++ {
		part, col := i/blocks, i%blocks*maxColumns
		n := min(maxColumns, t.n-col)
		first, second := t.sums[2*part*t.n+col:][:n], t.sums[(2*part+1)*t.n+col:][:n]
		clear(all[:n])
		end := min(t.outer, (part+1)*t.chunk)
		for r := part * t.chunk; r < end; r += colBlock {
			rows := min(colBlock, end-r)
			x, y := t.src[r*t.n+col:], t.y[r*t.n+col:]
			shiftX, shiftY := x[:n], x[:n]
			if t.mean != nil {
				shiftX, shiftY = t.mean[col:][:n], zero[:n]
			}
			if t.dst != nil {
				t.through(r*t.n+col, rows, n, t.n, col)
			}
			clear(acc[0][:n])
			clear(acc[1][:n])
			pairSums(t.set, acc[0][:n], acc[1][:n], x, y, shiftX, shiftY, rows, t.n)
			for k := range n {
				a := &all[k]
				if t.mean != nil {
					a.mean += float64(acc[0][k])
					a.squares += float64(acc[1][k])
				} else {
					a.join(momentOf(rows, float64(shiftX[k]), float64(acc[0][k]), float64(acc[1][k])))
				}
			}
		}
		for k := range n {
			first[k], second[k] = all[k].mean, all[k].squares
		}
	}
}

// momentOf makes a moment of the sums of deviations from shift and of their squares.
func momentOf(count int, shift, sum, squares float64) moment {
	n := float64(count)
	return moment{n, shift + sum/n, max(0, squares-sum*sum/n)}
}

// pairRowPiece does rows lo to hi, each of one channel.
func pairRowPiece(t *vecTask, lo, hi, _ int) {
	for r := lo; r < hi; r++ {
		var mean *float32
		if t.mean != nil {
			mean = &t.mean[r%t.n]
		}
		if t.dst != nil {
			t.throughRow(r*t.inner, t.inner, r%t.n)
		}
		all := rowSums(t.set, t.src[r*t.inner:][:t.inner], t.y[r*t.inner:][:t.inner], mean)
		at := 2*(r/t.n)*t.n + r%t.n
		t.sums[at], t.sums[at+t.n] = all.mean, all.squares
	}
}

// rowSums computes the moment of x, which y then is, or with a mean the sums of y and of y·(x − mean). It sees the row as some columns.
func rowSums(set isa.Set, x, y []float32, mean *float32) (all moment) {
	var shift, zero, acc0, acc1 [pairColumns]float32
	for len(x) > 0 {
		n := min(pairColumns, len(x))
		rows := min(colBlock, len(x)/n)
		s, shiftY := x[0], shift[:n]
		if mean != nil {
			s, shiftY = *mean, zero[:n]
		}
		for k := range n {
			shift[k], acc0[k], acc1[k] = s, 0, 0
		}
		pairSums(set, acc0[:n], acc1[:n], x, y, shift[:n], shiftY, rows, n)
		var sum, product float64
		for k := range n {
			sum += float64(acc0[k])
			product += float64(acc1[k])
		}
		if mean != nil {
			all.mean += sum
			all.squares += product
		} else {
			all.join(momentOf(rows*n, float64(s), sum, product))
		}
		x, y = x[rows*n:], y[rows*n:]
	}
	return all
}

// pairSumsGeneric adds to sum and product, column by column, what rows of len(sum) elements, stride apart, of y − shiftY and of
// (y − shiftY)·(x − shiftX) give.
func pairSumsGeneric(sum, product, x, y, shiftX, shiftY []float32, rows, stride int) {
	for r := range rows {
		x, y := x[r*stride:], y[r*stride:]
		for k := range sum {
			d := y[k] - shiftY[k]
			sum[k] += d
			product[k] += float32(d * (x[k] - shiftX[k]))
		}
	}
}

// Blend is the parameters of [BlendPairs], an element of each a channel.
type Blend struct{ A, B, Mean, Shift []float32 }

// BlendPairs computes dst = A·y + B·(x − Mean) + Shift for x and y of shape [outer, ch, inner]; inner is 1 for tensors that are channels-last.
// dst may be x or y.
func BlendPairs(c *CPU, dst, x, y []float32, b *Blend, outer, ch, inner int) {
	total := outer * ch * inner
	if total == 0 {
		return
	}
	t := newVecTask(c, blendPiece)
	t.dst, t.src, t.y, t.outer, t.n, t.inner = dst[:total], x[:total], y[:total], outer, ch, inner
	t.blend = *b
	if inner == 1 {
		t.run(c, outer, rowsPerPiece(ch))
	} else {
		t.do = blendRowPiece
		t.run(c, outer*ch, rowsPerPiece(inner))
	}
	t.release()
}

func blendPiece(t *vecTask, lo, hi, _ int) {
	blendRows(t.set, t.dst[lo*t.n:hi*t.n], t.src[lo*t.n:], t.y[lo*t.n:], &t.blend, t.n)
}

func blendRowPiece(t *vecTask, lo, hi, _ int) {
	b := &t.blend
	for r := lo; r < hi; r++ {
		k, at := r%t.n, r*t.inner
		blendRow(t.set, t.dst[at:][:t.inner], t.src[at:], t.y[at:], b.A[k], b.B[k], b.Mean[k], b.Shift[k])
	}
}

// blendRows computes dense rows of n elements.
func blendRows(set isa.Set, dst, x, y []float32, b *Blend, n int) {
	if len(dst) == 0 {
		return
	}
	_, _ = x[len(dst)-1], y[len(dst)-1]
	blend(set, dst, x, y, b.A[:n], b.B[:n], b.Mean[:n], b.Shift[:n])
}

func blendGeneric(dst, x, y, a, b, mean, shift []float32) {
	for i := range dst {
		k := i % len(a)
		dst[i] = float32(a[k]*y[i]) + (float32(b[k]*(x[i]-mean[k])) + shift[k])
	}
}
