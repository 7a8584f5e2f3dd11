package quantize

import (
	"math"
)

// Quantizer maps weights to codes and codes to values. Codes are small signed integers; code 0 is the level that is
// exactly zero where there is one, else the commonest level.
//
// Codebook nil: a uniform grid, value(code) = float32(Step·float32(code)) with Min ≤ code ≤ Max. The zero Quantizer is
// the grid of the single level 0. Otherwise value(code) = Codebook[code+Origin], Codebook strictly ascending.
type Quantizer struct {
	Step     float32
	DeadZone float32 // grid only: a magnitude becomes code n+1 from (n+½+DeadZone)·Step on; 0 is plain rounding, ≤ ½
	Min, Max int32   // grid only: the range of codes; -32767 ≤ Min ≤ 0 ≤ Max ≤ 32767

	Codebook []float32
	Origin   int
}

// maxCode is the greatest magnitude of a code.
const maxCode = 1<<15 - 1

// Codes writes the code of each weight into dst, which is as long as w. A codebook takes the nearest level, of two
// equally near ones the lower; a grid rounds the magnitude (half upwards, shifted by DeadZone). ±Inf takes an outermost
// level and NaN any (the functions of this package that choose levels refuse both). It may be called concurrently.
func (q Quantizer) Codes(dst []int32, w []float32) { q.coder(len(w)).codes(dst, w) }

// Values writes the value of each code into dst, which is as long as codes. Codes outside [Quantizer.Range] of a
// codebook take an outermost level. It may be called concurrently.
func (q Quantizer) Values(dst []float32, codes []int32) {
	dst = dst[:len(codes)]
	if len(q.Codebook) == 0 {
		for i, c := range codes {
			dst[i] = q.Step * float32(c)
		}
		return
	}
	last := len(q.Codebook) - 1
	for i, c := range codes {
		dst[i] = q.Codebook[min(max(int(c)+q.Origin, 0), last)]
	}
}

// Range returns the least and the greatest code that Codes can yield.
func (q Quantizer) Range() (lo, hi int32) {
	if len(q.Codebook) == 0 {
		return q.Min, q.Max
	}
	return int32(-q.Origin), int32(len(q.Codebook) - 1 - q.Origin)
}

// levels returns the values of all codes from the least to the greatest, rounded.
func (q Quantizer) levels(round Round) []float32 {
	lo, hi := q.Range()
	codes := make([]int32, hi-lo+1)
	for i := range codes {
		codes[i] = lo + int32(i)
	}
	v := make([]float32, len(codes))
	q.Values(v, codes)
	if round != nil {
		round(v)
	}
	return v
}

// coder is a quantiser made ready for many weights.
type coder struct {
	Quantizer
	inv, add, top float64 // grid: code = trunc(min(|w|·inv+add, top)) with the sign of w

	above []float32 // codebook: level i+1 begins just above above[i]
	cell  []uint16  // of the weights in cell c of the range, the level is in cell[c]…cell[c+1]
	lo    float32
	scale float32
}

// coder prepares the quantiser for about n weights.
func (q Quantizer) coder(n int) *coder {
	c := &coder{Quantizer: q}
	if len(q.Codebook) == 0 {
		if q.Step > 0 {
			c.inv = 1 / float64(q.Step)
		}
		c.add = 0.5 - float64(q.DeadZone)
		c.top = maxCode + 1
		return c
	}
	c.above = make([]float32, len(q.Codebook)-1)
	for i := range c.above {
		c.above[i] = floor32((float64(q.Codebook[i]) + float64(q.Codebook[i+1])) / 2)
	}
	if n >= 4096 && len(c.above) > 1 {
		c.index(min(4096, n/8))
	}
	return c
}

// floor32 returns the greatest float32 that is at most x.
func floor32(x float64) float32 {
	f := float32(x)
	if float64(f) > x {
		f = math.Nextafter32(f, float32(math.Inf(-1)))
	}
	return f
}

// index cuts the range of the boundaries into n cells of equal width, most of which hold one boundary at most.
func (c *coder) index(n int) {
	c.lo = c.above[0]
	c.scale = float32(float64(n-1) / (float64(c.above[len(c.above)-1]) - float64(c.lo)))
	c.cell = make([]uint16, n+1)
	// place is monotone in w whatever it rounds to, and the same for boundaries and weights: a boundary in an earlier
	// cell lies below the weight, one in a later cell does not.
	level := 0
	for i := range n {
		c.cell[i] = uint16(level)
		for level < len(c.above) && c.place(c.above[level], n-1) == i {
			level++
		}
	}
	c.cell[n] = uint16(level)
}

func (c *coder) place(w float32, last int) int {
	f := (w - c.lo) * c.scale
	if !(f > 0) {
		return 0
	}
	if !(f < float32(last)) {
		return last
	}
	return int(f)
}

func (c *coder) codes(dst []int32, w []float32) {
	dst = dst[:len(w)]
	switch {
	case len(c.Codebook) == 0:
		c.grid(dst, w)
	case c.cell == nil:
		for i, v := range w {
			dst[i] = int32(search(c.above, 0, len(c.above), v) - c.Origin)
		}
	default:
		last := len(c.cell) - 2
		for i, v := range w {
			p := c.place(v, last)
			lo, hi := int(c.cell[p]), int(c.cell[p+1])
			if lo != hi {
				lo = search(c.above, lo, hi, v)
			}
			dst[i] = int32(lo - c.Origin)
		}
	}
}

// search returns the first i in lo…hi-1 with w ≤ above[i], or hi.
func search(above []float32, lo, hi int, w float32) int {
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if w > above[mid] {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (c *coder) grid(dst []int32, w []float32) {
	inv, add, top, lo, hi := c.inv, c.add, c.top, c.Min, c.Max
	dst = dst[:len(w)]
	for i, v := range w {
		b := math.Float32bits(v)
		a := float64(float64(math.Float32frombits(b&^(1<<31)))*inv) + add
		if !(a < top) {
			a = top
		}
		sign := int32(b) >> 31
		dst[i] = min(max((int32(a)^sign)-sign, lo), hi)
	}
}
