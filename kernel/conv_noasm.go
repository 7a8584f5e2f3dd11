//go:build !amd64 || !gc || noasm

package kernel

import (
	"unsafe"

	"github.com/effml/effml/internal/isa"
)

// callConv reports that there is no kernel but the generic one.
func callConv(isa.Set, convKernel, unsafe.Pointer) bool { return false }
