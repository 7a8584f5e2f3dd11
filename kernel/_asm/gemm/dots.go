package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dots writes the scalar products of rows with x: four rows at a time, then one, with two sums a row in either case.
func (k *kernel) dots() {
	TEXT("dots"+k.isa, 4, "func(dst, w, x *float32, rows, n, stride int)") // NOSPLIT
	Doc(fmt.Sprintf("dots%s computes the scalar products of rows of n elements, stride bytes apart, with x.", k.isa))
	Pragma("noescape")
	dst, w := Load(Param("dst"), GP64()), Load(Param("w"), GP64())
	rows, stride := Load(Param("rows"), GP64()), Load(Param("stride"), GP64())
	stride3 := GP64()
	LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	for _, together := range []int{4, 1} {
		k.prefix = fmt.Sprintf("by%d", together)
		Label(k.prefix)
		SUBQ(operand.Imm(uint64(together)), rows)
		JL(operand.LabelRef(k.prefix + "end"))
		k.dotsOf(together, w, func(row reg.Register, r int) operand.Mem {
			m := operand.Mem{Base: row}
			switch r {
			case 1, 2:
				m.Index, m.Scale = stride, uint8(r)
			case 3:
				m.Index, m.Scale = stride3, 1
			}
			return m
		})
		for r := range together {
			VMOVSS(k.across(k.sums[r][0]), operand.Mem{Base: dst, Disp: 4 * r})
		}
		ADDQ(operand.Imm(uint64(4*together)), dst)
		for range together {
			ADDQ(stride, w)
		}
		JMP(operand.LabelRef(k.prefix))
		Label(k.prefix + "end")
		ADDQ(operand.Imm(uint64(together)), rows)
	}
	VZEROUPPER()
	RET()
}

// dotsOf leaves in k.sums[r][0] vectors whose elements add up to the products.
func (k *kernel) dotsOf(rows int, w reg.Register, at func(row reg.Register, r int) operand.Mem) {
	const ahead = 1024 // bytes: what comes from memory is on its way by then
	k.sums = nil
	for range rows {
		s := []reg.VecVirtual{k.vec(), k.vec()}
		for _, v := range s {
			VXORPS(v, v, v)
		}
		k.sums = append(k.sums, s)
	}
	x := Load(Param("x"), GP64())
	n := GP64()
	Load(Param("n"), n)
	row := GP64()
	MOVQ(w, row)
	bytes := 4 * k.lanes
	step := func(vectors int) {
		for v := range vectors {
			b := k.vec()
			VMOVUPS(operand.Mem{Base: x, Disp: v * bytes}, b)
			for r := range rows {
				VFMADD231PS(at(row, r).Offset(v*bytes), b, k.sums[r][v])
			}
		}
		ADDQ(operand.U32(uint32(vectors*bytes)), x)
		ADDQ(operand.U32(uint32(vectors*bytes)), row)
	}
	Label(k.prefix + "two")
	SUBQ(operand.Imm(uint64(2*k.lanes)), n)
	JL(operand.LabelRef(k.prefix + "one"))
	for r := range rows {
		for line := 0; line < 2*bytes; line += 64 {
			PREFETCHT0(at(row, r).Offset(ahead + line))
		}
	}
	step(2)
	JMP(operand.LabelRef(k.prefix + "two"))
	Label(k.prefix + "one")
	ADDQ(operand.Imm(uint64(k.lanes)), n)
	JL(operand.LabelRef(k.prefix + "part"))
	step(1)
	SUBQ(operand.Imm(uint64(k.lanes)), n)
	Label(k.prefix + "part")
	ADDQ(operand.Imm(uint64(k.lanes)), n)
	JZ(operand.LabelRef(k.prefix + "sum"))
	k.tail(n)
	b := k.read(operand.Mem{Base: x}, 0)
	for r := range rows {
		VFMADD231PS(k.read(at(row, r), 0), b, k.sums[r][0])
	}
	Label(k.prefix + "sum")
	for _, s := range k.sums {
		VADDPS(s[1], s[0], s[0])
	}
}

// tail makes a mask of the first n lanes.
func (k *kernel) tail(n reg.GPVirtual) {
	if k.wide() {
		all, ones := GP64(), GP64()
		MOVQ(operand.I64(-1), all)
		BZHIQ(n, all, ones)
		m := K()
		KMOVW(ones.As32(), m)
		k.masks = []reg.Register{m}
		return
	}
	m := YMM()
	VMOVD(n.As32(), m.AsX())
	VPBROADCASTD(m.AsX(), m)
	VPCMPGTD(k.index, m, m)
	k.masks = []reg.Register{m}
}

// across adds up the elements of a vector.
func (k *kernel) across(v reg.VecVirtual) reg.Register {
	if k.wide() {
		half := YMM()
		VEXTRACTF32X8(operand.Imm(1), v, half)
		VADDPS(half, v.AsY(), v.AsY())
	}
	half, x := XMM(), v.AsX()
	VEXTRACTF128(operand.Imm(1), v.AsY(), half)
	VADDPS(half, x, x)
	VMOVHLPS(x, x, half)
	VADDPS(half, x, x)
	VMOVSHDUP(x, half)
	VADDSS(half, x, x)
	return x
}
