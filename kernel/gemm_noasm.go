//go:build !amd64 || !gc || noasm

package kernel

import (
	"runtime"

	"github.com/effml/effml/internal/isa"
)

// run computes the tile.
func (t *tile) run(_ isa.Set, rows int, _ bool) { tileGeneric(t, rows) }

func copyRuns(_ isa.Set, dst, src []float32, rows, runs, dstStride, dstStep, srcStride int) {
	copyRunsGeneric(dst, src, rows, runs, dstStride, dstStep, srcStride)
}

func dots(_ isa.Set, dst, w, x []float32, stride int) { dotsGeneric(dst, w, x, stride) }

func pause(int) { runtime.Gosched() }
