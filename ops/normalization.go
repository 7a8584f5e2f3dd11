package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// groupNormalization is GroupNormalization or InstanceNormalization: y = (x − mean)/√(variance + ε)·scale + bias with the statistics of
// each sample's groups of channels of x [N, C, …].
type groupNormalization struct {
	epsilon  float32
	groups   int  // 0: a channel a group
	perGroup bool // scale and bias have an element a group (opset 18), else a channel
}

func newInstanceNormalization(n *Node) (Op, error) {
	return &groupNormalization{epsilon: n.Float("epsilon", 1e-5)}, nil
}

func newGroupNormalization(n *Node) (Op, error) {
	o := &groupNormalization{epsilon: n.Float("epsilon", 1e-5), groups: n.Int("num_groups", 0), perGroup: n.Opset < 21}
	if o.groups <= 0 {
		return nil, fmt.Errorf("attribute num_groups is %d", o.groups)
	}
	return o, nil
}

// parts returns the number of groups and of elements in scale and bias, for a number of channels.
func (o *groupNormalization) parts(channels int) (groups, parameters int, err error) {
	if o.groups == 0 {
		return channels, channels, nil
	}
	if channels%o.groups != 0 {
		return 0, 0, fmt.Errorf("%d channels in %d groups", channels, o.groups)
	}
	if o.perGroup {
		return o.groups, o.groups, nil
	}
	return o.groups, channels, nil
}

func (o *groupNormalization) Infer(in []Info) ([]Info, error) {
	x := in[0].Shape
	if x != nil && len(x) < 2 {
		return nil, rankError(0, len(x), "2 or more")
	}
	if x != nil && x[1].IsKnown() {
		_, n, err := o.parts(x[1].N)
		if err != nil {
			return nil, err
		}
		for i := 1; i < 3; i++ {
			if s := in[i].Shape; s != nil && (len(s) != 1 || s[0].IsKnown() && s[0].N != n) {
				return nil, fmt.Errorf("input %d has shape %s, not [%d]", i, s, n)
			}
		}
	}
	dt, err := typesFloat.same(in, 0, 3)
	return []Info{{Type: dt, Shape: x}}, err
}

// InPlace lists the numbers.
func (o *groupNormalization) InPlace() []int { return []int{0} }

func (o *groupNormalization) Run(c *Call) error { return throughFloat32(c, o) }

func (o *groupNormalization) run(c *Call) error {
	x := c.In[0]
	if len(x.Shape) < 2 {
		return rankError(0, len(x.Shape), "2 or more")
	}
	p := pileOf(x.Shape, 1)
	groups, n, err := o.parts(p.n)
	if err != nil {
		return err
	}
	for i := 1; i < 3; i++ {
		if s := c.In[i].Shape; len(s) != 1 || s[0] != n {
			return fmt.Errorf("input %d has shape %v, not [%d]", i, s, n)
		}
	}
	if err := c.sameTypes(3); err != nil {
		return err
	}
	y, err := c.Out(0, x.Type, x.Shape)
	if err != nil || p.n == 0 {
		return err
	}
	switch x.Type {
	case onnx.Float:
		gamma, beta := tensor.Of[float32](c.In[1]), tensor.Of[float32](c.In[2])
		if n != p.n {
			all := c.scratch(2 * p.n)
			for i := range p.n {
				all[i], all[p.n+i] = gamma[i/(p.n/n)], beta[i/(p.n/n)]
			}
			gamma, beta = all[:p.n], all[p.n:]
		}
		kernel.GroupNorm(c.CPU, tensor.Of[float32](y), tensor.Of[float32](x), gamma, beta, p.outer, p.n, p.inner, groups, o.epsilon)
	case onnx.Double:
		gamma, beta := tensor.Of[float64](c.In[1]), tensor.Of[float64](c.In[2])
		dst, src, size := tensor.Of[float64](y), tensor.Of[float64](x), p.n/groups*p.inner
		for g := range p.outer * groups {
			mean, inv := moments(src[g*size:][:size], float64(o.epsilon), true)
			for i := range size {
				ch := (g*size + i) / p.inner % p.n / (p.n / n)
				dst[g*size+i] = (src[g*size+i]-mean)*inv*gamma[ch] + beta[ch]
			}
		}
	default:
		return typeError(x.Type)
	}
	return nil
}

