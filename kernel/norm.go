package kernel

import (
	"math"

	"github.com/effml/effml/internal/isa"
)

// LayerNorm normalises each of outer rows of n elements: y = (x − mean) / √(variance + eps) · gamma + beta, with gamma and beta
// of n elements, nil for 1 and 0. The variance is that of the population, by a second pass over the row, so that a mean
// which is large beside the deviations costs nothing but its own rounding. Where mean and invStd are not nil they receive the
// rows' means and 1/√(variance + eps). dst may be src. Errors are below 10⁻⁶ of the largest |y| plus those of x − mean.
//
// Ba, Kiros, Hinton: Layer Normalization, 2016, equation 4.
func LayerNorm(c *CPU, dst, src, gamma, beta []float32, outer, n int, eps float32, mean, invStd []float32) {
	t := newNorm(c, dst, src, gamma, beta, outer, n, eps)
	t.do, t.op = layerNormPiece, 0
	t.mean, t.invStd = mean, invStd
	t.run(c, outer, rowsPerPiece(n))
	t.release()
}

// RMSNorm divides each of outer rows of n elements by its root mean square: y = x / √(Σx²/n + eps) · gamma, gamma of n elements
// or nil. dst may be src.
//
// Zhang, Sennrich: Root Mean Square Layer Normalization, 2019, equation 4.
func RMSNorm(c *CPU, dst, src, gamma []float32, outer, n int, eps float32) {
	t := newNorm(c, dst, src, gamma, nil, outer, n, eps)
	t.do, t.op = layerNormPiece, 1
	t.run(c, outer, rowsPerPiece(n))
	t.release()
}

// GroupNorm normalises src [n, ch, inner] over groups of ch/groups consecutive channels: y = (x − mean) / √(variance + eps) ·
// gamma[channel] + beta[channel]; gamma and beta may be nil. dst may be src.
//
// Wu, He: Group Normalization, 2018, equations 1 to 6. With a channel a group it is InstanceNorm.
func GroupNorm(c *CPU, dst, src, gamma, beta []float32, n, ch, inner, groups int, eps float32) {
	size := ch / groups
	t := newNorm(c, dst, src, gamma, beta, n*groups, size*inner, eps)
	t.do = groupNormPiece
	t.outer, t.chunk, t.inner = groups, size, inner
	t.run(c, n*groups, rowsPerPiece(size*inner))
	t.release()
}

// InstanceNorm is [GroupNorm] of each channel for itself.
func InstanceNorm(c *CPU, dst, src, gamma, beta []float32, n, ch, inner int, eps float32) {
	if ch > 0 {
		GroupNorm(c, dst, src, gamma, beta, n, ch, inner, ch, eps)
	}
}

func newNorm(c *CPU, dst, src, gamma, beta []float32, rows, n int, eps float32) *vecTask {
	if total := rows * n; total > 0 {
		_, _ = dst[total-1], src[total-1]
	}
	t := newVecTask(c, nil)
	t.dst, t.src, t.y, t.z, t.n, t.eps = dst, src, gamma, beta, n, eps
	return t
}

func layerNormPiece(t *vecTask, lo, hi, _ int) {
	for r := lo; r < hi; r++ {
		x := t.src[r*t.n:][:t.n]
		mean, inv := moments(t.set, x, t.eps, t.op == 1)
		if t.mean != nil {
			t.mean[r] = mean
		}
		if t.invStd != nil {
			t.invStd[r] = inv
		}
		normRow(t.set, t.dst[r*t.n:][:t.n], x, t.y, t.z, mean, inv)
	}
}

func groupNormPiece(t *vecTask, lo, hi, _ int) {
	for g := lo; g < hi; g++ {
		mean, inv := moments(t.set, t.src[g*t.n:][:t.n], t.eps, false)
		for k := range t.chunk {
			ch := g%t.outer*t.chunk + k
			at := g*t.n + k*t.inner
			normRow(t.set, t.dst[at:][:t.inner], t.src[at:][:t.inner], element(t.y, ch), element(t.z, ch), mean, inv)
		}
	}
}

// element is the slice of element i alone, nil of nil.
func element(s []float32, i int) []float32 {
	if s == nil {
		return nil
	}
	return s[i : i+1]
}

// moments returns the mean, or 0 if it is not to be subtracted, and 1/√(mean of (x − mean)² + eps).
func moments(set isa.Set, x []float32, eps float32, centred bool) (mean, inv float32) {
	n := float64(len(x))
	if !centred {
		mean = float32(reduceRow(set, ReduceSum, x, 0) / n)
	}
	v := reduceRow(set, ReduceSumSquare, x, mean) / n
	return mean, float32(1 / math.Sqrt(v+float64(eps)))
}

// normGeneric computes (x − mean)·inv·gamma + beta. gamma and beta have an element for each of src, or one for all, or are nil.
func normGeneric(dst, src, gamma, beta []float32, mean, inv float32) {
	g, b := float32(1), float32(0)
	for i, x := range src {
		if len(gamma) > 0 {
			g = gamma[min(i, len(gamma)-1)]
		}
		if len(beta) > 0 {
			b = beta[min(i, len(beta)-1)]
		}
		dst[i] = float32(float32((x-mean)*inv)*g) + b
	}
}
