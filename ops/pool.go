package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// poolKind says what a window becomes.
type poolKind uint8

const (
	poolMax  poolKind = iota // the largest
	poolMean                 // the mean
	poolNorm                 // the p-norm
)

// pool is MaxPool, AveragePool or LpPool over windows of x [N, C, …]. Types: floating-point ones, for MaxPool also int8 and uint8.
// A window that lies in the padding altogether gives the lowest number of the type, or 0.
//
// Output 1 of MaxPool is where in the input, as a plain array, the largest are: the first if there are several; with
// storage_order 1 images are seen column by column.
type pool struct {
	kind        poolKind
	window      *window
	countPad    bool
	p           float64
	columnMajor bool
	indices     bool
	states      *states[convState]
}

func newPool(kind poolKind) func(*Node) (Op, error) {
	return func(n *Node) (Op, error) {
		w, err := newWindow(n)
		if err != nil {
			return nil, err
		}
		if w.kernel == nil {
			return nil, fmt.Errorf("attribute kernel_shape is missing")
		}
		o := &pool{
			kind: kind, window: w, countPad: n.Bool("count_include_pad", false), columnMajor: n.Int("storage_order", 0) == 1,
			indices: len(n.Outputs) > 1 && n.Outputs[1] != "", states: new(states[convState]),
		}
		if kind == poolNorm {
			o.p = float64(n.Int("p", 2))
			if o.p < 1 {
				return nil, fmt.Errorf("attribute p is %v", o.p)
			}
		}
		return o, nil
	}
}

func (o *pool) types() types {
	if o.kind == poolMax {
		return typesFloat | 1<<onnx.Int8 | 1<<onnx.Uint8
	}
	return typesFloat
}

func (o *pool) Infer(in []Info) ([]Info, error) {
	if err := o.types().check(in, 0); err != nil {
		return nil, err
	}
	out := Info{Type: in[0].Type}
	if x := in[0].Shape; x != nil {
		if len(x) < 3 {
			return nil, rankError(0, len(x), "3 or more")
		}
		spatial, err := o.window.infer(x[2:], nil, forward{})
		if err != nil {
			return nil, err
		}
		out.Shape = slices.Concat(x[:2], spatial)
	}
	if o.indices {
		return []Info{out, {Type: onnx.Int64, Shape: out.Shape}}, nil
	}
	return []Info{out}, nil
}

// ChannelsLast takes images in that layout where the kernels do.
func (o *pool) ChannelsLast(in []Info) ([]bool, bool) {
	ok := in[0].Type == onnx.Float && len(in[0].Shape) == 4 && o.kind != poolNorm && !o.indices
	return []bool{ok}, ok
}

func (o *pool) Run(c *Call) error { return throughFloat32(c, o) }

func (o *pool) run(c *Call) (err error) {
	x := c.In[0]
	if len(x.Shape) < 3 {
		return rankError(0, len(x.Shape), "3 or more")
	}
	s := o.states.get()
	defer o.states.put(s)
	if s.slides, err = o.window.slides(s.slides, x.Shape[2:], o.window.kernel); err != nil {
		return err
	}
	s.shape = append(s.shape[:0], x.Shape[:2]...)
	for _, d := range s.slides {
		s.shape = append(s.shape, d.out)
	}
	y, err := c.Out(0, x.Type, s.shape, x.Layout)
	if err != nil {
		return err
	}
	var indices []int64
	if o.indices && c.wants(1) {
		t, err := c.Out(1, onnx.Int64, s.shape)
		if err != nil {
			return err
		}
		indices = tensor.Of[int64](t)
	}
	switch {
	case y.Len() == 0:
	case x.Len() == 0:
		return fmt.Errorf("input 0 of shape %v has no elements", x.Shape)
	case x.Type == onnx.Float && len(s.slides) <= 2 && o.kind != poolNorm && indices == nil:
		o.images(c, s, y)
	case x.Layout != tensor.Plain:
		return fmt.Errorf("input 0 is %s", x.Layout)
	case x.Type == onnx.Float:
		poolAll(o, s, elements[float32](y), elements[float32](x), indices, float32(math.Inf(-1)))
	case x.Type == onnx.Double:
		poolAll(o, s, elements[float64](y), elements[float64](x), indices, math.Inf(-1))
	case x.Type == onnx.Int8 && o.kind == poolMax:
		poolAll(o, s, elements[int8](y), elements[int8](x), indices, math.MinInt8)
	case x.Type == onnx.Uint8 && o.kind == poolMax:
		poolAll(o, s, elements[uint8](y), elements[uint8](x), indices, 0)
	default:
		return typeError(x.Type)
	}
	return nil
}

