package ops

import (
	"fmt"
	"math"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// lrn is LRN, local response normalisation over neighbouring channels of x [N, C, …]: y = x / (bias + alpha/size · Σ x²)^beta, the sum over
// ⌊(size − 1)/2⌋ channels before to ⌈(size − 1)/2⌉ after.
//
// A. Krizhevsky, I. Sutskever, G. Hinton: ImageNet Classification with Deep Convolutional Neural Networks, 2012, section 3.3; there alpha is
// not divided by the size.
type lrn struct {
	alpha, beta, bias float32
	size              int
	states            *states[lrnTask]
}

func newLRN(n *Node) (Op, error) {
	o := &lrn{n.Float("alpha", 0.0001), n.Float("beta", 0.75), n.Float("bias", 1), n.Int("size", 0), new(states[lrnTask])}
	if o.size < 1 {
		return nil, fmt.Errorf("attribute size is %d", o.size)
	}
	return o, nil
}

func (o *lrn) Infer(in []Info) ([]Info, error) {
	if s := in[0].Shape; s != nil && len(s) < 2 {
		return nil, rankError(0, len(s), "2 or more")
	}
	return []Info{{Type: in[0].Type, Shape: in[0].Shape}}, typesFloat.check(in, 0)
}

func (o *lrn) Run(c *Call) error { return throughFloat32(c, o) }

func (o *lrn) run(c *Call) error {
	x := c.In[0]
	if len(x.Shape) < 2 {
		return rankError(0, len(x.Shape), "2 or more")
	}
	y, err := c.Out(0, x.Type, x.Shape)
	if err != nil || y.Len() == 0 {
		return err
	}
	p := pileOf(x.Shape, 1)
	switch x.Type {
	case onnx.Float:
		t := o.states.get()
		*t = lrnTask{o, tensor.Of[float32](y), tensor.Of[float32](x), p}
		c.CPU.Parallel(p.outer*p.n, t)
		*t = lrnTask{}
		o.states.put(t)
	case onnx.Double:
		for i := range p.outer * p.n {
			normaliseChannel(o, tensor.Of[float64](y), tensor.Of[float64](x), p, i)
		}
	default:
		return typeError(x.Type)
	}
	return nil
}

// lrnTask is a run on float32: a channel of a sample a piece.
type lrnTask struct {
	*lrn
	dst, src []float32
	p        pile
}

var _ kernel.Task = (*lrnTask)(nil)

// Piece implements [kernel.Task].
func (t *lrnTask) Piece(i, _ int) { normaliseChannel(t.lrn, t.dst, t.src, t.p, i) }

func normaliseChannel[T float32 | float64](o *lrn, dst, src []T, p pile, i int) {
	ch := i % p.n
	lo, hi := max(0, ch-(o.size-1)/2), min(p.n, ch+o.size/2+1)
	out, x := dst[i*p.inner:][:p.inner], src[i*p.inner:][:p.inner]
	clear(out)
	for k := lo; k < hi; k++ {
		for j, v := range src[(i-ch+k)*p.inner:][:p.inner] {
			out[j] += v * v
		}
	}
	scale, beta := float64(o.alpha)/float64(o.size), float64(o.beta)
	for j, v := range x {
		s := float64(o.bias) + scale*float64(out[j])
		if beta == 0.75 {
			s = math.Sqrt(s)
			s *= math.Sqrt(s)
		} else {
			s = math.Pow(s, beta)
		}
		out[j] = T(float64(v) / s)
	}
}

// Gradient is dy·s^−β − 2αβ/size·x·Σ dy·y/s with s the base of the power, summed over the channels in whose windows x is.
func (o *lrn) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	x, y := g.In(0), g.Out(0)
	before, after := (o.size-1)/2, o.size/2
	alpha, beta := float64(o.alpha), float64(o.beta)
	s := g.Add(g.Scale(g.channelMean(g.Mul(x, x), before, after), alpha), g.Scalar(x, float64(o.bias)))
	rest := g.channelMean(g.Div(g.Mul(dy, y), s), after, before)
	direct := g.Mul(dy, g.apply("Pow", s, g.Scalar(x, -beta)))
	g.Set(0, g.Sub(direct, g.Mul(g.Scale(x, 2*alpha*beta), rest)))
	return nil
}

// channelMean returns for each channel of v [N, C, …] the sum over channels from before to after it, divided by their number as if none
// were outside.
func (g *Gradient) channelMean(v Value, before, after int) Value {
	dims := v.Dims()
	n := before + after + 1
	flat := g.Reshape(v, []int{dims[0], 1, dims[1], product(dims[2:])})
	mean := g.Node("AveragePool", with(attrInts("kernel_shape", n, 1), attrInts("pads", before, 0, after, 0), attrBool("count_include_pad", true)), flat)
	return g.Reshape(mean, dims)
}
