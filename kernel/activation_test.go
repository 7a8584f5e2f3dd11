package kernel

import (
	"math"
	"testing"
)

// formulas are the functions as the constants of ActivationKind write them, in float64. exact says that results agree but for
// the order of rounding: 1 ulp.
var formulas = map[ActivationKind]func(x, a, b float64) float64{
	ClipTo: func(x, a, b float64) float64 {
		if x != x {
			return x
		}
		return math.Min(math.Max(x, a), b)
	},
	LeakyRelu: func(x, a, _ float64) float64 {
		if x < 0 {
			return a * x
		}
		return x
	},
	Elu: func(x, a, _ float64) float64 {
		if x < 0 {
			return a * math.Expm1(x)
		}
		return x
	},
	Selu: func(x, a, b float64) float64 {
		if x > 0 {
			return b * x
		}
		return b * (a * math.Expm1(x))
	},
	Celu:    func(x, a, _ float64) float64 { return math.Max(0, x) + math.Min(0, a*math.Expm1(x/a)) },
	Sigmoid: func(x, _, _ float64) float64 { return 1 / (1 + math.Exp(-x)) },
	HardSigmoid: func(x, a, b float64) float64 {
		return math.Max(0, math.Min(1, a*x+b))
	},
	HardSwish: func(x, _, _ float64) float64 { return x * math.Max(0, math.Min(1, x/6+0.5)) },
	Swish:     func(x, a, _ float64) float64 { return x * (1 / (1 + math.Exp(-a*x))) },
	Tanh:      func(x, _, _ float64) float64 { return math.Tanh(x) },
	Softplus: func(x, _, _ float64) float64 {
		if x > 100 {
			return x
		}
		return math.Log1p(math.Exp(x))
	},
	Softsign: func(x, _, _ float64) float64 {
		if math.IsInf(x, 0) {
			return math.Copysign(1, x) // the limit
		}
		return x / (1 + math.Abs(x))
	},
	Gelu: func(x, _, _ float64) float64 { return x * (math.Erfc(-x/math.Sqrt2) / 2) },
	GeluTanh: func(x, _, _ float64) float64 {
		// 1 + tanh u = 2/(1 + exp −2u), which does not cancel
		return x * (1 / (1 + math.Exp(-2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))))
	},
	Mish:       func(x, _, _ float64) float64 { return x * math.Tanh(math.Log1p(math.Exp(math.Min(x, 100)))) },
	Erf:        func(x, _, _ float64) float64 { return math.Erf(x) },
	Exp:        func(x, _, _ float64) float64 { return math.Exp(x) },
	Log:        func(x, _, _ float64) float64 { return math.Log(x) },
	Neg:        func(x, _, _ float64) float64 { return -x },
	Abs:        func(x, _, _ float64) float64 { return math.Abs(x) },
	Sqrt:       func(x, _, _ float64) float64 { return math.Sqrt(x) },
	Reciprocal: func(x, _, _ float64) float64 { return 1 / x },
	Floor:      func(x, _, _ float64) float64 { return math.Floor(x) },
	Ceil:       func(x, _, _ float64) float64 { return math.Ceil(x) },
	Round:      func(x, _, _ float64) float64 { return math.RoundToEven(x) },
	Sign: func(x, _, _ float64) float64 {
		switch {
		case x > 0:
			return 1
		case x < 0:
			return -1
		}
		return x
	},
}

// parameters of the functions that have them.
var parameters = map[ActivationKind][2]float32{
	ClipTo: {-0.75, 6}, LeakyRelu: {0.01, 0}, Elu: {1.5, 0}, Selu: {1.6732632, 1.050701}, Celu: {0.7, 0},
	HardSigmoid: {0.2, 0.5}, Swish: {1.25, 0},
}

