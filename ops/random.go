package ops

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// random is RandomNormal, RandomUniform, both of them "like" an input, Bernoulli and Multinomial. Numbers come from PCG (M. O'Neill, 2014)
// seeded by Call.Seed, the attribute seed and the name of the output: they repeat from run to run and differ from node to node.
type random struct {
	dist  distribution
	dt    onnx.DataType // Undefined: that of the input
	shape []int         // nil: that of the input
	a, b  float64       // mean and deviation, or the ends of the interval
	n     int           // samples of Multinomial
	seed  uint64
}

type distribution uint8

const (
	normal distribution = iota
	uniform
	bernoulli
	multinomial
)

// newRandom makes operators of a distribution; those that are not like an input have the attribute shape.
func newRandom(dist distribution, like bool) func(*Node) (Op, error) {
	return func(n *Node) (Op, error) {
		o := &random{dist: dist, n: n.Int("sample_size", 1), dt: onnx.DataType(n.Int("dtype", 0))}
		switch {
		case o.dt != onnx.Undefined:
		case dist == multinomial:
			o.dt = onnx.Int32
		case !like:
			o.dt = onnx.Float
		}
		o.a, o.b = float64(n.Float("mean", 0)), float64(n.Float("scale", 1))
		if dist == uniform {
			o.a, o.b = float64(n.Float("low", 0)), float64(n.Float("high", 1))
		}
		if !like {
			if o.shape = n.Ints("shape"); o.shape == nil {
				return nil, fmt.Errorf("attribute shape is missing")
			}
			if _, err := tensor.Count(o.shape); err != nil {
				return nil, err
			}
		}
		if o.n < 1 {
			return nil, fmt.Errorf("attribute sample_size is %d", o.n)
		}
		h := fnv.New64a()
		if len(n.Outputs) > 0 {
			_, _ = h.Write([]byte(n.Outputs[0])) // never fails
		}
		o.seed = h.Sum64() ^ uint64(math.Float32bits(n.Float("seed", 0)))
		return o, o.check(o.dt)
	}
}

// check says whether a type is one of the distribution's.
func (o *random) check(dt onnx.DataType) error {
	ok := dt == onnx.Undefined
	switch {
	case o.dist == multinomial:
		ok = ok || dt == onnx.Int32 || dt == onnx.Int64
	case o.dist == bernoulli:
		ok = ok || tensor.Width(dt) > 0 && dt != onnx.Complex64 && dt != onnx.Complex128
	default:
		ok = ok || dt == onnx.Float || dt == onnx.Double || dt == onnx.Float16 || dt == onnx.BFloat16
	}
	if !ok {
		return fmt.Errorf("result would be of type %s", dt)
	}
	return nil
}

func (o *random) Infer(in []Info) ([]Info, error) {
	if o.shape != nil {
		return []Info{{Type: o.dt, Shape: MakeShape(o.shape...)}}, nil
	}
	out := Info{Type: o.dt, Shape: slices.Clone(in[0].Shape)}
	if o.dt == onnx.Undefined {
		out.Type = in[0].Type
	}
	if o.dist == multinomial && out.Shape != nil {
		if len(out.Shape) != 2 {
			return nil, fmt.Errorf("input has shape %s, not two dimensions", out.Shape)
		}
		out.Shape[1] = Known(o.n)
	}
	return []Info{out}, o.check(out.Type)
}

func (o *random) Run(c *Call) error {
	dt, shape := o.dt, o.shape
	var p []float32
	if shape == nil {
		x := c.In[0]
		if shape = x.Shape; dt == onnx.Undefined {
			dt = x.Type
		}
		if o.dist == bernoulli || o.dist == multinomial {
			p = make([]float32, x.Len())
			if !x.Floats(p, 0) {
				return fmt.Errorf("input is %s, not of numbers", x)
			}
		}
		if o.dist == multinomial {
			if len(shape) != 2 || shape[1] == 0 {
				return fmt.Errorf("input is %s, not [batch, classes]", x)
			}
			shape = []int{shape[0], o.n}
		}
	}
	if err := o.check(dt); err != nil {
		return err
	}
	y, err := c.Out(0, dt, shape)
	if err != nil {
		return err
	}
	v := make([]float64, y.Len())
	o.draw(v, p, rand.New(rand.NewPCG(c.Seed, o.seed)))
	return convert(y, tensor.From(v, y.Shape...), conversion{})
}

// draw fills v; p are probabilities, or the logarithms of what is proportional to them for each class of each row.
func (o *random) draw(v []float64, p []float32, rng *rand.Rand) {
	if o.dist == multinomial {
		classes := len(p) * o.n / max(1, len(v))
		for i := range v {
			v[i] = float64(sampleClass(p[i/o.n*classes:][:classes], rng.Float64()))
		}
		return
	}
	for i := range v {
		switch o.dist {
		case normal:
			v[i] = o.a + o.b*rng.NormFloat64()
		case uniform:
			v[i] = o.a + (o.b-o.a)*rng.Float64()
		case bernoulli:
			if rng.Float64() < float64(p[i]) {
				v[i] = 1
			}
		}
	}
}

// sampleClass returns the class at a part u of the sum of all probabilities.
func sampleClass(logs []float32, u float64) int {
	most, sum := float64(slices.Max(logs)), 0.0
	for _, l := range logs {
		sum += math.Exp(float64(l) - most)
	}
	u *= sum
	for i, l := range logs {
		if u -= math.Exp(float64(l) - most); u < 0 {
			return i
		}
	}
	return len(logs) - 1
}
