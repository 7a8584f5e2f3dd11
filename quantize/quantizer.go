package quantize

// Quantizer maps weights to codes and codes to values. Codes are small signed integers; code 0 is the level that is
// exactly zero where there is one, else the commonest level.
//
// Codebook nil: a uniform grid, value(code) = float32(Step·float32(code)) with Min ≤ code ≤ Max. The zero Quantizer is
// the grid of the single level 0. Otherwise value(code) = Codebook[code+Origin], Codebook strictly ascending.
type Quantizer struct {
	Step     float32
	DeadZone float32 // grid only: code n+1 begins at (n+½+DeadZone)·Step, so 0 is plain rounding; 0 ≤ DeadZone < ½
	Min, Max int32   // grid only: the range of codes; -32767 ≤ Min ≤ 0 ≤ Max ≤ 32767

	Codebook []float32
	Origin   int
}

// Codes writes the code of the level nearest to each weight into dst, which is as long as w. Of two levels equally
// near, a codebook takes the lower and a grid the even code. ±Inf takes the outermost level; NaN takes the lowest (every function of
// this package that chooses levels refuses it). It may be called concurrently.
func (q Quantizer) Codes(dst []int32, w []float32) {}

// Values writes the value of each code into dst, which is as long as codes. Codes outside [Quantizer.Range] of a codebook take the
// outermost level. It may be called concurrently.
func (q Quantizer) Values(dst []float32, codes []int32) {}

// Range returns the least and the greatest code that Codes can yield.
func (q Quantizer) Range() (lo, hi int32) { return 0, 0 }
