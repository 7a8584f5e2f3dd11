// Package weights reads the weights of one tensor block by block, in parallel, with results that do not depend on the
// number of threads.
package weights

import (
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Chunk is the number of weights that are read at once: 1 MiB of float32.
const Chunk = 1 << 18

// Source is a run of weights. Read fills dst with the weights first…first+len(dst)-1; it is called from several
// goroutines at once. It is the interface that packages quantize and prune export under their own name.
type Source interface {
	Len() int
	Read(dst []float32, first int) error
}

// Floats are weights in memory.
type Floats []float32

// Len returns the number of weights.
func (f Floats) Len() int { return len(f) }

// Read implements [Source].
func (f Floats) Read(dst []float32, first int) error {
	if first < 0 || first > len(f) || len(dst) > len(f)-first {
		return fmt.Errorf("weights: %d weights from %d on asked of %d", len(dst), first, len(f))
	}
	copy(dst, f[first:])
	return nil
}

// Section is the part of a source that begins at First and holds N weights.
type Section struct {
	Source
	First, N int
}

// Len returns the number of weights of the section.
func (s Section) Len() int { return s.N }

// Read implements [Source].
func (s Section) Read(dst []float32, first int) error {
	if first < 0 || first > s.N || len(dst) > s.N-first {
		return fmt.Errorf("weights: %d weights from %d on asked of a section of %d", len(dst), first, s.N)
	}
	return s.Source.Read(dst, s.First+first)
}

// Lanes reads src once. The weights are cut into at most lanes contiguous runs of whole chunks; each run has a state of
// its own, made by start, and add sees the run's chunks in order (w is valid during the call only; first is the index
// of w[0]). The states come back in the order of the runs. The cut depends on src.Len() and lanes alone, so that sums
// added up in lane order are the same bits for any GOMAXPROCS.
func Lanes[T any](src Source, lanes int, start func() T, add func(state T, w []float32, first int) error) ([]T, error) {
	n := src.Len()
	chunks := (n + Chunk - 1) / Chunk
	lanes = max(1, min(lanes, chunks))
	states := make([]T, lanes)
	var next atomic.Int64
	work := func() error {
		buf := make([]float32, min(n, Chunk))
		for {
			lane := int(next.Add(1)) - 1
			if lane >= lanes {
				return nil
			}
			states[lane] = start()
			last := min(n, chunks*(lane+1)/lanes*Chunk)
			for first := chunks * lane / lanes * Chunk; first < last; first += Chunk {
				w := buf[:min(Chunk, last-first)]
				if err := src.Read(w, first); err != nil {
					return fmt.Errorf("weights: reading from %d on: %w", first, err)
				}
				if err := add(states[lane], w, first); err != nil {
					return err
				}
			}
		}
	}
	workers := min(lanes, runtime.GOMAXPROCS(0))
	if workers == 1 {
		return states, work()
	}
	var g errgroup.Group
	for range workers {
		g.Go(work)
	}
	return states, g.Wait()
}
