package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// finish turns the sums into results, stores them and returns.
func (k *kernel) finish() {
	columns := GP32()
	MOVL(k.field(fieldColumns), columns)
	CMPL(columns, operand.Imm(uint64(k.width())))
	JNE(operand.LabelRef(k.prefix + "part"))
	k.masks = nil
	k.store("")
	Label(k.prefix + "part")
	if k.wide() {
		k.opmasks()
	} else {
		k.vectorMasks()
	}
	k.store("part")
}

// opmasks makes a mask a vector, ones for the columns that exist.
func (k *kernel) opmasks() {
	columns, one, ones := GP64(), GP64(), GP64()
	MOVL(k.field(fieldColumns), columns.As32())
	MOVQ(operand.I64(-1), one)
	BZHIQ(columns, one, ones)
	k.masks = nil
	for v := range k.vectors {
		if v > 0 {
			SHRQ(operand.Imm(16), ones)
		}
		m := K()
		KMOVW(ones.As32(), m)
		k.masks = append(k.masks, m)
	}
}

func (k *kernel) vectorMasks() {
	columns := YMM()
	VPBROADCASTD(k.field(fieldColumns), columns)
	k.masks = nil
	for v := range k.vectors {
		m := YMM()
		VPCMPGTD(k.index.Offset(32*v), columns, m)
		k.masks = append(k.masks, m)
	}
}

// read returns a vector from memory; AVX-512 may take it as an operand.
func (k *kernel) read(from operand.Mem, v int) reg.VecVirtual {
	x := k.vec()
	switch {
	case k.masks == nil:
		VMOVUPS(from, x)
	case k.wide():
		VMOVUPS_Z(from, k.masks[v], x)
	default:
		VMASKMOVPS(from, k.masks[v], x)
	}
	return x
}

func (k *kernel) write(x reg.VecVirtual, to operand.Mem, v int) {
	switch {
	case k.masks == nil:
		VMOVUPS(x, to)
	case k.wide():
		VMOVUPS(x, k.masks[v], to)
	default:
		VMASKMOVPS(x, k.masks[v], to)
	}
}

// each does f for all sums, given where they are in a matrix of the given row distance.
func (k *kernel) each(base, stride reg.Register, f func(sum reg.VecVirtual, at operand.Mem, v int)) {
	for r, sums := range k.sums {
		for v := range sums {
			f(sums[v], operand.Mem{Base: base, Disp: 4 * k.lanes * v}, v)
		}
		if r+1 < k.rows {
			ADDQ(stride, base)
		}
	}
}

func (k *kernel) splat(field int) reg.VecVirtual {
	x := k.vec()
	VBROADCASTSS(k.field(field), x)
	return x
}

// store does what flags and pointers ask for.
func (k *kernel) store(suffix string) {
	at := func(what string) string { return k.prefix + what + suffix }
	flags := GP32()
	MOVL(k.field(fieldFlags), flags)
	unless := func(bit uint32, where string) {
		TESTL(operand.U32(bit), flags)
		JZ(operand.LabelRef(where))
	}

	unless(scaled, at("unscaled"))
	alpha := k.splat(fieldAlpha)
	for _, sums := range k.sums {
		for v := range sums {
			VMULPS(alpha, sums[v], sums[v])
		}
	}
	Label(at("unscaled"))

	unless(loaded, at("fresh"))
	beta := k.splat(fieldBeta)
	k.each(k.load(fieldC), k.load(fieldLDC), func(sum reg.VecVirtual, from operand.Mem, v int) {
		VFMADD231PS(k.read(from, v), beta, sum)
	})
	Label(at("fresh"))

	bias := k.load(fieldBias)
	TESTQ(bias, bias)
	JZ(operand.LabelRef(at("unbiased")))
	for v := range k.vectors {
		b := k.read(operand.Mem{Base: bias, Disp: 4 * k.lanes * v}, v)
		for _, sums := range k.sums {
			VADDPS(b, sums[v], sums[v])
		}
	}
	Label(at("unbiased"))

	add := k.load(fieldAdd)
	TESTQ(add, add)
	JZ(operand.LabelRef(at("alone")))
	k.each(add, k.load(fieldAddStride), func(sum reg.VecVirtual, from operand.Mem, v int) {
		VADDPS(k.read(from, v), sum, sum)
	})
	Label(at("alone"))

	unless(clipped, at("unclipped"))
	lo, hi := k.splat(fieldLo), k.splat(fieldHi)
	for _, sums := range k.sums {
		for v := range sums { // the sum is the second operand, so that NaN stays
			VMAXPS(sums[v], lo, sums[v])
			VMINPS(sums[v], hi, sums[v])
		}
	}
	Label(at("unclipped"))

	k.each(k.load(fieldC), k.load(fieldLDC), k.write)
	VZEROUPPER()
	RET()
}
