package quantize

// The exact optimum of one-dimensional k-means, by dynamic programming over the bins of a histogram. With prefix counts
// N, sums S and sums of squares Q at the bin edges, one cluster over the bins i…j-1 costs
//
//	cost(i, j) = (Q_j - Q_i) - (S_j - S_i)² / (N_j - N_i)
//
// and a clusters over the first j bins cost at the least
//
//	f_a(j) = min_i f_{a-1}(i) + cost(i, j).
//
// The best i never decreases with j (the cost is Monge), so a layer takes O(B·log B) by divide and conquer: Grønlund,
// Larsen, Mathiasen, Nielsen, Schneider, Song, "Fast Exact k-Means, k-Medians and Bregman Divergence Clustering in 1D",
// arXiv:1701.07204. Deviation: with a level pinned to zero, whose cluster costs Q, the negative and the positive side
// are independent, and the levels are shared out between them.

import (
	"math"
	"slices"
)

// defaultBins is the number of bins of the histogram that InitOptimal and ForSQNR work on.
const defaultBins = 4096

// maxBins bounds the memory of the search: 2 bytes for each level and bin.
const maxBins = 1 << 15

// Optimal returns the k levels (2…256) of least mean square error: the exact optimum among partitions at the edges of a
// histogram, then Lloyd's iteration over the weights themselves. Half of the bins (0 stands for 4096, at most 32768)
// have equal width, half equal numbers of the weights that are not zero, so that neither tails nor peaks are coarse; with
// no more weights than bins the result is the exact optimum. O(k·bins·log bins) beside the sort. With keepZero one
// level is exactly zero. Errors as [KMeans].
func Optimal(src Source, k, bins int, keepZero bool) (Quantizer, Stats, error) {
	o := KMeansOptions{K: k, Init: InitOptimal, KeepZero: keepZero}
	if err := o.validate(); err != nil {
		return Quantizer{}, Stats{}, err
	}
	if src.Len() == 0 {
		return nothing()
	}
	l, err := newLine(src, sortLimit, keepZero)
	if err != nil {
		return Quantizer{}, Stats{}, err
	}
	return finish(src, l, newOptimum(l, bins, keepZero).partition(k).lloyd(l, o), o)
}

// optimum finds the best partition of a line for any number of levels; layers are computed as they are asked for.
type optimum struct {
	l        line
	sides    []*side // all of the line; or what lies below zero, and what lies above it seen from the far end
	edges    [][]int // of each side: positions in the order of the side
	keepZero bool
}

func newOptimum(l line, bins int, keepZero bool) *optimum {
	if bins <= 0 {
		bins = defaultBins
	}
	edges := histogramEdges(l, min(bins, maxBins))
	o := &optimum{l: l, keepZero: keepZero}
	if !keepZero {
		o.addSide(edges, 1)
		o.sides[0].whole = true
		return o
	}
	lo, hi := l.zeros()
	cut, _ := slices.BinarySearch(edges, lo)
	left := append(slices.Clone(edges[:cut]), lo)
	cut, _ = slices.BinarySearch(edges, hi+1)
	right := append([]int{hi}, edges[cut:]...)
	slices.Reverse(right)
	o.addSide(left, 1)
	o.addSide(right, -1)
	return o
}

// addSide adds the prefix sums at edges, counted from the first in the direction of sign.
func (o *optimum) addSide(edges []int, sign float64) {
	s := &side{at: make([]moments, len(edges))}
	for i, e := range edges {
		m := span(o.l, edges[0], e)
		s.at[i] = moments{sign * m.n, sign * m.s, sign * m.ss}
	}
	o.sides = append(o.sides, s)
	o.edges = append(o.edges, edges)
}

// histogramEdges returns ascending positions, the first 0 and the last the line's length, that never part equal weights.
func histogramEdges(l line, bins int) []int {
	n := l.len()
	edges := []int{0, n}
	if n <= bins {
		for i := 1; i < n; i++ {
			if l.value(i) != l.value(i-1) {
				edges = append(edges, i)
			}
		}
		slices.Sort(edges)
		return edges
	}
	lo, hi := l.value(0), l.value(n-1)
	zeroLo, zeroHi := l.zeros()
	edges = append(edges, zeroLo, zeroHi)
	others := newNonzero(l)
	half := (bins + 1) / 2
	for i := range half {
		edges = append(edges, l.split(lo+(hi-lo)*float64(i)/float64(half)))
		if others.n > 0 {
			edges = append(edges, l.split(others.at(i*others.n/half)))
		}
	}
	slices.Sort(edges)
	return slices.Compact(edges)
}

