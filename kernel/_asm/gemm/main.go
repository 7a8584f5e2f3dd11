// Command gemm generates the micro-kernels of matrix products, and what packs their operands, for AVX2 and AVX-512.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
)

func main() {
	ConstraintExpr("amd64,gc,!noasm")
	lanes := GLOBL("gemmLanes", 8|16) // RODATA|NOPTR
	for i := range 16 {
		DATA(4*i, operand.I32(i))
	}
	for _, vectors := range []int{1, 2} {
		for _, k := range []*kernel{
			{isa: "AVX2", lanes: 8, vectors: vectors, most: 6, index: lanes},
			{isa: "AVX512", lanes: 16, vectors: vectors, most: 14},
		} {
			k.generate()
			if vectors == 2 {
				k.copyRuns()
				k.dots()
			}
		}
	}
	pause()
	Generate()
}

// pause tells the processor that a loop is waiting: n times.
func pause() {
	TEXT("pause", 4, "func(n int)") // NOSPLIT
	Doc("pause waits for a moment, n times, and leaves the core to its other thread meanwhile.")
	n := GP64()
	Load(Param("n"), n)
	Label("again")
	PAUSE()
	DECQ(n)
	JG(operand.LabelRef("again"))
	RET()
}

func label(format string, args ...any) string { return fmt.Sprintf(format, args...) }
