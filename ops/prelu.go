package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// prelu is PRelu: y = x < 0 ? slope·x : x. The slope is broadcast to x. Types: floating-point ones and integers of 32 and 64 bits.
type prelu struct{}

func newPRelu(*Node) (Op, error) { return prelu{}, nil }

const preluTypes = typesFloat | typesIndex | 1<<onnx.Uint32 | 1<<onnx.Uint64

func (prelu) Infer(in []Info) ([]Info, error) {
	if x, s := in[0].Shape, in[1].Shape; x != nil && s != nil {
		if err := broadcastsTo(s, x); err != nil {
			return nil, fmt.Errorf("slope: %w", err)
		}
	}
	dt, err := preluTypes.same(in, 0, 2)
	return []Info{{Type: dt, Shape: in[0].Shape}}, err
}

// broadcastsTo reports as an error when a shape certainly does not broadcast to another.
func broadcastsTo(s, to Shape) error {
	skip := len(to) - len(s)
	for i, d := range s {
		if skip < 0 || d.IsKnown() && d.N != 1 && to[skip+i].IsKnown() && d.N != to[skip+i].N {
			return fmt.Errorf("shape %s does not broadcast to %s", s, to)
		}
	}
	return nil
}

// ChannelsLast takes any layout; a slope of rank 4 then has the same.
func (prelu) ChannelsLast([]Info) ([]bool, bool) { return []bool{true, true}, false }

// InPlace lists the numbers.
func (prelu) InPlace() []int { return []int{0} }

func (o prelu) Run(c *Call) error { return throughFloat32(c, o) }

func (o prelu) run(c *Call) error {
	x, slope := c.In[0], c.In[1]
	if slope.Type != x.Type || !preluTypes.has(x.Type) {
		return fmt.Errorf("x is of type %s and slope of %s", tensor.TypeName(x.Type), tensor.TypeName(slope.Type))
	}
	w := newWork()
	defer w.free()
	a, err := w.align(x, slope)
	if err != nil {
		return err
	}
	if !slices.Equal(a.logical, x.Shape) {
		return fmt.Errorf("slope of shape %v does not broadcast to %v", slope.Shape, x.Shape)
	}
	y, err := c.Out(0, x.Type, x.Shape, x.Layout)
	if err != nil {
		return err
	}
	if x.Type == onnx.Float {
		kernel.Binary(c.CPU, kernel.PRelu, elements[float32](y), elements[float32](x), elements[float32](slope), a.shape, a.strides[0], a.strides[1], kernel.Activation{})
		return nil
	}
	w.walkAligned(&a)
	switch x.Type {
	case onnx.Double:
		preluRows[float64](y, x, slope, w)
	case onnx.Int32:
		preluRows[int32](y, x, slope, w)
	case onnx.Int64:
		preluRows[int64](y, x, slope, w)
	case onnx.Uint32:
		preluRows[uint32](y, x, slope, w)
	default:
		preluRows[uint64](y, x, slope, w)
	}
	return nil
}

func preluRows[T number](dst, x, slope *tensor.Tensor, w *work) {
	row, ok := w.rows()
	d, p, q := elements[T](dst), elements[T](x), elements[T](slope)
	for ; ok; ok = w.next() {
		for i := range row.n {
			v := p[w.at[1]+i*row.step[1]]
			if v < 0 {
				v *= q[w.at[2]+i*row.step[2]]
			}
			d[w.at[0]+i*row.step[0]] = v
		}
	}
}

// Gradient is that of the slope at 0.
func (prelu) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	x, zero := g.In(0), g.Scalar(dy, 0)
	if g.Wants(0) {
		g.Set(0, g.Where(g.apply("Greater", x, zero), dy, g.Mul(dy, g.In(1))))
	}
	if g.Wants(1) {
		g.SetSum(1, g.Mul(dy, g.apply("Min", x, zero)))
	}
	return nil
}
