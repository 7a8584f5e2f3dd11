package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// batchNormalizationGrad is BatchNormalizationGrad of [Domain]: from x [N, C, …], scale, mean and 1/√(variance + ε) of each channel, and
// what arrives, dy, the gradients of x, scale and bias. Mean and variance are those of the batch, through which gradients flow, or if attribute
// fixed is 1 given numbers. With attributes of a function, as ActivationGrad has them, dy arrives at its result, act((x − mean)·scale/√(variance + ε) +
// bias), and there is a last input, the bias. The layout of rank 4 is free.
//
// S. Ioffe, C. Szegedy: Batch Normalization, 2015, section 3.
type batchNormalizationGrad struct {
	fixed  bool
	act    kernel.Activation
	states *states[batchGradState]
}

// batchGradState is what a run needs.
type batchGradState struct {
	numbers [7][]float64 // scale, mean, inv; sums of dy and of dy·(x − mean); factor and summand of x
	blend   kernel.Blend
}

func newBatchNormalizationGrad(n *Node) (Op, error) {
	act, err := throughOf(n)
	if err == nil && act.Kind != kernel.None && len(n.Inputs) < 6 {
		err = errors.New("a function follows, but there is no bias")
	}
	return &batchNormalizationGrad{n.Bool("fixed", false), act, new(states[batchGradState])}, err
}

// Infer implements Op.
func (o *batchNormalizationGrad) Infer(in []Info) ([]Info, error) {
	x := in[0].Shape
	for i := range in {
		if err := typesFloat.check(in, i); err != nil {
			return nil, err
		}
		if s := in[i].Shape; i > 0 && i != 4 && s != nil && (len(s) != 1 || len(x) > 1 && s[0].IsKnown() && x[1].IsKnown() && s[0] != x[1]) {
			return nil, fmt.Errorf("input %d of shape %s for %s", i, s, x)
		}
	}
	parameter := Info{Type: in[1].Type, Shape: in[1].Shape}
	return []Info{{Type: in[0].Type, Shape: x}, parameter, parameter}, nil
}

// ChannelsLast takes any layout of the numbers.
func (o *batchNormalizationGrad) ChannelsLast(in []Info) ([]bool, bool) {
	return []bool{true, false, false, false, true, false}[:len(in)], false
}

// InPlace lists the numbers, but for x where what goes through the function is stored before that is read for the last time.
func (o *batchNormalizationGrad) InPlace() []int {
	if o.act.Kind != kernel.None {
		return []int{4}
	}
	return []int{4, 0}
}

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
	if err := o.read(c, s, p.n); err != nil {
		return err
	}
	inv, sum, dot := s.numbers[2], s.numbers[3], s.numbers[4]
	switch x.Type {
	case onnx.Float:
		err = o.floats(c, s, p)
	case onnx.Double:
		err = o.doubles(c, s, p)
	default:
		err = typeError(x.Type)
	}
	if err != nil {
		return err
	}
	for k := range dot {
		dot[k] *= inv[k]
	}
	if err := c.giveNumbers(1, c.In[1].Type, dot); err != nil {
		return err
	}
	return c.giveNumbers(2, c.In[1].Type, sum)
}

// read takes the numbers of n channels.
func (o *batchNormalizationGrad) read(c *Call, s *batchGradState, n int) (err error) {
	for i := range s.numbers {
		at := i + 1 // the input
		switch {
		case i == 6 && o.act.Kind != kernel.None:
			at = 5
		case i > 2:
			s.numbers[i] = resized(s.numbers[i], n)
			continue
		}
		if s.numbers[i], err = numbersOf(s.numbers[i], c.In[at]); err != nil {
			return fmt.Errorf("input %d: %w", at, err)
		}
		if len(s.numbers[i]) != n {
			return fmt.Errorf("input %d has %d elements for %d channels", at, len(s.numbers[i]), n)
		}
	}
	if o.act.Kind != kernel.None {
		copy(s.numbers[5], s.numbers[0])
		foldSaved(s.numbers[5], s.numbers[6], s.numbers[1], s.numbers[2])
	}
	return nil
}

// foldSaved turns scale and bias into the factor and the summand of x, from what is saved. The same numbers give the same bits forward and back.
func foldSaved(scale, bias, mean, inv []float64) {
	for k := range scale {
		scale[k] *= inv[k]
		bias[k] -= mean[k] * scale[k]
	}
}

