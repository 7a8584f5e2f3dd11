package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// normalizationGrad is LayerNormalizationGrad or GroupNormalizationGrad of [Domain]: from x, what arrives, dy, and maybe scale, the gradients
// of x, scale and bias. Statistics are computed again.
//
// LayerNormalizationGrad has attributes axis, epsilon and rms, which is 1 for RMSNormalization; scale and the gradients of the parameters have
// the shape of x from axis on. GroupNormalizationGrad has num_groups, 0 for a channel a group, and epsilon; its scale has an element a
// channel, as have the gradients.
type normalizationGrad struct {
	epsilon      float32
	axis, groups int
	rms, grouped bool
	states       *states[layerState]
}

func newLayerNormalizationGrad(n *Node) (Op, error) {
	return &normalizationGrad{epsilon: n.Float("epsilon", 1e-5), axis: n.Int("axis", -1), rms: n.Bool("rms", false), states: new(states[layerState])}, nil
}

func newGroupNormalizationGrad(n *Node) (Op, error) {
	return &normalizationGrad{epsilon: n.Float("epsilon", 1e-5), groups: n.Int("num_groups", 0), grouped: true, states: new(states[layerState])}, nil
}

// Infer implements Op.
func (o *normalizationGrad) Infer(in []Info) ([]Info, error) {
	dt, err := typesFloat.same(in, 0, len(in))
	if err != nil {
		return nil, err
	}
	x := in[0].Shape
	parameter := Info{Type: dt}
	switch {
	case x == nil:
	case o.grouped && len(x) < 2:
		return nil, rankError(0, len(x), "2 or more")
	case o.grouped:
		parameter.Shape = x[1:2]
	default:
		axis, err := axisOf(o.axis, len(x))
		if err != nil {
			return nil, err
		}
		parameter.Shape = x[axis:]
	}
	return []Info{{Type: dt, Shape: x}, parameter, parameter}, nil
}

// InPlace lists the numbers.
func (o *normalizationGrad) InPlace() []int { return []int{1, 0} }

// Run implements Op.
func (o *normalizationGrad) Run(c *Call) error { return throughFloat32(c, o) }

func (o *normalizationGrad) run(c *Call) error {
	x, dy, scale := c.In[0], c.In[1], c.input(2)
	if err := c.sameTypes(3); err != nil {
		return err
	}
	if !slices.Equal(x.Shape, dy.Shape) {
		return fmt.Errorf("%v arrives at the normalisation of %v", dy.Shape, x.Shape)
	}
	s := o.states.get()
	defer o.states.put(s)
	r, err := o.rowsOf(x.Shape)
	if err != nil {
		return err
	}
	if s.shape = append(s.shape[:0], r.channels); !o.grouped {
		s.shape = append(s.shape[:0], x.Shape[len(x.Shape)-r.rank:]...)
	}
	if scale != nil && !slices.Equal(scale.Shape, s.shape) {
		return fmt.Errorf("input 2 has shape %v, not %v", scale.Shape, s.shape)
	}
	dx, err := c.Out(0, x.Type, x.Shape)
	if err != nil {
		return err
	}
	var parameters [2]*tensor.Tensor
	for i := range parameters {
		if c.wants(i + 1) {
			if parameters[i], err = c.Out(i+1, x.Type, s.shape); err != nil {
				return err
			}
		}
	}
	switch x.Type {
	case onnx.Float:
		o.floats(c, dx, parameters, r)
	case onnx.Double:
		o.doubles(c, dx, parameters, r)
	default:
		err = typeError(x.Type)
	}
	return err
}

// normalised says how a tensor is normalised: rows of n elements, runs of inner of which have one scale, of channels.
type normalised struct{ rows, n, inner, channels, rank int }

func (o *normalizationGrad) rowsOf(x []int) (normalised, error) {
	if !o.grouped {
		axis, err := axisOf(o.axis, len(x))
		if err != nil {
			return normalised{}, err
		}
		n := product(x[axis:])
		return normalised{product(x[:axis]), n, 1, n, len(x) - axis}, nil
	}
	if len(x) < 2 {
		return normalised{}, rankError(0, len(x), "2 or more")
	}
	groups := o.groups
	if groups == 0 {
		groups = x[1]
	}
	if groups < 0 || groups == 0 && x[1] != 0 || groups > 0 && x[1]%groups != 0 {
		return normalised{}, fmt.Errorf("%d channels in %d groups", x[1], o.groups)
	}
	inner := product(x[2:])
	return normalised{x[0] * groups, x[1] / max(1, groups) * inner, inner, x[1], 1}, nil
}

