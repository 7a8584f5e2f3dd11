package ops

import (
	"fmt"
	"math"
	"strings"

	"github.com/effml/effml/kernel"
)

// gate is an activation of a recurrent network.
type gate struct {
	act         kernel.Activation // None: only of knows the function
	of          func(x, alpha, beta float64) float64
	slope       func(y, alpha, beta float64) float64 // the derivative where the value is y
	rising      bool                                 // slope holds for alpha that are not negative
	alpha, beta float64
}

// gateKind says which parameters a function has and, as the operators of those names do, their defaults.
type gateKind struct {
	name                  string
	kernel                kernel.ActivationKind
	hasAlpha, hasBeta     bool
	defAlpha, defaultBeta float32
	of                    func(x, alpha, beta float64) float64
	slope                 func(y, alpha, beta float64) float64
	rising                bool
}

// gateKinds lists the functions, in lower case. (ONNX Runtime 1.32 takes 0 for the threshold of ThresholdedRelu where the
// standard says 1.)
var gateKinds = [...]gateKind{
	{"affine", kernel.None, true, true, 1, 0, func(x, a, b float64) float64 { return a*x + b }, func(_, a, _ float64) float64 { return a }, false},
	{"elu", kernel.Elu, true, false, 1, 0, func(x, a, _ float64) float64 {
		if x < 0 {
			return a * math.Expm1(x)
		}
		return x
	}, func(y, a, _ float64) float64 {
		if y < 0 {
			return y + a
		}
		return 1
	}, true},
	{"hardsigmoid", kernel.HardSigmoid, true, true, 0.2, 0.5, func(x, a, b float64) float64 { return min(max(a*x+b, 0), 1) }, func(y, a, _ float64) float64 {
		if y > 0 && y < 1 {
			return a
		}
		return 0
	}, false},
	{"leakyrelu", kernel.LeakyRelu, true, false, 0.01, 0, func(x, a, _ float64) float64 {
		if x < 0 {
			return a * x
		}
		return x
	}, func(y, a, _ float64) float64 {
		if y > 0 {
			return 1
		}
		return a
	}, true},
	{"relu", kernel.ClipTo, false, false, 0, float32(math.Inf(1)), func(x, _, _ float64) float64 { return max(x, 0) }, func(y, _, _ float64) float64 {
		if y > 0 {
			return 1
		}
		return 0
	}, false},
	{"scaledtanh", kernel.None, true, true, 1, 1, func(x, a, b float64) float64 { return a * math.Tanh(b*x) }, func(y, a, b float64) float64 {
		if a == 0 {
			return 0
		}
		return b * (a - y*y/a)
	}, false},
	{"sigmoid", kernel.Sigmoid, false, false, 0, 0, func(x, _, _ float64) float64 { return 1 / (1 + math.Exp(-x)) }, func(y, _, _ float64) float64 { return y * (1 - y) }, false},
	{"softplus", kernel.Softplus, false, false, 0, 0, func(x, _, _ float64) float64 {
		return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
	}, func(y, _, _ float64) float64 { return -math.Expm1(-y) }, false},
	{"softsign", kernel.Softsign, false, false, 0, 0, func(x, _, _ float64) float64 { return x / (1 + math.Abs(x)) }, func(y, _, _ float64) float64 {
		return (1 - math.Abs(y)) * (1 - math.Abs(y))
	}, false},
	{"tanh", kernel.Tanh, false, false, 0, 0, func(x, _, _ float64) float64 { return math.Tanh(x) }, func(y, _, _ float64) float64 { return 1 - y*y }, false},
	{"thresholdedrelu", kernel.None, true, false, 1, 0, func(x, a, _ float64) float64 {
		if x >= a {
			return x
		}
		return 0
	}, func(y, _, _ float64) float64 {
		if y != 0 {
			return 1
		}
		return 0
	}, false},
}

// gates returns the activations of a node, directions one after another; names are the defaults for one direction. A function that
// has parameters takes the next of activation_alpha and activation_beta, or its default where the list has ended.
func (n *Node) gates(names []string, directions int) ([][]gate, error) {
	list := n.Texts("activations")
	if len(list) == 0 {
		for range directions {
			list = append(list, names...)
		}
	}
	if len(list) != len(names)*directions {
		return nil, fmt.Errorf("attribute activations has %d values, not %d", len(list), len(names)*directions)
	}
	alphas, betas := n.Floats("activation_alpha"), n.Floats("activation_beta")
	out := make([][]gate, directions)
	for i, name := range list {
		g, err := newGate(name, &alphas, &betas)
		if err != nil {
			return nil, err
		}
		out[i/len(names)] = append(out[i/len(names)], g)
	}
	return out, nil
}

// newGate makes an activation, taking parameters off the lists.
func newGate(name string, alphas, betas *[]float32) (gate, error) {
	for _, k := range gateKinds {
		if k.name != strings.ToLower(name) {
			continue
		}
		a, b := k.defAlpha, k.defaultBeta
		if k.hasAlpha {
			take(&a, alphas)
		}
		if k.hasBeta {
			take(&b, betas)
		}
		return gate{kernel.Activation{Kind: k.kernel, A: a, B: b}, k.of, k.slope, k.rising, float64(a), float64(b)}, nil
	}
	return gate{}, fmt.Errorf("unknown activation %q", name)
}

// take moves the first of a list, if there is one, into v.
func take(v *float32, list *[]float32) {
	if len(*list) > 0 {
		*v, *list = (*list)[0], (*list)[1:]
	}
}

// floating is what recurrent networks compute in.
type floating interface{ float32 | float64 }

// activate applies a gate in place, after clipping its input to ±limit.
func activate[T floating](cpu *kernel.CPU, g *gate, limit float64, x []T) {
	if limit > 0 {
		for i, v := range x {
			x[i] = max(min(v, T(limit)), T(-limit))
		}
	}
	if f, ok := any(x).([]float32); ok && g.act.Kind != kernel.None {
		kernel.Activate(cpu, g.act, f, f)
		return
	}
	for i, v := range x {
		x[i] = T(g.of(float64(v), g.alpha, g.beta))
	}
}
