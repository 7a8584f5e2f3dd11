package deepcompress

import (
	"math"

	"github.com/effml/effml/prune"
	"github.com/effml/effml/quantize"
)

// pruned is weights with those below a threshold as zero.
type pruned struct {
	quantize.Source
	threshold float64
}

// Read implements [quantize.Source].
func (p pruned) Read(dst []float32, first int) error {
	if err := p.Source.Read(dst, first); err != nil {
		return err
	}
	prune.Apply(dst, p.threshold)
	return nil
}

// maxPalette bounds the distinct values that [palette] counts.
const maxPalette = 4096

// palette returns how often each distinct value occurs, or nil when there are more than maxPalette.
func palette(src quantize.Source) ([]int64, error) {
	const slots = 4 * maxPalette
	keys, counts := make([]uint32, slots), make([]int64, slots)
	distinct := 0
	buf := make([]float32, min(src.Len(), 1<<16))
	for first := 0; first < src.Len(); first += len(buf) {
		w := buf[:min(len(buf), src.Len()-first)]
		if err := src.Read(w, first); err != nil {
			return nil, err
		}
		for _, v := range w {
			if distinct = tally(keys, counts, v, distinct); distinct > maxPalette {
				return nil, nil
			}
		}
	}
	used := make([]int64, 0, distinct)
	for _, c := range counts {
		if c > 0 {
			used = append(used, c)
		}
	}
	return used, nil
}

// tally counts v in an open-addressing table and returns the number of distinct values.
func tally(keys []uint32, counts []int64, v float32, distinct int) int {
	key := math.Float32bits(v)
	mask := uint32(len(keys) - 1)
	i := key * 2654435761 >> 16 & mask
	for counts[i] > 0 && keys[i] != key {
		i = (i + 1) & mask
	}
	if counts[i] == 0 {
		keys[i] = key
		distinct++
	}
	counts[i]++
	return distinct
}

// entropy returns the zero-order entropy of counts in bits for all together.
func entropy(counts []int64) (bits float64) {
	var n float64
	for _, c := range counts {
		n += float64(c)
	}
	for _, c := range counts {
		bits -= float64(c) * math.Log2(float64(c)/n)
	}
	return bits
}