func (o *normalizationGrad) floats(c *Call, dx *tensor.Tensor, parameters [2]*tensor.Tensor, r normalised) {
	x, dy, dst := tensor.Of[float32](c.In[0]), tensor.Of[float32](c.In[1]), tensor.Of[float32](dx)
	var gamma []float32
	if t := c.input(2); t != nil {
		gamma = tensor.Of[float32](t)
	}
	var d [2][]float32
	scratch := c.scratch(2 * r.channels)
	for i, t := range parameters {
		if d[i] = scratch[i*r.channels:][:r.channels]; t != nil {
			d[i] = tensor.Of[float32](t)
		}
	}
	switch {
	case len(dst) == 0:
		clear(d[0])
		clear(d[1])
	case o.grouped:
		n := c.In[0].Shape[0]
		kernel.GroupNormGrad(c.CPU, dst, d[0], d[1], x, dy, gamma, n, r.channels, r.inner, r.rows/n, o.epsilon)
	default:
		kernel.LayerNormGrad(c.CPU, dst, d[0], d[1], x, dy, gamma, r.rows, r.n, o.epsilon, o.rms)
	}
}

func (o *normalizationGrad) doubles(c *Call, dx *tensor.Tensor, parameters [2]*tensor.Tensor, r normalised) {
	x, dy, dst := tensor.Of[float64](c.In[0]), tensor.Of[float64](c.In[1]), tensor.Of[float64](dx)
	var d [2][]float64
	for i, t := range parameters {
		if d[i] = make([]float64, r.channels); t != nil {
			d[i] = tensor.Of[float64](t)
			clear(d[i])
		}
	}
	g := make([]float64, r.n)
	for row := range r.rows {
		at := row * r.n
		mean, inv := moments(x[at:][:r.n], float64(o.epsilon), !o.rms)
		first, second := 0.0, 0.0
		for i := range g {
			k := (at + i) / r.inner % r.channels
			h := (x[at+i] - mean) * inv
			d[0][k] += dy[at+i] * h
			d[1][k] += dy[at+i]
			if g[i] = dy[at+i]; c.input(2) != nil {
				g[i] *= tensor.Of[float64](c.In[2])[k]
			}
			first += g[i] / float64(r.n)
			second += g[i] * h / float64(r.n)
		}
		if o.rms {
			first = 0
		}
		for i, v := range g {
			dst[at+i] = inv * (v - first - (x[at+i]-mean)*inv*second)
		}
	}
}

// Gradient flows through the statistics. Where scale and bias do not have an element for each that is normalised together, what arrives is scaled
// before, and their gradients are sums.
func (o *layerNormalization) Gradient(g *Gradient) error {
	dy, ok := g.Of(0)
	for i := 1; i < 3; i++ {
		if _, used := g.Of(i); used {
			return fmt.Errorf("gradients of output %d are not supported", i)
		}
	}
	if !ok {
		return nil
	}
	x, scale := g.In(0), g.In(1)
	axis, err := axisOf(o.axis, len(x.Dims()))
	if err != nil {
		return err
	}
	attrs := with(attrInt("axis", axis), attrFloat("epsilon", o.epsilon), attrBool("rms", o.rms))
	own := x.Dims()[axis:]
	if slices.Equal(scale.Dims(), own) {
		d := g.Nodes("LayerNormalizationGrad", 3, attrs, x, dy, scale)
		g.Set(0, d[0])
		g.Set(1, d[1])
		if g.Wants(2) {
			if slices.Equal(g.In(2).Dims(), own) {
				g.Set(2, d[2])
			} else {
				g.SetSum(2, dy)
			}
		}
		return nil
	}
	if g.Wants(0) {
		g.Set(0, g.Nodes("LayerNormalizationGrad", 3, attrs, x, g.Mul(dy, scale))[0])
	}
	if g.Wants(1) {
		one := g.Expand(g.Scalar(x, 1), own)
		op := "LayerNormalization"
		if o.rms {
			op = "RMSNormalization"
		}
		g.SetSum(1, g.Mul(dy, g.Node(op, with(attrInt("axis", axis), attrFloat("epsilon", o.epsilon)), x, one)))
	}
	if g.Wants(2) {
		g.SetSum(2, dy)
	}
	return nil
}

// Gradient flows through the statistics. Scale and bias of an element a group are repeated for its channels.
func (o *groupNormalization) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	x, scale := g.In(0), g.In(1)
	groups, n, err := o.parts(x.Dims()[1])
	if err != nil {
		return err
	}
	channels := x.Dims()[1]
	if n != channels {
		scale = g.Reshape(g.Expand(g.Reshape(scale, []int{n, 1}), []int{n, channels / n}), []int{channels})
	}
	d := g.Nodes("GroupNormalizationGrad", 3, with(attrInt("num_groups", groups), attrFloat("epsilon", o.epsilon)), x, dy, scale)
	g.Set(0, d[0])
	for i := 1; i < 3; i++ {
		if n != channels {
			d[i] = g.Reshape(g.ReduceSum(g.Reshape(d[i], []int{n, channels / n}), 1), []int{n})
		}
		g.Set(i, d[i])
	}
	return nil
}
