package quantize

// Weight sharing by k-means: Han, Mao, Dally, "Deep Compression", ICLR 2016, section 3. Minimises
//
//	Σ_j Σ_{w in cluster j} (w - c_j)²
//
// by Lloyd's iteration. Weights are scalars, so clusters are intervals: the weights are ordered once (radix sort,
// O(n)) and an iteration is k binary searches and k differences of prefix sums, O(k·log n) instead of O(k·n). Above
// 8,000,000 weights a fine histogram takes the place of the order (see bins for the bound of its error).
//
// We deviate from the paper in that a cluster that loses all its members does not stay empty but splits the cluster of
// the greatest error, so that long tails do not waste levels; that KeepZero pins a level to exactly zero; and that the
// iteration starts from the exact optimum of a histogram where InitOptimal asks for it.

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Init is the way in which k-means places its first centroids.
type Init uint8

// The ways of Deep Compression, section 3.2, and the optimum of [Optimal].
const (
	InitLinear  Init = iota // evenly spaced from the least to the greatest weight
	InitDensity             // evenly spaced in the cumulative distribution of the weights that are not zero
	InitRandom              // k weights that are not zero, drawn at random without repetition where there are so many
	InitOptimal             // the optimum on a histogram of 4096 bins
)

var initNames = [...]string{"linear", "density", "random", "optimal"}

// String returns the name that plans and flags use: "linear", "density", "random", "optimal".
func (i Init) String() string {
	if int(i) >= len(initNames) {
		return fmt.Sprintf("init(%d)", i)
	}
	return initNames[i]
}

// ParseInit is the inverse of [Init.String].
func ParseInit(s string) (Init, error) {
	if i := slices.Index(initNames[:], s); i >= 0 {
		return Init(i), nil
	}
	return 0, fmt.Errorf("quantize: no initialisation %q; there are %q", s, initNames)
}

// KMeansOptions says how [KMeans] works; the zero value, with K set, is the paper's.
type KMeansOptions struct {
	K          int        // levels, 2…256
	Init       Init       // InitLinear where not set
	KeepZero   bool       // one level is exactly zero, whatever the weights are
	Iterations int        // at most; 0 stands for 1000
	Rand       *rand.Rand // needed by InitRandom only
	Round      Round      // rounds the codebook
}

// The number of levels of a codebook.
const (
	minLevels = 2
	maxLevels = 256
)

func (o KMeansOptions) validate() error {
	switch {
	case o.K < minLevels || o.K > maxLevels:
		return fmt.Errorf("quantize: %d levels: k-means takes %d to %d", o.K, minLevels, maxLevels)
	case int(o.Init) >= len(initNames):
		return fmt.Errorf("quantize: no initialisation %v; there are %q", o.Init, initNames)
	case o.Init == InitRandom && o.Rand == nil:
		return fmt.Errorf("quantize: random initialisation needs a source of random numbers")
	case o.Iterations < 0:
		return fmt.Errorf("quantize: %d iterations asked for", o.Iterations)
	}
	return nil
}

// KMeans shares the weights among at most o.K levels: fewer when there are fewer distinct weights (or distinct levels
// after rounding). Levels that no weight takes are dropped, but never the zero of KeepZero. Up to 8,000,000
// weights are sorted (4 bytes each) and src is read three times, twice above that.
// A weight that is NaN or infinite is a *ValueError. No weights give the zero Quantizer.
func KMeans(src Source, o KMeansOptions) (Quantizer, Stats, error) {
	if err := o.validate(); err != nil {
		return Quantizer{}, Stats{}, err
	}
	if src.Len() == 0 {
		return nothing()
	}
	l, err := newLine(src, sortLimit, o.KeepZero)
	if err != nil {
		return Quantizer{}, Stats{}, err
	}
	var first partition
	if o.Init == InitOptimal {
		first = newOptimum(l, defaultBins, o.KeepZero).partition(o.K)
	} else {
		first = startAt(l, o)
	}
	return finish(src, l, first.lloyd(l, o), o)
}

// nothing is what quantising no weights yields.
func nothing() (Quantizer, Stats, error) {
	return Quantizer{}, (&tally{}).stats(0, Quantizer{}), nil
}

// nonzero are the weights of a line that are not zero, in ascending order.
type nonzero struct {
	line
	below, zeros, n int // weights before zero, equal to zero, and without the latter
}

func newNonzero(l line) nonzero {
	lo, hi := l.zeros()
	below, zeros, above := span(l, 0, lo), span(l, lo, hi), span(l, hi, l.len())
	return nonzero{l, int(below.n), int(zeros.n), int(below.n + above.n)}
}

// at returns the value of the r-th smallest.
func (z nonzero) at(r int) float64 {
	if r >= z.below {
		r += z.zeros
	}
	return z.value(z.rank(r))
}