// maxUlps are the largest errors, as [Activate] promises them: of results in ulps, and beside that absolutely where a result is
// the small difference, or product, of larger numbers.
var maxUlps = map[ActivationKind]struct{ ulps, absolute float64 }{
	Elu: {2, 0}, Selu: {2.5, 0}, Celu: {2.5, 0}, Sigmoid: {2.5, 0}, HardSigmoid: {0.51, 1e-7}, HardSwish: {1.5, 3e-7}, Swish: {4, 1e-7},
	Tanh: {3, 0}, Softplus: {2, 0}, Softsign: {1.5, 0}, Gelu: {4, 1.2e-7}, GeluTanh: {4, 5e-8}, Mish: {4, 1e-37}, Erf: {4, 0}, Exp: {1.1, 0},
	Log: {1, 0},
}

func withParameters(kind ActivationKind) (Activation, func(x float32) float64) {
	p, f := parameters[kind], formulas[kind]
	return Activation{kind, p[0], p[1]}, func(x float32) float64 { return f(float64(x), float64(p[0]), float64(p[1])) }
}

// TestActivateLengths covers every length and alignment, and what lies around.
func TestActivateLengths(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for kind := None + 1; kind < numActivations; kind++ {
			a, f := withParameters(kind)
			for n := 0; n <= 130; n++ {
				off := n % 17
				src, dst := newBuffer(n, off).fill(r, 3).sprinkle(r), newBuffer(n, off/2)
				want := make([]float64, n)
				for i, x := range src.data {
					want[i] = f(x)
				}
				Activate(c, a, dst.data, src.data)
				checkActivation(t, a, dst.data, src.data, want)
				dst.check(t, "Activate")
				activateRow(c.set, a, src.data)
				checkActivation(t, a, src.data, dst.data, want)
				src.check(t, "activateRow")
			}
		}
	})
}

func checkActivation(t *testing.T, a Activation, got, src []float32, want []float64) {
	t.Helper()
	bound := maxUlps[a.Kind]
	for i, w := range want {
		if e := ulps(got[i], w); e > max(bound.ulps, 0.5) && !(math.Abs(float64(got[i])-w) <= bound.absolute) {
			t.Fatalf("function %d of %v (%#x) is %v, want %v: %.2f ulps", a.Kind, src[i], math.Float32bits(src[i]), got[i], w, e)
		}
	}
}

// TestActivateError measures the errors over the whole range of float32 and closely where most numbers are.
func TestActivateError(t *testing.T) {
	n := 1 << 18
	if testing.Short() {
		n >>= 3
	}
	src := make([]float32, n)
	r := random()
	for i := range src {
		switch i % 4 {
		case 0:
			src[i] = math.Float32frombits(uint32(i) * uint32(1<<32/n))
		case 1:
			src[i] = float32(r.Float64()*40 - 20)
		case 2:
			src[i] = float32(r.NormFloat64())
		case 3:
			src[i] = float32(math.Exp2(r.Float64()*40-32)) * float32(1-i&4/2)
		}
	}
	dst, want := make([]float32, n), make([]float64, n)
	for kind := None + 1; kind < numActivations; kind++ {
		a, f := withParameters(kind)
		for i, x := range src {
			want[i] = f(x)
		}
		eachSet(t, func(t *testing.T, c *CPU) {
			Activate(c, a, dst, src)
			reportError(t, a, dst, src, want)
			checkActivation(t, a, dst, src, want)
		})
	}
}

// reportError logs the largest error: of normal results and of others.
func reportError(t *testing.T, a Activation, got, src []float32, want []float64) {
	t.Helper()
	var worst [2]float64
	var at [2]float32
	absolute := 0.0
	for i, w := range want {
		k := 0
		if math.Abs(w) < 0x1p-126 {
			k = 1
		}
		e := ulps(got[i], w)
		if e > worst[k] {
			worst[k], at[k] = e, src[i]
		}
		if e > maxUlps[a.Kind].ulps {
			absolute = max(absolute, math.Abs(float64(got[i])-w))
		}
	}
	t.Logf("function %2d: %.3f ulps at %v; denormal results %.1f at %v; beyond the bound absolutely %.2g",
		a.Kind, worst[0], at[0], worst[1], at[1], absolute)
}
