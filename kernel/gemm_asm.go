//go:build amd64 && gc && !noasm

package kernel

import (
	"unsafe"

	"github.com/effml/effml/internal/isa"
)

// run computes the tile: narrow if the panel has half the width.
func (t *tile) run(set isa.Set, rows int, narrow bool) {
	arg := (*byte)(unsafe.Pointer(t))
	switch {
	case set == isa.AVX512 && narrow:
		tile16AVX512(arg, rows)
	case set == isa.AVX512:
		tile32AVX512(arg, rows)
	case set == isa.AVX2 && narrow:
		tile8AVX2(arg, rows)
	case set == isa.AVX2:
		tile16AVX2(arg, rows)
	default:
		tileGeneric(t, rows)
	}
}
