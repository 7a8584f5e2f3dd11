package ops

import (
	"fmt"
	"math"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// batchNormalization is BatchNormalization: y = (x − mean)/√(variance + ε)·scale + bias for each channel of x [N, C, …]. In training
// mode (opset 14 on) mean and variance are those of the batch, and outputs 1 and 2 are momentum·given + (1 − momentum)·the
// batch's; the variance is that of the population. The layout of rank 4 is free.
//
// BatchNormalizationTrain of [Domain] is that in training mode, with outputs 3 and 4, the mean of the batch and 1/√(variance + ε), which the
// gradient needs; with attributes of a function, as ActivationGrad has them, y is its result. If attribute unbiased is 1, output 2 is of the
// batch's variance as an estimate of that of all data, times n/(n − 1), as PyTorch has it.
//
// S. Ioffe, C. Szegedy: Batch Normalization, 2015, algorithms 1 and 2.
type batchNormalization struct {
	epsilon, momentum float32
	training          bool
	saved             bool // it is BatchNormalizationTrain
	unbiased          bool
	outputs           int
	act               kernel.Activation
	packed            *[2][]float32 // scale and shift
	states            *states[affine]
}

// affine is what a run needs.
type affine struct{ scale, shift, mean, variance, running []float64 }

func newBatchNormalization(n *Node) (Op, error) {
	o := &batchNormalization{
		epsilon: n.Float("epsilon", 1e-5), momentum: n.Float("momentum", 0.9), training: n.Opset >= 14 && n.Bool("training_mode", false),
		outputs: len(n.Outputs), states: new(states[affine]),
	}
	if n.Opset < 9 && !n.Bool("spatial", true) {
		return nil, fmt.Errorf("attribute spatial of 0 (statistics of each position) is not supported")
	}
	if !o.training && present(n.Outputs) > 1 {
		return nil, fmt.Errorf("outputs beside the first are for training")
	}
	return o, nil
}

func newBatchNormalizationTrain(n *Node) (Op, error) {
	act, err := throughOf(n)
	return &batchNormalization{
		epsilon: n.Float("epsilon", 1e-5), momentum: n.Float("momentum", 0.9), training: true, saved: true, unbiased: n.Bool("unbiased", false),
		outputs: len(n.Outputs), act: act, states: new(states[affine]),
	}, err
}

func (o *batchNormalization) Infer(in []Info) ([]Info, error) {
	x := in[0].Shape
	if x != nil && len(x) < 1 {
		return nil, rankError(0, len(x), "1 or more")
	}
	if err := typesFloat.check(in, 0); err != nil {
		return nil, err
	}
	for i := 1; i < 5; i++ {
		if err := typesFloat.check(in, i); err != nil {
			return nil, err
		}
		s := in[i].Shape
		if s == nil {
			continue
		}
		if len(s) != 1 {
			return nil, rankError(i, len(s), "1")
		}
		if len(x) > 1 && s[0].IsKnown() && x[1].IsKnown() && s[0] != x[1] {
			return nil, fmt.Errorf("input %d has %d elements for %d channels", i, s[0].N, x[1].N)
		}
	}
	out := []Info{{Type: in[0].Type, Shape: x}, {Type: in[3].Type, Shape: in[3].Shape}, {Type: in[4].Type, Shape: in[4].Shape}}
	if o.saved {
		statistics := Info{Type: onnx.Float, Shape: in[1].Shape}
		if in[0].Type == onnx.Double {
			statistics.Type = onnx.Double
		}
		out = append(out, statistics, statistics)
	}
	return out[:min(len(out), max(o.outputs, 1))], nil
}

// ChannelsLast takes any layout of the numbers.
func (o *batchNormalization) ChannelsLast(in []Info) ([]bool, bool) {
	ok := make([]bool, len(in))
	ok[0] = true
	return ok, false
}

// InPlace lists the numbers.
func (o *batchNormalization) InPlace() []int {
	if o.training {
		return nil
	}
	return []int{0}
}

// Fuse takes over an activation, but not an addition.
func (o *batchNormalization) Fuse(add bool, act kernel.Activation) Op {
	if add || o.training && !o.saved || o.act.Kind != kernel.None {
		return nil
	}
	f := *o
	f.act = act
	return &f
}

// Pack computes factors and summands once.
func (o *batchNormalization) Pack(_ *kernel.CPU, info []Info) (Op, []int, error) {
	var v [4][]float64
	if o.training || len(info) < 5 || info[0].Type != onnx.Float && info[0].Type != onnx.Undefined {
		return nil, nil, nil
	}
	for i := range v {
		t := info[i+1].Value
		if t == nil || t.Type != onnx.Float {
			return nil, nil, nil
		}
		var err error
		if v[i], err = numbersOf(nil, t); err != nil {
			return nil, nil, fmt.Errorf("input %d: %w", i+1, err)
		}
		if len(v[i]) != len(v[0]) {
			return nil, nil, fmt.Errorf("inputs 1 and %d have %d and %d elements", i+1, len(v[0]), len(v[i]))
		}
	}
	o.fold(v[0], v[1], v[2], v[3])
	p := *o
	p.packed = &[2][]float32{make([]float32, len(v[0])), make([]float32, len(v[0]))}
	narrow(p.packed[0], v[0])
	narrow(p.packed[1], v[1])
	return &p, []int{1, 2, 3, 4}, nil
}

// PackedBytes is the memory that factors and summands take.
func (o *batchNormalization) PackedBytes() int64 {
	if o.packed == nil {
		return 0
	}
	return int64(8 * len(o.packed[0]))
}

// fold turns scale and bias into the factor and the summand of x.
func (o *batchNormalization) fold(scale, bias, mean, variance []float64) {
	for i := range scale {
		scale[i] /= math.Sqrt(variance[i] + float64(o.epsilon))
		bias[i] -= mean[i] * scale[i]
	}
}

func narrow(dst []float32, src []float64) {
	for i, v := range src {
		dst[i] = float32(v)
	}
}

func (o *batchNormalization) Run(c *Call) error { return throughFloat32(c, o) }

func (o *batchNormalization) run(c *Call) (err error) {
	x := c.In[0]
	if len(x.Shape) < 1 {
		return rankError(0, len(x.Shape), "1 or more")
	}
	p := channelsOf(x)
	if o.packed != nil {
		if len(o.packed[0]) != p.n {
			return fmt.Errorf("%d channels for parameters of %d", p.n, len(o.packed[0]))
		}
		return o.apply(c, o.packed[0], o.packed[1], p)
	}
	s := o.states.get()
	defer o.states.put(s)
	for i, v := range []*[]float64{&s.scale, &s.shift, &s.mean, &s.variance} {
		if *v, err = numbersOf(*v, c.In[i+1]); err != nil {
			return fmt.Errorf("input %d: %w", i+1, err)
		}
		if len(*v) != p.n {
			return fmt.Errorf("input %d has %d elements for %d channels", i+1, len(*v), p.n)
		}
	}
	if o.training {
		if err := o.train(c, s, p); err != nil {
			return err
		}
		if !c.wants(0) {
			return nil
		}
	}
	if o.saved {
		foldSaved(s.scale, s.shift, s.mean, s.variance)
	} else {
		o.fold(s.scale, s.shift, s.mean, s.variance)
	}
	switch x.Type {
	case onnx.Float:
		all := c.scratch(2 * p.n)
		narrow(all[:p.n], s.scale)
		narrow(all[p.n:], s.shift)
		return o.apply(c, all[:p.n], all[p.n:], p)
	case onnx.Double:
		y, err := c.Out(0, x.Type, x.Shape)
		if err != nil {
			return err
		}
		dst := tensor.Of[float64](y)
		for i, v := range tensor.Of[float64](x) {
			k := i / p.inner % p.n
			dst[i] = o.act.Of(v*s.scale[k] + s.shift[k])
		}
		return nil
	}
	return typeError(x.Type)
}

func (o *batchNormalization) apply(c *Call, scale, shift []float32, p pile) error {
	x := c.In[0]
	if x.Type != onnx.Float {
		return typeError(x.Type)
	}
	src := tensor.Of[float32](x)
	y, err := c.Out(0, x.Type, x.Shape, x.Layout)
	if err != nil {
		return err
	}
	kernel.Affine(c.CPU, tensor.Of[float32](y), src, scale, shift, p.outer, p.n, p.inner, o.act)
	return nil
}

// channelsOf sees a tensor as its channels lie.
func channelsOf(x *tensor.Tensor) pile {
	p := pile{1, 1, 1}
	if len(x.Shape) > 1 {
		p = pileOf(x.Shape, 1)
	} else {
		p.outer = x.Shape[0]
	}
	if x.Layout == tensor.ChannelsLast {
		p.outer, p.inner = p.outer*p.inner, 1
	}
	return p
}

// train replaces mean and variance with those of the batch, or with what is saved of them, and gives the running ones, and what is saved.
func (o *batchNormalization) train(c *Call, s *affine, p pile) error {
	s.running = append(append(s.running[:0], s.mean...), s.variance...)
	switch x := c.In[0]; x.Type {
	case onnx.Float:
		kernel.BatchMoments(c.CPU, s.mean, s.variance, tensor.Of[float32](x), p.outer, p.n, p.inner)
	case onnx.Double:
		batchMoments(s.mean, s.variance, tensor.Of[float64](x), p)
	default:
		return typeError(x.Type)
	}
	m, count := float64(o.momentum), float64(p.outer*p.inner)
	correction := 1.0
	if o.unbiased && count > 1 {
		correction = count / (count - 1)
	}
	for k := range s.mean {
		s.running[k] = m*s.running[k] + (1-m)*s.mean[k]
		s.running[p.n+k] = m*s.running[p.n+k] + (1-m)*s.variance[k]*correction
	}
	if err := c.giveNumbers(1, c.In[3].Type, s.running[:p.n]); err != nil {
		return err
	}
	if err := c.giveNumbers(2, c.In[4].Type, s.running[p.n:]); err != nil || !o.saved {
		return err
	}
	for k, v := range s.variance {
		s.variance[k] = 1 / math.Sqrt(v+float64(o.epsilon))
		if c.In[0].Type == onnx.Float { // as it is saved
			s.mean[k], s.variance[k] = float64(float32(s.mean[k])), float64(float32(s.variance[k]))
		}
	}
	if err := c.giveNumbers(3, c.In[0].Type, s.mean); err != nil {
		return err
	}
	return c.giveNumbers(4, c.In[0].Type, s.variance)
}

// giveNumbers stores a vector as output i, if that is wanted.
func (c *Call) giveNumbers(i int, dt onnx.DataType, v []float64) error {
	if !c.wants(i) {
		return nil
	}
	shape := [1]int{len(v)}
	out, err := c.Out(i, dt, shape[:])
	if err != nil {
		return err
	}
	switch dt {
	case onnx.Double:
		copy(tensor.Of[float64](out), v)
	case onnx.Float:
		narrow(tensor.Of[float32](out), v)
	default:
		rounded := make([]float32, len(v))
		narrow(rounded, v)
		out.SetFloats(0, rounded, false)
	}
	return nil
}

func batchMoments(mean, variance, x []float64, p pile) {
	count := float64(p.outer * p.inner)
	clear(mean)
	clear(variance)
	for i, v := range x {
		mean[i/p.inner%p.n] += v / count
	}
	for i, v := range x {
		k := i / p.inner % p.n
		variance[k] += (v - mean[k]) * (v - mean[k]) / count
	}
}