// moments returns the mean, or 0 if it is not to be subtracted, and 1/√(mean of (x − mean)² + eps).
func moments(x []float64, eps float64, centred bool) (mean, inv float64) {
	n := float64(len(x))
	if centred {
		for _, v := range x {
			mean += v / n
		}
	}
	sum := 0.0
	for _, v := range x {
		sum += (v - mean) * (v - mean)
	}
	return mean, 1 / math.Sqrt(sum/n+eps)
}

// layerNormalization is LayerNormalization or RMSNormalization over the axes from one on: y = (x − mean)/√(variance + ε)·scale + bias,
// or x/√(mean of x² + ε)·scale. Scale and bias are broadcast to x. Outputs 1 and 2 of LayerNormalization are the mean and
// 1/√(variance + ε), in float32. It computes in float32 whatever stash_type says, and in float64 on float64.
type layerNormalization struct {
	epsilon float32
	axis    int
	rms     bool
	outputs int
	states  *states[layerState]
}

type layerState struct{ shape []int }

func newLayerNormalization(rms bool) func(*Node) (Op, error) {
	return func(n *Node) (Op, error) {
		return &layerNormalization{n.Float("epsilon", 1e-5), n.Int("axis", -1), rms, len(n.Outputs), new(states[layerState])}, nil
	}
}

func (o *layerNormalization) Infer(in []Info) ([]Info, error) {
	x := in[0].Shape
	statistics := Info{Type: onnx.Float}
	if in[0].Type == onnx.Double {
		statistics.Type = onnx.Double
	}
	if x != nil {
		axis, err := axisOf(o.axis, len(x))
		if err != nil {
			return nil, err
		}
		statistics.Shape = slices.Clone(x)
		for i := axis; i < len(x); i++ {
			statistics.Shape[i] = Known(1)
		}
		for i := 1; i < len(in); i++ {
			if err := broadcastsTo(in[i].Shape, x); err != nil {
				return nil, fmt.Errorf("input %d: %w", i, err)
			}
		}
	}
	err := typesFloat.check(in, 0)
	out := []Info{{Type: in[0].Type, Shape: x}, statistics, statistics}
	return out[:min(3, max(o.outputs, 1))], err
}

// InPlace lists the numbers.
func (o *layerNormalization) InPlace() []int { return []int{0} }

func (o *layerNormalization) Run(c *Call) error {
	x := c.In[0]
	if typesHalf.has(x.Type) && (c.wants(1) || c.wants(2)) {
		return o.halves(c)
	}
	return throughFloat32(c, o)
}

