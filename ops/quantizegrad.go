package ops

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// quantizeGrad is QuantizeLinearGrad of [Domain]: the gradients of the numbers x and, before they are summed, of the scale of QuantizeLinear,
// from those of the codes, dq, as if these were not rounded: dq/scale and −dq·x/scale² where the code is not saturated, else 0. That is the
// straight-through estimator (Y. Bengio, N. Léonard, A. Courville: Estimating or Propagating Gradients Through Stochastic Neurons, 2013);
// with the gradient of DequantizeLinear it makes that of the step in S. Esser et al.: Learned Step Size Quantization, 2020, equation 3.
//
// Inputs are dq, x, scale and the zero point, which may be left out; computed in float32.
type quantizeGrad struct {
	scaling
	to     onnx.DataType
	states *states[quantizeGradTask]
}

func newQuantizeGrad(n *Node) (Op, error) {
	s, err := newScaling(n)
	return &quantizeGrad{s, onnx.DataType(n.Int("output_dtype", 0)), new(states[quantizeGradTask])}, err
}

// Infer implements Op.
func (o *quantizeGrad) Infer(in []Info) ([]Info, error) {
	if _, ok := codeRange(o.to); !ok {
		return nil, fmt.Errorf("codes of type %s are not supported", o.to)
	}
	out := Info{Type: in[0].Type, Shape: in[1].Shape}
	return []Info{out, out}, (typesFloat &^ (1 << onnx.Double)).check(in, 0)
}

// ChannelsLast takes both tensors in that layout for scales that are not blocked.
func (o *quantizeGrad) ChannelsLast(in []Info) ([]bool, bool) {
	ok, _ := o.layouts(in)
	ok[1] = ok[0]
	return ok, false
}

// Run implements Op.
func (o *quantizeGrad) Run(c *Call) error { return throughFloat32(c, o) }

func (o *quantizeGrad) run(c *Call) (err error) {
	dq, x, scale := c.In[0], c.In[1], c.In[2]
	if dq.Type != onnx.Float || x.Type != onnx.Float || !slices.Equal(dq.Shape, x.Shape) || dq.Layout != x.Layout {
		return fmt.Errorf("%s arrives at %s", dq, x)
	}
	t := o.states.get()
	defer o.states.put(t)
	if err := t.parameters(scale, c.input(3)); err != nil {
		return err
	}
	if t.spread, err = o.of(x, scale.Shape); err != nil {
		return err
	}
	t.code, _ = codeRange(o.to)
	t.dq, t.x = elements[float32](dq), elements[float32](x)
	for i, to := range []*[]float32{&t.dx, &t.ds} {
		if *to = nil; c.wants(i) {
			out, err := c.Out(i, x.Type, x.Shape, x.Layout)
			if err != nil {
				return err
			}
			*to = elements[float32](out)
		}
	}
	c.CPU.Parallel((len(t.x)+quantPiece-1)/quantPiece, t)
	t.dq, t.x, t.dx, t.ds = nil, nil, nil, nil
	return nil
}

// quantizeGradTask is a run, in pieces of quantPiece elements.
type quantizeGradTask struct {
	quantTask
	code          [2]float32
	dq, x, dx, ds []float32
}

// Piece implements [kernel.Task].
func (t *quantizeGradTask) Piece(i, _ int) {
	end := min((i+1)*quantPiece, len(t.x))
	for first := i * quantPiece; first < end; {
		n, k, step := t.spread.run(first)
		n = min(n, end-first)
		for j := first; j < first+n; j, k = j+1, k+step {
			s, z := t.scale[k], t.zero[k]
			v, slope := t.x[j]/s, t.dq[j]/s
			if r := float32(math.RoundToEven(float64(v))); !(r >= t.code[0]-z && r <= t.code[1]-z) {
				slope = 0
			}
			if t.dx != nil {
				t.dx[j] = slope
			}
			if t.ds != nil {
				t.ds[j] = -slope * v
			}
		}
		first += n
	}
}

