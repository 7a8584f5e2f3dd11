package quantize

import (
	"fmt"
	"math"
)

// Method is a family of quantisers.
type Method uint8

// The families that [ForSQNR] chooses from.
const (
	UniformGrid  Method = iota // the coarsest step
	SharedLevels               // the smallest codebook
)

// FloorOptions says what [ForSQNR] may do.
type FloorOptions struct {
	Method   Method
	Grid     GridOptions // of UniformGrid
	KeepZero bool        // SharedLevels: one level is exactly zero
	Bits     bool        // SharedLevels: the number of levels is a power of two, 2…256
	Round    Round       // SharedLevels: rounds the codebook
}

// ForSQNR returns the coarsest grid ([Uniform]) or the smallest codebook whose SQNR is at least minSQNR (dB). The
// optimum for every number of levels falls out of one dynamic programme (see [Optimal]), layer after layer, so the
// smallest is found without a k-means run for each, and then measured; with Bits it is the smallest power of two.
// A floor that 256 levels or o.Grid.Limit cannot hold is a *FloorError, a weight that is NaN or infinite a *ValueError.
func ForSQNR(src Source, minSQNR float64, o FloorOptions) (Quantizer, Stats, error) {
	switch {
	case math.IsNaN(minSQNR):
		return Quantizer{}, Stats{}, fmt.Errorf("quantize: a floor of NaN dB")
	case o.Method == UniformGrid:
		return Uniform(src, minSQNR, o.Grid)
	case o.Method != SharedLevels:
		return Quantizer{}, Stats{}, fmt.Errorf("quantize: no method %d", o.Method)
	case src.Len() == 0:
		return nothing()
	}
	l, err := newLine(src, sortLimit, o.KeepZero)
	if err != nil {
		return Quantizer{}, Stats{}, err
	}
	best := newOptimum(l, defaultBins, o.KeepZero)
	signal := span(l, 0, l.len()).about(-l.offset())
	next := func(k int) int {
		if o.Bits {
			return 2 * k
		}
		return k + 1
	}
	k := minLevels
	// Lloyd's iteration gains a little on the histogram's optimum: begin where that is just short of the floor.
	for k < maxLevels && decibel(signal, best.cost(k)) < minSQNR-0.05 {
		k = next(k)
	}
	got := math.Inf(-1)
	for ; k <= maxLevels; k = next(k) {
		ko := KMeansOptions{K: k, Init: InitOptimal, KeepZero: o.KeepZero, Round: o.Round}
		q, s, err := finish(src, l, best.partition(k).lloyd(l, ko), ko)
		if err != nil || s.SQNR >= minSQNR {
			return q, s, err
		}
		got = max(got, s.SQNR)
	}
	return Quantizer{}, Stats{}, &FloorError{Want: minSQNR, Got: got}
}
