package quantize

import (
	"math"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/internal/weights"
)

// key maps a float32 to an unsigned integer of the same order: the bits of negative numbers are inverted, the sign of
// the others is set. -0 comes just before +0.
func key(w float32) uint32 {
	b := math.Float32bits(w)
	return b ^ (uint32(int32(b)>>31) | 1<<31)
}

// unkey is the inverse of key.
func unkey(k uint32) float32 {
	return math.Float32frombits(k ^ (^uint32(int32(k)>>31) | 1<<31))
}

// finite reports the first weight that is NaN or infinite; first is the index of w[0].
func finite(w []float32, first int) error {
	for i, v := range w {
		if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
			return &ValueError{Index: first + i, Value: v}
		}
	}
	return nil
}

const (
	splitBits   = 12      // sign, exponent and three bits of mantissa: the first cut of the radix sort
	sortLanes   = 8       // runs of the source that are counted and scattered on their own
	scratchKeys = 1 << 18 // buckets up to this size are sorted through a copy
)

// sortedKeys reads src twice and returns the keys of all weights in ascending order: a most-significant-digit pass goes
// straight from the source into the result, then the buckets are sorted in place on all processors. Beside the result
// (4 bytes a weight) it takes 2 MiB for each of up to 8 goroutines.
func sortedKeys(src Source) ([]uint32, error) {
	if src.Len() <= fewKeys {
		return sortFew(src)
	}
	type lane struct{ heads [1 << splitBits]int }
	lanes, err := weights.Lanes(src, sortLanes, func(int) *lane { return new(lane) }, func(l *lane, w []float32, first int) error {
		for _, v := range w {
			l.heads[key(v)>>(32-splitBits)]++
		}
		return finite(w, first)
	})
	if err != nil {
		return nil, err
	}
	ends := make([]int, 1<<splitBits)
	at := 0
	for b := range ends {
		for _, l := range lanes {
			l.heads[b], at = at, at+l.heads[b]
		}
		ends[b] = at
	}
	keys := make([]uint32, src.Len())
	_, err = weights.Lanes(src, sortLanes, func(i int) *lane { return lanes[i] }, func(l *lane, w []float32, _ int) error {
		for _, v := range w {
			k := key(v)
			h := &l.heads[k>>(32-splitBits)]
			if *h == ends[k>>(32-splitBits)] {
				return errChanged
			}
			keys[*h] = k
			*h++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sortBuckets(keys, ends)
	return keys, nil
}

// fewKeys is the number of keys up to which cutting them first does not pay.
const fewKeys = 1 << 12

func sortFew(src Source) ([]uint32, error) {
	w := make([]float32, src.Len())
	err := mapped.Guard(func() error { return src.Read(w, 0) })
	if err == nil {
		err = finite(w, 0)
	}
	if err != nil {
		return nil, err
	}
	keys := make([]uint32, len(w))
	for i, v := range w {
		keys[i] = key(v)
	}
	radixSort(keys, make([]uint32, len(keys)))
	return keys, nil
}

// sortBuckets sorts keys that are in order as far as buckets go; bucket b ends before ends[b].
func sortBuckets(keys []uint32, ends []int) {
	var next atomic.Int64
	work := func() {
		scratch := make([]uint32, min(len(keys), scratchKeys))
		for {
			b := int(next.Add(1)) - 1
			if b >= len(ends) {
				return
			}
			first := 0
			if b > 0 {
				first = ends[b-1]
			}
			radixSort(keys[first:ends[b]], scratch)
		}
	}
	if len(keys) < 1<<16 {
		work()
		return
	}
	var wg sync.WaitGroup
	for range min(sortLanes, runtime.GOMAXPROCS(0)) {
		wg.Go(work)
	}
	wg.Wait()
}

// radixSort sorts keys in place. What fits into scratch is sorted by least-significant digits (two or three passes over the
// bits in which the keys really differ); what does not is first cut into up to 2^10 buckets by an in-place permutation
// (McIlroy, Bostic, McIlroy, "Engineering Radix Sort", Computing Systems 6(1), 1993: "American flag sort").
func radixSort(keys, scratch []uint32) {
	if len(keys) < 128 {
		slices.Sort(keys)
		return
	}
	lo, hi := keys[0], keys[0]
	for _, k := range keys {
		lo, hi = min(lo, k), max(hi, k)
	}
	width := bits.Len32(hi - lo)
	switch {
	case width == 0:
	case len(keys) <= len(scratch):
		leastDigits(keys, scratch[:len(keys)], lo, width)
	default:
		flagSort(keys, scratch, lo, uint(max(0, width-10)))
	}
}

// leastDigits sorts keys, of which key-lo has width bits, by digits of up to 11 bits; scratch is as long as keys.
func leastDigits(keys, scratch []uint32, lo uint32, width int) {
	passes := (width + 10) / 11
	digit := uint((width + passes - 1) / passes)
	var count [1 << 11]uint32
	from, to := keys, scratch
	for p := range passes {
		shift, mask := uint(p)*digit, uint32(1)<<digit-1
		clear(count[:])
		for _, k := range from {
			count[(k-lo)>>shift&mask]++
		}
		var at uint32
		for i := range count[:mask+1] {
			count[i], at = at, at+count[i]
		}
		for _, k := range from {
			c := &count[(k-lo)>>shift&mask]
			to[*c] = k
			*c++
		}
		from, to = to, from
	}
	if passes%2 == 1 {
		copy(keys, scratch)
	}
}

// flagSort permutes keys in place into buckets by (key-lo)>>shift, which is less than 2^10, and sorts each.
func flagSort(keys, scratch []uint32, lo uint32, shift uint) {
	var head, end [1 << 10]int
	for _, k := range keys {
		end[(k-lo)>>shift]++
	}
	at := 0
	for b, n := range end {
		head[b] = at
		at += n
		end[b] = at
	}
	for b := range head {
		for head[b] < end[b] {
			k := keys[head[b]]
			for d := (k - lo) >> shift; d != uint32(b); d = (k - lo) >> shift {
				k, keys[head[d]] = keys[head[d]], k
				head[d]++
			}
			keys[head[b]] = k
			head[b]++
		}
	}
	first := 0
	for _, last := range end {
		radixSort(keys[first:last], scratch)
		first = last
	}
}
