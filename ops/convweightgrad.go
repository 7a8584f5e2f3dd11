package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// convWeightGrad is ConvWeightGrad of [Domain]: the gradient of Conv with respect to its weights, [M, C/group, …], from its input
// x [N, C, …] and what arrives at its output, dy [N, M, …]. Attributes are those of Conv, all but auto_pad, of which kernel_shape must be there.
//
// Images of one and two dimensions in float32 go to [kernel.ConvWeightGrad], which is channels-last: others are repacked before.
type convWeightGrad struct {
	window *window
	groups int
	states *states[weightGradState]
}

// weightGradState is what a run needs.
type weightGradState struct {
	convState
	plan weightGradPlan
}

// weightGradPlan is a plan and what it is for.
type weightGradPlan struct {
	plan    *kernel.ConvWeightGrad
	shape   kernel.ConvShape
	n, h, w int
	cpu     *kernel.CPU
}

func newConvWeightGrad(n *Node) (Op, error) {
	w, err := newWindow(n)
	if err != nil {
		return nil, err
	}
	o := &convWeightGrad{window: w, groups: n.Int("group", 1), states: new(states[weightGradState])}
	switch {
	case o.groups < 1 || o.groups > maxExtent:
		return nil, fmt.Errorf("attribute group is %d", o.groups)
	case w.kernel == nil:
		return nil, fmt.Errorf("attribute kernel_shape is missing")
	case w.autoPad != "":
		return nil, fmt.Errorf("attribute auto_pad is %q", w.autoPad)
	}
	return o, nil
}

// Infer implements Op.
func (o *convWeightGrad) Infer(in []Info) ([]Info, error) {
	dt, err := typesFloat.same(in, 0, 2)
	if err != nil {
		return nil, err
	}
	x, dy := in[0].Shape, in[1].Shape
	out := Info{Type: dt, Shape: slices.Concat(Shape{Unknown, Unknown}, MakeShape(o.window.kernel...))}
	if x != nil && len(x) != len(out.Shape) || dy != nil && len(dy) != len(out.Shape) {
		return nil, fmt.Errorf("%s arrives at a convolution of %s with kernels of %v", dy, x, o.window.kernel)
	}
	if dy != nil {
		out.Shape[0] = dy[1]
	}
	if x != nil && x[1].IsKnown() {
		if x[1].N%o.groups != 0 {
			return nil, fmt.Errorf("%d input channels in %d groups", x[1].N, o.groups)
		}
		out.Shape[1] = Known(x[1].N / o.groups)
	}
	return []Info{out}, nil
}

// Cost counts what the convolution does.
func (o *convWeightGrad) Cost(in, out []Info) Cost {
	dy, ok := in[1].Shape.Known()
	w, okW := out[0].Shape.Known()
	if !ok || !okW {
		return Cost{}
	}
	return Cost{MACs: int64(product(dy)) * int64(product(w[1:]))}
}

// ChannelsLast takes images of two dimensions in float32 in that layout.
func (o *convWeightGrad) ChannelsLast(in []Info) ([]bool, bool) {
	ok := len(in[0].Shape) == 4 && in[0].Type == onnx.Float
	return []bool{ok, ok}, ok
}

// PlainResults says that weights are not images.
func (o *convWeightGrad) PlainResults() {}

// Scratch asks for the kernel's memory, and for repacked images of one dimension.
func (o *convWeightGrad) Scratch(cpu *kernel.CPU, in []Info) int {
	x, ok := in[0].Shape.Known()
	dy, okY := in[1].Shape.Known()
	var s weightGradState
	if !ok || !okY || in[0].Type != onnx.Float || o.plan(&s, x, dy) != nil || len(x) > 4 {
		return 0
	}
	n := s.plan.of(cpu, s.slides, kernel.ConvShape{In: x[1], Out: dy[1], Groups: o.groups}, x).Scratch()
	if len(x) == 3 {
		n += product(x) + product(dy)
	}
	return n
}

// Run implements Op.
func (o *convWeightGrad) Run(c *Call) error { return throughFloat32(c, o) }

