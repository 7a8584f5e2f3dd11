package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
)

// reduction makes one number of many: of each element a term, of terms their combination.
type reduction struct {
	kind   string
	lanes  int // accumulators
	empty  float64
	term   func(m *machine, x, shift vec) vec
	join   func(m *machine, s, t vec) vec
	stores bool // the terms, to dst
	nan    bool // join loses NaN
}

func plus(m *machine, s, t vec) vec { return m.add(s, t) }

func itself(_ *machine, x, _ vec) vec { return x }

func shiftedExp(m *machine, x, shift vec) vec {
	return m.exp(m.min(m.splat(m.f(89)), m.sub(x, shift)))
}

var reductions = []reduction{
	{kind: "Sum", lanes: 4, term: itself, join: plus},
	{kind: "L1", lanes: 4, term: func(m *machine, x, _ vec) vec { return m.abs(x) }, join: plus},
	{kind: "SumSquare", lanes: 4, term: func(m *machine, x, shift vec) vec {
		d := m.sub(x, shift)
		return m.mul(d, d)
	}, join: plus},
	{kind: "SumExp", lanes: 1, term: shiftedExp, join: plus},
	{kind: "StoreExp", lanes: 1, term: shiftedExp, join: plus, stores: true},
	{kind: "Prod", lanes: 4, empty: 1, term: itself, join: func(m *machine, s, t vec) vec { return m.mul(s, t) }},
	{kind: "Max", lanes: 4, empty: math.Inf(-1), term: itself, join: func(m *machine, s, t vec) vec { return m.max(s, t) }, nan: true},
	{kind: "Min", lanes: 4, empty: math.Inf(1), term: itself, join: func(m *machine, s, t vec) vec { return m.min(s, t) }, nan: true},
}

// reduce writes the reduction of n elements.
func (m *machine) reduce(r reduction) {
	signature := "func(x *float32, n int, shift float32) float32"
	if r.stores {
		signature = "func(dst, x *float32, n int, shift float32) float32"
	}
	m.function("reduce"+r.kind, signature, "reduce"+r.kind+m.name+" reduces n elements in several lanes, whose order depends on n only.")
	x, n := arg("x"), arg("n")
	var dst gp
	if r.stores {
		dst = arg("dst")
	}
	shift := m.param("shift")
	lanes := r.lanes
	if m.wide {
		lanes = max(lanes, heavy)
	}
	acc := make([]vec, lanes)
	for i := range acc {
		acc[i] = m.splat(m.f(r.empty))
	}
	var nan vec // ones where NaN was seen
	if r.nan {
		nan = m.splat(m.f(0))
	}
	mask := m.mask(n)
	m.forEach("", n, mask, lanes, func(i gp, k int) {
		v := m.load(m.at(x, i, k))
		t := r.term(m, v, shift)
		if r.stores {
			m.store(t, m.at(dst, i, k))
		}
		if m.rest != nil {
			t = m.choose(m.rest, t, m.splat(m.f(r.empty)))
		}
		joined := r.join(m, acc[k], t)
		m.do(func() { VMOVAPS(joined, acc[k]) })
		if r.nan {
			m.remember(nan, v)
		}
	})
	for k := lanes / 2; k > 0; k /= 2 {
		for i := range k {
			acc[i] = r.join(m, acc[i], acc[i+k])
		}
	}
	s := acc[0]
	if r.nan {
		// A sum over lanes would carry NaN across: −Inf and NaN do in max as in min when they are second.
		s = m.choose(m.compare(unordered, nan, nan), nan, s)
	}
	m.fold(r, s)
	m.end()
}

// remember changes nan to NaN where v is NaN.
func (m *machine) remember(nan, v vec) {
	// 0·(v − v) would be NaN for infinities too: unordered lanes are ones, a NaN.
	mask := m.compare(unordered, v, v)
	if m.wide {
		m.do(func() { VMOVAPS(v, mask, nan) })
		return
	}
	m.do(func() { VORPS(mask, nan, nan) })
}

// fold reduces the lanes of s and returns the result.
func (m *machine) fold(r reduction, s vec) {
	half := func(move func(t vec)) {
		t := m.reg()
		move(t)
		v := r.join(m, s, t)
		if r.nan {
			v = m.choose(m.compare(unordered, s, s), s, v)
		}
		s = v
	}
	if m.wide {
		half(func(t vec) { VSHUFF32X4(operand.Imm(0x4e), s, s, t) })
		half(func(t vec) { VSHUFF32X4(operand.Imm(0xb1), s, s, t) })
	} else {
		half(func(t vec) { VPERM2F128(operand.Imm(1), s, s, t) })
	}
	half(func(t vec) { VSHUFPS(operand.Imm(0x4e), s, s, t) })
	half(func(t vec) { VSHUFPS(operand.Imm(0xb1), s, s, t) })
	Store(s.AsX(), ReturnIndex(0))
}
