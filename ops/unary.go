package ops

import (
	"math"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// function1 is a function of one number.
type function1 struct {
	fast  kernel.ActivationKind // the kernel's, or None
	f     func(float64) float64 // for elements that the kernel has not
	takes types
}

// functions1 are the operators that are a function of one number.
var functions1 = map[string]*function1{
	"Abs":        {kernel.Abs, math.Abs, typesNumber},
	"Neg":        {kernel.Neg, func(x float64) float64 { return -x }, typesFloat | typesSigned},
	"Sign":       {kernel.Sign, signum, typesNumber},
	"Sqrt":       {kernel.Sqrt, math.Sqrt, typesFloat},
	"Reciprocal": {kernel.Reciprocal, func(x float64) float64 { return 1 / x }, typesFloat},
	"Exp":        {kernel.Exp, math.Exp, typesFloat},
	"Log":        {kernel.Log, math.Log, typesFloat},
	"Floor":      {kernel.Floor, math.Floor, typesFloat},
	"Ceil":       {kernel.Ceil, math.Ceil, typesFloat},
	"Round":      {kernel.Round, math.RoundToEven, typesFloat},
	"Sin":        {f: math.Sin, takes: typesFloat},
	"Cos":        {f: math.Cos, takes: typesFloat},
	"Tan":        {f: math.Tan, takes: typesFloat},
	"Asin":       {f: math.Asin, takes: typesFloat},
	"Acos":       {f: math.Acos, takes: typesFloat},
	"Atan":       {f: math.Atan, takes: typesFloat},
	"Sinh":       {f: math.Sinh, takes: typesFloat},
	"Cosh":       {f: math.Cosh, takes: typesFloat},
	"Asinh":      {f: math.Asinh, takes: typesFloat},
	"Acosh":      {f: math.Acosh, takes: typesFloat},
	"Atanh":      {f: math.Atanh, takes: typesFloat},
	// Not, BitwiseNot: see complement.
}

// signum is −1, 0 or 1; NaN and zeros stay.
func signum(x float64) float64 {
	if math.Abs(x) > 0 {
		return math.Copysign(1, x)
	}
	return x
}

// unary is an element-wise function of one variable: those of functions1, each with the domain of its function: NaN outside.
// Functions that package kernel has not are computed in float64 and rounded once.
type unary struct{ *function1 }

func newUnary(n *Node) (Op, error) { return unary{functions1[n.OpType]}, nil }

// Infer implements Op.
func (o unary) Infer(in []Info) ([]Info, error) {
	if err := o.takes.check(in, 0); err != nil {
		return nil, err
	}
	return inferred(o, in, Info{Type: in[0].Type, Shape: in[0].Shape})
}

// ChannelsLast implements ChannelsLaster.
func (o unary) ChannelsLast(in []Info) ([]bool, bool) { return layoutBlind(in, 0), false }

// InPlace implements InPlacer.
func (o unary) InPlace() []int { return []int{0} }

// Activation implements Activator.
func (o unary) Activation([]Info) (kernel.Activation, bool) {
	return kernel.Activation{Kind: o.fast}, o.fast != kernel.None
}

// Run implements Op.
func (o unary) Run(c *Call) error { return half(c, o) }

func (o unary) run(c *Call) error {
	x := c.In[0]
	n, err := numericOf(x.Type)
	if err != nil {
		return err
	}
	out, err := c.Out(0, x.Type, x.Shape, x.Layout)
	if err != nil {
		return err
	}
	if x.Type == onnx.Float && o.fast != kernel.None {
		kernel.Unary(c.CPU, o.fast, elements[float32](out), elements[float32](x))
	} else {
		n.unary(o.function1, out, x)
	}
	return nil
}

func (numbers[T]) unary(f *function1, dst, src *tensor.Tensor) {
	d, s := elements[T](dst), elements[T](src)
	if isFloat[T]() {
		for i, x := range s {
			d[i] = T(f.f(float64(x)))
		}
		return
	}
	for i, x := range s {
		switch {
		case f.fast == kernel.Sign && x > 0:
			x = 1
		case f.fast == kernel.Sign && x < 0:
			x -= x + 1
		case f.fast == kernel.Neg || x < 0:
			x = -x
		}
		d[i] = x
	}
}

// complement is Not and BitwiseNot.
type complement struct{ takes types }

func newNot(*Node) (Op, error)        { return complement{typesBool}, nil }
func newBitwiseNot(*Node) (Op, error) { return complement{typesInteger}, nil }

// Infer implements Op.
func (o complement) Infer(in []Info) ([]Info, error) {
	if err := o.takes.check(in, 0); err != nil {
		return nil, err
	}
	return inferred(o, in, Info{Type: in[0].Type, Shape: in[0].Shape})
}

// InPlace implements InPlacer.
func (o complement) InPlace() []int { return []int{0} }

// Run implements Op.
func (o complement) Run(c *Call) error {
	x := c.In[0]
	if err := c.check(o.takes, 0, 1); err != nil {
		return err
	}
	out, err := c.Out(0, x.Type, x.Shape, x.Layout)
	if err != nil {
		return err
	}
	flip := byte(0xff)
	if x.Type == onnx.Bool {
		flip = 1
	}
	d := out.Bytes()
	for i, b := range x.Bytes() {
		d[i] = b ^ flip
	}
	return nil
}

// classKind is a property of a floating-point number.
type classKind uint8

const (
	classNaN classKind = 1 << iota
	classPositiveInf
	classNegativeInf
)

// class is IsNaN and IsInf: whether an element has one of the properties.
type class struct{ kinds classKind }

func newIsNaN(*Node) (Op, error) { return class{classNaN}, nil }

func newIsInf(n *Node) (Op, error) {
	var c class
	if n.Bool("detect_positive", true) {
		c.kinds |= classPositiveInf
	}
	if n.Bool("detect_negative", true) {
		c.kinds |= classNegativeInf
	}
	return c, nil
}

// typesFloat8 are the floating-point types of 8 bits that ONNX has for neural networks.
const typesFloat8 types = 1<<onnx.Float8E4M3FN | 1<<onnx.Float8E4M3FNUZ | 1<<onnx.Float8E5M2 | 1<<onnx.Float8E5M2FNUZ

// Infer implements Op.
func (o class) Infer(in []Info) ([]Info, error) {
	if err := (typesFloat | typesFloat8).check(in, 0); err != nil {
		return nil, err
	}
	return inferred(o, in, Info{Type: onnx.Bool, Shape: in[0].Shape})
}

// Run implements Op.
func (o class) Run(c *Call) error {
	x := c.In[0]
	if err := c.check(typesFloat|typesFloat8, 0, 1); err != nil {
		return err
	}
	out, err := c.Out(0, onnx.Bool, x.Shape, x.Layout)
	if err != nil {
		return err
	}
	switch x.Type {
	case onnx.Float:
		numbers[float32]{}.classify(o.kinds, out, x)
	case onnx.Double:
		numbers[float64]{}.classify(o.kinds, out, x)
	default:
		var b blocks64
		d := elements[bool](out)
		for first := 0; first < len(d); first += len(b.floats) {
			n := min(len(b.floats), len(d)-first)
			b.load(x, first, n)
			for i, v := range b.floats[:n] {
				d[first+i] = o.kinds.of(v)
			}
		}
	}
	return nil
}

func (k classKind) of(x float64) bool {
	return x != x && k&classNaN != 0 || x > math.MaxFloat64 && k&classPositiveInf != 0 || x < -math.MaxFloat64 && k&classNegativeInf != 0
}

func (numbers[T]) classify(kinds classKind, dst, src *tensor.Tensor) {
	d := elements[bool](dst)
	for i, x := range elements[T](src) {
		d[i] = kinds.of(float64(x))
	}
}

// Gradient is that of the function; Abs and Sign have 0 at 0, and Sign, Floor, Ceil and Round 0 everywhere.
func (o unary) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	one := g.Scalar(dy, 1)
	square := func(v Value) Value { return g.Mul(v, v) }
	switch g.Operator() {
	case "Neg":
		g.Set(0, g.Neg(dy))
	case "Abs":
		g.Set(0, g.Mul(dy, g.apply("Sign", g.In(0))))
	case "Sqrt":
		g.Set(0, g.Div(g.Scale(dy, 0.5), g.Out(0)))
	case "Reciprocal":
		g.Set(0, g.Neg(g.Mul(dy, square(g.Out(0)))))
	case "Exp":
		g.Set(0, g.Mul(dy, g.Out(0)))
	case "Log":
		g.Set(0, g.Div(dy, g.In(0)))
	case "Sin":
		g.Set(0, g.Mul(dy, g.apply("Cos", g.In(0))))
	case "Cos":
		g.Set(0, g.Neg(g.Mul(dy, g.apply("Sin", g.In(0)))))
	case "Tan":
		g.Set(0, g.Mul(dy, g.Add(one, square(g.Out(0)))))
	case "Asin":
		g.Set(0, g.Div(dy, g.apply("Sqrt", g.Sub(one, square(g.In(0))))))
	case "Acos":
		g.Set(0, g.Neg(g.Div(dy, g.apply("Sqrt", g.Sub(one, square(g.In(0)))))))
	case "Atan":
		g.Set(0, g.Div(dy, g.Add(one, square(g.In(0)))))
	case "Sinh":
		g.Set(0, g.Mul(dy, g.apply("Cosh", g.In(0))))
	case "Cosh":
		g.Set(0, g.Mul(dy, g.apply("Sinh", g.In(0))))
	case "Asinh":
		g.Set(0, g.Div(dy, g.apply("Sqrt", g.Add(square(g.In(0)), one))))
	case "Acosh":
		g.Set(0, g.Div(dy, g.apply("Sqrt", g.Sub(square(g.In(0)), one))))
	case "Atanh":
		g.Set(0, g.Div(dy, g.Sub(one, square(g.In(0)))))
	}
	return nil
}
