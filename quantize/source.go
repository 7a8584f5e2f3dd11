package quantize

import "github.com/effml/effml/internal/weights"

// Source is the weights of one tensor, read block by block: Read fills dst with the weights first…first+len(dst)-1. It is
// called from several goroutines at once.
type Source interface {
	Len() int
	Read(dst []float32, first int) error
}

// Floats returns weights in memory as a source.
func Floats(w []float32) Source { return weights.Floats(w) }

// Section returns the n weights of src from first on as a source of their own.
func Section(src Source, first, n int) Source {
	return weights.Section{Source: src, First: first, N: n}
}
