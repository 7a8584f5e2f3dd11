package quantize

// Stats is what a quantiser does to the weights it was made for, measured over all of them.
type Stats struct {
	Weights int     // number of weights
	Zeros   int     // weights whose value is exactly zero after quantisation
	Signal  float64 // mean of w²
	MSE     float64 // mean of (w-q)², q rounded by Round where options name one
	SQNR    float64 // 10·log10(Signal/MSE) in dB; +Inf when nothing is lost
	Entropy float64 // zero-order entropy of the codes, bits a weight
	Levels  int     // levels in use
	Method  string  // "grid", "k-means linear", "k-means optimal", …
}

// Measure quantises every weight and reports the loss. One pass over src.
func Measure(src Source, q Quantizer, round Round) (Stats, error) { return Stats{}, nil }

// Round rounds values in place to what the tensor's data type can hold; nil stands for float32. See RoundTo.
type Round func(values []float32)
