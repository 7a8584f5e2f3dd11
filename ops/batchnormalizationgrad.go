package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// batchNormalizationGrad is BatchNormalizationGrad of [Domain]: from x [N, C, …], scale, mean and 1/√(variance + ε) of each channel, and
// what arrives, dy, the gradients of x, scale and bias. Mean and variance are those of the batch, through which gradients flow, or if attribute
// fixed is 1 given numbers. The layout of rank 4 is free.
//
// S. Ioffe, C. Szegedy: Batch Normalization, 2015, section 3.
type batchNormalizationGrad struct {
	fixed  bool
	states *states[batchGradState]
}

// batchGradState is what a run needs.
type batchGradState struct {
	numbers [5][]float64 // scale, mean, inv; sums of dy and of dy·(x − mean)
	blend   kernel.Blend
}

func newBatchNormalizationGrad(n *Node) (Op, error) {
	return &batchNormalizationGrad{n.Bool("fixed", false), new(states[batchGradState])}, nil
}

// Infer implements Op.
func (o *batchNormalizationGrad) Infer(in []Info) ([]Info, error) {
	x := in[0].Shape
	for i := range in {
		if err := typesFloat.check(in, i); err != nil {
			return nil, err
		}
		if s := in[i].Shape; i > 0 && i < 4 && s != nil && (len(s) != 1 || len(x) > 1 && s[0].IsKnown() && x[1].IsKnown() && s[0] != x[1]) {
			return nil, fmt.Errorf("input %d of shape %s for %s", i, s, x)
		}
	}
	parameter := Info{Type: in[1].Type, Shape: in[1].Shape}
	return []Info{{Type: in[0].Type, Shape: x}, parameter, parameter}, nil
}

// ChannelsLast takes any layout of the numbers.
func (o *batchNormalizationGrad) ChannelsLast([]Info) ([]bool, bool) {
	return []bool{true, false, false, false, true}, false
}

// InPlace lists the numbers.
func (o *batchNormalizationGrad) InPlace() []int { return []int{4, 0} }

// Run implements Op.
func (o *batchNormalizationGrad) Run(c *Call) error { return throughFloat32(c, o) }

func (o *batchNormalizationGrad) run(c *Call) (err error) {
	x, dy := c.In[0], c.In[4]
	if len(x.Shape) < 1 || !slices.Equal(x.Shape, dy.Shape) || x.Type != dy.Type || x.Layout != dy.Layout {
		return fmt.Errorf("%s, %s, arrives at %s, %s", dy, dy.Layout, x, x.Layout)
	}
	p := channelsOf(x)
	s := o.states.get()
	defer o.states.put(s)
	for i := range s.numbers {
		if i > 2 {
			s.numbers[i] = resized(s.numbers[i], p.n)
			continue
		}
		if s.numbers[i], err = numbersOf(s.numbers[i], c.In[i+1]); err != nil {
			return fmt.Errorf("input %d: %w", i+1, err)
		}
		if len(s.numbers[i]) != p.n {
			return fmt.Errorf("input %d has %d elements for %d channels", i+1, len(s.numbers[i]), p.n)
		}
	}
	mean, inv, sum, dot := s.numbers[1], s.numbers[2], s.numbers[3], s.numbers[4]
	switch x.Type {
	case onnx.Float:
		all := c.scratch(4 * p.n)
		s.blend = kernel.Blend{A: all[:p.n], B: all[p.n:][:p.n], Mean: all[2*p.n:][:p.n], Shift: all[3*p.n:]}
		narrow(s.blend.Mean, mean)
		kernel.BatchSums(c.CPU, sum, dot, tensor.Of[float32](x), tensor.Of[float32](dy), s.blend.Mean, p.outer, p.n, p.inner)
	case onnx.Double:
		batchSums(sum, dot, tensor.Of[float64](x), tensor.Of[float64](dy), mean, p)
	default:
		return typeError(x.Type)
	}
	if c.wants(0) {
		if err := o.blend(c, s, p); err != nil {
			return err
		}
	}
	for k := range dot {
		dot[k] *= inv[k]
	}
	if err := c.giveNumbers(1, c.In[1].Type, dot); err != nil {
		return err
	}
	return c.giveNumbers(2, c.In[1].Type, sum)
}

// blend computes the gradient of x: scale·inv·(dy − mean of dy − (x − mean)·inv²·mean of dy·(x − mean)).
func (o *batchNormalizationGrad) blend(c *Call, s *batchGradState, p pile) error {
	x, dy := c.In[0], c.In[4]
	dx, err := c.Out(0, x.Type, x.Shape, x.Layout)
	if err != nil {
		return err
	}
	scale, mean, inv, sum, dot := s.numbers[0], s.numbers[1], s.numbers[2], s.numbers[3], s.numbers[4]
	n := float64(p.outer * p.inner)
	if o.fixed {
		n = 0
	}
	factors := func(k int) (a, b, shift float64) {
		if a = scale[k] * inv[k]; n > 0 {
			b, shift = -a*inv[k]*inv[k]*dot[k]/n, -a*sum[k]/n
		}
		return a, b, shift
	}
	if x.Type == onnx.Double {
		dst, src, grad := tensor.Of[float64](dx), tensor.Of[float64](x), tensor.Of[float64](dy)
		for i := range dst {
			k := i / p.inner % p.n
			a, b, shift := factors(k)
			dst[i] = a*grad[i] + b*(src[i]-mean[k]) + shift
		}
		return nil
	}
	for k := range p.n {
		a, b, shift := factors(k)
		s.blend.A[k], s.blend.B[k], s.blend.Shift[k] = float32(a), float32(b), float32(shift)
	}
	kernel.BlendPairs(c.CPU, tensor.Of[float32](dx), tensor.Of[float32](x), tensor.Of[float32](dy), &s.blend, p.outer, p.n, p.inner)
	s.blend = kernel.Blend{}
	return nil
}

func batchSums(sum, dot, x, dy, mean []float64, p pile) {
	clear(sum)
	clear(dot)
	for i, d := range dy {
		k := i / p.inner % p.n
		sum[k] += d
		dot[k] += d * (x[i] - mean[k])
	}
}

// Gradient flows through the statistics of the batch in training, else to the given mean and variance.
func (o *batchNormalization) Gradient(g *Gradient) error {
	dy, ok := g.Of(0)
	if !ok {
		return nil
	}
	x, scale, mean := g.In(0), g.In(1), g.In(3)
	var inv Value
	attrs := with(attrBool("fixed", !o.training))
	switch {
	case o.saved:
		mean, inv = g.Out(3), g.Out(4)
	case o.training:
		all := g.Nodes("BatchNormalizationTrain", 5, with(attrFloat("epsilon", o.epsilon)), x, scale, g.In(2), mean, g.In(4))
		mean, inv = all[3], all[4]
	default:
		inv = g.apply("Reciprocal", g.apply("Sqrt", g.Add(g.In(4), g.Scalar(g.In(4), float64(o.epsilon)))))
	}
	d := g.Nodes("BatchNormalizationGrad", 3, attrs, x, scale, mean, inv, dy)
	for i, v := range d {
		if g.Wants(i) {
			g.Set(i, v)
		}
	}
	if o.training {
		return nil
	}
	steep := g.Mul(scale, inv)
	if g.Wants(3) {
		g.Set(3, g.Neg(g.Mul(steep, d[2])))
	}
	if g.Wants(4) {
		g.Set(4, g.Scale(g.Mul(g.Mul(steep, inv), d[1]), -0.5))
	}
	return nil
}
