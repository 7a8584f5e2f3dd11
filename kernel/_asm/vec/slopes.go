package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
)

// slopes are the derivatives of functions, see package kernel's Slope: of what they give or of what they take.
var slopes = []mapping1{
	{"ClipTo", 4, func(m *machine, v, a, b vec) vec {
		inside := m.choose(m.compare(above, v, a), m.f(1), m.splat(m.f(0)))
		return m.choose(m.compare(less, v, b), inside, m.splat(m.f(0)))
	}, 2},
	{"LeakyRelu", 4, func(m *machine, v, a, _ vec) vec { return m.choose(m.compare(above, v, m.f(0)), m.f(1), a) }, 1},
	{"Elu", 2, func(m *machine, v, a, _ vec) vec { return m.choose(m.compare(above, v, m.f(0)), m.f(1), m.add(v, a)) }, 1},
	{"Selu", 2, func(m *machine, v, a, b vec) vec {
		return m.choose(m.compare(above, v, m.f(0)), b, m.horner(m.copy(a), b, v))
	}, 2},
	{"Celu", 2, func(m *machine, v, a, _ vec) vec {
		return m.choose(m.compare(above, v, m.f(0)), m.f(1), m.add(m.div(v, a), m.f(1)))
	}, 1},
	{"Sigmoid", 2, func(m *machine, v, _, _ vec) vec { return m.mul(v, m.sub(m.splat(m.f(1)), v)) }, 0},
	{"HardSigmoid", 2, func(m *machine, v, a, _ vec) vec {
		inside := m.choose(m.compare(above, v, m.f(0)), a, m.splat(m.f(0)))
		return m.choose(m.compare(less, v, m.f(1)), inside, m.splat(m.f(0)))
	}, 1},
	{"HardSwish", 2, func(m *machine, v, _, _ vec) vec {
		inside := m.horner(m.copy(v), m.splat(m.f(1.0/3)), m.f(0.5))
		inside = m.choose(m.compare(above, v, m.f(-3)), inside, m.splat(m.f(0)))
		return m.choose(m.compare(less, v, m.f(3)), inside, m.splat(m.f(1)))
	}, 0},
	{"Swish", 1, func(m *machine, v, a, _ vec) vec {
		z := m.mul(v, a)
		return m.gated(m.sigmoid(z), z)
	}, 1},
	{"Tanh", 2, func(m *machine, v, _, _ vec) vec { return m.subMul(m.splat(m.f(1)), v, v) }, 0},
	{"Softplus", 1, func(m *machine, v, _, _ vec) vec { return m.sigmoid(v) }, 0},
	{"Softsign", 1, func(m *machine, v, _, _ vec) vec {
		d := m.add(m.abs(v), m.f(1))
		return m.div(m.splat(m.f(1)), m.mul(d, d))
	}, 0},
	{"Gelu", 1, func(m *machine, v, _, _ vec) vec {
		z := m.mul(m.abs(v), m.f(1/math.Sqrt2))
		half := m.mul(m.exp(m.xor(m.logErfc(z), m.word(1<<31))), m.f(0.5))
		share := m.choose(m.negative(v), half, m.sub(m.splat(m.f(1)), half))
		density := m.exp(m.mul(m.mul(v, v), m.f(-0.5)))
		return m.addMul(share, m.mul(density, v), m.splat(m.f(1/math.Sqrt(2*math.Pi))))
	}, 0},
	{"GeluTanh", 1, func(m *machine, v, _, _ vec) vec {
		const c = 0.797884560802865355879892119868763737 * 2
		square := m.mul(v, v)
		z := m.mul(m.polynomial(square, c, c*0.044715), v)
		return m.gated(m.sigmoid(z), m.mul(m.polynomial(square, c, 3*c*0.044715), v))
	}, 0},
	{"Mish", 1, func(m *machine, v, _, _ vec) vec {
		// With e = exp x and w = e·(e + 2), tanh log(1 + e) = w/(w + 2), whose derivative is 4·e·(e + 1)/(w + 2)².
		e := m.exp(m.min(m.splat(m.f(20)), v))
		w := m.mul(e, m.add(e, m.f(2)))
		d := m.add(w, m.f(2))
		rise := m.div(m.mul(m.mul(e, m.f(4)), m.add(e, m.f(1))), d)
		return m.addMul(m.div(w, d), m.div(rise, d), v)
	}, 0},
	{"Erf", 1, func(m *machine, v, _, _ vec) vec {
		return m.mul(m.exp(m.xor(m.mul(v, v), m.word(1<<31))), m.f(2/math.SqrtPi))
	}, 0},
}