// startAt places the first centroids and returns the clusters nearest to them.
func startAt(l line, o KMeansOptions) partition {
	c := make([]float64, o.K)
	lo, hi := l.value(0), l.value(l.len()-1)
	others := newNonzero(l)
	for i := range c {
		c[i] = lo + (hi-lo)*float64(i)/float64(o.K-1)
		switch {
		case others.n == 0:
		case o.Init == InitDensity:
			c[i] = others.at((2*i + 1) * others.n / (2 * o.K))
		case o.Init == InitRandom:
			c[i] = others.at(o.Rand.IntN(others.n))
			for try := 0; try < 16 && slices.Contains(c[:i], c[i]); try++ {
				c[i] = others.at(o.Rand.IntN(others.n))
			}
		}
	}
	slices.Sort(c)
	zero := -1
	if o.KeepZero {
		for i := range c {
			if zero < 0 || math.Abs(c[i]) < math.Abs(c[zero]) {
				zero = i
			}
		}
		c[zero] = 0
	}
	return assign(l, c, zero)
}

// A cluster is the positions lo…hi-1 of a line. The centroid of a pinned one is zero whatever its members are.
type cluster struct {
	lo, hi int
	m      moments
	pinned bool
}

func (c cluster) centroid() float64 {
	if c.pinned {
		return 0
	}
	return c.m.mean()
}

func (c cluster) cost() float64 { return c.m.about(c.centroid()) }

// A partition is the clusters of a line from left to right; all but a pinned one have members.
type partition []cluster

// assign gives every position to the nearest of the ascending centroids c; that of index zero is pinned.
func assign(l line, c []float64, zero int) partition {
	p := make(partition, 0, len(c))
	lo, before := 0, l.prefix(0)
	for i := range c {
		hi := l.len()
		if i+1 < len(c) {
			hi = max(lo, l.split((c[i]+c[i+1])/2))
		}
		if i != zero && hi == lo {
			continue
		}
		upTo := l.prefix(hi)
		p = append(p, cluster{lo, hi, upTo.sub(before), i == zero})
		lo, before = hi, upTo
	}
	return p
}

// fill splits the cluster of greatest error at its mean until there are k, or none can be split.
func (p partition) fill(l line, k int) partition {
	for len(p) < k {
		worst := -1
		for i, c := range p {
			if c.hi-c.lo > 1 && l.value(c.lo) != l.value(c.hi-1) && (worst < 0 || c.cost() > p[worst].cost()) {
				worst = i
			}
		}
		if worst < 0 || p[worst].cost() == 0 {
			break
		}
		c := p[worst]
		at := min(max(l.split(c.m.mean()), c.lo+1), c.hi-1)
		left := cluster{c.lo, at, span(l, c.lo, at), false}
		right := cluster{at, c.hi, c.m.sub(left.m), false}
		// Of a pinned cluster the part on zero's side of the mean goes on being pinned.
		left.pinned = c.pinned && c.m.s >= 0
		right.pinned = c.pinned && !left.pinned
		p[worst] = left
		p = slices.Insert(p, worst+1, right)
	}
	return p
}

// lloyd moves centroids to means and members to the nearest centroid until nothing changes or hardly so.
func (p partition) lloyd(l line, o KMeansOptions) partition {
	iterations := o.Iterations
	if iterations == 0 {
		iterations = 1000
	}
	const enough = 1e-7 // relative gain of an iteration below which it ends
	c := make([]float64, 0, o.K)
	last := math.Inf(1)
	for range iterations {
		p = p.fill(l, o.K)
		now, zero := 0.0, -1
		c = c[:0]
		for i, m := range p {
			now += m.cost()
			c = append(c, m.centroid())
			if m.pinned {
				zero = i
			}
		}
		if last-now <= enough*now {
			break
		}
		last = now
		p = assign(l, c, zero)
	}
	return p.fill(l, o.K)
}

// finish turns clusters into a codebook and measures it.
func finish(src Source, l line, p partition, o KMeansOptions) (Quantizer, Stats, error) {
	book := make([]float32, 0, len(p)+1)
	for _, c := range p {
		book = append(book, float32(c.centroid()+l.offset()))
	}
	if o.Round != nil {
		o.Round(book)
	}
	for i, v := range book {
		if v == 0 {
			book[i] = 0 // not -0
		}
	}
	slices.Sort(book)
	q := Quantizer{Codebook: slices.Compact(book)}
	t, err := measure(src, q, nil)
	if err != nil {
		return Quantizer{}, Stats{}, err
	}
	q.Codebook = q.Codebook[:0]
	common := uint32(0)
	for i, n := range t.counts {
		v := t.value[i]
		if n == 0 && !(o.KeepZero && v == 0) {
			continue
		}
		if v == 0 {
			q.Origin, common = len(q.Codebook), math.MaxUint32
		} else if n > common {
			q.Origin, common = len(q.Codebook), n
		}
		q.Codebook = append(q.Codebook, v)
	}
	s := t.stats(src.Len(), q)
	s.Method = "k-means " + o.Init.String()
	return q, s, nil
}
