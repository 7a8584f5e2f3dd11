package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

type gp = reg.GPVirtual

// pair is a function of two variables. A mode says what each operand is within a row: v an element each, s one for all.
type pair struct {
	kind    string
	modes   []string
	formula func(m *machine, a, b vec) vec
}

var (
	commuting = []string{"VV", "VS"}
	allModes  = []string{"VV", "VS", "SV"}
)

var pairs = []pair{
	{"Add", commuting, func(m *machine, a, b vec) vec { return m.add(a, b) }},
	{"Sub", allModes, func(m *machine, a, b vec) vec { return m.sub(a, b) }},
	{"Mul", commuting, func(m *machine, a, b vec) vec { return m.mul(a, b) }},
	{"Div", allModes, func(m *machine, a, b vec) vec { return m.div(a, b) }},
	{"Min", commuting, func(m *machine, a, b vec) vec { return m.choose(m.compare(unordered, a, a), a, m.min(a, b)) }},
	{"Max", commuting, func(m *machine, a, b vec) vec { return m.choose(m.compare(unordered, a, a), a, m.max(a, b)) }},
	{"PRelu", allModes, func(m *machine, a, b vec) vec { return m.choose(m.negative(a), m.mul(a, b), a) }},
}

// rows runs body for each of the rows that the parameter counts; next lists pointers and the bytes by which they advance.
func (m *machine) rows(rows gp, body func(), next ...[2]gp) {
	TESTQ(rows, rows)
	JLE(operand.LabelRef("end"))
	Label("row")
	body()
	for _, p := range next {
		ADDQ(p[1], p[0])
	}
	DECQ(rows)
	JNZ(operand.LabelRef("row"))
	Label("end")
}

// arg loads an argument; inBytes loads one that counts float32.
func arg(name string) gp {
	r := GP64()
	Load(Param(name), r)
	return r
}

func inBytes(name string) gp {
	r := arg(name)
	SHLQ(operand.U8(2), r)
	return r
}

// pairing writes rows of dst = min(max(op(a, b), lo), hi).
func (m *machine) pairing(op pair, mode string) {
	name := "pairs" + op.kind + mode
	m.function(name, "func(dst, a, b *float32, rows, n, strideD, strideA, strideB int, lo, hi float32)",
		fmt.Sprintf("%s%s computes clipped %s for rows of n pairs; %s: a row has a vector (V) or one element (S) of a and of b.", name, m.name, op.kind, mode))
	dst, a, b, n, rows := arg("dst"), arg("a"), arg("b"), arg("n"), arg("rows")
	sd, sa, sb := inBytes("strideD"), inBytes("strideA"), inBytes("strideB")
	lo, hi := m.param("lo"), m.param("hi")
	mask := m.mask(n)
	m.rows(rows, func() {
		var x, y vec
		if mode[0] == 'S' {
			x = m.splat(operand.Mem{Base: a})
		}
		if mode[1] == 'S' {
			y = m.splat(operand.Mem{Base: b})
		}
		m.forEach("", n, mask, 4, func(i gp, k int) {
			x, y := x, y
			if mode[0] == 'V' {
				x = m.load(m.at(a, i, k))
			}
			if mode[1] == 'V' {
				y = m.load(m.at(b, i, k))
			}
			m.store(m.min(hi, m.max(lo, op.formula(m, x, y))), m.at(dst, i, k))
		})
	}, [2]gp{dst, sd}, [2]gp{a, sa}, [2]gp{b, sb})
	m.end()
}

