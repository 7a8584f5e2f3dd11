package ops

import (
	"fmt"
	"math"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// activation is an operator that applies a function of one variable to each element: Relu, LeakyRelu, Elu, Selu, Celu, Sigmoid,
// HardSigmoid, HardSwish, Tanh, Softplus, Softsign, Gelu, Mish, Swish, Erf. Types: floating-point ones; for Relu also signed
// integers. The layout is free.
type activation struct {
	act   kernel.Activation
	types types
}

// newActivation returns what makes the operator of a function without parameters.
func newActivation(kind kernel.ActivationKind) func(*Node) (Op, error) {
	return func(*Node) (Op, error) {
		return &activation{kernel.Activation{Kind: kind}, typesFloat}, nil
	}
}

// newParametric returns what makes the operator of a function with attributes alpha and beta, given their defaults.
func newParametric(kind kernel.ActivationKind, alpha, beta float32) func(*Node) (Op, error) {
	return func(n *Node) (Op, error) {
		act := kernel.Activation{Kind: kind, A: n.Float("alpha", alpha), B: beta}
		switch kind {
		case kernel.HardSigmoid:
			act.B = n.Float("beta", beta)
		case kernel.Selu: // here gamma is the factor of all
			act.B = n.Float("gamma", beta)
		case kernel.Celu:
			if act.A == 0 {
				return nil, fmt.Errorf("attribute alpha is 0")
			}
		}
		return &activation{act, typesFloat}, nil
	}
}

func newRelu(*Node) (Op, error) {
	relu := kernel.Activation{Kind: kernel.ClipTo, B: float32(math.Inf(1))}
	return &activation{relu, typesFloat | typesSigned}, nil
}

func newGelu(n *Node) (Op, error) {
	o := &activation{kernel.Activation{Kind: kernel.Gelu}, typesFloat}
	switch s := n.Text("approximate", "none"); s {
	case "none":
	case "tanh":
		o.act.Kind = kernel.GeluTanh
	default:
		return nil, fmt.Errorf("attribute approximate is %q, not none or tanh", s)
	}
	return o, nil
}

func (o *activation) Infer(in []Info) ([]Info, error) {
	return []Info{{Type: in[0].Type, Shape: in[0].Shape}}, o.types.check(in, 0)
}

// ChannelsLast takes any layout.
func (o *activation) ChannelsLast([]Info) ([]bool, bool) { return []bool{true}, false }

// InPlace lists the only input.
func (o *activation) InPlace() []int { return []int{0} }

// Activation returns the function.
func (o *activation) Activation([]Info) (kernel.Activation, bool) { return o.act, true }

func (o *activation) Run(c *Call) error { return throughFloat32(c, o) }

func (o *activation) run(c *Call) error {
	x := c.In[0]
	if !o.types.has(x.Type) {
		return typeError(x.Type)
	}
	if x.Type == onnx.Float { // the case that must not allocate
		src := tensor.Of[float32](x)
		y, err := c.Out(0, x.Type, x.Shape, x.Layout)
		if err == nil {
			kernel.Activate(c.CPU, o.act, tensor.Of[float32](y), src)
		}
		return err
	}
	y, err := c.Out(0, x.Type, x.Shape, x.Layout)
	if err != nil {
		return err
	}
	switch x.Type {
	case onnx.Double:
		dst := tensor.Of[float64](y)
		for i, v := range tensor.Of[float64](x) {
			dst[i] = o.act.Of(v)
		}
	case onnx.Int8:
		relu(tensor.Of[int8](y), tensor.Of[int8](x))
	case onnx.Int16:
		relu(tensor.Of[int16](y), tensor.Of[int16](x))
	case onnx.Int32:
		relu(tensor.Of[int32](y), tensor.Of[int32](x))
	case onnx.Int64:
		relu(tensor.Of[int64](y), tensor.Of[int64](x))
	}
	return nil
}

func relu[T number](dst, src []T) {
	for i, v := range src {
		dst[i] = max(v, 0)
	}
}

// thresholdedRelu is ThresholdedRelu: y = x where x > alpha, else 0.
type thresholdedRelu struct{ alpha float32 }

func newThresholdedRelu(n *Node) (Op, error) { return &thresholdedRelu{n.Float("alpha", 1)}, nil }

func (o *thresholdedRelu) Infer(in []Info) ([]Info, error) {
	return []Info{{Type: in[0].Type, Shape: in[0].Shape}}, typesFloat.check(in, 0)
}

// ChannelsLast takes any layout.
func (o *thresholdedRelu) ChannelsLast([]Info) ([]bool, bool) { return []bool{true}, false }

// InPlace lists the only input.
func (o *thresholdedRelu) InPlace() []int { return []int{0} }

func (o *thresholdedRelu) Run(c *Call) error { return throughFloat32(c, o) }

func (o *thresholdedRelu) run(c *Call) error {
	x := c.In[0]
	y, err := c.Out(0, x.Type, x.Shape, x.Layout)
	if err != nil {
		return err
	}
	switch x.Type {
	case onnx.Float:
		threshold(elements[float32](y), elements[float32](x), o.alpha)
	case onnx.Double:
		threshold(elements[float64](y), elements[float64](x), float64(o.alpha))
	default:
		return typeError(x.Type)
	}
	return nil
}

func threshold[T number](dst, src []T, alpha T) {
	for i, v := range src {
		if !(v > alpha) {
			v = 0
		}
		dst[i] = v
	}
}
