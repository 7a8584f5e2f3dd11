package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
)

// mapping1 is a function of one variable: the name of its kind and its formula. The parameters a and b are loaded when used.
type mapping1 struct {
	kind     string
	unrolled int
	formula  func(m *machine, x, a, b vec) vec
	params   int
}

// maps are the functions of package kernel's ActivationKind.
var maps = []mapping1{
	{"ClipTo", 4, func(m *machine, x, a, b vec) vec { return m.min(b, m.max(a, x)) }, 2},
	{"LeakyRelu", 4, func(m *machine, x, a, _ vec) vec { return m.choose(m.negative(x), m.mul(x, a), x) }, 1},
	{"Elu", 1, func(m *machine, x, a, _ vec) vec { return m.choose(m.negative(x), m.mul(m.expm1(x), a), x) }, 1},
	{"Selu", 1, func(m *machine, x, a, b vec) vec {
		return m.mul(m.choose(m.compare(above, x, m.f(0)), x, m.mul(m.expm1(x), a)), b)
	}, 2},
	{"Celu", 1, func(m *machine, x, a, _ vec) vec {
		return m.choose(m.negative(x), m.mul(m.expm1(m.div(x, a)), a), x)
	}, 1},
	{"Sigmoid", 1, func(m *machine, x, _, _ vec) vec { return m.sigmoid(x) }, 0},
	{"HardSigmoid", 2, func(m *machine, x, a, b vec) vec { return m.unit(m.horner(m.copy(x), a, b)) }, 2},
	{"HardSwish", 2, func(m *machine, x, _, _ vec) vec {
		return m.mul(m.unit(m.horner(m.copy(x), m.splat(m.f(1.0/6)), m.f(0.5))), x)
	}, 0},
	{"Swish", 1, func(m *machine, x, a, _ vec) vec { return m.mul(m.sigmoid(m.mul(x, a)), x) }, 1},
	{"Tanh", 1, func(m *machine, x, _, _ vec) vec {
		t := m.expm1(m.min(m.splat(m.f(20)), m.add(x, x)))
		return m.div(t, m.add(t, m.f(2)))
	}, 0},
	{"Softplus", 1, softplus, 0},
	{"Softsign", 1, func(m *machine, x, _, _ vec) vec {
		x = m.clamp(x, -math.MaxFloat32, math.MaxFloat32)
		return m.div(x, m.add(m.abs(x), m.f(1)))
	}, 0},
	{"Gelu", 1, gelu, 0},
	{"GeluTanh", 1, func(m *machine, x, _, _ vec) vec {
		u := m.polynomial(m.mul(x, x), 2*math.Sqrt(2/math.Pi), 2*math.Sqrt(2/math.Pi)*0.044715)
		return m.mul(m.sigmoid(m.mul(u, x)), x)
	}, 0},
	{"Mish", 1, func(m *machine, x, _, _ vec) vec {
		// tanh log(1 + e) = ((1 + e)² − 1) / ((1 + e)² + 1) with e = exp x
		e := m.exp(m.min(m.splat(m.f(20)), x))
		e = m.mul(e, m.add(e, m.f(2)))
		return m.mul(m.div(e, m.add(e, m.f(2))), x)
	}, 0},
	{"Erf", 1, func(m *machine, x, _, _ vec) vec {
		t := m.expm1(m.xor(m.logErfc(m.abs(x)), m.word(1<<31)))
		return m.or(m.abs(t), m.sign(x))
	}, 0},
	{"Exp", 1, func(m *machine, x, _, _ vec) vec { return m.exp(m.min(m.splat(m.f(89)), x)) }, 0},
	{"Log", 1, func(m *machine, x, _, _ vec) vec { return m.log(x) }, 0},
	{"Neg", 4, func(m *machine, x, _, _ vec) vec { return m.xor(x, m.word(1<<31)) }, 0},
	{"Abs", 4, func(m *machine, x, _, _ vec) vec { return m.abs(x) }, 0},
	{"Sqrt", 1, func(m *machine, x, _, _ vec) vec { return m.sqrt(x) }, 0},
	{"Reciprocal", 1, func(m *machine, x, _, _ vec) vec { return m.div(m.splat(m.f(1)), x) }, 0},
	{"Floor", 2, func(m *machine, x, _, _ vec) vec { return m.round(x, down) }, 0},
	{"Ceil", 2, func(m *machine, x, _, _ vec) vec { return m.round(x, up) }, 0},
	{"Round", 2, func(m *machine, x, _, _ vec) vec { return m.round(x, nearest) }, 0},
	{"Sign", 1, func(m *machine, x, _, _ vec) vec {
		return m.choose(m.compare(above, m.abs(x), m.f(0)), m.or(m.sign(x), m.f(1)), x)
	}, 0},
}

