package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
)

// spread emits the opposite of taps: it adds what each of several pixels gets to what its taps show. If first, only the first of the
// taps that show the largest element gets it, else all get it, multiplied by a factor.
func (m *machine) spread(name string, first bool) {
	a := m.function("spread"+name, "adds to what the taps of each pixel show, see tapArgs.")
	src, dst, dy, left := field(a, tapSrc), field(a, tapDst), field(a, tapW), field(a, tapPixels)
	factor := m.splat(a.Offset(tapScale))
	least := m.splat(a.Offset(tapLo))
	Label("pixel")
	c, n := GP64(), field(a, tapCh)
	m.channels("channel", c, n, []int{1}, func(int) {
		label := "taps"
		if m.rest != nil {
			label = "tapsRest"
		}
		each := func(label string, body func(offset gpr)) {
			taps, count, x := field(a, tapAt), field(a, tapAt+8), GP64()
			TESTQ(count, count)
			JZ(operand.LabelRef(label + "End"))
			Label(label)
			MOVQ(at(taps, nil, 0), x)
			ADDQ(operand.Imm(8), taps)
			body(x)
			DECQ(count)
			JNZ(operand.LabelRef(label))
			Label(label + "End")
		}
		p, q := GP64(), GP64()
		LEAQ(at(src, c, 1), p)
		LEAQ(at(dst, c, 1), q)
		given := m.load(at(dy, c, 1))
		if !first {
			VMULPS(factor, given, given)
			each(label, func(x gpr) {
				d := m.load(at(q, x, 4))
				VADDPS(given, d, d)
				m.store(d, at(q, x, 4))
			})
			return
		}
		best := m.copy(least)
		each(label+"Best", func(x gpr) {
			v := m.load(at(p, x, 4))
			VMAXPS(best, v, best)
		})
		each(label, func(x gpr) {
			v, d := m.load(at(p, x, 4)), m.load(at(q, x, 4))
			if m.wide {
				k := K()
				VCMPPS(operand.Imm(0), best, v, k)
				VADDPS(given, d, k, d)
				VXORPS(given, given, k, given)
			} else {
				k, part := m.vec(), m.vec()
				VCMPPS(operand.Imm(0), best, v, k)
				VANDPS(given, k, part)
				VADDPS(part, d, d)
				VANDNPS(given, k, given)
			}
			m.store(d, at(q, x, 4))
		})
	})
	t := stride(a, tapSrcStep)
	ADDQ(t, src)
	ADDQ(t, dst)
	t = stride(a, tapDstStep)
	ADDQ(t, dy)
	DECQ(left)
	JNZ(operand.LabelRef("pixel"))
	m.end()
}
