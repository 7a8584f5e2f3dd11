package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
)

// mostWoven is the largest number of streams that have a kernel.
const mostWoven = 4

// weave writes the transposition of k rows to rows of k words (weaving), or back.
//
// k vectors are read and k written. Word p of the k woven vectors is word p div k of stream p mod k.
func (m *machine) weave(k int, weaving bool) {
	name, from, to := "weave", "strideS words apart in src", "dense in dst"
	if !weaving {
		name, from, to = "unweave", "dense in src", "strideD words apart in dst"
	}
	name = fmt.Sprint(name, k)
	m.function(name, "func(dst, src *uint32, n, stride, count, stepD, stepS int)", fmt.Sprintf(
		"%s%s transposes %d streams of n words, not fewer than a vector has: %s for one of %s; count times, stepD and stepS words on.",
		name, m.name, k, to, from))
	dst, src, n := arg("dst"), arg("src"), arg("n")
	apart, count, stepD, stepS := newStride(inBytes("stride")), arg("count"), inBytes("stepD"), inBytes("stepS")
	last, i, woven, stream := GP64(), GP64(), GP64(), GP64()
	MOVQ(n, last)
	SUBQ(operand.U32(m.lanes), last)
	m.rows(count, func() {
		XORQ(i, i)
		Label("vectors")
		base, other := src, dst // of streams, of woven words
		if !weaving {
			base, other = dst, src
		}
		LEAQ(operand.Mem{Base: base, Index: i, Scale: 4}, stream)
		IMUL3Q(operand.U32(4*k), i, woven)
		ADDQ(other, woven)
		in := make([]vec, k)
		for j := range in {
			if weaving {
				in[j] = m.load(apart.row(stream, j, 0))
			} else {
				in[j] = m.load(operand.Mem{Base: woven, Disp: 4 * m.lanes * j})
			}
		}
		for o := range k {
			out := m.gather(in, func(lane int) (int, int) {
				if weaving {
					p := o*m.lanes + lane
					return p % k, p / k
				}
				p := lane*k + o
				return p / m.lanes, p % m.lanes
			})
			if weaving {
				m.store(out, operand.Mem{Base: woven, Disp: 4 * m.lanes * o})
			} else {
				m.store(out, apart.row(stream, o, 0))
			}
		}
		// What is left is done by a vector that overlaps the one before.
		CMPQ(i, last)
		JGE(operand.LabelRef("next"))
		ADDQ(operand.U32(m.lanes), i)
		CMPQ(i, last)
		CMOVQGT(last, i)
		JMP(operand.LabelRef("vectors"))
		Label("next")
	}, [2]gp{dst, stepD}, [2]gp{src, stepS})
	m.end()
}

// gather makes a vector of words of several: from says, for a lane, which vector and which lane of it.
func (m *machine) gather(in []vec, from func(lane int) (vector, at int)) vec {
	out := m.reg()
	if m.wide {
		VMOVAPS(in[0], out)
	}
	for j := range in {
		if m.wide && j == 0 {
			continue // comes with the first step, which takes from two
		}
		index, mine := make([]uint32, m.lanes), 0
		for lane := range index {
			vector, at := from(lane)
			switch {
			case vector == j && m.wide:
				index[lane] = uint32(m.lanes + at)
			case vector == j:
				index[lane] = uint32(at)
				mine |= 1 << lane
			case m.wide && j == 1 && vector == 0:
				index[lane] = uint32(at)
			default:
				index[lane] = uint32(lane)
			}
		}
		x := m.reg()
		VMOVUPS(m.words(index), x)
		switch {
		case m.wide:
			VPERMT2PS(in[j], x, out)
		case j == 0:
			VPERMPS(in[j], x, out)
		default:
			VPERMPS(in[j], x, x)
			VBLENDPS(operand.Imm(uint64(mine)), x, out, out)
		}
	}
	return out
}

// words is a constant vector.
func (m *machine) words(x []uint32) operand.Mem {
	at := constants.n
	for _, w := range x {
		DATA(constants.n, operand.U32(w))
		constants.n += 4
	}
	return constants.base.Offset(at)
}
