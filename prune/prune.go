package prune

// Magnitude pruning: Han, Pool, Tran, Dally, "Learning both Weights and Connections for Efficient Neural Networks", NIPS
// 2015, and "Deep Compression", ICLR 2016, section 2: connections below a threshold are removed, the threshold of a layer
// being a quality parameter times the standard deviation of its weights. A kept fraction is the rank-order form of the same, and
// one threshold over several layers its global form.

import (
	"fmt"
	"math"

	"github.com/effml/effml/internal/weights"
)

// Source is the weights of one tensor, read block by block: Read fills dst with the weights first…first+len(dst)-1. It is
// called from several goroutines at once.
type Source interface {
	Len() int
	Read(dst []float32, first int) error
}

// Rule says which weights of a tensor stay; exactly one field is set.
type Rule struct {
	Keep      float64 // this fraction of the weights, the greatest in magnitude; 0 < Keep ≤ 1
	Threshold float64 // weights of at least this magnitude, > 0
	Sigma     float64 // weights of at least Sigma standard deviations of the tensor's weights, > 0
}

// Validate reports what is wrong with the rule.
func (r Rule) Validate() error {
	set := 0
	for _, v := range []float64{r.Keep, r.Threshold, r.Sigma} {
		if v != 0 {
			set++
		}
		if !(v >= 0) || math.IsInf(v, 1) {
			return fmt.Errorf("prune: %v is no fraction, threshold or multiple", v)
		}
	}
	switch {
	case set != 1:
		return fmt.Errorf("prune: %d of keep, threshold and sigma are set; exactly one must be", set)
	case r.Keep > 1:
		return fmt.Errorf("prune: keep is %v; it is a fraction, at most 1", r.Keep)
	}
	return nil
}

// ValueError is a weight that has no magnitude to go by: NaN or an infinity.
type ValueError struct {
	Source int // which of the sources of Global; else 0
	Index  int
	Value  float32
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("prune: weight %d of source %d is %v", e.Index, e.Source, e.Value)
}

// Threshold returns the magnitude below which weights are zero under the rule; weights of just that magnitude stay.
//
// Keep: with m = ⌈Keep·n⌉ it is the m-th greatest magnitude, found exactly in two readings of src. All weights that tie with the
// m-th stay, so that what stays does not depend on the order of the weights; more than m stay then. If fewer
// than m weights are not zero it is 0, and nothing is pruned that is not zero already. Sigma: the deviation is that of the
// population, about the mean, in one reading. No weights give 0.
func Threshold(src Source, r Rule) (float64, error) {
	switch err := r.Validate(); {
	case err != nil:
		return 0, err
	case r.Threshold > 0:
		return r.Threshold, nil
	case r.Keep > 0:
		return Global([]Source{src}, r.Keep)
	}
	sigma, err := deviation(src)
	return r.Sigma * sigma, err
}

// Global returns the one threshold that keeps the given fraction of the weights of all sources together, as Keep of
// [Threshold] does for one.
func Global(srcs []Source, keep float64) (float64, error) {
	if err := (Rule{Keep: keep}).Validate(); err != nil {
		return 0, err
	}
	n := 0
	for _, s := range srcs {
		n += s.Len()
	}
	if n == 0 {
		return 0, nil
	}
	rank := int64(math.Ceil(keep * float64(n))) // from the greatest, 1…n
	// Magnitudes in the order of their bits: first the bin of the leading 16, then the bits that are left.
	const low = 15
	high, err := count(srcs, func(bits uint32) (int, bool) { return int(bits >> low), true })
	if err != nil {
		return 0, err
	}
	bin, rank := find(high, min(rank, int64(n)))
	rest, err := count(srcs, func(bits uint32) (int, bool) { return int(bits & (1<<low - 1)), int(bits>>low) == bin })
	if err != nil {
		return 0, err
	}
	end, _ := find(rest, rank)
	return float64(math.Float32frombits(uint32(bin)<<low | uint32(end))), nil
}

// find returns the bin of the rank-th from the end (1 is the last), and its rank from the end of the bin.
func find(counts []int64, rank int64) (bin int, within int64) {
	for bin = len(counts) - 1; bin > 0 && rank > counts[bin]; bin-- {
		rank -= counts[bin]
	}
	return bin, rank
}

const lanes = 8 // runs of a source that are counted on their own

// count returns how many magnitudes fall into each of 65,536 bins.
func count(srcs []Source, bin func(bits uint32) (int, bool)) ([]int64, error) {
	total := make([]int64, 1<<16)
	for i, src := range srcs {
		start := func(int) []int64 { return make([]int64, 1<<16) }
		parts, err := weights.Lanes(src, lanes, start, func(c []int64, w []float32, first int) error {
			for j, v := range w {
				b := math.Float32bits(v) &^ (1 << 31)
				if b >= 0x7f800000 {
					return &ValueError{Source: i, Index: first + j, Value: v}
				}
				if k, ok := bin(b); ok {
					c[k]++
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			for k, n := range p {
				total[k] += n
			}
		}
	}
	return total, nil
}

// deviation returns the standard deviation of the weights.
func deviation(src Source) (float64, error) {
	n := src.Len()
	if n == 0 {
		return 0, nil
	}
	// Sums about one of the weights do not cancel where all are alike.
	pivot := make([]float32, 1)
	if err := src.Read(pivot, 0); err != nil {
		return 0, fmt.Errorf("prune: %w", err)
	}
	type sums struct{ s, ss float64 }
	parts, err := weights.Lanes(src, lanes, func(int) *sums { return new(sums) }, func(t *sums, w []float32, first int) error {
		for j, v := range w {
			if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
				return &ValueError{Index: first + j, Value: v}
			}
			d := float64(v) - float64(pivot[0])
			t.s += d
			t.ss += float64(d * d)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	var s, ss float64
	for _, p := range parts {
		s += p.s
		ss += p.ss
	}
	mean := s / float64(n)
	return math.Sqrt(max(0, ss/float64(n)-mean*mean)), nil
}

// Apply sets the weights of magnitude below threshold to +0 in place and returns how many of them were not zero
// before. -0 becomes +0. NaN stays.
func Apply(w []float32, threshold float64) (zeroed int) {
	for i, v := range w {
		if math.Abs(float64(v)) < threshold {
			if v != 0 {
				zeroed++
			}
			w[i] = 0
		}
	}
	return zeroed
}