// Gradient is straight-through. That of the scale is for [Differentiation] to scale.
func (o *quantizeLinear) Gradient(g *Gradient) error {
	dq, _ := g.Of(0)
	to := g.Out(0).Type
	if _, ok := codeRange(to); !ok {
		return fmt.Errorf("codes of type %s are not supported", tensor.TypeName(to))
	}
	x := g.In(0)
	in := []Value{g.Cast(dq, x), x, g.In(1)}
	if g.Has(2) {
		in = append(in, g.In(2))
	}
	out := g.Nodes("QuantizeLinearGrad", 2, with(attrInt("axis", o.axis), attrInt("block_size", o.blockSize), attrInt("output_dtype", int(to))), in...)
	if g.Wants(0) {
		g.Set(0, out[0])
	}
	return o.setScale(g, out[1], to)
}

// Gradient goes to the codes, as if they were real numbers, and to the scale.
func (o *dequantizeLinear) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	q, s := g.In(0), g.In(1)
	if _, ok := codeRange(q.Type); !ok && q.Type != onnx.Int32 {
		return fmt.Errorf("codes of type %s are not supported", tensor.TypeName(q.Type))
	}
	if g.Wants(0) {
		g.Set(0, g.Mul(dy, g.Cast(o.spreadOver(g, s, q.Dims()), dy)))
	}
	if !g.Wants(1) {
		return nil
	}
	code := g.Cast(q, dy)
	if g.Has(2) {
		code = g.Sub(code, o.spreadOver(g, g.Cast(g.In(2), dy), q.Dims()))
	}
	return o.setScale(g, g.Mul(dy, code), q.Type)
}

// blocks returns the shape of scales [.., blocks, 1, ..] and of what they are for, padded to whole blocks, [.., blocks, block, ..].
func (s scaling) blocks(x, scale []int) (axis int, each, whole []int, err error) {
	if axis, err = axisOf(s.axis, len(x)); err != nil {
		return 0, nil, nil, err
	}
	each, whole = slices.Insert(slices.Clone(scale), axis+1, 1), slices.Insert(slices.Clone(scale), axis+1, s.blockSize)
	return axis, each, whole, nil
}

// spreadOver gives scales, or zero points, a shape that broadcasts to x.
func (s scaling) spreadOver(g *Gradient, v Value, x []int) Value {
	scale := v.Dims()
	switch {
	case product(scale) == 1 && len(scale) <= 1:
		return g.Reshape(v, nil)
	case s.blockSize == 0:
		return g.Reshape(v, s.beside(g, x, scale))
	}
	axis, each, whole, err := s.blocks(x, scale)
	if err != nil {
		g.fail(err)
		return v
	}
	padded := slices.Clone(scale)
	padded[axis] *= s.blockSize
	v = g.Reshape(g.Expand(g.Reshape(v, each), whole), padded)
	if padded[axis] == x[axis] {
		return v
	}
	return g.apply("Slice", v, g.Ints(0), g.Ints(x[axis]), g.Ints(axis))
}

// beside is the shape of scales along an axis.
func (s scaling) beside(g *Gradient, x, scale []int) []int {
	axis, err := axisOf(s.axis, len(x))
	if err == nil && x[axis] != product(scale) {
		err = errors.New("scales do not fit")
	}
	g.fail(err)
	shape := slices.Repeat([]int{1}, len(x))
	if err == nil {
		shape[axis] = x[axis]
	}
	return shape
}

// setScale sets the gradient of the scale, input 1, of which terms has a part for each number.
func (s scaling) setScale(g *Gradient, terms Value, code onnx.DataType) error {
	if !g.Wants(1) {
		return nil
	}
	scale, x := g.In(1).Dims(), terms.Dims()
	sum := terms
	switch {
	case product(scale) == 1 && len(scale) <= 1:
		sum = g.SumTo(terms, nil)
	case s.blockSize == 0:
		sum = g.SumTo(terms, s.beside(g, x, scale))
	default:
		axis, _, whole, err := s.blocks(x, scale)
		if err != nil {
			return err
		}
		if rest := whole[axis]*s.blockSize - x[axis]; rest > 0 {
			pads := make([]int, 2*len(x))
			pads[len(x)+axis] = rest
			sum = g.apply("Pad", sum, g.Ints(pads...))
		}
		sum = g.ReduceSum(g.Reshape(sum, whole), axis+1)
	}
	sum = g.Reshape(sum, scale)
	if r, ok := codeRange(code); ok && g.learnedSteps && product(x) > 0 {
		shared := float64(product(x)) / float64(product(scale))
		sum = g.Scale(sum, 1/math.Sqrt(shared*float64(r[1])))
	}
	g.Set(1, g.Cast(sum, g.In(1)))
	return nil
}
