package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
)

// Offsets in tapArgs.
const (
	tapDst, tapSrc, tapW, tapInit, tapAt, tapWAt = 0, 24, 48, 72, 96, 120
	tapPixels, tapCh, tapDstStep, tapSrcStep     = 144, 152, 160, 168
	tapLo, tapHi, tapScale                       = 176, 180, 184
	tapBlock                                     = 4 // vectors of channels at a time
)

// reduction is what is done with the elements that the taps show.
type reduction struct {
	start  func() vec              // of weightless reductions
	add    func(sum vec, x, w mem) // changes sum by an element and its weight
	finish func(sum vec)
}

// dot sums products with weights, from the initial values on, and limits the sums.
func (m *machine) dot(a mem) reduction {
	lo, hi := m.splat(a.Offset(tapLo)), m.splat(a.Offset(tapHi))
	return reduction{
		add:    func(sum vec, x, w mem) { VFMADD231PS(m.operand(x), m.load(w), sum) },
		finish: func(sum vec) { m.clip(sum, lo, hi) },
	}
}

// sum sums, and multiplies by a factor.
func (m *machine) sum(a mem) reduction {
	scale := m.splat(a.Offset(tapScale))
	return reduction{
		start:  m.zero,
		add:    func(sum vec, x, _ mem) { VADDPS(m.operand(x), sum, sum) },
		finish: func(sum vec) { VMULPS(scale, sum, sum) },
	}
}

// max finds the largest element, or NaN if there is one: VMAXPS keeps the NaN of its last operand only.
func (m *machine) max(a mem) reduction {
	least := m.splat(a.Offset(tapLo))
	return reduction{
		start: func() vec { return m.copy(least) },
		add: func(sum vec, x, _ mem) {
			v := m.load(x)
			VMAXPS(sum, v, sum)
			if m.wide {
				nan := K()
				VCMPPS(operand.Imm(3), v, v, nan)
				VMOVAPS(v, nan, sum)
			} else {
				nan := m.vec()
				VCMPPS(operand.Imm(3), v, v, nan)
				VORPS(nan, sum, sum)
			}
		},
		finish: func(vec) {},
	}
}

// taps emits a kernel that reduces the elements at a list of offsets from each of several pixels.
func (m *machine) taps(name string, weighted bool, of func(a mem) reduction) {
	a := m.function("taps"+name, "reduces what the taps of each pixel show, see tapRow.")
	src, dst, left := field(a, tapSrc), field(a, tapDst), field(a, tapPixels)
	op := of(a)
	Label("pixel")
	c, n := GP64(), field(a, tapCh)
	m.channels("channel", c, n, []int{tapBlock, 1}, func(vectors int) {
		sums := make([]vec, vectors)
		label := "taps" + string(rune('0'+vectors))
		if m.rest != nil {
			label = "tapsRest"
		}
		var init gpr
		if weighted {
			init = field(a, tapInit)
			ADDQ(c, init)
		}
		for i := range sums {
			if weighted {
				sums[i] = m.load(at(init, nil, 0).Offset(i * m.bytes()))
			} else {
				sums[i] = op.start()
			}
		}
		p, taps, count := GP64(), field(a, tapAt), field(a, tapAt+8)
		LEAQ(at(src, c, 1), p)
		var w, wTaps gpr
		if weighted {
			w, wTaps = field(a, tapW), field(a, tapWAt)
			ADDQ(c, w)
		}
		TESTQ(count, count)
		JZ(operand.LabelRef(label + "End"))
		Label(label)
		x, y := GP64(), GP64()
		MOVQ(at(taps, nil, 0), x)
		ADDQ(operand.Imm(8), taps)
		if weighted {
			MOVQ(at(wTaps, nil, 0), y)
			ADDQ(operand.Imm(8), wTaps)
		}
		for i := range sums {
			var wm mem
			if weighted {
				wm = at(w, y, 4).Offset(i * m.bytes())
			}
			op.add(sums[i], at(p, x, 4).Offset(i*m.bytes()), wm)
		}
		DECQ(count)
		JNZ(operand.LabelRef(label))
		Label(label + "End")
		LEAQ(at(dst, c, 1), p)
		for i, s := range sums {
			op.finish(s)
			m.store(s, at(p, nil, 0).Offset(i*m.bytes()))
		}
	})
	t := stride(a, tapSrcStep)
	ADDQ(t, src)
	t = stride(a, tapDstStep)
	ADDQ(t, dst)
	DECQ(left)
	JNZ(operand.LabelRef("pixel"))
	m.end()
}