// gated is s + z·s·(1 − s): the derivative of x·s where z is x times the derivative of what the sigmoid s is of.
func (m *machine) gated(s, z vec) vec {
	return m.addMul(m.copy(s), m.mul(z, s), m.sub(m.splat(m.f(1)), s))
}

// slope writes dst[i] = dy[i]·f'(v[i]).
func (m *machine) slope(f mapping1) {
	m.function("slope"+f.kind, "func(dst, v, dy *float32, n int, a, b float32)", "slope"+f.kind+m.name+" multiplies n elements by the slope of "+f.kind+".")
	dst, v, dy, n := arg("dst"), arg("v"), arg("dy"), arg("n")
	a, b, unrolled := m.setup(f)
	mask := m.mask(n)
	m.forEach("", n, mask, unrolled, func(i gp, k int) {
		m.store(m.mul(f.formula(m, m.load(m.at(v, i, k)), a, b), m.load(m.at(dy, i, k))), m.at(dst, i, k))
	})
	m.end()
}

// blocks runs body for blocks of columns: most vectors at a time, then one, then what is left.
func (m *machine) blocks(n gp, mask operand.Op, most int, body func(at gp, vectors int, label string)) {
	i, end := GP64(), GP64()
	XORQ(i, i)
	for _, u := range []int{most, 1} {
		l := "block" + string(rune('0'+u))
		MOVQ(n, end)
		SUBQ(operand.U32(u*m.lanes), end)
		JMP(operand.LabelRef(l + "test"))
		Label(l)
		body(i, u, l)
		ADDQ(operand.U32(u*m.lanes), i)
		Label(l + "test")
		CMPQ(i, end)
		JLE(operand.LabelRef(l))
	}
	CMPQ(i, n)
	JGE(operand.LabelRef("blocksdone"))
	m.rest = mask
	body(i, 1, "blockrest")
	m.rest = nil
	Label("blocksdone")
}

// pairSums adds, column by column, sums over rows.
func (m *machine) pairSums() {
	m.function("pairSums", "func(sum, product, x, y, shiftX, shiftY *float32, rows, n, stride int)",
		"pairSums"+m.name+" adds to n sums those of y − shiftY, and to n products those of (y − shiftY)·(x − shiftX), of rows that are stride apart.")
	sum, product, x, y := arg("sum"), arg("product"), arg("x"), arg("y")
	sx, sy, n, stride := arg("shiftX"), arg("shiftY"), arg("n"), inBytes("stride")
	px, py, left := GP64(), GP64(), GP64()
	mask := m.mask(n)
	m.blocks(n, mask, 4, func(i gp, vectors int, label string) {
		s, p := make([]vec, vectors), make([]vec, vectors)
		for k := range s {
			s[k], p[k] = m.load(m.at(sum, i, k)), m.load(m.at(product, i, k))
		}
		LEAQ(m.at(x, i, 0), px)
		LEAQ(m.at(y, i, 0), py)
		Load(Param("rows"), left)
		Label(label + "row")
		for k := range s {
			here := operand.Mem{Disp: k * m.lanes * 4}
			hx, hy := here, here
			hx.Base, hy.Base = px, py
			dy := m.sub(m.load(hy), m.load(m.at(sy, i, k)))
			dx := m.sub(m.load(hx), m.load(m.at(sx, i, k)))
			VADDPS(dy, s[k], s[k])
			m.addMul(p[k], dy, dx)
		}
		ADDQ(stride, px)
		ADDQ(stride, py)
		DECQ(left)
		JNZ(operand.LabelRef(label + "row"))
		for k := range s {
			m.store(s[k], m.at(sum, i, k))
			m.store(p[k], m.at(product, i, k))
		}
	})
	m.end()
}

// blend writes dense rows of dst = a·y + b·(x − mean) + shift.
func (m *machine) blend() {
	m.function("blend", "func(dst, x, y, a, b, mean, shift *float32, rows, n int)",
		"blend"+m.name+" computes rows of a·y + b·(x − mean) + shift, of n elements that have an a, b, mean and shift each.")
	dst, x, y := arg("dst"), arg("x"), arg("y")
	a, b, mean, shift, n := arg("a"), arg("b"), arg("mean"), arg("shift"), arg("n")
	rows, step := arg("rows"), inBytes("n")
	mask := m.mask(n)
	m.rows(rows, func() {
		m.forEach("", n, mask, 2, func(i gp, k int) {
			d := m.sub(m.load(m.at(x, i, k)), m.load(m.at(mean, i, k)))
			m.horner(d, m.load(m.at(b, i, k)), m.load(m.at(shift, i, k)))
			m.store(m.addMul(d, m.load(m.at(y, i, k)), m.load(m.at(a, i, k))), m.at(dst, i, k))
		})
	}, [2]gp{dst, step}, [2]gp{x, step}, [2]gp{y, step})
	m.end()
}
