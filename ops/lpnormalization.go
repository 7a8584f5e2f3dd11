package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// lpNormalization is LpNormalization: y = x / (Σ |x|ᵖ)^(1/p) along an axis, for p of 1 or 2; 0 where the norm is 0.
type lpNormalization struct {
	axis, p int
}

func newLpNormalization(n *Node) (Op, error) {
	o := &lpNormalization{n.Int("axis", -1), n.Int("p", 2)}
	if o.p != 1 && o.p != 2 {
		return nil, fmt.Errorf("attribute p is %d, not 1 or 2", o.p)
	}
	return o, nil
}

func (o *lpNormalization) Infer(in []Info) ([]Info, error) {
	if s := in[0].Shape; s != nil {
		if _, err := axisOf(o.axis, len(s)); err != nil {
			return nil, err
		}
	}
	return []Info{{Type: in[0].Type, Shape: in[0].Shape}}, typesFloat.check(in, 0)
}

// InPlace lists the only input.
func (o *lpNormalization) InPlace() []int { return []int{0} }

func (o *lpNormalization) Run(c *Call) error { return throughFloat32(c, o) }

func (o *lpNormalization) run(c *Call) error {
	x := c.In[0]
	axis, err := axisOf(o.axis, len(x.Shape))
	if err != nil {
		return err
	}
	y, err := c.Out(0, x.Type, x.Shape)
	if err != nil {
		return err
	}
	switch x.Type {
	case onnx.Float:
		divideByNorm(tensor.Of[float32](y), tensor.Of[float32](x), pileOf(x.Shape, axis), o.p)
	case onnx.Double:
		divideByNorm(tensor.Of[float64](y), tensor.Of[float64](x), pileOf(x.Shape, axis), o.p)
	default:
		return typeError(x.Type)
	}
	return nil
}

func divideByNorm[T float32 | float64](dst, src []T, p pile, order int) {
	for row := range p.outer * p.inner {
		at := row/p.inner*p.n*p.inner + row%p.inner
		norm := 0.0
		for i := range p.n {
			if v := float64(src[at+i*p.inner]); order == 2 {
				norm += v * v
			} else {
				norm += math.Abs(v)
			}
		}
		if order == 2 {
			norm = math.Sqrt(norm)
		}
		for i := range p.n {
			k := at + i*p.inner
			if norm == 0 {
				dst[k] = 0
			} else {
				dst[k] = T(float64(src[k]) / norm)
			}
		}
	}
}

// meanVariance is MeanVarianceNormalization: y = (x − mean) / (√variance + 10⁻⁹) with the statistics over axes, by default all but
// the channels'.
type meanVariance struct{ axes []int }

func newMeanVarianceNormalization(n *Node) (Op, error) {
	o := &meanVariance{n.Ints("axes")}
	if o.axes == nil {
		o.axes = []int{0, 2, 3}
	}
	return o, nil
}

func (o *meanVariance) Infer(in []Info) ([]Info, error) {
	if s := in[0].Shape; s != nil {
		for _, a := range o.axes {
			if _, err := axisOf(a, len(s)); err != nil {
				return nil, err
			}
		}
	}
	return []Info{{Type: in[0].Type, Shape: in[0].Shape}}, typesFloat.check(in, 0)
}

func (o *meanVariance) Run(c *Call) error { return throughFloat32(c, o) }

func (o *meanVariance) run(c *Call) error {
	x := c.In[0]
	shared := slices.Clone(x.Shape) // of the statistics
	for _, a := range o.axes {
		axis, err := axisOf(a, len(x.Shape))
		if err != nil {
			return err
		}
		shared[axis] = min(shared[axis], 1)
	}
	y, err := c.Out(0, x.Type, x.Shape)
	if err != nil {
		return err
	}
	switch x.Type {
	case onnx.Float:
		standardise(tensor.Of[float32](y), tensor.Of[float32](x), x.Shape, shared)
	case onnx.Double:
		standardise(tensor.Of[float64](y), tensor.Of[float64](x), x.Shape, shared)
	default:
		return typeError(x.Type)
	}
	return nil
}

// standardise subtracts means and divides by deviations, of which there are as many as shared says.
func standardise[T float32 | float64](dst, src []T, shape, shared []int) {
	n := product(shared)
	if n == 0 {
		return
	}
	var w walk
	count := float64(len(src) / n)
	mean, variance := make([]float64, n), make([]float64, n)
	each := func(do func(i, k int)) {
		w.start()
		stepX, stepS := 1, 1
		for i, d := range slices.Backward(shape) {
			s := stepS
			if shared[i] == 1 {
				s = 0
			}
			w.add(d, stepX, s)
			stepX, stepS = stepX*d, stepS*shared[i]
		}
		for row, ok := w.rows(); ok; ok = w.next() {
			for i := range row.n {
				do(w.at[0]+i*row.step[0], w.at[1]+i*row.step[1])
			}
		}
	}
	each(func(i, k int) { mean[k] += float64(src[i]) / count })
	each(func(i, k int) { d := float64(src[i]) - mean[k]; variance[k] += d * d / count })
	each(func(i, k int) { dst[i] = T((float64(src[i]) - mean[k]) / (math.Sqrt(variance[k]) + 1e-9)) })
}

// Gradient is (dy − s·Σ dy·y)/norm, with s being y for p of 2 and the sign of x for 1; 0 where the norm is 0.
func (o *lpNormalization) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	x, y, op := g.In(0), g.Out(0), "ReduceL2"
	slope := y
	if o.p == 1 {
		op, slope = "ReduceL1", g.apply("Sign", x)
	}
	axis, err := axisOf(o.axis, len(x.Dims()))
	if err != nil {
		return err
	}
	norm, zero := g.apply(op, x, g.Ints(axis)), g.Scalar(x, 0)
	along := g.ReduceSum(g.Mul(dy, y), axis)
	g.Set(0, g.Where(g.apply("Equal", norm, zero), zero, g.Div(g.Sub(dy, g.Mul(slope, along)), norm)))
	return nil
}

// Gradient is (dy − mean of dy − z·mean of dy·y)/(deviation + ε), with z = (x − mean)/deviation.
func (o *meanVariance) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	x, y := g.In(0), g.Out(0)
	axes := g.Ints(o.axes...)
	mean := func(v Value) Value { return g.apply("ReduceMean", v, axes) }
	centred := g.Sub(x, mean(x))
	deviation, zero := g.apply("Sqrt", mean(g.Mul(centred, centred))), g.Scalar(x, 0)
	z := g.Where(g.apply("Equal", deviation, zero), zero, g.Div(centred, deviation))
	rest := g.Sub(g.Sub(dy, mean(dy)), g.Mul(z, mean(g.Mul(dy, y))))
	g.Set(0, g.Div(rest, g.Add(deviation, g.Scalar(x, 1e-9))))
	return nil
}
