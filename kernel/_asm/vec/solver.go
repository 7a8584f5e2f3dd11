package main

import (
	"github.com/mmcloughlin/avo/operand"
)

// solver is an update of n elements in several arrays, as solver.go of package kernel defines them.
type solver struct {
	kind   string
	arrays []string
	// coefficients of the formula, in order; each is 8 times in memory, so that vectors of 8 read it whole.
	coefficients []string
	// formula computes from a vector of each array the vectors to store, nil for arrays that are only read.
	formula func(m *machine, x []vec, c func(name string) operand.Mem) []vec
}

// gradient is g·scale + decay·w.
func (m *machine) gradient(w, g vec, c func(string) operand.Mem) vec {
	return m.addMul(m.mul(g, c("scale")), w, c("decay"))
}

// moments are the running means of the gradient and of its square, and the ratio of the first to the root of the second, times rate.
func (m *machine) moments(g, m1, m2 vec, c func(string) operand.Mem) (n1, n2, ratio vec) {
	n1 = m.addMul(m.mul(m1, c("beta1")), g, c("rest1"))
	n2 = m.addMul(m.mul(m2, c("beta2")), m.mul(g, g), c("rest2"))
	root := m.add(m.mul(m.sqrt(n2), c("root")), c("epsilon"))
	return n1, n2, m.mul(m.div(n1, root), c("rate"))
}

var solvers = []solver{
	{
		"Descent",
		[]string{"w", "gradient"},
		[]string{"scale", "decay", "rate"},
		func(m *machine, x []vec, c func(string) operand.Mem) []vec {
			return []vec{m.subMul(m.copy(x[0]), m.gradient(x[0], x[1], c), c("rate")), nil}
		},
	},
	{
		"Momentum",
		[]string{"w", "gradient", "s"},
		[]string{"scale", "decay", "momentum", "rateS", "rateG"},
		func(m *machine, x []vec, c func(string) operand.Mem) []vec {
			g := m.gradient(x[0], x[1], c)
			s := m.add(m.mul(x[2], c("momentum")), g)
			return []vec{m.subMul(m.subMul(m.copy(x[0]), s, c("rateS")), g, c("rateG")), nil, s}
		},
	},
	{
		"Adam",
		[]string{"w", "gradient", "s", "t"},
		[]string{"scale", "decay", "keep", "beta1", "rest1", "beta2", "rest2", "root", "epsilon", "rate"},
		func(m *machine, x []vec, c func(string) operand.Mem) []vec {
			s, t, ratio := m.moments(m.gradient(x[0], x[1], c), x[2], x[3], c)
			return []vec{m.sub(m.mul(x[0], c("keep")), ratio), nil, s, t}
		},
	},
	{
		"LAMB",
		[]string{"w", "gradient", "s", "t"},
		[]string{"scale", "decay", "beta1", "rest1", "beta2", "rest2", "root", "epsilon", "rate"},
		func(m *machine, x []vec, c func(string) operand.Mem) []vec {
			s, t, ratio := m.moments(m.mul(x[1], c("scale")), x[2], x[3], c)
			return []vec{nil, m.addMul(ratio, x[0], c("decay")), s, t}
		},
	},
	{
		"RMSProp",
		[]string{"w", "gradient", "t"},
		[]string{"scale", "decay", "beta2", "rest2", "epsilon", "rate"},
		func(m *machine, x []vec, c func(string) operand.Mem) []vec {
			t, ratio := m.scaled(x[0], x[1], x[2], c)
			return []vec{m.subMul(m.copy(x[0]), ratio, c("rate")), nil, t}
		},
	},
	{
		"RMSPropMomentum",
		[]string{"w", "gradient", "t", "s"},
		[]string{"scale", "decay", "beta2", "rest2", "epsilon", "rate", "momentum"},
		func(m *machine, x []vec, c func(string) operand.Mem) []vec {
			t, ratio := m.scaled(x[0], x[1], x[2], c)
			s := m.add(m.mul(x[3], c("momentum")), ratio)
			return []vec{m.subMul(m.copy(x[0]), s, c("rate")), nil, t, s}
		},
	},
	{
		"Mask",
		[]string{"x", "mask"},
		nil,
		func(m *machine, x []vec, _ func(string) operand.Mem) []vec {
			zero := m.splat(m.f(0))
			return []vec{m.choose(m.compare(equal, x[1], zero), zero, x[0]), nil}
		},
	},
	{
		"Average",
		[]string{"x", "y"},
		[]string{"rate"},
		func(m *machine, x []vec, c func(string) operand.Mem) []vec {
			return []vec{m.addMul(m.copy(x[0]), m.sub(x[1], x[0]), c("rate")), nil}
		},
	},
}

// scaled is the running mean of the squared gradient, and the gradient over its root.
func (m *machine) scaled(w, g, t vec, c func(string) operand.Mem) (n, ratio vec) {
	g = m.gradient(w, g, c)
	n = m.addMul(m.mul(t, c("beta2")), m.mul(g, g), c("rest2"))
	return n, m.div(g, m.add(m.sqrt(n), c("epsilon")))
}

// solve writes a solver.
func (m *machine) solve(s solver) {
	signature := "func("
	for _, name := range s.arrays {
		signature += name + ", "
	}
	m.function("solve"+s.kind, signature+"coefficients *float32, n int)", "solve"+s.kind+m.name+" updates n elements of its arrays.")
	arrays := make([]gp, len(s.arrays))
	for i, name := range s.arrays {
		arrays[i] = arg(name)
	}
	base, n := arg("coefficients"), arg("n")
	coefficient := func(name string) operand.Mem {
		for i, c := range s.coefficients {
			if c == name {
				return operand.Mem{Base: base, Disp: 32 * i}
			}
		}
		panic(name)
	}
	mask := m.mask(n)
	m.forEach("", n, mask, 1, func(i gp, k int) {
		x := make([]vec, len(arrays))
		for j, a := range arrays {
			x[j] = m.load(m.at(a, i, k))
		}
		for j, v := range s.formula(m, x, coefficient) {
			if v != nil {
				m.store(v, m.at(arrays[j], i, k))
			}
		}
	})
	m.end()
}
