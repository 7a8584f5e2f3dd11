package prune

// Source is the weights of one tensor, read block by block: Read fills dst with the weights first…first+len(dst)-1. It is
// called from several goroutines at once.
type Source interface {
	Len() int
	Read(dst []float32, first int) error
}

// Rule says which weights of a tensor stay; exactly one field is set.
type Rule struct {
	Keep      float64 // fraction of the weights, 0 < Keep ≤ 1
	Threshold float64 // weights of at least this magnitude, > 0
	Sigma     float64 // weights of magnitude at least Sigma standard deviations of the tensor, > 0
}

// Threshold returns the magnitude below which weights are zero.
func Threshold(src Source, r Rule) (float64, error) { return 0, nil }

// Global returns the one threshold that keeps the given fraction of the weights of all sources together.
func Global(srcs []Source, keep float64) (float64, error) { return 0, nil }

// Apply zeroes the weights of magnitude below threshold in place and returns their number.
func Apply(w []float32, threshold float64) (zeroed int) { return 0 }