// heavy is the number of vectors between which long formulas are interleaved.
const heavy = 2

// setup loads the parameters of f and says how many vectors are worked on together.
func (m *machine) setup(f mapping1) (a, b vec, unrolled int) {
	if f.params > 0 {
		a = m.param("a")
	}
	if f.params > 1 {
		b = m.param("b")
	}
	if m.wide {
		return a, b, max(f.unrolled, heavy) // there are registers enough
	}
	return a, b, f.unrolled
}

// mapping writes dst[i] = f(src[i]).
func (m *machine) mapping(f mapping1) {
	m.function("map"+f.kind, "func(dst, src *float32, n int, a, b float32)", "map"+f.kind+m.name+" computes "+f.kind+" of n elements.")
	dst, src, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), GP64()
	Load(Param("n"), n)
	a, b, unrolled := m.setup(f)
	mask := m.mask(n)
	m.forEach("", n, mask, unrolled, func(i gp, k int) {
		m.store(f.formula(m, m.load(m.at(src, i, k)), a, b), m.at(dst, i, k))
	})
	m.end()
}

func (m *machine) negative(x vec) operand.Op { return m.compare(less, x, m.f(0)) }

// clamp keeps NaN.
func (m *machine) clamp(x vec, lo, hi float64) vec {
	return m.min(m.splat(m.f(hi)), m.max(m.splat(m.f(lo)), x))
}

func (m *machine) unit(x vec) vec { return m.clamp(x, 0, 1) }

// reduced is x = n·log 2 + r with |r| ≤ log 2 / 2: it returns eʳ − 1, n as the low bits of a float32, and n.
//
// The reduction is Cody and Waite's (Software Manual for the Elementary Functions, 1980, chapter 6), the polynomial minimises
// the largest relative error of eʳ − 1: 0.23 · 2⁻²⁴.
func (m *machine) reduced(x vec) (p, bits, n vec) {
	const ln2High = 0x1.62e4p-1 // 16 bits, so that n·ln2High is exact
	bits = m.splat(m.f(shifter))
	m.addMul(bits, x, m.f(math.Log2E))
	n = m.sub(bits, m.f(shifter))
	r := m.copy(x)
	m.subMul(r, n, m.f(ln2High))
	m.subMul(r, n, m.f(math.Ln2-ln2High))
	p = m.polynomial(r, 0.5, 0.1666654497385025, 0.04166640341281891, 0.008366397581994534, 0.001394064980559051)
	m.horner(p, m.mul(r, r), r)
	return p, bits, n
}

// shifter is 1.5·2²³: adding it rounds to an integer, which the low bits then hold.
const shifter = 0x1.8p23

// exp is eˣ for x ≤ 89 or NaN.
func (m *machine) exp(x vec) vec {
	p, bits, n := m.reduced(m.max(m.splat(m.f(-105)), x))
	p = m.add(p, m.f(1))
	if m.wide {
		m.do(func() { VSCALEFPS(n, p, p) })
		return p
	}
	// 2ⁿ passes the range of normal numbers at both ends, its two halves do not.
	whole := m.subInt(bits, m.f(shifter))
	half := m.shiftRight(whole, 1)
	p = m.mul(p, m.power(half))
	return m.mul(p, m.power(m.subInt(whole, half)))
}

// power is 2ⁿ for an integer −126 ≤ n ≤ 127, of which only the low 9 bits count.
func (m *machine) power(n vec) vec { return m.addInt(m.shiftLeft(n, 23), m.f(1)) }

// expm1 is eˣ − 1 for x ≤ 88 or NaN.
func (m *machine) expm1(x vec) vec {
	p, bits, _ := m.reduced(m.max(m.splat(m.f(-20)), x))
	s := m.power(bits)
	return m.horner(p, s, m.sub(s, m.f(1)))
}

