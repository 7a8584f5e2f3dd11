package kernel

import "github.com/effml/effml/internal/isa"

// mapRow computes dst[i] = a(src[i]) for slices of one length.
func mapRow(_ isa.Set, a Activation, dst, src []float32) { mapGeneric(a, dst, src) }
