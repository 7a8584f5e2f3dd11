package quantize

import (
	"math"
	"math/rand/v2"
	"slices"
)

// The oracles: slow, plain float64.

// laplace returns n weights of the Laplace distribution of scale b.
func laplace(n int, b float64, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	w := make([]float32, n)
	for i := range w {
		u := r.Float64() - 0.5
		w[i] = float32(-b * math.Copysign(math.Log1p(-2*math.Abs(u)), u))
	}
	return w
}

// pruned returns w with the weights of magnitude below t set to zero.
func pruned(w []float32, t float64) []float32 {
	w = slices.Clone(w)
	for i, v := range w {
		if math.Abs(float64(v)) < t {
			w[i] = 0
		}
	}
	return w
}

// samples are weights of every kind that tensors have.
func samples() map[string][]float32 {
	r := rand.New(rand.NewPCG(7, 7))
	uniform := make([]float32, 3000)
	for i := range uniform {
		uniform[i] = r.Float32()*2 - 1
	}
	scale := make([]float32, 2000)
	tiny := make([]float32, 500)
	wild := make([]float32, 1000)
	steps := make([]float32, 700)
	for i := range scale {
		scale[i] = 1000 + 1e-2*float32(r.NormFloat64())
	}
	for i := range tiny {
		tiny[i] = float32(r.NormFloat64() * 3e-41)
	}
	for i := range wild {
		wild[i] = float32(r.NormFloat64() / r.Float64() / r.Float64())
	}
	for i := range steps {
		steps[i] = float32(r.IntN(7)-3) * 0.25
	}
	huge := []float32{math.MaxFloat32, -math.MaxFloat32, 1e38, -3e37, 0, 1}
	return map[string][]float32{
		"laplace": laplace(5000, 0.05, 3), "pruned": pruned(laplace(4000, 0.05, 4), 0.1), "uniform": uniform, "offset": scale,
		"denormal": tiny, "heavy": wild, "palette": steps, "huge": huge, "one": {0.3}, "two": {-1, 2}, "zero": make([]float32, 40),
		"constant": slices.Repeat([]float32{-0.7}, 33), "sign": {0.5, -0.5, 0, 0.5, 0.5}, "positive": {1, 2, 3, 4, 5, 9},
	}
}

// squaredError returns Σ(w-v)².
func squaredError(w, v []float32) float64 {
	sum := 0.0
	for i := range w {
		d := float64(w[i]) - float64(v[i])
		sum += d * d
	}
	return sum
}

// distance returns the squared distance from w to the nearest level.
func distance(w float32, book []float32) float64 {
	best := math.Inf(1)
	for _, c := range book {
		d := float64(w) - float64(c)
		best = min(best, d*d)
	}
	return best
}

// bruteForce returns the least Σ(w-c)² with k levels, one of them zero when asked: O(k·n²) over the sorted weights.
func bruteForce(w []float32, k int, keepZero bool) float64 {
	x := make([]float64, len(w))
	for i, v := range w {
		x[i] = float64(v)
	}
	slices.Sort(x)
	n := len(x)
	// cost[i][j] is that of one cluster over x[i:j]; with zero, free of charge to be at zero instead.
	cost := func(i, j int, zero bool) float64 {
		mean := 0.0
		if !zero {
			for _, v := range x[i:j] {
				mean += v / float64(j-i)
			}
		}
		sum := 0.0
		for _, v := range x[i:j] {
			sum += (v - mean) * (v - mean)
		}
		return sum
	}
	free, pinned := make([][]float64, n+1), make([][]float64, n+1)
	for i := range free {
		free[i], pinned[i] = make([]float64, n+1), make([]float64, n+1)
		for j := i; j <= n; j++ {
			free[i][j], pinned[i][j] = cost(i, j, false), cost(i, j, true)
		}
	}
	// f[z][j]: the least cost of x[:j], z = 1 when zero has been placed.
	f := [2][]float64{make([]float64, n+1), make([]float64, n+1)}
	for j := range n + 1 {
		f[0][j], f[1][j] = math.Inf(1), math.Inf(1)
	}
	f[0][0] = 0
	for range k {
		g := [2][]float64{slices.Clone(f[0]), slices.Clone(f[1])}
		for j := range n + 1 {
			for i := range j + 1 {
				g[0][j] = min(g[0][j], f[0][i]+free[i][j])
				g[1][j] = min(g[1][j], f[1][i]+free[i][j], f[0][i]+pinned[i][j])
			}
		}
		f = g
	}
	if keepZero {
		return f[1][n]
	}
	return f[0][n]
}

// naiveLloyd is Lloyd's iteration as a textbook has it; c is ascending.
func naiveLloyd(w []float32, c []float64, rounds int) (mse float64) {
	for range rounds {
		sum, n := make([]float64, len(c)), make([]float64, len(c))
		for _, v := range w {
			best := 0
			for j := range c {
				if math.Abs(float64(v)-c[j]) < math.Abs(float64(v)-c[best]) {
					best = j
				}
			}
			sum[best] += float64(v)
			n[best]++
		}
		for j := range c {
			if n[j] > 0 {
				c[j] = sum[j] / n[j]
			}
		}
	}
	for _, v := range w {
		best := math.Inf(1)
		for _, x := range c {
			best = min(best, (float64(v)-x)*(float64(v)-x))
		}
		mse += best / float64(len(w))
	}
	return mse
}
