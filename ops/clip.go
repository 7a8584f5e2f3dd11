package ops

import (
	"errors"
	"fmt"
	"math"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// clip is Clip: y = min(max(x, lowest), highest), of numbers; NaN stays NaN. Where the limits contradict each other y is the highest.
// Until opset 10 the limits are attributes, and from 11 on inputs that may be left out.
type clip struct {
	limits *[2]float32 // of the attributes; nil if they are inputs
}

func newClip(n *Node) (Op, error) {
	if n.Opset >= 11 {
		if n.Has("min") || n.Has("max") {
			return nil, fmt.Errorf("min and max are inputs from opset 11 on, not attributes")
		}
		return &clip{}, nil
	}
	if len(n.Inputs) > 1 {
		return nil, fmt.Errorf("min and max are attributes until opset 10, not inputs")
	}
	inf := float32(math.Inf(1))
	return &clip{&[2]float32{n.Float("min", -inf), n.Float("max", inf)}}, nil
}

func (o *clip) Infer(in []Info) ([]Info, error) {
	for i := 1; i < len(in); i++ {
		if s := in[i].Shape; len(s) > 1 {
			return nil, fmt.Errorf("input %d of shape %s is no scalar", i, s)
		}
	}
	dt, err := typesNumber.same(in, 0, len(in))
	return []Info{{Type: dt, Shape: in[0].Shape}}, err
}

// ChannelsLast takes any layout of the numbers.
func (o *clip) ChannelsLast(in []Info) ([]bool, bool) {
	ok := make([]bool, len(in))
	ok[0] = true
	return ok, false
}

// InPlace lists the numbers.
func (o *clip) InPlace() []int { return []int{0} }

// Activation returns the function if the limits are constants.
func (o *clip) Activation(in []Info) (kernel.Activation, bool) {
	a := kernel.Activation{Kind: kernel.ClipTo, A: float32(math.Inf(-1)), B: float32(math.Inf(1))}
	if o.limits != nil {
		a.A, a.B = o.limits[0], o.limits[1]
		return a, true
	}
	for i, limit := range []*float32{&a.A, &a.B} {
		l := inputAt(in, i+1)
		if l.Missing() {
			continue
		}
		if l.Value == nil || l.Value.Type != onnx.Float || l.Value.Len() != 1 {
			return a, false
		}
		*limit = tensor.Of[float32](l.Value)[0]
	}
	return a, true
}

func (o *clip) Run(c *Call) error { return throughFloat32(c, o) }

func (o *clip) run(c *Call) error {
	x := c.In[0]
	for i := 1; i < len(c.In); i++ {
		if t := c.In[i]; t != nil && (t.Type != x.Type || t.Len() != 1) {
			return fmt.Errorf("input %d is %s and no scalar of type %s", i, t, tensor.TypeName(x.Type))
		}
	}
	switch x.Type {
	case onnx.Float:
		return o.floats(c)
	case onnx.Double:
		return clipNumbers(c, o, math.Inf(-1), math.Inf(1))
	case onnx.Int8:
		return clipNumbers[int8](c, o, math.MinInt8, math.MaxInt8)
	case onnx.Int16:
		return clipNumbers[int16](c, o, math.MinInt16, math.MaxInt16)
	case onnx.Int32:
		return clipNumbers[int32](c, o, math.MinInt32, math.MaxInt32)
	case onnx.Int64:
		return clipNumbers[int64](c, o, math.MinInt64, math.MaxInt64)
	case onnx.Uint8:
		return clipNumbers[uint8](c, o, 0, math.MaxUint8)
	case onnx.Uint16:
		return clipNumbers[uint16](c, o, 0, math.MaxUint16)
	case onnx.Uint32:
		return clipNumbers[uint32](c, o, 0, math.MaxUint32)
	case onnx.Uint64:
		return clipNumbers[uint64](c, o, 0, math.MaxUint64)
	}
	return typeError(x.Type)
}

func (o *clip) floats(c *Call) error {
	lo, hi := clipLimits(c, o, float32(math.Inf(-1)), float32(math.Inf(1)))
	x := c.In[0]
	src := tensor.Of[float32](x)
	y, err := c.Out(0, x.Type, x.Shape, x.Layout)
	if err == nil {
		kernel.Activate(c.CPU, kernel.Activation{Kind: kernel.ClipTo, A: lo, B: hi}, tensor.Of[float32](y), src)
	}
	return err
}

// clipLimits returns the limits, given those of the type.
func clipLimits[T number](c *Call, o *clip, lo, hi T) (T, T) {
	if o.limits != nil {
		return max(lo, T(max(o.limits[0], float32(lo)))), min(hi, T(min(o.limits[1], float32(hi))))
	}
	if t := c.input(1); t != nil {
		lo = elements[T](t)[0]
	}
	if t := c.input(2); t != nil {
		hi = elements[T](t)[0]
	}
	return lo, hi
}

func clipNumbers[T number](c *Call, o *clip, lo, hi T) error {
	lo, hi = clipLimits(c, o, lo, hi)
	x := c.In[0]
	y, err := c.Out(0, x.Type, x.Shape, x.Layout)
	if err != nil {
		return err
	}
	dst := elements[T](y)
	for i, v := range elements[T](x) {
		if v < lo {
			v = lo
		}
		if v > hi {
			v = hi
		}
		dst[i] = v
	}
	return nil
}

// Gradient passes where the number is within the limits, these included, as PyTorch's clamp has it. But what exporters make of ReLU6, 0 to
// 6, passes strictly between them, as there, so that the result tells: then the numbers need not be kept. Limits get none.
func (o *clip) Gradient(g *Gradient) error {
	if g.Wants(1) || g.Wants(2) {
		return errors.New("limits are not differentiated")
	}
	dy, _ := g.Of(0)
	limits, isConstant := [2]float64{math.Inf(-1), math.Inf(1)}, true
	for i := range limits {
		if o.limits != nil {
			limits[i] = float64(o.limits[i])
		} else if g.Has(i + 1) {
			n, ok := numberOf(g.In(i + 1).Value)
			limits[i], isConstant = n, isConstant && ok
		}
	}
	act := kernel.Activation{Kind: kernel.ClipTo, A: float32(limits[0]), B: float32(limits[1])}
	switch {
	case isConstant && limits == [2]float64{0, 6}:
		g.Set(0, g.slope(act, g.Out(0), dy))
		return nil
	case isConstant && dy.Type != onnx.Double: // strictly within the next numbers is within these
		inf := float32(math.Inf(1))
		act.A, act.B = math.Nextafter32(act.A, -inf), math.Nextafter32(act.B, inf)
		g.Set(0, g.slope(act, g.In(0), dy))
		return nil
	}
	x, zero := g.In(0), g.Scalar(dy, 0)
	for i, op := range []string{"GreaterOrEqual", "LessOrEqual"} {
		if isConstant {
			dy = g.Where(g.apply(op, x, g.Scalar(x, limits[i])), dy, zero)
		} else if g.Has(i + 1) {
			dy = g.Where(g.apply(op, x, g.In(i+1)), dy, zero)
		}
	}
	g.Set(0, dy)
	return nil
}