// sigmoid is e/(1 + e) for negative x and 1/(1 + e) for others, with e = exp −|x|.
func (m *machine) sigmoid(x vec) vec {
	e := m.exp(m.or(x, m.word(1<<31)))
	d := m.add(e, m.f(1))
	return m.div(m.choose(m.negative(x), e, m.splat(m.f(1))), d)
}

// logErfc is −log(1 − erf x) for x ≥ 0, up to where it is 105. The polynomial minimises the largest relative error of erf x for x
// up to 3.95: 0.07 · 2⁻²⁴; beyond that it only grows.
func (m *machine) logErfc(x vec) vec {
	p := m.polynomial(x, erfTail, 0.6366150379180908, 0.10283217579126358, -0.019400952383875847, 0.0003725021379068494,
		0.0010681601706892252, -0.0002729588595684618, 8.683607120474335e-06, 3.7379629702627426e-06)
	p = m.add(p, m.f(erfHead))
	return m.mul(p, x)
}

const (
	erfHead = 1.125
	erfTail = 2/math.SqrtPi - erfHead
)

// gelu is x·erfc(z)/2 for negative x and x·(1 − erfc(z)/2) for others, with z = |x|/√2.
func gelu(m *machine, x, _, _ vec) vec {
	z := m.mul(m.abs(x), m.f(1/math.Sqrt2))
	e := m.exp(m.xor(m.logErfc(z), m.word(1<<31)))
	half := m.mul(e, m.f(0.5))
	return m.mul(m.choose(m.negative(x), half, m.sub(m.splat(m.f(1)), half)), x)
}

// log1p is log(1 + f) + big for −1/4 ≤ f ≤ 1/2. The polynomial's error is 0.08 · 2⁻²⁴ of the result.
func (m *machine) log1p(f, e vec) vec {
	p := m.polynomial(f, 0.33333447575569153, -0.2500019371509552, 0.19991113245487213, -0.1664377748966217,
		0.14467471837997437, -0.13186363875865936, 0.1058296412229538, -0.04617497697472572)
	f2 := m.mul(f, f)
	p = m.mul(m.mul(p, f), f2)
	m.subMul(p, f2, m.f(0.5))
	// e·log 2 in two parts, the large one exact.
	const ln2High = 0x1.62e4p-1
	m.addMul(p, e, m.f(math.Ln2-ln2High))
	s := m.add(p, f)
	return m.addMul(s, e, m.f(ln2High))
}

// log takes x = 2ᵉ·(1 + f) apart.
func (m *machine) log(x vec) vec {
	// Denormal numbers are scaled up.
	tiny := m.compare(less, x, m.f(0x1p-126))
	y := m.choose(tiny, m.mul(x, m.f(1<<23)), x)
	shift := m.choose(tiny, m.f(23), m.splat(m.f(0)))
	e := m.op3(VPANDD2(m), VPANDD_BCST, m.subInt(y, m.f(0.75)), m.word(0xff800000), m.reg())
	f := m.sub(m.subInt(y, e), m.f(1))
	r := m.log1p(f, m.sub(m.toFloat(m.shiftRight(e, 23)), shift))
	r = m.choose(m.compare(equal, x, m.f(math.Inf(1))), x, r)
	r = m.choose(m.compare(equal, x, m.f(0)), m.f(math.Inf(-1)), r)
	return m.choose(m.compare(notAtLeast, x, m.f(0)), m.word(0x7fc00000), r)
}

// VPANDD2 is the instruction for the bits of both, whose name differs.
func VPANDD2(m *machine) emit {
	if m.wide {
		return VPANDD
	}
	return func(ops ...operand.Op) { VPAND(ops[0], ops[1], ops[2]) }
}

// softplus is max(x, 0) + log(1 + e), e = exp −|x|; log(1 + e) by 1 + e = 2·(1 + (e − 1)/2) where e is large.
func softplus(m *machine, x, _, _ vec) vec {
	e := m.exp(m.or(x, m.word(1<<31)))
	large := m.compare(above, e, m.f(0.5))
	f := m.choose(large, m.horner(m.copy(e), m.splat(m.f(0.5)), m.f(-0.5)), e)
	one := m.choose(large, m.f(1), m.splat(m.f(0)))
	return m.add(m.log1p(f, one), m.max(m.splat(m.f(0)), x))
}
