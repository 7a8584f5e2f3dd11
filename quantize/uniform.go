package quantize

// GridOptions narrows a uniform grid. The zero value is plain rounding of float32 weights.
type GridOptions struct {
	Limit    int32   // largest |code|; 0 stands for 32767
	DeadZone float32 // see Quantizer.DeadZone
	Round    Round   // what the values are rounded to when stored
}

// Uniform returns the coarsest grid whose SQNR, measured over all weights, is at least minSQNR (dB).
func Uniform(src Source, minSQNR float64, o GridOptions) (Quantizer, Stats, error) {
	return Quantizer{}, Stats{}, nil
}

// Grid returns the uniform grid of the given step, and what it does to the weights.
func Grid(src Source, step float32, o GridOptions) (Quantizer, Stats, error) {
	return Quantizer{}, Stats{}, nil
}

// Method is a family of quantisers.
type Method uint8

// The families that [ForSQNR] chooses from.
const (
	UniformGrid  Method = iota // coarsest step
	SharedLevels               // smallest k of k-means
)

// FloorOptions says what [ForSQNR] may do.
type FloorOptions struct {
	Method   Method
	Grid     GridOptions // UniformGrid
	KeepZero bool        // SharedLevels: one level is exactly zero
	Bits     bool        // SharedLevels: k is a power of two, 2…256
	Round    Round       // SharedLevels: rounds the codebook
}

// ForSQNR returns the smallest codebook or the coarsest grid whose SQNR is at least minSQNR (dB), else *FloorError.
func ForSQNR(src Source, minSQNR float64, o FloorOptions) (Quantizer, Stats, error) {
	return Quantizer{}, Stats{}, nil
}
