// Package weights reads the weights of one tensor block by block, in parallel, with results that do not depend on the
// number of threads.
package weights

import (
	"fmt"
	"math"
	"runtime"
	"sync/atomic"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
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

// Tensor returns the values of a floating-point tensor. Values that the tensor keeps in a field of another layout are
// decoded once; a view of mapped memory stays one. Double values round to the nearest float32.
func Tensor(t *onnx.Tensor) (Source, error) {
	switch t.DataType {
	case onnx.Float, onnx.Float16, onnx.BFloat16, onnx.Double:
	default:
		return nil, fmt.Errorf("weights: tensor %q is of type %s, not a floating-point type", t.Name, t.DataType)
	}
	n, err := t.NumElements()
	if err != nil {
		return nil, err
	}
	if n > math.MaxInt {
		return nil, fmt.Errorf("weights: tensor %q has %d elements, more than this machine can address", t.Name, n)
	}
	raw, err := Raw(t)
	if err != nil {
		return nil, err
	}
	plain := &onnx.Tensor{Name: t.Name, DataType: t.DataType, Dims: []int64{n}}
	plain.SetBytes(raw)
	return tensor{plain, int(n)}, nil
}

// Raw returns the tensor's values in raw layout, like its method Bytes; a fault on mapped memory is an error.
func Raw(t *onnx.Tensor) (raw []byte, err error) {
	err = mapped.Guard(func() error {
		raw, err = t.Bytes()
		return err
	})
	return raw, err
}

type tensor struct {
	t *onnx.Tensor
	n int
}

func (t tensor) Len() int { return t.n }

func (t tensor) Read(dst []float32, first int) error { return t.t.ReadFloats(dst, int64(first)) }

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
// its own, made by start (called once for each run, concurrently), and add sees the run's chunks in order (w is valid during the call only; first is the index
// of w[0]). The states come back in the order of the runs. The cut depends on src.Len() and lanes alone, so that sums
// added up in lane order are the same bits for any GOMAXPROCS. A fault on mapped memory is an error (see
// mapped.Guard).
func Lanes[T any](src Source, lanes int, start func(lane int) T, add func(state T, w []float32, first int) error) ([]T, error) {
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
			states[lane] = start(lane)
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
		return states, mapped.Guard(work)
	}
	var g errgroup.Group
	for range workers {
		g.Go(func() error { return mapped.Guard(work) })
	}
	return states, g.Wait()
}
