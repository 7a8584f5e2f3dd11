package kernel

import "math"

// Slope computes dst[i] = dy[i]·f'(x[i]) for the function of an activation, from v[i], which is f(x[i]) or x[i], see [SlopeOfOutput].
// dst may be dy or v. Where a function has a kink its slope is that of the side of smaller x: 0 for Relu at 0. The kinds of which there is
// a slope are those of [HasSlope].
func Slope(c *CPU, a Activation, dst, v, dy []float32) {
	sameLen("Slope", len(dst), len(v), len(dy))
	t := newVecTask(c, slopePiece)
	t.dst, t.src, t.y, t.act = dst, v, dy, a
	t.run(c, len(dst), pieceSize)
	t.release()
}

func slopePiece(t *vecTask, lo, hi, _ int) {
	slopeRow(t.set, t.act, t.dst[lo:hi], t.src[lo:hi], t.y[lo:hi])
}

// HasSlope reports whether there is a slope of a kind.
func HasSlope(kind ActivationKind) bool { return kind >= ClipTo && kind <= Erf }

// SlopeOfOutput reports whether the slope of a kind is computed from what the function gives, which needs A ≥ 0, rather than from what it
// takes. ClipTo and LeakyRelu may be either, LeakyRelu with any A of what it takes.
func SlopeOfOutput(kind ActivationKind) bool {
	switch kind {
	case ClipTo, LeakyRelu, Elu, Selu, Celu, Sigmoid, HardSigmoid, Tanh:
		return true
	}
	return false
}

func slopeGeneric(a Activation, dst, v, dy []float32) {
	for i, x := range v {
		dst[i] = float32(float64(dy[i]) * a.SlopeOf(float64(x)))
	}
}

// SlopeOf computes the slope in float64, of v as [Slope] takes it.
func (a Activation) SlopeOf(v float64) float64 {
	p, q := float64(a.A), float64(a.B)
	switch a.Kind {
	case ClipTo:
		return oneIf(v > p && v < q)
	case Sigmoid:
		return v * (1 - v)
	case HardSigmoid:
		return p * oneIf(v > 0 && v < 1)
	case HardSwish:
		if v > -3 && v < 3 {
			return v/3 + 0.5
		}
		return oneIf(v >= 3)
	case Swish:
		s := sigmoid(p * v)
		return s + p*v*s*(1-s)
	case Tanh:
		return 1 - v*v
	case Softplus:
		return sigmoid(v)
	case Softsign:
		return 1 / ((1 + math.Abs(v)) * (1 + math.Abs(v)))
	case Gelu:
		return math.Erfc(-v/math.Sqrt2)/2 + v*math.Exp(-v*v/2)/math.Sqrt(2*math.Pi)
	case GeluTanh:
		c := 2 * math.Sqrt(2/math.Pi)
		s := sigmoid(c * (v + 0.044715*v*v*v))
		return s + v*c*(1+3*0.044715*v*v)*s*(1-s)
	case Mish:
		t := math.Tanh(softplus(v))
		return t + v*(1-t*t)*sigmoid(v)
	case Erf:
		return 2 / math.SqrtPi * math.Exp(-v*v)
	}
	if v > 0 {
		if a.Kind == Selu {
			return q
		}
		return 1
	}
	switch a.Kind {
	case LeakyRelu:
		return p
	case Elu:
		return v + p
	case Selu:
		return v + p*q
	case Celu:
		return v/p + 1
	}
	panic("kernel: function without a slope")
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
