package evaluate

import (
	"context"
	"math"
)

// maxDistinct bounds the different values that are counted.
const maxDistinct = 4096

// histogramBins is the number of bins of a histogram.
const histogramBins = 64

// summary gathers the distribution of a tensor's values.
type summary struct {
	n, zeros, nan, inf int64
	least, greatest    float64
	// Mean and variance after B. P. Welford, "Note on a method for calculating corrected sums of squares and products",
	// Technometrics 4 (1962), with whole blocks joined as T. F. Chan, G. H. Golub and R. J. LeVeque do (1979).
	mean, squares float64
	finite        float64
	distinct      distinct
}

func newSummary() *summary {
	return &summary{least: math.Inf(1), greatest: math.Inf(-1)}
}

// add takes a block of values.
func (s *summary) add(block []float64) {
	var sum, count float64
	for _, v := range block {
		if v-v != 0 { // NaN or infinite
			if math.IsNaN(v) {
				s.nan++
			} else {
				s.inf++
			}
			continue
		}
		if v == 0 {
			s.zeros++
		}
		s.least, s.greatest = min(s.least, v), max(s.greatest, v)
		sum += v
		count++
		if s.distinct.n <= maxDistinct {
			s.distinct.add(v)
		}
	}
	s.n += int64(len(block))
	if count == 0 {
		return
	}
	mean, squares := sum/count, 0.0
	for _, v := range block {
		if v-v == 0 {
			squares += (v - mean) * (v - mean)
		}
	}
	delta, total := mean-s.mean, s.finite+count
	s.squares += squares + delta*delta*s.finite*count/total
	s.mean += delta * count / total
	s.finite = total
}

// stats returns the summary in the form of a result.
func (s *summary) stats() *Stats {
	out := &Stats{NaN: s.nan, Inf: s.inf}
	if s.distinct.n <= maxDistinct {
		out.Distinct = s.distinct.n
	}
	if s.n > 0 {
		out.Zeros = 100 * float64(s.zeros) / float64(s.n)
	}
	if s.finite > 0 {
		out.Min, out.Max, out.Mean, out.Sigma = s.least, s.greatest, s.mean, math.Sqrt(s.squares/s.finite)
	}
	return out
}

// summarise looks at all values of a tensor, twice where a histogram is asked for.
func summarise(ctx context.Context, t *held, histogram bool) (*Stats, error) {
	s := newSummary()
	if err := scan(ctx, t.Tensor, t.elements, s.add); err != nil {
		return nil, err
	}
	out := s.stats()
	if !histogram || !(out.Max > out.Min) {
		return out, nil
	}
	out.Histogram = make([]int64, histogramBins)
	scale := histogramBins / (out.Max - out.Min)
	return out, scan(ctx, t.Tensor, t.elements, func(block []float64) {
		for _, v := range block {
			if v-v == 0 {
				out.Histogram[min(int((v-out.Min)*scale), histogramBins-1)]++
			}
		}
	})
}

// distinct counts different values, in an open-addressing table of their bits.
type distinct struct {
	n    int
	keys [4 * maxDistinct]uint64 // bits plus 1, so that 0 is an empty slot; no finite number has all bits set
}

func (d *distinct) add(v float64) {
	key := math.Float64bits(v+0) + 1 // -0 counts as 0
	i := key * 0x9e3779b97f4a7c15 >> 50
	for d.keys[i] != key {
		if d.keys[i] == 0 {
			d.keys[i] = key
			d.n++
			return
		}
		i = (i + 1) % uint64(len(d.keys))
	}
}
