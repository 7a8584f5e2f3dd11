package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// activationGrad is ActivationGrad of [Domain]: dy·f'(x), from v and dy of one shape, where v is y = f(x) or x, as
// [kernel.SlopeOfOutput] says of attribute kind, a name of activationKinds; attributes alpha and beta are the parameters of
// [kernel.Activation]. At a kink the slope is that of the side of smaller x, but for Clip, whose slope is 0 at both limits. The layout is free.
type activationGrad struct{ act kernel.Activation }

// activationKinds are the kinds that have a slope.
var activationKinds = [...]string{
	kernel.ClipTo: "Clip", kernel.LeakyRelu: "LeakyRelu", kernel.Elu: "Elu", kernel.Selu: "Selu", kernel.Celu: "Celu",
	kernel.Sigmoid: "Sigmoid", kernel.HardSigmoid: "HardSigmoid", kernel.HardSwish: "HardSwish", kernel.Swish: "Swish", kernel.Tanh: "Tanh",
	kernel.Softplus: "Softplus", kernel.Softsign: "Softsign", kernel.Gelu: "Gelu", kernel.GeluTanh: "GeluTanh", kernel.Mish: "Mish",
	kernel.Erf: "Erf",
}

func newActivationGrad(n *Node) (Op, error) {
	name := n.Text("kind", "")
	kind := slices.Index(activationKinds[:], name)
	if name == "" || kind < 0 {
		return nil, fmt.Errorf("attribute kind is %q", name)
	}
	return &activationGrad{kernel.Activation{Kind: kernel.ActivationKind(kind), A: n.Float("alpha", 0), B: n.Float("beta", 0)}}, nil
}

// Infer implements Op.
func (o *activationGrad) Infer(in []Info) ([]Info, error) {
	dt, err := typesFloat.same(in, 0, 2)
	shape := in[0].Shape
	if shape == nil {
		shape = in[1].Shape
	}
	return []Info{{Type: dt, Shape: shape}}, err
}

// ChannelsLast takes any layout.
func (o *activationGrad) ChannelsLast([]Info) ([]bool, bool) { return []bool{true, true}, false }

// InPlace lists both.
func (o *activationGrad) InPlace() []int { return []int{1, 0} }

// Run implements Op.
func (o *activationGrad) Run(c *Call) error { return throughFloat32(c, o) }

func (o *activationGrad) run(c *Call) error {
	v, dy := c.In[0], c.In[1]
	if !slices.Equal(v.Shape, dy.Shape) || v.Type != dy.Type || v.Layout != dy.Layout {
		return fmt.Errorf("%s, %s, arrives at %s, %s", dy, dy.Layout, v, v.Layout)
	}
	dx, err := c.Out(0, v.Type, v.Shape, v.Layout)
	if err != nil {
		return err
	}
	switch v.Type {
	case onnx.Float:
		kernel.Slope(c.CPU, o.act, tensor.Of[float32](dx), tensor.Of[float32](v), tensor.Of[float32](dy))
	case onnx.Double:
		dst, grad := tensor.Of[float64](dx), tensor.Of[float64](dy)
		for i, x := range tensor.Of[float64](v) {
			dst[i] = grad[i] * o.act.SlopeOf(x)
		}
	default:
		return typeError(v.Type)
	}
	return nil
}

// slope is the gradient of a function, of v, which is its output or its input.
func (g *Gradient) slope(a kernel.Activation, v, dy Value) Value {
	return g.Node("ActivationGrad", throughAttributes(a), v, dy)
}

// Gradient is the slope of the function, from its output where that tells it.
func (o *activation) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	of := kernel.SlopeOfOutput(o.act.Kind)
	switch o.act.Kind {
	case kernel.LeakyRelu:
		of = o.act.A >= 0
	case kernel.Elu, kernel.Selu, kernel.Celu:
		if o.act.A < 0 || o.act.Kind == kernel.Selu && o.act.B <= 0 {
			return fmt.Errorf("attribute alpha of %v, gamma of %v is not supported", o.act.A, o.act.B)
		}
	case kernel.HardSigmoid:
		if o.act.A < 0 {
			return fmt.Errorf("attribute alpha of %v is not supported", o.act.A)
		}
	}
	if of {
		g.Set(0, g.slope(o.act, g.Out(0), dy))
	} else {
		g.Set(0, g.slope(o.act, g.In(0), dy))
	}
	return nil
}

// Gradient passes where the input is above alpha.
func (o *thresholdedRelu) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	g.Set(0, g.slope(kernel.Activation{Kind: kernel.ClipTo, A: o.alpha, B: float32(math.Inf(1))}, g.In(0), dy))
	return nil
}
