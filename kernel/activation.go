package kernel

import (
	"math"

	"github.com/effml/effml/internal/isa"
)

// Activate computes dst[i] = a(src[i]). The slices have one length; dst may be src, but must not overlap it otherwise.
//
// NaN gives NaN. Results are right over the whole range, infinities and denormal numbers included, where a formula of
// several factors stands for what its factors give: x · sigmoid(x) of −Inf is −Inf · 0 = NaN.
//
// The largest errors, in units in the last place: 4 for Erf; 3 for Tanh; 2.5 for Sigmoid, Selu and Celu; 2 for Elu and Softplus;
// 1.5 for Softsign; 1.1 for Exp; 1 for Log. Where a large x multiplies a small factor, or two terms cancel, the larger of that
// and an absolute error: 4 or 1.2·10⁻⁷ for Gelu, 4 or 10⁻⁷ for Swish, 4 or 5·10⁻⁸ for GeluTanh, 4 or 10⁻³⁷ for Mish, 1.5 or 3·10⁻⁷
// for HardSwish, 1 or 10⁻⁷ for HardSigmoid. The others are rounded once.
func Activate(c *CPU, a Activation, dst, src []float32) {
	sameLen("Activate", len(dst), len(src))
	if a.Kind == None {
		Copy(c, dst, src)
		return
	}
	t := newVecTask(c, activatePiece)
	t.dst, t.src, t.act = dst, src, a
	t.run(c, len(src), pieceSize)
	t.release()
}

// UnaryOp is a function of one variable without parameters: the kinds of [Activation] whose formulas name none.
type UnaryOp = ActivationKind

// Unary computes dst[i] = op(src[i]), see [Activate].
func Unary(c *CPU, op UnaryOp, dst, src []float32) { Activate(c, Activation{Kind: op}, dst, src) }

func activatePiece(t *vecTask, lo, hi, _ int) { mapRow(t.set, t.act, t.dst[lo:hi], t.src[lo:hi]) }

// activateRow computes x[i] = a(x[i]) on the calling thread.
func activateRow(set isa.Set, a Activation, x []float32) {
	if a.Kind != None {
		mapRow(set, a, x, x)
	}
}

// mapGeneric is the definition of all functions of one variable. Those that Go computes in float64 are rounded once.
func mapGeneric(a Activation, dst, src []float32) {
	switch a.Kind {
	case None:
		copy(dst, src)
	case ClipTo:
		for i, x := range src {
			dst[i] = clip(x, a.A, a.B)
		}
	case LeakyRelu:
		for i, x := range src {
			if x < 0 {
				x *= a.A
			}
			dst[i] = x
		}
	case Neg:
		for i, x := range src {
			dst[i] = -x
		}
	case Reciprocal:
		for i, x := range src {
			dst[i] = 1 / x
		}
	default:
		p, q := float64(a.A), float64(a.B)
		for i, x := range src {
			dst[i] = float32(function(a.Kind, float64(x), p, q))
		}
	}
}

// Of computes a(x) in float64.
func (a Activation) Of(x float64) float64 {
	p, q := float64(a.A), float64(a.B)
	switch a.Kind {
	case None:
	case ClipTo:
		if x < p {
			x = p
		}
		if x > q {
			x = q
		}
	case LeakyRelu:
		if x < 0 {
			x *= p
		}
	case Neg:
		return -x
	case Reciprocal:
		return 1 / x
	default:
		return function(a.Kind, x, p, q)
	}
	return x
}

// clip returns the value between lo and hi that is nearest to x, and NaN for NaN.
func clip(x, lo, hi float32) float32 {
	if x < lo {
		x = lo
	}
	if x > hi {
		x = hi
	}
	return x
}

// function computes in float64 the functions whose formulas are given with the constants.
func function(kind ActivationKind, x, a, b float64) float64 {
	switch kind {
	case Elu:
		if x < 0 {
			return a * math.Expm1(x)
		}
	case Selu:
		if x > 0 {
			return b * x
		}
		return b * a * math.Expm1(x)
	case Celu:
		if x < 0 {
			return a * math.Expm1(x/a)
		}
	case Sigmoid:
		return sigmoid(x)
	case HardSigmoid:
		return between0and1(a*x + b)
	case HardSwish:
		return x * between0and1(x/6+0.5)
	case Swish:
		return x * sigmoid(a*x)
	case Tanh:
		return math.Tanh(x)
	case Softplus:
		return softplus(x)
	case Softsign:
		if math.IsInf(x, 0) {
			return math.Copysign(1, x)
		}
		return x / (1 + math.Abs(x))
	case Gelu:
		return x * math.Erfc(-x/math.Sqrt2) / 2
	case GeluTanh:
		return x * sigmoid(2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))
	case Mish:
		return x * math.Tanh(softplus(x))
	default:
		return elementary(kind, x)
	}
	return x
}

// elementary computes the functions that have a name in Go.
func elementary(kind ActivationKind, x float64) float64 {
	switch kind {
	case Erf:
		return math.Erf(x)
	case Exp:
		return math.Exp(x)
	case Log:
		return math.Log(x)
	case Abs:
		return math.Abs(x)
	case Sqrt:
		return math.Sqrt(x)
	case Floor:
		return math.Floor(x)
	case Ceil:
		return math.Ceil(x)
	case Round:
		return math.RoundToEven(x)
	case Sign:
		if math.Abs(x) > 0 {
			return math.Copysign(1, x)
		}
		return x
	}
	panic("kernel: unknown activation")
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func between0and1(x float64) float64 { return max(0, min(1, x)) }

// sameLen panics unless all lengths are equal.
func sameLen(kernel string, n int, others ...int) {
	for _, m := range others {
		if m != n {
			panic("kernel: " + kernel + " of slices of different lengths")
		}
	}
}
