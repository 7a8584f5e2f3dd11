package ops

import (
	"fmt"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// dynamicQuantizeLinear is DynamicQuantizeLinear: quantises float32 to uint8 with a scale and a zero point that make the range
// of the input, widened to hold 0, the range of the codes. An input of nothing but zeros has the scale 1.
type dynamicQuantizeLinear struct{ states *states[quantTask] }

func newDynamicQuantizeLinear(*Node) (Op, error) {
	return &dynamicQuantizeLinear{new(states[quantTask])}, nil
}

func (o *dynamicQuantizeLinear) Infer(in []Info) ([]Info, error) {
	if in[0].Type != onnx.Undefined && in[0].Type != onnx.Float {
		return nil, fmt.Errorf("input is of type %s, not float", in[0].Type)
	}
	return []Info{{Type: onnx.Uint8, Shape: in[0].Shape}, {Type: onnx.Float, Shape: Shape{}}, {Type: onnx.Uint8, Shape: Shape{}}}, nil
}

func (o *dynamicQuantizeLinear) Run(c *Call) error {
	x := c.In[0]
	if x.Type != onnx.Float {
		return fmt.Errorf("input is of type %s, not float", x.Type)
	}
	q := o.states.get()
	defer o.states.put(q)
	q.ends = [2]float32{}
	if n := x.Len(); n > 0 {
		kernel.Reduce(c.CPU, kernel.ReduceMin, q.ends[:1], tensor.Of[float32](x), 1, n, 1)
		kernel.Reduce(c.CPU, kernel.ReduceMax, q.ends[1:], tensor.Of[float32](x), 1, n, 1)
	}
	lo, hi := min(q.ends[0], 0), max(q.ends[1], 0)
	scale := (hi - lo) / 255
	if scale == 0 {
		scale = 1
	}
	zero := uint8(roundWithin(-lo/scale, 0, 255))
	q.scale, q.zero = append(q.scale[:0], scale), append(q.zero[:0], float32(zero))
	var err error
	if q.y, err = c.Out(0, onnx.Uint8, x.Shape, x.Layout); err != nil {
		return err
	}
	q.x, q.spread, q.precision, q.do = x, spread{kind: perTensor}, onnx.Undefined, (*quantTask).quantise
	q.run(c.CPU)
	if len(c.Outs) > 1 {
		s, err := c.Out(1, onnx.Float, nil)
		if err != nil {
			return err
		}
		tensor.Of[float32](s)[0] = scale
	}
	if len(c.Outs) > 2 {
		z, err := c.Out(2, onnx.Uint8, nil)
		if err != nil {
			return err
		}
		tensor.Of[uint8](z)[0] = zero
	}
	return nil
}