// halves runs on numbers of 16 bits when the statistics, which are float32, are asked for.
func (o *layerNormalization) halves(c *Call) error {
	wide := *c
	wide.In, wide.Outs = slices.Clone(c.In), make([]*tensor.Tensor, len(c.Outs))
	for i, t := range c.In {
		if t == nil {
			continue
		}
		f, err := tensor.New(onnx.Float, t.Shape...)
		if err != nil {
			return err
		}
		t.Floats(tensor.Of[float32](f), 0)
		wide.In[i] = f
	}
	if err := o.run(&wide); err != nil {
		return err
	}
	y, err := c.Out(0, c.In[0].Type, c.In[0].Shape)
	if err != nil {
		return err
	}
	y.SetFloats(0, tensor.Of[float32](wide.Outs[0]), false)
	for i := 1; i < len(wide.Outs); i++ {
		if t := wide.Outs[i]; t != nil {
			if err := c.give(i, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *layerNormalization) run(c *Call) error {
	x := c.In[0]
	axis, err := axisOf(o.axis, len(x.Shape))
	if err != nil {
		return err
	}
	if err := c.sameTypes(3); err != nil {
		return err
	}
	s := o.states.get()
	defer o.states.put(s)
	s.shape = append(s.shape[:0], x.Shape...)
	for i := axis; i < len(s.shape); i++ {
		s.shape[i] = 1
	}
	var statistics [2]*tensor.Tensor
	for i := range statistics {
		if c.wants(i + 1) {
			if statistics[i], err = c.Out(i+1, x.Type, s.shape); err != nil {
				return err
			}
		}
	}
	dense := true // scale and bias have an element for each that is normalised together
	for i := 1; i < 3; i++ {
		t := c.input(i)
		dense = dense && (t == nil || len(t.Shape) == len(x.Shape)-axis && slices.Equal(t.Shape, x.Shape[axis:]))
	}
	switch x.Type {
	case onnx.Float:
		return o.floats(c, axis, dense, statistics)
	case onnx.Double:
		return o.doubles(c, axis, statistics)
	}
	return typeError(x.Type)
}

func (o *layerNormalization) floats(c *Call, axis int, dense bool, statistics [2]*tensor.Tensor) error {
	x := c.In[0]
	src := tensor.Of[float32](x)
	y, err := c.Out(0, x.Type, x.Shape)
	if err != nil {
		return err
	}
	outer, n := product(x.Shape[:axis]), product(x.Shape[axis:])
	dst := tensor.Of[float32](y)
	var parameters, moments [2][]float32
	for i := range parameters {
		if t := c.input(i + 1); dense && t != nil {
			parameters[i] = tensor.Of[float32](t)
		}
		if statistics[i] != nil {
			moments[i] = tensor.Of[float32](statistics[i])
		}
	}
	if o.rms {
		kernel.RMSNorm(c.CPU, dst, src, parameters[0], outer, n, o.epsilon)
	} else {
		kernel.LayerNorm(c.CPU, dst, src, parameters[0], parameters[1], outer, n, o.epsilon, moments[0], moments[1])
	}
	if dense {
		return nil
	}
	w := newWork()
	defer w.free()
	for i, op := range []kernel.BinaryOp{kernel.Mul, kernel.Add} {
		t := c.input(i + 1)
		if t == nil {
			continue
		}
		a, err := w.align(y, t)
		if err != nil || !slices.Equal(a.logical, x.Shape) {
			return fmt.Errorf("input %d of shape %v does not broadcast to %v", i+1, t.Shape, x.Shape)
		}
		kernel.Binary(c.CPU, op, dst, dst, tensor.Of[float32](t), a.shape, a.strides[0], a.strides[1], kernel.Activation{})
	}
	return nil
}

func (o *layerNormalization) doubles(c *Call, axis int, statistics [2]*tensor.Tensor) error {
	x := c.In[0]
	y, err := c.Out(0, x.Type, x.Shape)
	if err != nil {
		return err
	}
	src, dst := tensor.Of[float64](x), tensor.Of[float64](y)
	n := product(x.Shape[axis:])
	for r := range product(x.Shape[:axis]) {
		row := src[r*n:][:n]
		mean, inv := moments(row, float64(o.epsilon), !o.rms)
		for k, v := range []float64{mean, inv} {
			if statistics[k] != nil {
				tensor.Of[float64](statistics[k])[r] = v
			}
		}
		for i, v := range row {
			dst[r*n+i] = (v - mean) * inv
		}
	}
	w := newWork()
	defer w.free()
	for i := 1; i < 3; i++ {
		t := c.input(i)
		if t == nil {
			continue
		}
		a, err := w.align(y, t)
		if err != nil || !slices.Equal(a.logical, x.Shape) {
			return fmt.Errorf("input %d of shape %v does not broadcast to %v", i, t.Shape, x.Shape)
		}
		w.walkAligned(&a)
		p := tensor.Of[float64](t)
		for row, ok := w.rows(); ok; ok = w.next() {
			for k := range row.n {
				d, v := &dst[w.at[0]+k*row.step[0]], p[w.at[2]+k*row.step[2]]
				if i == 1 {
					*d *= v
				} else {
					*d += v
				}
			}
		}
	}
	return nil
}
