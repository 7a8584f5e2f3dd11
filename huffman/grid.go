package huffman

import (
	"encoding/binary"
	"math"
	"slices"
)

// grid codes float32 numbers that are all float32(step·n) for integers n: what
// de-quantising an integer tensor yields.
//
//	size     1 byte: 4 or 8
//	step     a float32 or float64; the product is of float64 numbers and rounded to float32
//	symbols  n

const (
	gridFirst = 4096    // largest n considered for the smallest magnitude
	gridLast  = 1 << 20 // and for any
)

// gridStep finds the step of a palette's keys, or returns false.
func gridStep(keys []uint64) (step float64, ok bool) {
	mags := make([]float64, 0, len(keys))
	e := Elem{4, true}
	for _, k := range keys {
		v := uint32(rankValue(k, e))
		f := float64(math.Float32frombits(v))
		if v == 1<<31 || math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, false
		}
		if f != 0 {
			mags = append(mags, math.Abs(f))
		}
	}
	slices.Sort(mags)
	if len(mags) < 2 || mags[len(mags)-1]/mags[0] > gridLast {
		return 0, false
	}
	for first := 1; first <= gridFirst; first++ {
		lo, hi, ok := gridInterval(mags, first)
		if !ok {
			continue
		}
		for s, k := float32(lo), 0; float64(s) <= hi*(1+1e-7) && k < 64; k++ {
			if onGrid(keys, float64(s)) {
				return float64(s), true
			}
			s = math.Nextafter32(s, math.MaxFloat32)
		}
		if s := lo + (hi-lo)/2; onGrid(keys, s) {
			return s, true
		}
	}
	return 0, false
}

// gridInterval returns the steps that could have made ascending magnitudes, the
// first of them first times the step.
func gridInterval(mags []float64, first int) (lo, hi float64, ok bool) {
	const ulp = 1.0 / (1 << 24)
	lo = mags[0] * (1 - ulp) / float64(first)
	hi = mags[0] * (1 + ulp) / float64(first)
	for _, m := range mags[1:] {
		n := math.Round(2 * m / (lo + hi))
		if n > gridLast {
			return 0, 0, false
		}
		lo = max(lo, m*(1-ulp)/n)
		hi = min(hi, m*(1+ulp)/n)
		if lo > hi {
			return 0, 0, false
		}
	}
	return lo, hi, true
}

// gridIndex returns the n of a value, exact if the value is on the grid.
func gridIndex(v uint32, step float64) int32 {
	n := math.Round(float64(math.Float32frombits(v)) / step)
	return int32(max(min(n, gridLast*2), -gridLast*2))
}

func gridValue(n int32, step float64) uint32 {
	return math.Float32bits(float32(step * float64(n)))
}

func onGrid(keys []uint64, step float64) bool {
	if step <= 0 {
		return false
	}
	for _, k := range keys {
		v := uint32(rankValue(k, Elem{4, true}))
		if gridValue(gridIndex(v, step), step) != v {
			return false
		}
	}
	return true
}

// grid appends the payload for elements given as ranks of keys.
func (c *valueCoder) grid(dst []byte, keys []uint64, ranks []int32, step float64, depth int) []byte {
	index := make([]int32, len(keys))
	for i, k := range keys {
		index[i] = gridIndex(uint32(rankValue(k, Elem{4, true})), step)
	}
	if s := float32(step); float64(s) == step {
		dst = binary.LittleEndian.AppendUint32(append(dst, 4), math.Float32bits(s))
	} else {
		dst = binary.LittleEndian.AppendUint64(append(dst, 8), math.Float64bits(step))
	}
	sym := c.symbols(len(ranks), depth)
	for i, r := range ranks {
		sym[i] = index[r]
	}
	return c.appendSymbols(dst, sym, worthCodes)
}

func (c *valueCoder) decodeGrid(dst, src []byte, e Elem, depth int) error {
	if e != (Elem{4, true}) || len(src) == 0 || src[0] != 4 && src[0] != 8 || len(src) < 1+int(src[0]) {
		return corruptf(0, "grid without a step or not of float32")
	}
	var step float64
	if src[0] == 4 {
		step = float64(math.Float32frombits(binary.LittleEndian.Uint32(src[1:])))
	} else {
		step = math.Float64frombits(binary.LittleEndian.Uint64(src[1:]))
	}
	sym := c.symbols(len(dst)/4, depth)
	if err := decodeSymbols(sym, src[1+int(src[0]):]); err != nil {
		return err
	}
	for i, n := range sym {
		binary.LittleEndian.PutUint32(dst[4*i:], gridValue(n, step))
	}
	return nil
}