// affine writes dense rows of dst = min(max(src·scale + shift, lo), hi).
func (m *machine) affine(scalar bool) {
	name, what := "affineV", "an element of scale and shift for each of a row"
	if scalar {
		name, what = "affineS", "an element of scale and shift for a row"
	}
	m.function(name, "func(dst, src, scale, shift *float32, rows, n int, lo, hi float32)", name+m.name+" computes clipped src·scale + shift, "+what+".")
	dst, src, scale, shift, n, rows := arg("dst"), arg("src"), arg("scale"), arg("shift"), arg("n"), arg("rows")
	stride, step := inBytes("n"), GP64()
	XORQ(step, step)
	if scalar {
		MOVQ(operand.U32(4), step)
	}
	lo, hi := m.param("lo"), m.param("hi")
	mask := m.mask(n)
	m.rows(rows, func() {
		var a, b vec
		if scalar {
			a, b = m.splat(operand.Mem{Base: scale}), m.splat(operand.Mem{Base: shift})
		}
		m.forEach("", n, mask, 2, func(i gp, k int) {
			p, a, b := m.load(m.at(src, i, k)), a, b
			if !scalar {
				a, b = m.load(m.at(scale, i, k)), m.load(m.at(shift, i, k))
			}
			m.store(m.min(hi, m.max(lo, m.horner(p, a, b))), m.at(dst, i, k))
		})
	}, [2]gp{dst, stride}, [2]gp{src, stride}, [2]gp{scale, step}, [2]gp{shift, step})
	m.end()
}

// norm writes dst = (src − mean)·inv·gamma + beta.
func (m *machine) norm() {
	m.function("norm", "func(dst, src, gamma, beta *float32, n, stepG, stepB int, mean, inv float32)",
		"norm"+m.name+" computes (src − mean)·inv·gamma + beta for n elements. Where a step is 0 rather than 1 the vector is not advanced: it holds one number, repeated.")
	dst, src, gamma, beta, n := arg("dst"), arg("src"), arg("gamma"), arg("beta"), arg("n")
	stepG, stepB := arg("stepG"), arg("stepB")
	IMUL3Q(operand.U32(m.lanes*4), stepG, stepG)
	IMUL3Q(operand.U32(m.lanes*4), stepB, stepB)
	mean, inv := m.param("mean"), m.param("inv")
	mask := m.mask(n)
	m.forEach("", n, mask, 1, func(i gp, k int) {
		x := m.mul(m.sub(m.load(m.at(src, i, k)), mean), inv)
		m.horner(x, m.load(operand.Mem{Base: gamma}), m.load(operand.Mem{Base: beta}))
		m.store(x, m.at(dst, i, k))
		m.do(func() {
			ADDQ(stepG, gamma)
			ADDQ(stepB, beta)
		})
	})
	m.end()
}

// mix writes rows of sums of taps rows: dst[r] = Σ weight[r, t] · src[index[r, t]], t below taps.
func (m *machine) mix() {
	m.function("mix", "func(dst, src *float32, index *int32, weight *float32, rows, taps, n int)",
		"mix"+m.name+" computes rows of n elements, each the weighted sum of as many rows of src as there are taps.")
	dst, src, index, weight := arg("dst"), arg("src"), arg("index"), arg("weight")
	rows, taps, n := arg("rows"), inBytes("taps"), arg("n")
	size := inBytes("n")
	t, from := GP64(), GP64()
	mask := m.mask(n)
	m.rows(rows, func() {
		m.forEach("", n, mask, 1, func(i gp, _ int) {
			label := "tap"
			if m.rest != nil {
				label = "tapofrest"
			}
			m.queue = nil // the loop within stays in order
			sum := m.splat(m.f(0))
			XORQ(t, t)
			Label(label)
			MOVLQSX(operand.Mem{Base: index, Index: t, Scale: 1}, from)
			IMULQ(size, from)
			ADDQ(src, from)
			m.addMul(sum, m.load(m.at(from, i, 0)), m.splat(operand.Mem{Base: weight, Index: t, Scale: 1}))
			ADDQ(operand.U32(4), t)
			CMPQ(t, taps)
			JL(operand.LabelRef(label))
			m.store(sum, m.at(dst, i, 0))
		})
	}, [2]gp{dst, size}, [2]gp{index, taps}, [2]gp{weight, taps})
	m.end()
}
