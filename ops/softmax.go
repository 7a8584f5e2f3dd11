package ops

import (
	"errors"
	"math"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// softmaxKind says which of the operators of one shape it is.
type softmaxKind uint8

const (
	softmaxOf    softmaxKind = iota // exp(x − m) / Σ exp(x − m), m the largest
	logSoftmaxOf                    // its logarithm
	hardmaxOf                       // 1 for the first of the largest, else 0
)

// softmax is Softmax, LogSoftmax or Hardmax, of floating-point numbers, along an axis. Until opset 12 the axis (1 by default) and all
// after it are taken together; from 13 on it is that axis alone, by default the last.
type softmax struct {
	kind    softmaxKind
	axis    int
	flatten bool
}

func newSoftmax(kind softmaxKind) func(*Node) (Op, error) {
	return func(n *Node) (Op, error) {
		if n.Opset < 13 {
			return &softmax{kind, n.Int("axis", 1), true}, nil
		}
		return &softmax{kind, n.Int("axis", -1), false}, nil
	}
}

func (o *softmax) Infer(in []Info) ([]Info, error) {
	if s := in[0].Shape; s != nil {
		if _, err := o.along(len(s)); err != nil {
			return nil, err
		}
	}
	return []Info{{Type: in[0].Type, Shape: in[0].Shape}}, typesFloat.check(in, 0)
}

// along returns the axis for a rank; the rank itself is allowed where the tensor is flattened.
func (o *softmax) along(rank int) (int, error) {
	if o.flatten && o.axis == rank || rank == 0 && (o.axis == 0 || o.axis == -1) {
		return rank, nil
	}
	return axisOf(o.axis, rank)
}

// InPlace lists the only input.
func (o *softmax) InPlace() []int { return []int{0} }

func (o *softmax) Run(c *Call) error {
	if o.kind == softmaxOf && c.In[0].Type == onnx.BFloat16 {
		return o.bfloats(c)
	}
	return throughFloat32(c, o)
}

// bfloats rounds every step, as the definition by operators of the same type does.
func (o *softmax) bfloats(c *Call) error {
	x := c.In[0]
	p, err := o.pile(x.Shape)
	if err != nil {
		return err
	}
	wide := make([]float32, x.Len())
	x.Floats(wide, 0)
	y, err := c.Out(0, x.Type, x.Shape)
	if err != nil {
		return err
	}
	row := make([]float32, p.n)
	for r := range p.outer * p.inner {
		at := r/p.inner*p.n*p.inner + r%p.inner
		for i := range row {
			row[i] = wide[at+i*p.inner]
		}
		if p.n > 0 {
			softmax16(row, x.Type)
		}
		for i, v := range row {
			wide[at+i*p.inner] = v
		}
	}
	y.SetFloats(0, wide, false)
	return nil
}

// pile returns how the elements that are taken together lie.
func (o *softmax) pile(shape []int) (pile, error) {
	axis, err := o.along(len(shape))
	if err != nil {
		return pile{}, err
	}
	p := pile{outer: product(shape[:axis]), n: 1, inner: 1}
	switch {
	case o.flatten:
		p.n = product(shape[axis:])
	case axis < len(shape):
		p = pileOf(shape, axis)
	}
	return p, nil
}

func (o *softmax) run(c *Call) error {
	x := c.In[0]
	p, err := o.pile(x.Shape)
	if err != nil {
		return err
	}
	y, err := c.Out(0, x.Type, x.Shape)
	if err != nil {
		return err
	}
	switch {
	case x.Type == onnx.Float && o.kind != hardmaxOf:
		kernel.Softmax(c.CPU, tensor.Of[float32](y), tensor.Of[float32](x), p.outer, p.n, p.inner, o.kind == logSoftmaxOf)
	case x.Type == onnx.Float:
		hardmax(elements[float32](y), elements[float32](x), p)
	case x.Type == onnx.Double && o.kind == hardmaxOf:
		hardmax(elements[float64](y), elements[float64](x), p)
	case x.Type == onnx.Double:
		o.doubles(elements[float64](y), elements[float64](x), p)
	default:
		return typeError(x.Type)
	}
	return nil
}

// doubles is the definition, without overflow.
func (o *softmax) doubles(dst, src []float64, p pile) {
	for row := range p.outer * p.inner {
		at := row/p.inner*p.n*p.inner + row%p.inner
		m := math.Inf(-1)
		for i := range p.n {
			m = max(m, src[at+i*p.inner])
		}
		sum := 0.0
		for i := range p.n {
			sum += math.Exp(src[at+i*p.inner] - m)
		}
		for i := range p.n {
			k := at + i*p.inner
			if o.kind == logSoftmaxOf {
				dst[k] = src[k] - m - math.Log(sum)
			} else {
				dst[k] = math.Exp(src[k]-m) / sum
			}
		}
	}
}

func hardmax[T number](dst, src []T, p pile) {
	for row := range p.outer * p.inner {
		at := row/p.inner*p.n*p.inner + row%p.inner
		best := 0
		for i := range p.n {
			if src[at+i*p.inner] > src[at+best*p.inner] {
				best = i
			}
		}
		for i := range p.n {
			dst[at+i*p.inner] = 0
			if i == best {
				dst[at+i*p.inner] = 1
			}
		}
	}
}

// Gradient is an operator of its own. It needs the result alone.
func (o *softmax) Gradient(g *Gradient) error {
	if o.kind == hardmaxOf {
		return errors.New("a choice is not differentiable")
	}
	dy, _ := g.Of(0)
	y := g.Out(0)
	p, err := o.pile(y.Dims())
	if err != nil {
		return err
	}
	op := "SoftmaxGrad"
	if o.kind == logSoftmaxOf {
		op = "LogSoftmaxGrad"
	}
	shape := []int{p.outer, p.n, p.inner}
	dx := g.Node(op, with(attrInt("axis", 1)), g.Reshape(y, shape), g.Reshape(dy, shape))
	g.Set(0, g.Reshape(dx, y.Dims()))
	return nil
}