// images runs a kernel, on repacked images unless they are channels-last.
func (o *pool) images(c *Call, s *convState, y *tensor.Tensor) {
	x := c.In[0]
	n, ch := x.Shape[0], x.Shape[1]
	inner, outer := product(x.Shape[2:]), outputs(s.slides)
	p, size := o.poolShape(s), imageSize(x.Shape)
	src, dst := tensor.Of[float32](x), tensor.Of[float32](y)
	to := dst
	repack := x.Layout == tensor.Plain && ch > 1
	if repack {
		scratch := c.scratch(len(src) + len(dst))
		kernel.ChannelsLast(c.CPU, scratch[:len(src)], src, n, ch, inner)
		src, to = scratch[:len(src)], scratch[len(src):]
	}
	if o.kind == poolMax {
		kernel.MaxPool(c.CPU, to, src, n, ch, size[0], size[1], p)
	} else {
		kernel.AveragePool(c.CPU, to, src, n, ch, size[0], size[1], p)
	}
	if repack {
		kernel.ChannelsFirst(c.CPU, dst, to, n, ch, outer)
	}
}

// poolShape describes windows to the kernels.
func (o *pool) poolShape(s *convState) kernel.PoolShape {
	k, _ := convShape(kernel.ConvShape{}, s.slides)
	return kernel.PoolShape{
		Kernel: k.Kernel, Stride: k.Stride, Dilation: k.Dilation, Pads: k.Pads, Ceil: o.window.ceil && !o.window.same(), CountPad: o.countPad,
	}
}

// Scratch asks for repacked images of one dimension, which have no layout that is channels-last.
func (o *pool) Scratch(_ *kernel.CPU, in []Info) int {
	x, ok := in[0].Shape.Known()
	if !ok || len(x) != 3 || o.kind == poolNorm || o.indices {
		return 0
	}
	s, err := o.window.slides(nil, x[2:], o.window.kernel)
	if err != nil {
		return 0
	}
	return product(x) + x[0]*x[1]*outputs(s)
}

// poolAll is the definition, for images of any rank.
func poolAll[T number](o *pool, s *convState, dst, src []T, indices []int64, lowest T) {
	inner, outer := 1, outputs(s.slides)
	for _, d := range s.slides {
		inner *= d.in
	}
	s.at.start(s.slides)
	for i := range outer {
		taps, all := s.at.counted(o.countPad)
		for image := range len(dst) / outer {
			x, to := src[image*inner:][:inner], image*outer+i
			switch o.kind {
			case poolMax:
				best, at := lowest, -1
				for _, t := range taps {
					if v := x[t.offset]; v > best || v != v && best == best || at < 0 { //nolint:gocritic // NaN wins
						best, at = v, t.offset
					}
				}
				dst[to] = best
				if indices != nil {
					indices[to] = int64(image*inner + o.index(s.slides, max(at, 0)))
				}
			case poolMean:
				sum := 0.0
				for _, t := range taps {
					sum += float64(x[t.offset])
				}
				dst[to] = T(sum / float64(max(all, 1)))
			default:
				sum := 0.0
				for _, t := range taps {
					sum += raised(math.Abs(float64(x[t.offset])), o.p)
				}
				dst[to] = T(raised(sum, 1/o.p))
			}
		}
		s.at.next()
	}
}

// raised is math.Pow, for common exponents with less work.
func raised(x, p float64) float64 {
	switch p {
	case 1:
		return x
	case 2:
		return x * x
	case 0.5:
		return math.Sqrt(x)
	}
	return math.Pow(x, p)
}

