package quantize

import (
	"math"
	"sort"

	"github.com/effml/effml/internal/weights"
)

// A line is the weights of a tensor in ascending order, cut into positions: single weights when they were sorted, the
// bins of a fine histogram when they are too many. Whatever k-means asks for is a search for a boundary and a
// difference of prefix sums. Values are less an offset that keeps the sums of squares from cancelling.
type line interface {
	len() int             // positions
	value(i int) float64  // of position i (a bin: its mean), less the offset
	split(x float64) int  // number of leading positions of value ≤ x
	prefix(i int) moments // of the positions before i, less a constant: see span
	rank(r int) int       // position of the r-th smallest weight
	zeros() (lo, hi int)  // the positions lo…hi-1 hold the weights that are exactly zero
	offset() float64
}

// moments of some weights: how many, sum and sum of squares, of the weights less the line's offset.
type moments struct{ n, s, ss float64 }

// span returns the moments of the positions lo…hi-1: only differences of prefix count.
func span(l line, lo, hi int) moments { return l.prefix(hi).sub(l.prefix(lo)) }

func (m moments) plus(o moments) moments { return moments{m.n + o.n, m.s + o.s, m.ss + o.ss} }

func (m moments) sub(o moments) moments { return moments{m.n - o.n, m.s - o.s, m.ss - o.ss} }

// about returns the sum of squared distances from c; rounding never makes it negative.
func (m moments) about(c float64) float64 { return max(0, m.ss-2*c*m.s+m.n*c*c) }

func (m moments) mean() float64 { return m.s / m.n }

// sortLimit is the number of weights up to which they are sorted (4 bytes each).
const sortLimit = 8_000_000

// newLine reads src: up to limit weights exactly, above that as a histogram. With keepZero the offset is 0, so that zero
// stays exact.
func newLine(src Source, limit int, keepZero bool) (line, error) {
	if src.Len() > limit {
		return newBins(src, keepZero)
	}
	keys, err := sortedKeys(src)
	if err != nil {
		return nil, err
	}
	l := &sorted{keys: keys}
	if !keepZero {
		l.off = float64(unkey(keys[len(keys)/2]))
	}
	l.sum()
	return l, nil
}

// sum computes the marks, from the middle outwards, so that an outlier at either end costs the sums of the others no digits.
func (l *sorted) sum() {
	l.marks = make([]moments, len(l.keys)/markEvery+1)
	block := func(b int) moments { return l.sumOf(b*markEvery, (b+1)*markEvery) }
	middle := len(l.marks) / 2
	for b := middle + 1; b < len(l.marks); b++ {
		l.marks[b] = l.marks[b-1].plus(block(b - 1))
	}
	for b := middle - 1; b >= 0; b-- {
		l.marks[b] = l.marks[b+1].sub(block(b))
	}
}

func (m *moments) add(d float64) {
	m.n++
	m.s += d
	m.ss += d * d
}

// sorted is a line of single weights; prefix sums are kept at every 256th.
type sorted struct {
	keys  []uint32
	marks []moments
	off   float64
}

const markEvery = 256

func (l *sorted) len() int            { return len(l.keys) }
func (l *sorted) value(i int) float64 { return float64(unkey(l.keys[i])) - l.off }
func (l *sorted) rank(r int) int      { return r }
func (l *sorted) offset() float64     { return l.off }

func (l *sorted) split(x float64) int {
	lo, hi := 0, len(l.keys)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if l.value(mid) <= x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// prefix adds to the mark that lies on the side of the middle.
func (l *sorted) prefix(i int) moments {
	b := i / markEvery
	if b >= len(l.marks)/2 {
		return l.marks[b].plus(l.sumOf(b*markEvery, i))
	}
	return l.marks[b+1].sub(l.sumOf(i, (b+1)*markEvery))
}

func (l *sorted) sumOf(lo, hi int) (m moments) {
	for i := lo; i < hi; i++ {
		m.add(l.value(i))
	}
	return m
}

func (l *sorted) zeros() (lo, hi int) {
	below := func(k uint32) int { return sort.Search(len(l.keys), func(i int) bool { return l.keys[i] >= k }) }
	return below(key(float32(math.Copysign(0, -1)))), below(key(0) + 1)
}

// bins is a line of histogram bins: all weights that agree in sign, exponent and the nine leading bits of the mantissa,
// with their exact number and float64 sums. A boundary between two levels a < b falls into at most one bin, of some
// width h ≤ |w|/512; the weights of that bin that k-means counts on the wrong side are off by 2·h·(b-a) at most in
// squared error. So the partition's mean square error exceeds that of nearest levels by at most
// Σ over boundaries of (share of the weights in the bin)·2·h·(b-a). Codes and Stats use nearest levels.
type bins struct {
	mean []float64
	sums []moments // see prefix
	off  float64
	zero [2]int
}

const (
	binBits  = 18
	binLanes = 4 // runs that are counted on their own: 6 MiB each
)

// newBins reads src once.
func newBins(src Source, keepZero bool) (*bins, error) {
	start := func(int) []moments { return make([]moments, 1<<binBits) }
	lanes, err := weights.Lanes(src, binLanes, start, func(h []moments, w []float32, first int) error {
		for _, v := range w {
			h[key(v)>>(32-binBits)].add(float64(v))
		}
		return finite(w, first)
	})
	if err != nil {
		return nil, err
	}
	total := lanes[0]
	l := new(bins)
	var parts []moments
	const negative = 1<<(binBits-1) - 1 // the bin of -0, just before that of +0
	for i, m := range total {
		if i == negative || i == negative+2 {
			l.zero[(i-negative)/2] = len(parts)
		}
		for _, h := range lanes[1:] {
			m = m.plus(h[i])
		}
		if m.n > 0 {
			parts = append(parts, m)
		}
	}
	if !keepZero {
		half := 0.0
		for _, m := range parts {
			if half += m.n; half > float64(src.Len()/2) {
				l.off = m.mean()
				break
			}
		}
	}
	l.sum(parts)
	return l, nil
}

// sum computes means and sums about the offset, from the middle outwards as for sorted weights.
func (l *bins) sum(parts []moments) {
	l.mean = make([]float64, len(parts))
	l.sums = make([]moments, len(parts)+1)
	for i, m := range parts {
		l.mean[i] = m.mean() - l.off
		parts[i] = moments{m.n, m.s - m.n*l.off, m.about(l.off)}
	}
	middle := len(parts) / 2
	for i := middle; i < len(parts); i++ {
		l.sums[i+1] = l.sums[i].plus(parts[i])
	}
	for i := middle - 1; i >= 0; i-- {
		l.sums[i] = l.sums[i+1].sub(parts[i])
	}
}

func (l *bins) len() int             { return len(l.mean) }
func (l *bins) value(i int) float64  { return l.mean[i] }
func (l *bins) prefix(i int) moments { return l.sums[i] }
func (l *bins) offset() float64      { return l.off }
func (l *bins) zeros() (lo, hi int)  { return l.zero[0], l.zero[1] }
func (l *bins) split(x float64) int {
	return sort.Search(len(l.mean), func(i int) bool { return l.mean[i] > x })
}

func (l *bins) rank(r int) int {
	return sort.Search(len(l.mean), func(i int) bool { return l.sums[i+1].n-l.sums[0].n > float64(r) })
}
