package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vec is a register of float32, or of int32 where the text says so.
type vec = reg.VecVirtual

// machine writes instructions for one instruction set. Methods return new registers, but for those that say they change one.
type machine struct {
	name  string
	lanes int
	wide  bool // AVX-512

	rest operand.Op // mask of the valid lanes of the last, incomplete vector; nil for complete ones

	queue *[]func() // where instructions wait to be interleaved with those of other vectors; nil: they do not
}

// function begins a function: its name and the rest of its signature.
func (m *machine) function(name, signature, doc string) {
	TEXT(name+m.name, 4, signature) // NOSPLIT
	Doc(doc)
	Pragma("noescape")
	m.rest = nil
}

func (m *machine) end() {
	VZEROUPPER()
	RET()
}

// do writes an instruction, or puts it in the queue.
func (m *machine) do(instruction func()) {
	if m.queue == nil {
		instruction()
	} else {
		*m.queue = append(*m.queue, instruction)
	}
}

// interleave writes what body does for n vectors, which do not depend on each other, an instruction of each by turns: so the
// processor, which looks ahead by a limited number of instructions, finds some that need not wait.
func (m *machine) interleave(n int, body func(copy int)) {
	queues := make([][]func(), n)
	for k := range n {
		m.queue = &queues[k]
		body(k)
	}
	m.queue = nil
	for i := range queues[0] {
		for _, q := range queues {
			q[i]()
		}
	}
}

func (m *machine) reg() vec {
	if m.wide {
		return ZMM()
	}
	return YMM()
}

// f is a constant.
func (m *machine) f(x float64) operand.Mem { return m.word(math.Float32bits(float32(x))) }

// word is a constant of 32 bits.
func (m *machine) word(x uint32) operand.Mem {
	if constants.seen == nil {
		constants.seen = map[uint32]int{}
	}
	at, ok := constants.seen[x]
	if !ok {
		at = constants.n
		constants.seen[x] = at
		for range 8 {
			DATA(constants.n, operand.U32(x))
			constants.n += 4
		}
	}
	return constants.base.Offset(at)
}

// splat fills a register with a number from memory.
func (m *machine) splat(x operand.Mem) vec {
	v := m.reg()
	m.do(func() { VBROADCASTSS(x, v) })
	return v
}

// param fills a register with an argument.
func (m *machine) param(name string) vec {
	p, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return m.splat(p.Addr)
}

func (m *machine) copy(x vec) vec {
	v := m.reg()
	m.do(func() { VMOVAPS(x, v) })
	return v
}

type emit func(ops ...operand.Op)

// op3 writes dst = a ∘ b, where b may be a constant.
func (m *machine) op3(plain, broadcast emit, a vec, b operand.Op, dst vec) vec {
	if _, ok := b.(operand.Mem); ok && m.wide {
		plain = broadcast
	}
	m.do(func() { plain(b, a, dst) })
	return dst
}

func (m *machine) add(a vec, b operand.Op) vec { return m.op3(VADDPS, VADDPS_BCST, a, b, m.reg()) }
func (m *machine) sub(a vec, b operand.Op) vec { return m.op3(VSUBPS, VSUBPS_BCST, a, b, m.reg()) }
func (m *machine) mul(a vec, b operand.Op) vec { return m.op3(VMULPS, VMULPS_BCST, a, b, m.reg()) }
func (m *machine) div(a vec, b operand.Op) vec { return m.op3(VDIVPS, VDIVPS_BCST, a, b, m.reg()) }
func (m *machine) and(a vec, b operand.Op) vec { return m.op3(VANDPS, VANDPS_BCST, a, b, m.reg()) }
func (m *machine) or(a vec, b operand.Op) vec  { return m.op3(VORPS, VORPS_BCST, a, b, m.reg()) }
func (m *machine) xor(a vec, b operand.Op) vec { return m.op3(VXORPS, VXORPS_BCST, a, b, m.reg()) }

// min and max return b where either is NaN.
func (m *machine) min(a vec, b operand.Op) vec { return m.op3(VMINPS, VMINPS_BCST, a, b, m.reg()) }
func (m *machine) max(a vec, b operand.Op) vec { return m.op3(VMAXPS, VMAXPS_BCST, a, b, m.reg()) }

// horner changes p to p·x + c.
func (m *machine) horner(p, x vec, c operand.Op) vec {
	return m.op3(VFMADD213PS, VFMADD213PS_BCST, x, c, p)
}

// addMul changes s to s + a·b, subMul to s − a·b.
func (m *machine) addMul(s, a vec, b operand.Op) vec {
	return m.op3(VFMADD231PS, VFMADD231PS_BCST, a, b, s)
}

func (m *machine) subMul(s, a vec, b operand.Op) vec {
	return m.op3(VFNMADD231PS, VFNMADD231PS_BCST, a, b, s)
}

// polynomial is Σ c[k]·xᵏ.
func (m *machine) polynomial(x vec, c ...float64) vec {
	p := m.splat(m.f(c[len(c)-1]))
	for k := len(c) - 2; k >= 0; k-- {
		m.horner(p, x, m.f(c[k]))
	}
	return p
}

// Integers.
func (m *machine) addInt(a vec, b operand.Op) vec { return m.op3(VPADDD, VPADDD_BCST, a, b, m.reg()) }

func (m *machine) subInt(a vec, b operand.Op) vec { return m.op3(VPSUBD, VPSUBD_BCST, a, b, m.reg()) }

func (m *machine) shiftLeft(a vec, n uint64) vec {
	v := m.reg()
	m.do(func() { VPSLLD(operand.Imm(n), a, v) })
	return v
}

// shiftRight keeps the sign.
func (m *machine) shiftRight(a vec, n uint64) vec {
	v := m.reg()
	m.do(func() { VPSRAD(operand.Imm(n), a, v) })
	return v
}

