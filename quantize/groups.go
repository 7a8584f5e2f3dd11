package quantize

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Grouped quantises runs of Size consecutive weights with a quantiser each: weight i belongs to Q[i/Size]. Size 0 is one
// group of all. An output channel of a tensor in row-major layout [O, …] is a group of Len/O weights.
type Grouped struct {
	Size int
	Q    []Quantizer
}

// Fit is one of the functions of this package with its options bound.
type Fit func(src Source) (Quantizer, Stats, error)

// Groups fits each run of size consecutive weights on its own (the last may be shorter; size 0 is all) and returns the
// statistics of all together: sums over the weights, so that SQNR is that of the tensor, Entropy the mean that codes of
// one table a group would take, and Levels the most of one group. Groups
// of up to 2,000,000 weights are fitted concurrently.
func Groups(src Source, size int, fit Fit) (Grouped, Stats, error) {
	n := src.Len()
	if size < 0 {
		return Grouped{}, Stats{}, fmt.Errorf("quantize: groups of %d weights", size)
	}
	if size == 0 || size >= n {
		q, s, err := fit(src)
		return Grouped{Q: []Quantizer{q}}, s, err
	}
	g := Grouped{Size: size, Q: make([]Quantizer, (n+size-1)/size)}
	stats := make([]Stats, len(g.Q))
	errs := make([]error, len(g.Q))
	var next atomic.Int64
	work := func() error {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(g.Q) {
				return nil
			}
			first := i * size
			g.Q[i], stats[i], errs[i] = fit(Section(src, first, min(size, n-first)))
			if errs[i] != nil {
				return errs[i]
			}
		}
	}
	var wg errgroup.Group
	// Together the groups that are fitted at a time take no more memory than one tensor does.
	for range min(len(g.Q), runtime.GOMAXPROCS(0), max(1, sortLimit/2/size)) {
		wg.Go(work)
	}
	if wg.Wait() != nil {
		// Groups begin in order, so the first of the errors is the same whichever goroutine ends first.
		for i, err := range errs {
			if err != nil {
				return Grouped{}, Stats{}, inGroup(err, i, i*size)
			}
		}
	}
	return g, together(stats), nil
}

// inGroup adds the group to an error, and turns the index of a weight into that in the tensor.
func inGroup(err error, group, first int) error {
	var v *ValueError
	if errors.As(err, &v) {
		return &ValueError{Index: first + v.Index, Value: v.Value}
	}
	return fmt.Errorf("quantize: group %d: %w", group, err)
}

func together(stats []Stats) Stats {
	all := Stats{Method: stats[0].Method}
	for _, s := range stats {
		n := float64(s.Weights)
		all.Weights += s.Weights
		all.Zeros += s.Zeros
		all.Signal += n * s.Signal
		all.MSE += n * s.MSE
		all.Entropy += n * s.Entropy
		all.Levels = max(all.Levels, s.Levels)
	}
	n := float64(all.Weights)
	all.SQNR = decibel(all.Signal, all.MSE)
	all.Signal, all.MSE, all.Entropy = all.Signal/n, all.MSE/n, all.Entropy/n
	return all
}

// Codes writes the codes of the weights first…first+len(w)-1 into dst.
func (g Grouped) Codes(dst []int32, w []float32, first int) {
	g.each(len(w), first, func(q Quantizer, lo, hi int) { q.Codes(dst[lo:hi], w[lo:hi]) })
}

// Values writes the values of the codes of weights first…first+len(codes)-1 into dst.
func (g Grouped) Values(dst []float32, codes []int32, first int) {
	g.each(len(codes), first, func(q Quantizer, lo, hi int) { q.Values(dst[lo:hi], codes[lo:hi]) })
}

// each calls do for the stretches of n weights from first on that share a quantiser.
func (g Grouped) each(n, first int, do func(q Quantizer, lo, hi int)) {
	if g.Size == 0 {
		do(g.Q[0], 0, n)
		return
	}
	for lo := 0; lo < n; {
		group := (first + lo) / g.Size
		hi := min(n, (group+1)*g.Size-first)
		do(g.Q[group], lo, hi)
		lo = hi
	}
}

// Range returns the least and the greatest code of all groups.
func (g Grouped) Range() (lo, hi int32) {
	for _, q := range g.Q {
		l, h := q.Range()
		lo, hi = min(lo, l), max(hi, h)
	}
	return lo, hi
}
