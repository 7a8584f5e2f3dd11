// Command conv writes the assembly of convolutions and pooling: what is not a dense product.
package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64,gc,!noasm")
	newLaneMasks()
	constants.at = GLOBL("winogradConstants", 8|16) // RODATA, NOPTR
	for _, m := range []*machine{{name: "AVX2", lanes: 8}, {name: "AVX512", lanes: 16, wide: true}} {
		m.copySpans()
		for _, width := range []int{3, 5, 7} {
			for stride := 1; stride <= 2; stride++ {
				m.depthwise(width, stride)
			}
		}
		for _, width := range []int{3, 5, 7} {
			m.slideGrad(width)
		}
		m.taps("Dot", true, m.dot)
		m.taps("Sum", false, m.sum)
		m.taps("Max", false, m.max)
		m.spread("First", true)
		m.spread("All", false)
		for _, w := range []*winograd{f23, f43} {
			m.winogradInput(w)
			m.winogradOutput(w)
			m.winogradWeights(w)
		}
	}
	Generate()
}

type (
	vec = reg.VecVirtual
	gpr = reg.GPVirtual
	mem = operand.Mem
)

// machine writes instructions for one instruction set.
type machine struct {
	name  string
	lanes int
	wide  bool // AVX-512

	rest reg.Register // mask of the valid lanes, nil if all are
}

// function begins a function of a structure of arguments, which is returned as an operand without displacement.
func (m *machine) function(name, doc string) mem {
	TEXT(name+m.name, 4, "func(a *byte)") // NOSPLIT
	Doc(doc)
	Pragma("noescape")
	return mem{Base: Load(Param("a"), GP64())}
}

func (m *machine) end() {
	VZEROUPPER()
	RET()
}

func (m *machine) bytes() int { return 4 * m.lanes }

func (m *machine) vec() vec {
	if m.wide {
		return ZMM()
	}
	return YMM()
}

// load returns a vector from memory; lanes that are not valid are 0 and not read.
func (m *machine) load(from mem) vec {
	v := m.vec()
	switch {
	case m.rest == nil:
		VMOVUPS(from, v)
	case m.wide:
		VMOVUPS_Z(from, m.rest, v)
	default:
		VMASKMOVPS(from, m.rest, v)
	}
	return v
}

// store writes the valid lanes.
func (m *machine) store(v vec, to mem) {
	switch {
	case m.rest == nil:
		VMOVUPS(v, to)
	case m.wide:
		VMOVUPS(v, m.rest, to)
	default:
		VMASKMOVPS(v, m.rest, to)
	}
}

// operand is what is in memory, as an operand of an instruction where that is possible.
func (m *machine) operand(from mem) operand.Op {
	if m.rest == nil {
		return from
	}
	return m.load(from)
}

// masked emits body for n valid lanes, 0 < n < m.lanes. It changes n.
func (m *machine) masked(n gpr, body func()) {
	if m.wide {
		count := reg.RCX
		MOVQ(n, count)
		MOVQ(operand.I32(1), n)
		SHLQ(reg.CL, n)
		DECQ(n)
		k := K()
		KMOVW(n.As32(), k)
		m.rest = k
	} else {
		table := GP64()
		LEAQ(laneMasks, table)
		NEGQ(n)
		v := YMM()
		VMOVUPS(mem{Base: table, Index: n, Scale: 4, Disp: 32}, v)
		m.rest = v
	}
	body()
	m.rest = nil
}

// laneMasks is eight words of ones, then eight of zeros.
var laneMasks mem

func newLaneMasks() {
	laneMasks = GLOBL("laneMasks", 8|16) // RODATA, NOPTR
	for i := range 16 {
		x := ^uint32(0)
		if i >= 8 {
			x = 0
		}
		DATA(4*i, operand.U32(x))
	}
}

// zero returns a vector of zeros.
func (m *machine) zero() vec {
	v := m.vec()
	VXORPS(v, v, v)
	return v
}

func (m *machine) copy(x vec) vec {
	v := m.vec()
	VMOVAPS(x, v)
	return v
}

func (m *machine) splat(from mem) vec {
	v := m.vec()
	VBROADCASTSS(from, v)
	return v
}

// clip limits v to [lo, hi] and keeps NaN.
func (m *machine) clip(v, lo, hi vec) {
	VMAXPS(v, lo, v)
	VMINPS(v, hi, v)
}

// channels runs body over all channels of a row: over blocks of the given numbers of vectors, which decrease to 1, and over the
// last, incomplete vector. c is a byte offset, which body must leave as it is; n is a register with the number of channels, which changes.
func (m *machine) channels(label string, c, n gpr, blocks []int, body func(vectors int)) {
	XORQ(c, c)
	for _, b := range blocks {
		loop, end := label+"Block"+string(rune('0'+b)), label+"Less"+string(rune('0'+b))
		Label(loop)
		CMPQ(n, operand.I32(b*m.lanes))
		JLT(operand.LabelRef(end))
		body(b)
		ADDQ(operand.I32(b*m.bytes()), c)
		SUBQ(operand.I32(b*m.lanes), n)
		JMP(operand.LabelRef(loop))
		Label(end)
	}
	TESTQ(n, n)
	JZ(operand.LabelRef(label + "Done"))
	m.masked(n, func() { body(1) })
	Label(label + "Done")
}

// field loads a word of the arguments.
func field(args mem, offset int) gpr {
	r := GP64()
	MOVQ(args.Offset(offset), r)
	return r
}

// stride loads a word of the arguments that counts elements, as bytes.
func stride(args mem, offset int) gpr {
	r := field(args, offset)
	SHLQ(operand.Imm(2), r)
	return r
}

// times returns k·r for k = 3 or 5.
func times(k int, r gpr) gpr {
	t := GP64()
	LEAQ(mem{Base: r, Index: r, Scale: uint8(k - 1)}, t)
	return t
}

func at(base, index reg.Register, scale int) mem {
	switch scale {
	case 0:
		return mem{Base: base}
	default:
		return mem{Base: base, Index: index, Scale: uint8(scale)}
	}
}