// toFloat makes float32 of int32.
func (m *machine) toFloat(a vec) vec {
	v := m.reg()
	m.do(func() { VCVTDQ2PS(a, v) })
	return v
}

// Ways to round to an integer, as VROUNDPS numbers them, without raising the inexact flag.
const (
	nearest = 8
	down    = 9
	up      = 10
)

func (m *machine) round(a vec, how uint64) vec {
	v, round := m.reg(), VROUNDPS
	if m.wide {
		round = func(i, x, y operand.Op) { VRNDSCALEPS(i, x, y) }
	}
	m.do(func() { round(operand.Imm(how), a, v) })
	return v
}

func (m *machine) sqrt(a vec) vec {
	v := m.reg()
	m.do(func() { VSQRTPS(a, v) })
	return v
}

// Comparisons, as VCMPPS numbers them: false (but unordered true) where either is NaN.
const (
	equal      = 0x00
	less       = 0x11
	unordered  = 0x03
	above      = 0x1e
	notAtLeast = 0x19 // true where either is NaN
)

// compare returns a mask of the lanes where a ? b holds.
func (m *machine) compare(how uint64, a vec, b operand.Op) operand.Op {
	var mask operand.Op = YMM()
	cmp := VCMPPS
	if m.wide {
		mask = K()
		if _, ok := b.(operand.Mem); ok {
			cmp = VCMPPS_BCST
		}
	}
	m.do(func() { cmp(operand.Imm(how), b, a, mask) })
	return mask
}

// choose returns yes in the lanes of the mask and no in the others. yes may be a constant.
func (m *machine) choose(mask, yes operand.Op, no vec) vec {
	v := m.reg()
	m.do(func() {
		if !m.wide {
			VBLENDVPS(mask, yes, no, v)
		} else if _, ok := yes.(operand.Mem); ok {
			VBLENDMPS_BCST(yes, no, mask, v)
		} else {
			VBLENDMPS(yes, no, mask, v)
		}
	})
	return v
}

// sign returns the sign bit of a.
func (m *machine) sign(a vec) vec { return m.and(a, m.word(1<<31)) }

// abs returns a without its sign bit.
func (m *machine) abs(a vec) vec { return m.and(a, m.word(1<<31-1)) }

// load reads a vector; of an incomplete one the missing lanes are 0.
func (m *machine) load(x operand.Mem) vec {
	v := m.reg()
	m.do(func() {
		switch {
		case m.rest == nil:
			VMOVUPS(x, v)
		case m.wide:
			VMOVUPS_Z(x, m.rest, v)
		default:
			VMASKMOVPS(x, m.rest, v)
		}
	})
	return v
}

// store writes a vector, of an incomplete one the valid lanes.
func (m *machine) store(v vec, x operand.Mem) {
	m.do(func() {
		switch {
		case m.rest == nil:
			VMOVUPS(v, x)
		case m.wide:
			VMOVUPS(v, m.rest, x)
		default:
			VMASKMOVPS(v, m.rest, x)
		}
	})
}

// mask is that of the last n mod lanes elements.
func (m *machine) mask(n reg.GPVirtual) operand.Op {
	left := GP64()
	MOVQ(n, left)
	ANDQ(operand.U8(m.lanes-1), left)
	return m.first(left)
}

// first is the mask of the first n lanes.
func (m *machine) first(n reg.GPVirtual) operand.Op {
	if m.wide {
		bits, k := GP64(), K()
		MOVQ(operand.U32(1<<16-1), bits)
		BZHIQ(n, bits, bits)
		KMOVW(bits.As32(), k)
		return k
	}
	// A sliding window over 8 words of ones and 8 of zeros.
	base, back := GP64(), GP64()
	LEAQ(m.window(), base)
	MOVQ(n, back)
	SHLQ(operand.U8(2), back)
	SUBQ(back, base)
	v := YMM()
	VMOVDQU(operand.Mem{Base: base, Disp: 32}, v)
	return v
}

// window is the constant −1 with a 0 after it.
func (m *machine) window() operand.Mem {
	if _, ok := constants.seen[1<<32-1]; !ok {
		m.word(1<<32 - 1)
		m.word(0)
	}
	return constants.base.Offset(constants.seen[1<<32-1])
}

// forEach runs body over n elements: unrolled times a whole vector in a round, then one, then what is left. The argument of
// body is the number of the copy within the round, 0 in the others, and the register counts elements. The mask was made
// by mask, outside loops that surround this one.
func (m *machine) forEach(label string, n reg.GPVirtual, mask operand.Op, unrolled int, body func(at reg.GPVirtual, copy int)) {
	i, end := GP64(), GP64()
	XORQ(i, i)
	rounds := []int{unrolled, 1}
	if unrolled == 1 {
		rounds = rounds[1:]
	}
	for _, u := range rounds {
		l := label + "by" + string(rune('0'+u))
		step := u * m.lanes
		MOVQ(n, end)
		SUBQ(operand.U32(step), end)
		JMP(operand.LabelRef(l + "test"))
		Label(l)
		m.interleave(u, func(k int) { body(i, k) })
		ADDQ(operand.U32(step), i)
		Label(l + "test")
		CMPQ(i, end)
		JLE(operand.LabelRef(l))
	}
	CMPQ(i, n)
	JGE(operand.LabelRef(label + "done"))
	m.rest = mask
	body(i, 0)
	m.rest = nil
	Label(label + "done")
}

// at is the address of vector number copy after element i.
func (m *machine) at(base reg.Register, i reg.GPVirtual, copy int) operand.Mem {
	return operand.Mem{Base: base, Index: i, Scale: 4, Disp: copy * m.lanes * 4}
}