func (o *convWeightGrad) run(c *Call) error {
	s := o.states.get()
	defer o.states.put(s)
	x, dy := c.In[0], c.In[1]
	if err := c.sameTypes(2); err != nil {
		return err
	}
	if err := o.plan(s, x.Shape, dy.Shape); err != nil {
		return err
	}
	dw, err := c.Out(0, x.Type, s.shape)
	if err != nil || dw.Len() == 0 {
		return err
	}
	switch {
	case x.Type == onnx.Float && len(x.Shape) <= 4:
		o.images(c, s, dw)
	case x.Layout != tensor.Plain || dy.Layout != tensor.Plain:
		return fmt.Errorf("input 0 is %s, input 1 %s", x.Layout, dy.Layout)
	case x.Type == onnx.Float:
		sumWindows[float32](s, dw, x, dy, o.groups)
	case x.Type == onnx.Double:
		sumWindows[float64](s, dw, x, dy, o.groups)
	default:
		return typeError(x.Type)
	}
	return nil
}

// plan checks the operands and computes how windows lie, and the shape of the weights.
func (o *convWeightGrad) plan(s *weightGradState, x, dy []int) (err error) {
	if len(x) < 3 || len(x) != len(dy) || x[0] != dy[0] || x[1]%o.groups != 0 || dy[1]%o.groups != 0 {
		return fmt.Errorf("%v arrives at a convolution of %v in %d groups", dy, x, o.groups)
	}
	if s.slides, err = o.window.slides(s.slides, x[2:], o.window.kernel); err != nil {
		return err
	}
	s.shape = append(s.shape[:0], dy[1], x[1]/o.groups)
	for i, d := range s.slides {
		if d.out != dy[i+2] {
			return fmt.Errorf("%v arrives at a convolution of %v, dimension %d of whose result is %d", dy, x, i+2, d.out)
		}
		s.shape = append(s.shape, d.kernel)
	}
	return nil
}

// of returns a plan for images x, the last one if that is for the same.
func (p *weightGradPlan) of(cpu *kernel.CPU, s []slide, channels kernel.ConvShape, x []int) *kernel.ConvWeightGrad {
	k, _ := convShape(channels, s)
	size := imageSize(x)
	want := weightGradPlan{shape: k, n: x[0], h: size[0], w: size[1], cpu: cpu, plan: p.plan}
	if *p != want {
		want.plan = kernel.NewConvWeightGrad(cpu, k, want.n, want.h, want.w)
		*p = want
	}
	return p.plan
}

// images runs the kernel, on repacked images unless they are channels-last.
func (o *convWeightGrad) images(c *Call, s *weightGradState, dw *tensor.Tensor) {
	x, dy := c.In[0], c.In[1]
	plan := s.plan.of(c.CPU, s.slides, kernel.ConvShape{In: x.Shape[1], Out: dy.Shape[1], Groups: o.groups}, x.Shape)
	src, grad := tensor.Of[float32](x), tensor.Of[float32](dy)
	own := plan.Scratch()
	if x.Layout == tensor.Plain {
		scratch := c.scratch(own + len(src) + len(grad))
		a, b := scratch[own:][:len(src)], scratch[own+len(src):]
		kernel.ChannelsLast(c.CPU, a, src, x.Shape[0], x.Shape[1], product(x.Shape[2:]))
		kernel.ChannelsLast(c.CPU, b, grad, x.Shape[0], dy.Shape[1], product(dy.Shape[2:]))
		src, grad = a, b
	}
	plan.Run(c.CPU, tensor.Of[float32](dw), src, grad, c.scratch(max(own, len(c.Scratch)))[:own])
}

// sumWindows is the definition, for images of any rank.
func sumWindows[T float32 | float64](s *weightGradState, dw, x, dy *tensor.Tensor, groups int) {
	dst, src, grad := elements[T](dw), elements[T](x), elements[T](dy)
	each, out := dw.Shape[1], dw.Shape[0]/groups
	taps, inner, outer := volumeOf(s.slides), product(x.Shape[2:]), outputs(s.slides)
	clear(dst)
	s.at.start(s.slides)
	for p := range outer {
		covered := s.at.covered()
		for i := range x.Shape[0] * groups {
			for m := range out {
				d := grad[(i*out+m)*outer+p]
				for c := range each {
					row := dst[((i%groups*out+m)*each+c)*taps:][:taps]
					image := src[(i*each+c)*inner:][:inner]
					for _, t := range covered {
						row[t.kernel] += d * image[t.offset]
					}
				}
			}
		}
		s.at.next()
	}
}
