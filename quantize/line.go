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
	prefix(i int) moments // of the positions before i
	rank(r int) int       // position of the r-th smallest weight
	zeros() (lo, hi int)  // the positions lo…hi-1 hold the weights that are exactly zero
	offset() float64
}

// moments of some weights: how many, sum and sum of squares, of the weights less the line's offset.
type moments struct{ n, s, ss float64 }

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
	l.marks = make([]moments, len(keys)/markEvery+1)
	var m moments
	for i := range keys {
		if i%markEvery == 0 {
			l.marks[i/markEvery] = m
		}
		m.add(l.value(i))
	}
	if len(keys)%markEvery == 0 {
		l.marks[len(keys)/markEvery] = m
	}
	return l, nil
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

func (l *sorted) prefix(i int) moments {
	m := l.marks[i/markEvery]
	for j := i / markEvery * markEvery; j < i; j++ {
		m.add(l.value(j))
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
	sums []moments // sums[i]: of the bins before i
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
	used := 0
	for i := range total {
		for _, h := range lanes[1:] {
			total[i] = moments{total[i].n + h[i].n, total[i].s + h[i].s, total[i].ss + h[i].ss}
		}
		if total[i].n > 0 {
			used++
		}
	}
	l := &bins{mean: make([]float64, 0, used), sums: make([]moments, 1, used+1)}
	const negative = 1<<(binBits-1) - 1 // the bin of -0, just before that of +0
	for i, m := range total {
		if i == negative || i == negative+2 {
			l.zero[(i-negative)/2] = len(l.mean)
		}
		if m.n == 0 {
			continue
		}
		last := l.sums[len(l.sums)-1]
		l.mean = append(l.mean, m.mean())
		l.sums = append(l.sums, moments{last.n + m.n, last.s + m.s, last.ss + m.ss})
	}
	if !keepZero {
		l.shift(l.mean[l.rank(src.Len()/2)])
	}
	return l, nil
}

// shift moves the offset from 0 to off.
func (l *bins) shift(off float64) {
	l.off = off
	for i := range l.mean {
		l.mean[i] -= off
	}
	for i, m := range l.sums {
		l.sums[i] = moments{m.n, m.s - m.n*off, m.about(off)}
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
	return sort.Search(len(l.mean), func(i int) bool { return l.sums[i+1].n > float64(r) })
}