// cost returns the least sum of squared errors with k levels.
func (o *optimum) cost(k int) float64 {
	if !o.keepZero {
		return o.sides[0].best(k)
	}
	a := o.share(k)
	return o.sides[0].best(a) + o.sides[1].best(k-1-a)
}

// share returns how many of the k-1 levels beside zero go to the left side.
func (o *optimum) share(k int) int {
	best, least := 0, math.Inf(1)
	for a := range k {
		if c := o.sides[0].best(a) + o.sides[1].best(k-1-a); c < least {
			best, least = a, c
		}
	}
	return best
}

// partition returns the best clusters.
func (o *optimum) partition(k int) partition {
	var cuts []int
	zero := -1
	if o.keepZero {
		a := o.share(k)
		cuts = o.sides[0].cuts(a, o.edges[0])
		right := o.sides[1].cuts(k-1-a, o.edges[1])
		slices.Reverse(right)
		zero = len(cuts) - 1
		cuts = append(cuts, right...)
	} else {
		cuts = o.sides[0].cuts(k, o.edges[0])
	}
	p := make(partition, 0, k)
	for i := range cuts[1:] {
		if cuts[i] == cuts[i+1] && i != zero {
			continue
		}
		p = append(p, cluster{cuts[i], cuts[i+1], span(o.l, cuts[i], cuts[i+1]), i == zero})
	}
	return p
}

// side is a stretch of bins that clusters cover from its begin on. What they leave at its end belongs to zero, unless
// whole is set: then they leave nothing.
type side struct {
	at    []moments // of the bins before each edge
	whole bool
	cost  []float64  // f_a of the last layer
	prev  []float64  // f_{a-1}
	from  [][]uint16 // from[a-1][j]: the best i of f_a(j)
	least []float64  // least[a]: the cost of the side with up to a clusters
	end   []int      // the edge where they end then
}

// best returns the cost of the side with up to a clusters.
func (s *side) best(a int) float64 {
	if s.cost == nil {
		s.cost, s.prev = make([]float64, len(s.at)), make([]float64, len(s.at))
		for j := range s.cost[1:] {
			s.cost[j+1] = math.Inf(1)
		}
		s.close()
	}
	for len(s.least) <= a {
		s.cost, s.prev = s.prev, s.cost
		from := make([]uint16, len(s.at))
		s.cost[0] = 0
		s.layer(from, 1, len(s.at), 0, len(s.at)-1)
		s.from = append(s.from, from)
		s.close()
	}
	return s.least[a]
}

// close finds out where the clusters of the last layer had best end.
func (s *side) close() {
	last := len(s.at) - 1
	end, least := last, s.cost[last]
	for j := last - 1; j >= 0 && !s.whole; j-- {
		if c := s.cost[j] + s.at[last].ss - s.at[j].ss; c < least {
			end, least = j, c
		}
	}
	s.least, s.end = append(s.least, least), append(s.end, end)
}

// layer computes cost[lo:hi] given that the best i of all of them is in iLo…iHi.
func (s *side) layer(from []uint16, lo, hi, iLo, iHi int) {
	for lo < hi {
		j := int(uint(lo+hi) >> 1)
		best, least := iLo, math.Inf(1)
		upTo := s.at[j]
		for i := iLo; i <= min(iHi, j-1); i++ {
			d := upTo.sub(s.at[i])
			if c := s.prev[i] + max(0, d.ss-d.s*d.s/d.n); c < least {
				best, least = i, c
			}
		}
		s.cost[j], from[j] = least, uint16(best)
		if s.prev[j] <= least { // one cluster less does as well where there are fewer bins than clusters
			s.cost[j], from[j] = s.prev[j], uint16(j)
		}
		s.layer(from, lo, j, iLo, best)
		lo, iLo = j+1, best
	}
}

// cuts returns the positions between which a clusters lie: at most a+1, from the begin on.
func (s *side) cuts(a int, edges []int) []int {
	s.best(a)
	j := s.end[a]
	cuts := []int{edges[j]}
	for ; a > 0 && j > 0; a-- {
		j = int(s.from[a-1][j])
		cuts = append(cuts, edges[j])
	}
	slices.Reverse(cuts)
	return cuts
}
