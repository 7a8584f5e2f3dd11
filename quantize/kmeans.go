package quantize

import "math/rand/v2"

// Init is the way in which k-means places its first centroids.
type Init uint8

// The ways of Deep Compression (Han, Mao, Dally, ICLR 2016, section 3.2), and the optimum of [Optimal].
const (
	Linear  Init = iota // evenly spaced from the least to the greatest weight
	Density             // evenly spaced in the cumulative distribution
	Random              // k distinct weights
	Best                // the optimum on a histogram
)

// String returns the name that plans and flags use: "linear", "density", "random", "optimal".
func (i Init) String() string { return "" }

// ParseInit is the inverse of [Init.String].
func ParseInit(s string) (Init, error) { return 0, nil }

// KMeansOptions says how [KMeans] works; the zero value, with K set, is the paper's.
type KMeansOptions struct {
	K          int        // levels, 2…256
	Init       Init       // Linear
	KeepZero   bool       // one level is exactly zero
	Iterations int        // at most; 0 stands for 300
	Rand       *rand.Rand // needed by Random only
	Round      Round      // rounds the codebook
}

// KMeans shares the weights among at most o.K levels.
func KMeans(src Source, o KMeansOptions) (Quantizer, Stats, error) { return Quantizer{}, Stats{}, nil }

// Optimal returns the k levels of least mean square error.
func Optimal(src Source, k, bins int, keepZero bool) (Quantizer, Stats, error) {
	return Quantizer{}, Stats{}, nil
}