// factors returns what makes the gradient of x, scale·inv·(dy − mean of dy − (x − mean)·inv²·mean of dy·(x − mean)): a·dy + b·(x − mean) + shift.
func (o *batchNormalizationGrad) factors(s *batchGradState, p pile, k int) (a, b, shift float64) {
	inv, sum, dot := s.numbers[2][k], s.numbers[3][k], s.numbers[4][k]
	a = s.numbers[0][k] * inv
	if n := float64(p.outer * p.inner); n > 0 && !o.fixed {
		b, shift = -a*inv*inv*dot/n, -a*sum/n
	}
	return a, b, shift
}

func (o *batchNormalizationGrad) floats(c *Call, s *batchGradState, p pile) error {
	src, dy, own := tensor.Of[float32](c.In[0]), tensor.Of[float32](c.In[4]), 6*p.n
	through, wanted := o.act.Kind != kernel.None, c.wants(0)
	if through && !wanted {
		own += len(src)
	}
	all := c.scratch(own)
	dst := all[6*p.n:]
	if wanted {
		x := c.In[0]
		dx, err := c.Out(0, x.Type, x.Shape, x.Layout)
		if err != nil {
			return err
		}
		dst = tensor.Of[float32](dx)
	}
	part := func(i int) []float32 { return all[i*p.n:][:p.n] }
	s.blend = kernel.Blend{A: part(0), B: part(1), Mean: part(2), Shift: part(3)}
	narrow(s.blend.Mean, s.numbers[1])
	if through {
		f := kernel.Through{Scale: part(4), Shift: part(5), Act: o.act}
		narrow(f.Scale, s.numbers[5])
		narrow(f.Shift, s.numbers[6])
		kernel.BatchSumsThrough(c.CPU, s.numbers[3], s.numbers[4], dst, src, dy, s.blend.Mean, f, p.outer, p.n, p.inner)
		dy = dst
	} else {
		kernel.BatchSums(c.CPU, s.numbers[3], s.numbers[4], src, dy, s.blend.Mean, p.outer, p.n, p.inner)
	}
	if wanted {
		for k := range p.n {
			a, b, shift := o.factors(s, p, k)
			s.blend.A[k], s.blend.B[k], s.blend.Shift[k] = float32(a), float32(b), float32(shift)
		}
		kernel.BlendPairs(c.CPU, dst, src, dy, &s.blend, p.outer, p.n, p.inner)
	}
	s.blend = kernel.Blend{}
	return nil
}

func (o *batchNormalizationGrad) doubles(c *Call, s *batchGradState, p pile) error {
	x, src, dy := c.In[0], tensor.Of[float64](c.In[0]), tensor.Of[float64](c.In[4])
	if o.act.Kind != kernel.None {
		all := make([]float64, len(dy))
		for i, d := range dy {
			k := i / p.inner % p.n
			all[i] = d * o.act.SlopeOf(src[i]*s.numbers[5][k]+s.numbers[6][k])
		}
		dy = all
	}
	batchSums(s.numbers[3], s.numbers[4], src, dy, s.numbers[1], p)
	if !c.wants(0) {
		return nil
	}
	dx, err := c.Out(0, x.Type, x.Shape, x.Layout)
	if err != nil {
		return err
	}
	dst := tensor.Of[float64](dx)
	for i := range dst {
		k := i / p.inner % p.n
		a, b, shift := o.factors(s, p, k)
		dst[i] = a*dy[i] + b*(src[i]-s.numbers[1][k]) + shift
	}
	return nil
}

// throughOf reads the attributes of a function that follows a normalisation, of one whose slope is computed from what it takes; None if there are none.
func throughOf(n *Node) (kernel.Activation, error) {
	name := n.Text("kind", "")
	if name == "" {
		return kernel.Activation{}, nil
	}
	a := kernel.Activation{Kind: kernel.ActivationKind(max(0, slices.Index(activationKinds[:], name))), A: n.Float("alpha", 0), B: n.Float("beta", 0)}
	if !passesThrough(a) {
		return a, fmt.Errorf("attribute kind is %q", name)
	}
	return a, nil
}

// passesThrough reports whether a function may be part of a normalisation in training.
func passesThrough(a kernel.Activation) bool {
	return kernel.HasSlope(a.Kind) && (a.Kind == kernel.ClipTo || !kernel.SlopeOfOutput(a.Kind))
}

func throughAttributes(a kernel.Activation) []*onnx.Attribute {
	return with(attrText("kind", activationKinds[a.Kind]), attrFloat("alpha", a.A), attrFloat("beta", a.B))
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
	in := []Value{x, scale, mean, inv, dy}
	if o.act.Kind != kernel.None {
		attrs, in = append(attrs, throughAttributes(o.act)...), append(in, g.In(2))
	}
	d := g.Nodes("BatchNormalizationGrad", 3, attrs, in...)
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
