// Command vec generates the element-wise, reducing and transposing kernels for AVX2 and AVX-512.
package main

import (
	"flag"
	"log"
	"os"

	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
)

func main() {
	table := flag.String("table", "", "Go file to write the dispatch to")
	constants.base = GLOBL("vecConstants", 8|16) // RODATA|NOPTR
	machines := []*machine{{name: "AVX2", lanes: 8}, {name: "AVX512", lanes: 16, wide: true}}
	machines[0].window()
	ConstraintExpr("amd64,gc,!noasm")
	for _, m := range machines {
		for _, f := range maps {
			m.mapping(f)
		}
		for _, op := range pairs {
			for _, mode := range op.modes {
				m.pairing(op, mode)
			}
		}
		m.affine(false)
		m.affine(true)
		m.norm()
		m.pairSums()
		m.blend()
		for _, s := range slopes {
			m.slope(s)
		}
		m.mix()
		for _, r := range reductions {
			m.reduce(r)
		}
		m.transpose()
		for _, s := range solvers {
			m.solve(s)
		}
	}
	Generate()
	if err := os.WriteFile(*table, dispatch(machines), 0o644); err != nil {
		log.Fatal(err)
	}
}

// constants are the numbers that the kernels read from memory, each repeated to fill 32 bytes.
var constants struct {
	base operand.Mem
	seen map[uint32]int
	n    int
}
