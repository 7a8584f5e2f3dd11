package ops

import (
	"fmt"
	"math"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// taper is HannWindow, HammingWindow and BlackmanWindow: w(n) = a₀ − a₁·cos(2πn/N) + a₂·cos(4πn/N) for n = 0 … size−1, where N is the size
// if the window is periodic, else one less. F. Harris: On the Use of Windows for Harmonic Analysis with the Discrete Fourier
// Transform, Proceedings of the IEEE 66(1), 1978.
type taper struct {
	a        [3]float64
	dt       onnx.DataType
	periodic bool
}

func newTaper(a0, a1, a2 float64) func(*Node) (Op, error) {
	return func(n *Node) (Op, error) {
		o := &taper{[3]float64{a0, a1, a2}, onnx.DataType(n.Int("output_datatype", int(onnx.Float))), n.Bool("periodic", true)}
		switch o.dt {
		case onnx.String, onnx.Bool, onnx.Complex64, onnx.Complex128:
			return nil, fmt.Errorf("attribute output_datatype is %s", o.dt)
		}
		if tensor.Width(o.dt) == 0 {
			return nil, fmt.Errorf("attribute output_datatype is %s", o.dt)
		}
		return o, nil
	}
}

func (o *taper) Infer(in []Info) ([]Info, error) {
	n := Unknown
	if in[0].Value != nil {
		v, err := scalar(in[0].Value)
		if err != nil || v < 0 {
			return nil, fmt.Errorf("size is no number of elements: %w", err)
		}
		n = Known(v)
	} else if len(in[0].Ints) == 1 {
		n = in[0].Ints[0]
	}
	return []Info{{Type: o.dt, Shape: Shape{n}}}, nil
}

func (o *taper) Run(c *Call) error {
	n, err := scalar(c.In[0])
	if err != nil {
		return err
	}
	y, err := c.Out(0, o.dt, []int{n})
	if err != nil {
		return err
	}
	period := float64(n)
	if !o.periodic {
		period--
	}
	v := make([]float64, n)
	for i := range v {
		turn := 0.0
		if period > 0 {
			turn = 2 * math.Pi * float64(i) / period
		}
		v[i] = o.a[0] - o.a[1]*math.Cos(turn) + o.a[2]*math.Cos(2*turn)
	}
	return convert(y, tensor.From(v, n), conversion{})
}