// index returns where in an image an element is: its offset, or that in an image that lies column by column.
func (o *pool) index(s []slide, offset int) int {
	if !o.columnMajor {
		return offset
	}
	step, out := 1, 0
	for d := range s {
		step *= s[d].in
	}
	rest := offset
	for d := len(s) - 1; d >= 0; d-- {
		step /= s[d].in
		out += rest % s[d].in * step
		rest /= s[d].in
	}
	return out
}

// globalPool is GlobalMaxPool, GlobalAveragePool or GlobalLpPool: pool with a window of the image's size.
type globalPool struct {
	kind   poolKind
	p      float64
	states *states[convState]
}

func newGlobalPool(kind poolKind) func(*Node) (Op, error) {
	return func(n *Node) (Op, error) {
		o := &globalPool{kind, float64(n.Int("p", 2)), new(states[convState])}
		if o.p < 1 {
			return nil, fmt.Errorf("attribute p is %v", o.p)
		}
		return o, nil
	}
}

func (o *globalPool) Infer(in []Info) ([]Info, error) {
	out := Info{Type: in[0].Type}
	if x := in[0].Shape; x != nil {
		if len(x) < 2 {
			return nil, rankError(0, len(x), "2 or more")
		}
		out.Shape = slices.Clone(x)
		for i := 2; i < len(x); i++ {
			out.Shape[i] = Known(1)
		}
	}
	return []Info{out}, typesFloat.check(in, 0)
}

// ChannelsLast takes any layout.
func (o *globalPool) ChannelsLast([]Info) ([]bool, bool) { return []bool{true}, true }

func (o *globalPool) Run(c *Call) error { return throughFloat32(c, o) }

func (o *globalPool) run(c *Call) error {
	x := c.In[0]
	if len(x.Shape) < 2 {
		return rankError(0, len(x.Shape), "2 or more")
	}
	s := o.states.get()
	defer o.states.put(s)
	s.shape = append(s.shape[:0], x.Shape...)
	for i := 2; i < len(s.shape); i++ {
		s.shape[i] = 1
	}
	y, err := c.Out(0, x.Type, s.shape, x.Layout)
	if err != nil || y.Len() == 0 {
		return err
	}
	p := pile{outer: y.Len(), n: product(x.Shape[2:]), inner: 1}
	if p.n == 0 {
		return fmt.Errorf("input 0 of shape %v has no elements", x.Shape)
	}
	if x.Layout == tensor.ChannelsLast {
		p.outer, p.inner = x.Shape[0], x.Shape[1]
	}
	switch x.Type {
	case onnx.Float:
		ops := [...]kernel.ReduceOp{poolMax: kernel.ReduceMax, poolMean: kernel.ReduceMean, poolNorm: kernel.ReduceL2}
		op := ops[o.kind]
		if o.kind == poolNorm && o.p != 2 {
			globalAll(o, elements[float32](y), elements[float32](x), p)
			return nil
		}
		if o.kind == poolMean && x.Layout == tensor.ChannelsLast {
			kernel.GlobalAverage(c.CPU, tensor.Of[float32](y), tensor.Of[float32](x), p.outer, p.inner, p.n)
			return nil
		}
		kernel.Reduce(c.CPU, op, tensor.Of[float32](y), tensor.Of[float32](x), p.outer, p.n, p.inner)
	case onnx.Double:
		globalAll(o, elements[float64](y), elements[float64](x), p)
	default:
		return typeError(x.Type)
	}
	return nil
}

// globalAll is the definition.
func globalAll[T float32 | float64](o *globalPool, dst, src []T, p pile) {
	for i := range dst {
		v := 0.0
		if o.kind == poolMax {
			v = math.Inf(-1)
		}
		for k := range p.n {
			x := float64(src[(i/p.inner*p.n+k)*p.inner+i%p.inner])
			switch o.kind {
			case poolMax:
				v = max(v, x)
			case poolMean:
				v += x / float64(p.n)
			default:
				v += raised(math.Abs(x), o.p)
			}
		}
		if o.kind == poolNorm {
			v = raised(v, 1/o.p)
		}
		dst[i] = T(v)
	}
}
