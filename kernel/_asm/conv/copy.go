package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
)

// Offsets in copyArgs.
const copyDst, copySrc, copyCount, copyN, copyDstStep, copySrcStep = 0, 24, 48, 56, 64, 72

// copySpans emits the copying of many short runs.
func (m *machine) copySpans() {
	a := m.function("copySpans", "copies runs of elements, see copySpans.")
	src, dst, left := field(a, copySrc), field(a, copyDst), field(a, copyCount)
	srcStep, dstStep := stride(a, copySrcStep), stride(a, copyDstStep)
	Label("run")
	c, n := GP64(), field(a, copyN)
	m.channels("part", c, n, []int{4, 1}, func(vectors int) {
		v := make([]vec, vectors)
		for i := range v {
			v[i] = m.load(at(src, c, 1).Offset(i * m.bytes()))
		}
		for i := range v {
			m.store(v[i], at(dst, c, 1).Offset(i*m.bytes()))
		}
	})
	ADDQ(srcStep, src)
	ADDQ(dstStep, dst)
	DECQ(left)
	JNZ(operand.LabelRef("run"))
	m.end()
}
