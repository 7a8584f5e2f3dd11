package main

import (
	"strconv"

	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Where the fields of the Go type tile are; a test compares.
const (
	fieldA         = 0
	fieldLDA       = 8
	fieldOffsets   = 16
	fieldSegments  = 24
	fieldK         = 32
	fieldB         = 40
	fieldLDB       = 48
	fieldC         = 56
	fieldLDC       = 64
	fieldBias      = 72
	fieldAdd       = 80
	fieldAddStride = 88
	fieldLo        = 96
	fieldHi        = 100
	fieldAlpha     = 104
	fieldBeta      = 108
	fieldFlags     = 112
	fieldColumns   = 116
	fieldAhead     = 120
	fieldStep      = 128
	fieldKeep      = 136
)

// Bits of the field flags.
const (
	scaled  = 1 // sums are multiplied by alpha
	loaded  = 2 // beta·C is added
	clipped = 4
)

const unroll = 4

// kernel is a function that multiplies tiles of 1 to most rows of A by a panel of B, of so many vectors.
type kernel struct {
	isa     string
	lanes   int
	vectors int
	most    int
	index   operand.Mem // AVX2: the numbers of lanes, for masks

	t      reg.Register
	sums   [][]reg.VecVirtual // a row, a vector
	rows   int
	masks  []reg.Register // K or, for AVX2, vectors; nil for whole panels in AVX2
	prefix string         // of labels
}

func (k *kernel) wide() bool { return k.isa == "AVX512" }

func (k *kernel) vec() reg.VecVirtual {
	if k.wide() {
		return ZMM()
	}
	return YMM()
}

func (k *kernel) width() int { return k.lanes * k.vectors }

func (k *kernel) field(offset int) operand.Mem { return operand.Mem{Base: k.t, Disp: offset} }

func (k *kernel) load(offset int) reg.GPVirtual {
	r := GP64()
	MOVQ(k.field(offset), r)
	return r
}

func (k *kernel) generate() {
	TEXT(label("tile%d%s", k.width(), k.isa), 4, "func(t *byte, rows int)") // NOSPLIT
	Doc(label("tile%d%s computes a tile of 1 to %d rows and up to %d columns.", k.width(), k.isa, k.most, k.width()))
	Pragma("noescape")
	k.t = Load(Param("t"), GP64())
	rows := Load(Param("rows"), GP64())
	k.choose(rows, 1, k.most)
	for k.rows = 1; k.rows <= k.most; k.rows++ {
		k.prefix = "r" + strconv.Itoa(k.rows)
		Label(k.prefix)
		k.product()
		k.finish()
	}
}

// choose jumps to the code for the number of rows, which is between lo and hi.
func (k *kernel) choose(rows reg.Register, lo, hi int) {
	if lo == hi {
		JMP(operand.LabelRef(label("r%d", lo)))
		return
	}
	mid := (lo + hi) / 2
	CMPQ(rows, operand.Imm(uint64(mid)))
	above := label("above%d_%d", lo, hi)
	JG(operand.LabelRef(above))
	k.choose(rows, lo, mid)
	Label(above)
	k.choose(rows, mid+1, hi)
}

// product adds up k.sums over all segments. Rows of A are reached from three pointers, five rows apart.
func (k *kernel) product() {
	k.clearSums()
	lda := k.load(fieldLDA)
	lda3 := GP64()
	LEAQ(operand.Mem{Base: lda, Index: lda, Scale: 2}, lda3)
	b, ldb := k.load(fieldB), k.load(fieldLDB)
	offsets, segments := k.load(fieldOffsets), k.load(fieldSegments)
	bases := []reg.GPVirtual{GP64(), GP64(), GP64()}[:(k.rows+4)/5]
	a := func(row, disp int) operand.Mem {
		m := operand.Mem{Base: bases[row/5], Disp: disp}
		switch row % 5 {
		case 1, 2, 4:
			m.Index, m.Scale = lda, uint8(row%5)
		case 3:
			m.Index, m.Scale = lda3, 1
		}
		return m
	}
	step := func(disp int) {
		k.rank1(b, ldb, func(row int) operand.Mem { return a(row, disp) })
	}
	advance := func(n int) {
		for _, p := range bases {
			ADDQ(operand.Imm(uint64(4*n)), p)
		}
	}
	k.fetchC()
	ahead, keep := k.load(fieldAhead), k.load(fieldKeep)
	rest, n := GP64(), GP64()
	Label(k.prefix + "segment")
	MOVQ(operand.Mem{Base: offsets}, n)
	MOVQ(k.field(fieldA), bases[0])
	LEAQ(operand.Mem{Base: bases[0], Index: n, Scale: 4}, bases[0])
	for i := 1; i < len(bases); i++ {
		LEAQ(operand.Mem{Base: bases[i-1], Index: lda, Scale: 4}, bases[i])
		ADDQ(lda, bases[i])
	}
	MOVQ(k.field(fieldK), rest)
	MOVQ(rest, n)
	ANDQ(operand.Imm(unroll-1), rest)
	SHRQ(operand.Imm(2), n)
	JZ(operand.LabelRef(k.prefix + "few"))
	Label(k.prefix + "four")
	for i := range unroll {
		step(4 * i)
	}
	k.bring(ahead, keep)
	advance(unroll)
	DECQ(n)
	JNZ(operand.LabelRef(k.prefix + "four"))
	Label(k.prefix + "few")
	TESTQ(rest, rest)
	JZ(operand.LabelRef(k.prefix + "next"))
	Label(k.prefix + "one")
	step(0)
	advance(1)
	DECQ(rest)
	JNZ(operand.LabelRef(k.prefix + "one"))
	Label(k.prefix + "next")
	ADDQ(operand.Imm(8), offsets)
	DECQ(segments)
	JNZ(operand.LabelRef(k.prefix + "segment"))
}

// clearSums makes k.sums, all 0.
func (k *kernel) clearSums() {
	k.sums = k.sums[:0]
	for range k.rows {
		row := make([]reg.VecVirtual, k.vectors)
		for v := range row {
			row[v] = k.vec()
			VXORPS(row[v], row[v], row[v])
		}
		k.sums = append(k.sums, row)
	}
}

// rank1 adds the product of a column of A, an element a row, and a row of B, and moves b to the next row.
func (k *kernel) rank1(b, ldb reg.GPVirtual, a func(row int) operand.Mem) {
	bs := make([]reg.VecVirtual, k.vectors)
	for v := range bs {
		bs[v] = k.vec()
		VMOVUPS(operand.Mem{Base: b, Disp: 4 * k.lanes * v}, bs[v])
	}
	ADDQ(ldb, b)
	for r, sums := range k.sums {
		x := k.vec()
		VBROADCASTSS(a(r), x)
		for v := range sums {
			VFMADD231PS(bs[v], x, sums[v])
		}
	}
}

// fetchC asks for the rows of C.
func (k *kernel) fetchC() {
	c, ldc := k.load(fieldC), k.load(fieldLDC)
	for r := range k.rows {
		for v := range k.vectors * k.lanes / 16 {
			PREFETCHT0(operand.Mem{Base: c, Disp: 64 * v})
		}
		if r+1 < k.rows {
			ADDQ(ldc, c)
		}
	}
}

// bring takes a row of what is needed next from where ahead points: it copies it to keep, unless that is 0, or else asks for it. Copying, a row
// in the time of four steps, waits for nothing, since stores to the second-level cache then go on beside the products.
func (k *kernel) bring(ahead, keep reg.GPVirtual) {
	bytes := 4 * k.lanes
	step := k.load(fieldStep)
	TESTQ(keep, keep)
	JZ(operand.LabelRef(k.prefix + "ask"))
	for at := 0; at < 4*k.width(); at += 64 {
		PREFETCHT0(operand.Mem{Base: ahead, Index: step, Scale: 8, Disp: at})
	}
	PREFETCHT0(operand.Mem{Base: ahead, Index: step, Scale: 8, Disp: 4*k.width() - 1})
	for v := range k.vectors {
		x := k.vec()
		VMOVUPS(operand.Mem{Base: ahead, Disp: v * bytes}, x)
		VMOVUPS(x, operand.Mem{Base: keep, Disp: v * bytes})
	}
	ADDQ(operand.U32(uint32(k.vectors*bytes)), keep)
	JMP(operand.LabelRef(k.prefix + "brought"))
	Label(k.prefix + "ask")
	PREFETCHT1(operand.Mem{Base: ahead})
	PREFETCHT1(operand.Mem{Base: ahead, Disp: 64})
	Label(k.prefix + "brought")
	ADDQ(step, ahead)
}
