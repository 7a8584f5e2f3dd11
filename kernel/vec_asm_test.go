//go:build amd64 && gc && !noasm

package kernel

import (
	"testing"

	"github.com/effml/effml/internal/isa"
)

// Every function has its kernel wherever the processor has the instruction set: a missing one would be slow, and silent.
func TestVecKernelsExist(t *testing.T) {
	x := []float32{1}
	p := &x[0]
	sets := []struct {
		set    isa.Set
		apply  func(kind ActivationKind, dst, src *float32, n int, p, q float32) bool
		pairs  func(op BinaryOp, mode pairMode, dst, a, b *float32, rows, n, strideD, strideA, strideB int, lo, hi float32) bool
		reduce func(op ReduceOp, x *float32, n int, shift float32) (float32, bool)
	}{
		{isa.AVX2, mapAVX2, pairsAVX2, reduceBlockAVX2},
		{isa.AVX512, mapAVX512, pairsAVX512, reduceBlockAVX512},
	}
	for _, s := range sets {
		if s.set > isa.Best() {
			continue
		}
		for kind := None + 1; kind < numActivations; kind++ {
			if !s.apply(kind, p, p, 1, 1, 1) {
				t.Errorf("%s: no kernel for activation %d", s.set, kind)
			}
		}
		for op := range numBinaryOps {
			for mode := pairsVV; mode <= pairsSV; mode++ {
				turned := mode == pairsSV && (op == Add || op == Mul || op == Min || op == Max)
				if has := s.pairs(op, mode, p, p, p, 1, 1, 1, 1, 1, 0, 1); has == (turned || op == Pow) {
					t.Errorf("%s: kernel for function %d of two variables in mode %d: %v", s.set, op, mode, has)
				}
			}
		}
		for op := range numReduceOps {
			if _, has := s.reduce(op, p, 1, 0); !has {
				t.Errorf("%s: no kernel for reduction %d", s.set, op)
			}
		}
	}
}
