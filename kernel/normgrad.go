package kernel

import "github.com/effml/effml/internal/isa"

// LayerNormGrad computes the gradients of [LayerNorm], or if rms of [RMSNorm], with respect to src, gamma and beta, from what arrives at
// the result, dy: dx [outer, n], dgamma and dbeta [n]. gamma is nil for 1. Statistics are computed again. dx may be src or dy. Sums over rows
// are in float32 over blocks of at most 128 rows, and in order in float64.
func LayerNormGrad(c *CPU, dx, dgamma, dbeta, src, dy, gamma []float32, outer, n int, eps float32, rms bool) {
	clear(dgamma[:n])
	clear(dbeta[:n])
	total := outer * n
	if total == 0 {
		return
	}
	t := newVecTask(c, layerGradPiece)
	t.dst, t.src, t.y, t.z, t.n, t.eps = dx[:total], src[:total], dy[:total], gamma, n, eps
	if rms {
		t.op = 1
	}
	t.chunk = min(colBlock, max(rowsPerPiece(n), colBlock/2))
	parts := ceilDiv(outer, t.chunk)
	t.scratch = grow(t.scratch, 2*n*parts+(3*n)*c.Threads())
	t.chunks = parts
	t.outer = outer
	t.run(c, parts, 1)
	for k := range n {
		var g, b float64
		for part := range parts {
			b += float64(t.scratch[2*part*n+k])
			g += float64(t.scratch[(2*part+1)*n+k])
		}
		dgamma[k], dbeta[k] = float32(g), float32(b)
	}
	t.release()
}

func layerGradPiece(t *vecTask, lo, hi, worker int) {
	n := t.n
	own := t.scratch[2*n*t.chunks+3*n*worker:][:3*n]
	for i := lo; i < hi; i++ {
		part := t.scratch[2*n*i:][:2*n]
		clear(part)
		for r := i * t.chunk; r < min(t.outer, (i+1)*t.chunk); r++ {
			layerGradRow(t, t.dst[r*n:][:n], t.src[r*n:][:n], t.y[r*n:][:n], part[:n], part[n:], own)
		}
	}
}

// layerGradRow does a row: with h the normalised x and g = dy·gamma it is inv·(g − mean of g − h·mean of g·h).
func layerGradRow(t *vecTask, dst, x, dy, dbeta, dgamma, own []float32) {
	n := len(x)
	h, g, product := own[:n], own[n:2*n], own[2*n:]
	pairs := rowsOfPairs{rows: 1, n: n, stepA: 1, stepB: 1}
	mean, inv := moments(t.set, x, t.eps, t.op == 1)
	normRow(t.set, h, x, nil, nil, mean, inv)
	pairs.apply(t.set, Mul, product, dy, h)
	pairs.apply(t.set, Add, dgamma, dgamma, product)
	pairs.apply(t.set, Add, dbeta, dbeta, dy)
	if t.z == nil {
		copy(g, dy)
	} else {
		pairs.apply(t.set, Mul, g, dy, t.z[:n])
		pairs.apply(t.set, Mul, product, g, h)
	}
	first := 0.0
	if t.op != 1 {
		first = reduceRow(t.set, ReduceSum, g, 0) / float64(n)
	}
	second := reduceRow(t.set, ReduceSum, product, 0) / float64(n)
	blendRow(t.set, dst, h, g, inv, -inv*float32(second), 0, -inv*float32(first))
}

// blendRow is blendRows for a row of one channel.
func blendRow(set isa.Set, dst, x, y []float32, a, b, mean, shift float32) {
	var p [4][pairColumns]float32
	n := min(pairColumns, len(dst))
	for i := range n {
		p[0][i], p[1][i], p[2][i], p[3][i] = a, b, mean, shift
	}
	all := Blend{p[0][:n], p[1][:n], p[2][:n], p[3][:n]}
	whole := len(dst) / max(1, n) * n
	blendRows(set, dst[:whole], x, y, &all, n)
	blendRows(set, dst[whole:], x[whole:], y[whole:], &all, len(dst)-whole)
}

// GroupNormGrad computes the gradients of [GroupNorm] with respect to src, gamma and beta, from what arrives at the result, dy: dx
// [n, ch, inner], dgamma and dbeta [ch]. gamma is nil for 1. Statistics are computed again. dx may be src or dy.
func GroupNormGrad(c *CPU, dx, dgamma, dbeta, src, dy, gamma []float32, n, ch, inner, groups int, eps float32) {
	total := n * ch * inner
	t := newVecTask(c, groupGradPiece)
	t.dst, t.src, t.y, t.z, t.eps = dx[:total], src[:total], dy[:total], gamma, eps
	t.outer, t.chunk, t.inner, t.n = groups, ch/groups, inner, ch
	t.sums = grow(t.sums, 2*n*ch)
	t.run(c, n*groups, rowsPerPiece(t.chunk*inner))
	for k := range ch {
		var g, b float64
		for i := range n {
			b += t.sums[2*i*ch+k]
			g += t.sums[(2*i+1)*ch+k]
		}
		dgamma[k], dbeta[k] = float32(g), float32(b)
	}
	t.release()
}

func groupGradPiece(t *vecTask, lo, hi, _ int) {
	size := t.chunk * t.inner
	for i := lo; i < hi; i++ {
		sample, first := i/t.outer, i%t.outer*t.chunk
		sums, products := t.sums[2*sample*t.n+first:][:t.chunk], t.sums[(2*sample+1)*t.n+first:][:t.chunk]
		mean, inv := moments(t.set, t.src[i*size:][:size], t.eps, false)
		var sum, product float64
		for k := range t.chunk {
			at := i*size + k*t.inner
			s := rowSums(t.set, t.src[at:][:t.inner], t.y[at:][:t.inner], &mean)
			sums[k], products[k] = s.mean, s.squares*float64(inv)
			gamma := float64(gammaOf(t.z, first+k))
			sum += gamma * sums[k]
			product += gamma * products[k]
		}
		shift, b := -float64(inv)*sum/float64(size), -float64(inv)*float64(inv)*product/float64(size)
		for k := range t.chunk {
			at := i*size + k*t.inner
			blendRow(t.set, t.dst[at:][:t.inner], t.src[at:], t.y[at:], gammaOf(t.z, first+k)*inv, float32(b), mean, float32(shift))
		}
	}
}

func gammaOf(gamma []float32, i int) float32 {
	if gamma == nil {
		return 1
	}
	return gamma[i]
}
