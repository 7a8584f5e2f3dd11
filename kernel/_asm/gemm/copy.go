package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
)

// rowsAhead is how far a copy looks ahead: rows may lie in other pages, where processors do not look by themselves.
const rowsAhead = 6

// copyRuns copies runs of as many elements as a panel is wide: those of a row one after another, to places dstStep apart.
func (k *kernel) copyRuns() {
	TEXT("copyRuns"+k.isa, 4, "func(dst, src *float32, rows, runs, dstStride, dstStep, srcStride int)") // NOSPLIT
	Doc(label("copyRuns%s copies rows of runs of %d elements. Distances are in bytes.", k.isa, k.width()),
		"Runs of a row are together in src, and dstStep apart in dst.")
	Pragma("noescape")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	rows, runs := Load(Param("rows"), GP64()), Load(Param("runs"), GP64())
	dstStride, dstStep := Load(Param("dstStride"), GP64()), Load(Param("dstStep"), GP64())
	srcStride := Load(Param("srcStride"), GP64())
	ahead := GP64()
	IMUL3Q(operand.Imm(rowsAhead), srcStride, ahead)
	Label("row")
	from, to, n := GP64(), GP64(), GP64()
	MOVQ(src, from)
	MOVQ(dst, to)
	MOVQ(runs, n)
	Label("run")
	bytes := 4 * k.lanes
	for at := 0; at < k.vectors*bytes; at += 64 {
		PREFETCHT0(operand.Mem{Base: from, Index: ahead, Scale: 1, Disp: at})
	}
	for v := range k.vectors {
		x := k.vec()
		VMOVUPS(operand.Mem{Base: from, Disp: v * bytes}, x)
		VMOVUPS(x, operand.Mem{Base: to, Disp: v * bytes})
	}
	ADDQ(operand.U32(uint32(k.vectors*bytes)), from)
	ADDQ(dstStep, to)
	DECQ(n)
	JNZ(operand.LabelRef("run"))
	ADDQ(srcStride, src)
	ADDQ(dstStride, dst)
	DECQ(rows)
	JNZ(operand.LabelRef("row"))
	VZEROUPPER()
	RET()
}
