package ops

import (
	"fmt"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// dequantizeLinear is DequantizeLinear: y = (x − zero point)·scale, computed in float32 and rounded to the type of the result:
// that of the scale or what the attribute says.
type dequantizeLinear struct {
	scaling
	to     onnx.DataType // Undefined: of the scale
	states *states[quantTask]
}

func newDequantizeLinear(n *Node) (Op, error) {
	s, err := newScaling(n)
	o := &dequantizeLinear{scaling: s, to: onnx.DataType(n.Int("output_dtype", 0)), states: new(states[quantTask])}
	if _, problem := o.result(onnx.Float); problem != nil {
		return nil, problem
	}
	return o, err
}

// result returns the type of the result for that of the scale.
func (o *dequantizeLinear) result(scale onnx.DataType) (onnx.DataType, error) {
	dt := scale
	if o.to != onnx.Undefined {
		dt = o.to
	}
	switch dt {
	case onnx.Float, onnx.Float16, onnx.BFloat16, onnx.Undefined:
		return dt, nil
	}
	return 0, fmt.Errorf("result would be of type %s, not a floating-point type", dt)
}

func (o *dequantizeLinear) Infer(in []Info) ([]Info, error) {
	if dt := in[0].Type; dt != onnx.Undefined && dt != onnx.Int32 && !isCode(dt) {
		return nil, fmt.Errorf("input 0 is of type %s, no type of quantised values", dt)
	}
	if len(in) > 2 && in[2].Type != onnx.Undefined && in[0].Type != onnx.Undefined && in[2].Type != in[0].Type {
		return nil, fmt.Errorf("zero point is of type %s, the input of %s", in[2].Type, in[0].Type)
	}
	dt, err := o.result(in[1].Type)
	return []Info{{Type: dt, Shape: in[0].Shape}}, err
}

// ChannelsLast takes the layout of input 0 for scales that are not blocked.
func (o *dequantizeLinear) ChannelsLast(in []Info) ([]bool, bool) { return o.layouts(in) }

func (o *dequantizeLinear) Run(c *Call) error {
	x, scale := c.In[0], c.In[1]
	if x.Type != onnx.Int32 && !isCode(x.Type) {
		return fmt.Errorf("input 0 is of type %s, no type of quantised values", x.Type)
	}
	dt, err := o.result(scale.Type)
	if err != nil {
		return err
	}
	q := o.states.get()
	defer o.states.put(q)
	if err := q.parameters(scale, c.input(2)); err != nil {
		return err
	}
	if q.spread, err = o.of(x, scale.Shape); err != nil {
		return err
	}
	if q.y, err = c.Out(0, dt, x.Shape, x.Layout); err != nil {
		return err
	}
	q.x, q.do = x, (*quantTask).dequantise
	q.run(c.CPU)
	return nil
}

// dequantise computes n elements from first on, whose scales are k, k + step, …
func (q *quantTask) dequantise(first, n, k, step int, buf []float32) {
	y := buf
	if q.y.Type == onnx.Float {
		y = tensor.Of[float32](q.y)[first : first+n]
	}
	q.x.Floats(y, first)
	if step == 0 {
		s, z := q.scale[k], q.zero[k]
		for i := range y {
			y[i] = (y[i] - z) * s
		}
	} else {
		s, z := q.scale[k:k+n], q.zero[k:k+n]
		for i := range y {
			y[i] = (y[i] - z[i]) * s[i]
		}
	}
	if q.y.Type != onnx.Float {
		q.y.SetFloats(first, buf, false)
	}
}
