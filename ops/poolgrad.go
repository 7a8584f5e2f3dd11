package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// poolGrad is MaxPoolGrad(x, dy) or AveragePoolGrad(dy) of [Domain]: the gradient of pooling, with its attributes. The first largest element of
// a window, in row-major order, gets what arrives; the elements of an average share it. AveragePoolGrad gets the extents of the
// image from attribute input_shape.
type poolGrad struct {
	pool
	size []int // nil: of input 0
}

func newPoolGrad(kind poolKind) func(*Node) (Op, error) {
	return func(n *Node) (Op, error) {
		made, err := newPool(kind)(n)
		if err != nil {
			return nil, err
		}
		o := &poolGrad{pool: *made.(*pool)}
		if kind == poolMean {
			o.size = n.Ints("input_shape")
			if len(o.size) != len(o.window.kernel) {
				return nil, fmt.Errorf("attribute input_shape is %v for windows of %v", o.size, o.window.kernel)
			}
		}
		return o, nil
	}
}

// Infer implements Op.
func (o *poolGrad) Infer(in []Info) ([]Info, error) {
	dt, err := typesFloat.same(in, 0, len(in))
	out := Info{Type: dt, Shape: in[0].Shape}
	if s := in[0].Shape; s != nil {
		if len(s) != len(o.window.kernel)+2 {
			return nil, rankError(0, len(s), fmt.Sprint(len(o.window.kernel)+2))
		}
		if o.size != nil {
			out.Shape = slices.Concat(s[:2], MakeShape(o.size...))
		}
	}
	return []Info{out}, err
}

// ChannelsLast takes images in that layout.
func (o *poolGrad) ChannelsLast(in []Info) ([]bool, bool) {
	ok := in[0].Type == onnx.Float && len(in[0].Shape) == 4
	return slices.Repeat([]bool{ok}, len(in)), ok
}

// Scratch asks for repacked images of one dimension, which have no layout that is channels-last.
func (o *poolGrad) Scratch(_ *kernel.CPU, in []Info) int {
	n := 0
	for _, i := range in {
		s, ok := i.Shape.Known()
		if !ok || len(s) != 3 {
			return 0
		}
		n += product(s)
	}
	out, err := o.Infer(in)
	if err != nil {
		return 0
	}
	dx, _ := out[0].Shape.Known()
	return n + product(dx)
}

// Run implements Op.
func (o *poolGrad) Run(c *Call) error { return throughFloat32(c, o) }

func (o *poolGrad) run(c *Call) (err error) {
	s := o.states.get()
	defer o.states.put(s)
	dy := c.In[len(c.In)-1]
	if len(dy.Shape) != len(o.window.kernel)+2 {
		return rankError(len(c.In)-1, len(dy.Shape), fmt.Sprint(len(o.window.kernel)+2))
	}
	s.shape = append(s.shape[:0], dy.Shape[:2]...)
	if s.shape = append(s.shape, o.size...); o.size == nil {
		s.shape = append(s.shape[:0], c.In[0].Shape...)
	}
	if len(s.shape) != len(dy.Shape) || s.shape[0] != dy.Shape[0] || s.shape[1] != dy.Shape[1] {
		return fmt.Errorf("%v arrives at pooling of %v", dy.Shape, s.shape)
	}
	if s.slides, err = o.window.slides(s.slides, s.shape[2:], o.window.kernel); err != nil {
		return err
	}
	for i, d := range s.slides {
		if d.out != dy.Shape[i+2] {
			return fmt.Errorf("%v arrives at pooling of %v, dimension %d of whose result is %d", dy.Shape, s.shape, i+2, d.out)
		}
	}
	if err := c.sameTypes(len(c.In)); err != nil {
		return err
	}
	dx, err := c.Out(0, dy.Type, s.shape, dy.Layout)
	if err != nil || dx.Len() == 0 {
		return err
	}
	switch {
	case dy.Type == onnx.Float && len(s.slides) <= 2:
		o.images(c, s, dx)
	case dy.Layout != tensor.Plain:
		return fmt.Errorf("input 0 is %s", dy.Layout)
	case dy.Type == onnx.Float:
		unpool[float32](o, s, dx, c.In[0], dy)
	case dy.Type == onnx.Double:
		unpool[float64](o, s, dx, c.In[0], dy)
	default:
		return typeError(dy.Type)
	}
	return nil
}

