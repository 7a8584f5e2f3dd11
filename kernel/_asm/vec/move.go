package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// stride is a distance in bytes and three times it.
type stride struct{ one, three gp }

func newStride(one gp) stride {
	s := stride{one, GP64()}
	LEAQ(operand.Mem{Base: one, Index: one, Scale: 2}, s.three)
	return s
}

// row is the address of row i < 4 after base, and disp bytes on.
func (s stride) row(base reg.Register, i, disp int) operand.Mem {
	a := operand.Mem{Base: base, Disp: disp}
	switch i {
	case 1, 2:
		a.Index, a.Scale = s.one, uint8(i)
	case 3:
		a.Index, a.Scale = s.three, 1
	}
	return a
}

// square transposes a square of words with the side of a vector: quarter[k] points to row 4k of the source, whose rows are src
// apart; the result's rows, dst apart, begin at to, which ends up after the last.
//
// A register collects 4 words of each of the rows i, i+4, …, which loads alone do; squares of 4 words then turn within lanes.
func (m *machine) square(quarter []gp, src stride, masks []operand.Op, to gp, dst stride) {
	for k := range quarter {
		var r [4]vec
		for i := range r {
			r[i] = m.reg()
			if m.wide {
				VBROADCASTF32X4(src.row(quarter[0], i, 16*k), r[i])
				for l := 1; l < len(quarter); l++ {
					VBROADCASTF32X4(src.row(quarter[l], i, 16*k), masks[l], r[i])
				}
				continue
			}
			VMOVUPS(src.row(quarter[0], i, 16*k), r[i].AsX())
			VINSERTF128(operand.Imm(1), src.row(quarter[1], i, 16*k), r[i], r[i])
		}
		low, high := m.unpack(r[0], r[1])
		low2, high2 := m.unpack(r[2], r[3])
		for i, pair := range [2][2]vec{{low, low2}, {high, high2}} {
			a, b := m.reg(), m.reg()
			VUNPCKLPD(pair[1], pair[0], a)
			VUNPCKHPD(pair[1], pair[0], b)
			VMOVUPS(a, dst.row(to, 2*i, 0))
			VMOVUPS(b, dst.row(to, 2*i+1, 0))
		}
		LEAQ(operand.Mem{Base: to, Index: dst.one, Scale: 4}, to)
	}
}

// unpack interleaves the words of a and b within lanes of 128 bits.
func (m *machine) unpack(a, b vec) (low, high vec) {
	low, high = m.reg(), m.reg()
	VUNPCKLPS(b, a, low)
	VUNPCKHPS(b, a, high)
	return low, high
}

// quarters returns pointers to every fourth row from p on, and the masks of the lanes of 128 bits.
func (m *machine) quarters(p gp, rows stride) (q []gp, masks []operand.Op) {
	q, masks = []gp{p}, []operand.Op{nil}
	for l := 1; l < m.lanes/4; l++ {
		next := GP64()
		LEAQ(operand.Mem{Base: q[l-1], Index: rows.one, Scale: 4}, next)
		q = append(q, next)
		if m.wide {
			bits, k := GP32(), K()
			MOVL(operand.U32(0xf<<(4*l)), bits)
			KMOVW(bits, k)
			masks = append(masks, k)
		}
	}
	return q, masks
}

// transpose writes the kernels of transposition.
func (m *machine) transpose() {
	m.transposeBand()
	m.transposePart()
	for k := 2; k <= mostWoven; k++ {
		m.weave(k, true)
		m.weave(k, false)
	}
}

func (m *machine) transposeBand() {
	m.function("transposeBand", "func(dst, src *uint32, cols, strideD, strideS int)",
		"transposeBand"+m.name+" transposes as many rows as a vector has words, of cols words, not fewer than that.")
	to, from, cols := arg("dst"), arg("src"), arg("cols")
	dst, src := newStride(inBytes("strideD")), newStride(inBytes("strideS"))
	q, masks := m.quarters(from, src)
	Label("square")
	m.square(q, src, masks, to, dst)
	for _, p := range q {
		ADDQ(operand.U32(4*m.lanes), p)
	}
	SUBQ(operand.U32(m.lanes), cols)
	CMPQ(cols, operand.U32(m.lanes))
	JGE(operand.LabelRef("square"))
	TESTQ(cols, cols)
	JZ(operand.LabelRef("end"))
	// The last square begins so far before that it ends with the rows.
	back := GP64()
	MOVQ(operand.U32(m.lanes), back)
	SUBQ(cols, back)
	MOVQ(operand.U32(m.lanes), cols)
	SHLQ(operand.U8(2), back)
	for _, p := range q {
		SUBQ(back, p)
	}
	SHRQ(operand.U8(2), back)
	IMULQ(dst.one, back)
	SUBQ(back, to)
	JMP(operand.LabelRef("square"))
	Label("end")
	m.end()
}

func (m *machine) transposePart() {
	TEXT("transposePart"+m.name, 0, "func(dst, src *uint32, rows, cols, strideD, strideS int)")
	Doc("transposePart" + m.name + " transposes at most as many rows, and columns, as a vector has words.")
	Pragma("noescape")
	size := m.lanes * m.lanes * 4
	in, out := AllocLocal(size), AllocLocal(size)
	src, rows, cols := arg("src"), arg("rows"), arg("cols")
	m.rest = m.first(cols)
	m.copyRows(src, inBytes("strideS"), in, rows, true)
	m.rest = nil
	inner, p, to := GP64(), GP64(), GP64()
	MOVQ(operand.U32(4*m.lanes), inner)
	LEAQ(in, p)
	LEAQ(out, to)
	s := newStride(inner)
	q, masks := m.quarters(p, s)
	m.square(q, s, masks, to, s)
	m.rest = m.first(rows)
	dst := arg("dst")
	m.copyRows(dst, inBytes("strideD"), out, cols, false)
	m.rest = nil
	m.end()
}

// copyRows copies count rows, of the lanes of the mask, between memory where they are step bytes apart and the local square.
func (m *machine) copyRows(p, step gp, local operand.Mem, count gp, in bool) {
	label := "out"
	if in {
		label = "in"
	}
	l, left := GP64(), GP64()
	LEAQ(local, l)
	MOVQ(count, left)
	Label(label)
	v := m.reg()
	if in {
		v = m.load(operand.Mem{Base: p})
		VMOVUPS(v, operand.Mem{Base: l})
	} else {
		VMOVUPS(operand.Mem{Base: l}, v)
		m.store(v, operand.Mem{Base: p})
	}
	ADDQ(step, p)
	ADDQ(operand.U32(4*m.lanes), l)
	DECQ(left)
	JNZ(operand.LabelRef(label))
}