// images runs a kernel, on repacked images unless they are channels-last.
func (o *poolGrad) images(c *Call, s *convState, dx *tensor.Tensor) {
	dy := c.In[len(c.In)-1]
	n, ch := s.shape[0], s.shape[1]
	p, size := o.poolShape(s), imageSize(s.shape)
	grad, dst := tensor.Of[float32](dy), tensor.Of[float32](dx)
	var src []float32
	if o.size == nil {
		src = tensor.Of[float32](c.In[0])
	}
	to, repack := dst, dy.Layout == tensor.Plain && ch > 1
	if repack {
		scratch := c.scratch(len(grad) + len(dst) + len(src))
		kernel.ChannelsLast(c.CPU, scratch[:len(grad)], grad, n, ch, outputs(s.slides))
		grad, to = scratch[:len(grad)], scratch[len(grad):][:len(dst)]
		if src != nil {
			x := scratch[len(grad)+len(dst):]
			kernel.ChannelsLast(c.CPU, x, src, n, ch, size[0]*size[1])
			src = x
		}
	}
	if o.size == nil {
		kernel.MaxPoolGrad(c.CPU, to, src, grad, n, ch, size[0], size[1], p)
	} else {
		kernel.AveragePoolGrad(c.CPU, to, grad, n, ch, size[0], size[1], p)
	}
	if repack {
		kernel.ChannelsFirst(c.CPU, dst, to, n, ch, size[0]*size[1])
	}
}

// unpool is the definition, for images of any rank.
func unpool[T float32 | float64](o *poolGrad, s *convState, dx, x, dy *tensor.Tensor) {
	dst, src, grad := elements[T](dx), elements[T](x), elements[T](dy)
	inner, outer := product(s.shape[2:]), outputs(s.slides)
	clear(dst)
	s.at.start(s.slides)
	for i := range outer {
		taps, all := s.at.counted(o.countPad)
		for image := range len(grad) / outer {
			to, d := dst[image*inner:][:inner], grad[image*outer+i]
			if o.size != nil {
				for _, t := range taps {
					to[t.offset] += d / T(max(all, 1))
				}
				continue
			}
			best := -1
			for _, t := range taps {
				if best < 0 || src[image*inner+t.offset] > src[image*inner+best] {
					best = t.offset
				}
			}
			if best >= 0 {
				to[best] += d
			}
		}
		s.at.next()
	}
}

// Gradient goes to the first largest element of each window, or is shared.
func (o *pool) Gradient(g *Gradient) error {
	dy, ok := g.Of(0)
	switch {
	case !ok:
	case o.kind == poolNorm:
		return fmt.Errorf("norms of windows are not supported")
	default:
		attrs := g.Attributes("auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides")
		g.Set(0, g.unpool(o.kind, attrs, dy))
	}
	return nil
}

// unpool is the gradient of the pooling of input 0.
func (g *Gradient) unpool(kind poolKind, attrs []*onnx.Attribute, dy Value) Value {
	if kind == poolMax {
		return g.Node("MaxPoolGrad", attrs, g.In(0), dy)
	}
	return g.Node("AveragePoolGrad", append(attrs, attrInts("input_shape", g.In(0).Dims()[2:]...)), dy)
}

// Gradient is that of a window of the image's size; of norms, for p of 1 and 2.
func (o *globalPool) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	size := g.In(0).Dims()[2:]
	switch {
	case len(size) == 0 && o.kind != poolNorm:
		g.Set(0, dy)
	case o.kind != poolNorm:
		g.Set(0, g.unpool(o.kind, with(attrInts("kernel_shape", size...)), dy))
	case math.Abs(o.p-1) == 0:
		g.Set(0, g.Mul(g.apply("Sign", g.In(0)), dy))
	case math.Abs(o.p-2) == 0:
		g.Set(0, g.Mul(g.In(0), g.Div(dy, g.Out(0))))
	default:
		return fmt.Errorf("attribute p of %v is not supported", o.p)
	}
	return nil
}
