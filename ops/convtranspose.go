package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// convTranspose is ConvTranspose: what the gradient of a convolution is with respect to its input, for x [N, C, …] and weights
// [C, M/groups, …], plus a bias [M], of floating-point numbers: a product gives each element of x a window of results, and windows are added
// where they overlap.
//
// Images of one and two dimensions in float32 go to [kernel.ConvTranspose], which is channels-last: for others it is repacked around them.
type convTranspose struct {
	fused
	window  *window
	groups  int
	weights *imageWeights
	states  *states[convState]
}

func newConvTranspose(n *Node) (Op, error) {
	w, err := newWindow(n)
	if err != nil {
		return nil, err
	}
	w.outputPadding, w.outputSize = n.Ints("output_padding"), n.Ints("output_shape")
	if err := w.check(); err != nil {
		return nil, err
	}
	o := &convTranspose{window: w, groups: n.Int("group", 1), states: new(states[convState])}
	if o.groups < 1 || o.groups > maxExtent {
		return nil, fmt.Errorf("attribute group is %d", o.groups)
	}
	return o, nil
}

// transposed computes padding and the extent of the output for one of the input; in the slide they change places.
func (w *window) transposed(i, n, kernel, in int) (slide, error) {
	s := w.along(i, n, kernel)
	s.out = in
	if in < 1 || in > maxExtent {
		return s, fmt.Errorf("extent %d", in)
	}
	extra := 0
	if w.outputPadding != nil {
		extra = w.outputPadding[i]
	}
	whole := (in-1)*s.stride + extra + s.extent()
	switch {
	case w.outputSize != nil:
		s.in = w.outputSize[i]
	case w.same():
		s.in = in * s.stride
	default:
		if s.in = whole - s.before - s.after; s.in < 1 {
			return s, fmt.Errorf("padding of %d and %d leaves nothing of %d", s.before, s.after, whole)
		}
		return s, nil
	}
	// The padding follows from the size; the odd one goes where the attribute does not say it should.
	total := max(0, whole-s.in)
	s.before = total - total/2
	if w.autoPad == "SAME_UPPER" {
		s.before = total / 2
	}
	s.after = total - s.before
	return s, nil
}

func (o *convTranspose) Infer(in []Info) ([]Info, error) {
	own := in[:o.own(len(in))]
	dt, err := typesFloat.same(own, 0, len(own))
	if err != nil {
		return nil, err
	}
	x, w := in[0].Shape, in[1].Shape
	if o.weights != nil {
		w = MakeShape(o.weights.shape...)
	}
	out := Info{Type: dt}
	switch {
	case x != nil && len(x) < 3:
		return nil, rankError(0, len(x), "3 or more")
	case w != nil && (len(w) < 3 || x != nil && len(x) != len(w)):
		return nil, fmt.Errorf("weights of shape %s for an input of shape %s", w, x)
	case x == nil:
		return []Info{out}, nil
	}
	rank := len(x) - 2
	if err := o.window.rank(rank); err != nil {
		return nil, err
	}
	out.Shape = slices.Repeat(Shape{Unknown}, len(x))
	out.Shape[0] = x[0]
	if w != nil {
		if err := o.fit(x[1], w[0]); err != nil {
			return nil, err
		}
		out.Shape[1] = dimProduct(w[1], Known(o.groups))
	}
	if len(own) > 2 && own[2].Shape != nil {
		if b := own[2].Shape; len(b) != 1 || b[0].IsKnown() && out.Shape[1].IsKnown() && b[0] != out.Shape[1] {
			return nil, fmt.Errorf("bias of shape %s for %s channels", b, out.Shape[1])
		}
	}
	for i := range rank {
		k := Unknown
		if w != nil {
			k = w[i+2]
		}
		if o.window.kernel != nil {
			if k.IsKnown() && k.N != o.window.kernel[i] {
				return nil, fmt.Errorf("weights of shape %s and attribute kernel_shape %v", w, o.window.kernel)
			}
			k = Known(o.window.kernel[i])
		}
		if o.window.outputSize != nil {
			out.Shape[i+2] = Known(o.window.outputSize[i])
		}
		if !k.IsKnown() || !x[i+2].IsKnown() {
			continue
		}
		if k.N < 1 || k.N > maxExtent {
			return nil, fmt.Errorf("weights of shape %s", w)
		}
		s, err := o.window.transposed(i, rank, k.N, x[i+2].N)
		if err != nil {
			return nil, fmt.Errorf("dimension %d: %w", i+2, err)
		}
		out.Shape[i+2] = Known(s.in)
	}
	return []Info{out}, o.infer(in, out)
}

func (o *convTranspose) fit(c, each Dim) error {
	switch {
	case c.IsKnown() && c.N%o.groups != 0:
		return fmt.Errorf("%d input channels in %d groups", c.N, o.groups)
	case c.IsKnown() && each.IsKnown() && c.N != each.N:
		return fmt.Errorf("%d input channels for weights of %d", c.N, each.N)
	}
	return nil
}

// Cost counts a multiplication for each element of the input and of a window of results.
func (o *convTranspose) Cost(in, _ []Info) Cost {
	x, ok := in[0].Shape.Known()
	w, okW := in[1].Shape.Known()
	if o.weights != nil {
		w, okW = o.weights.shape, true
	}
	if !ok || !okW || len(w) < 2 {
		return Cost{}
	}
	return Cost{MACs: int64(product(x)) * int64(product(w[1:]))}
}

// Fuse takes over an addition and a function.
func (o *convTranspose) Fuse(add bool, act kernel.Activation) Op {
	f, ok := o.with(add, act)
	if !ok {
		return nil
	}
	p := *o
	p.fused = f
	return &p
}

// ChannelsLast takes images of two dimensions in float32, and what is added, in that layout.
func (o *convTranspose) ChannelsLast(in []Info) ([]bool, bool) {
	ok := make([]bool, len(in))
	if len(in[0].Shape) != 4 || in[0].Type != onnx.Float {
		return ok, false
	}
	ok[0] = true
	if o.add {
		ok[len(in)-1] = true
	}
	return ok, true
}

// Pack prepares constant weights in float32 and a constant bias.
func (o *convTranspose) Pack(cpu *kernel.CPU, info []Info) (Op, []int, error) {
	w := info[1].Value
	if o.weights != nil || !packable(w) {
		return nil, nil, nil
	}
	if err := o.fit(Known(w.Shape[0]), Known(w.Shape[0])); err != nil {
		return nil, nil, err
	}
	rank := len(w.Shape) - 2
	if err := o.window.fits(rank, w.Shape[2:]); err != nil {
		return nil, nil, fmt.Errorf("input 1: %w", err)
	}
	iw, dropped := newImageWeights(info[:o.own(len(info))], o.channels(w.Shape), newBackward)
	if iw == nil {
		return nil, nil, nil
	}
	p := *o
	p.weights = iw
	if o.window.same() || o.window.outputSize != nil { // the padding follows from the size
		return &p, dropped, nil
	}
	slides := make([]slide, rank)
	for i := range slides {
		slides[i] = o.window.along(i, rank, w.Shape[i+2])
	}
	iw.prepared(cpu, slides)
	iw.release()
	return &p, dropped, nil
}

// channels describes weights of a shape.
func (o *convTranspose) channels(w []int) kernel.ConvShape {
	return kernel.ConvShape{In: w[0], Out: w[1] * o.groups, Groups: o.groups}
}

// PackedBytes is the memory that prepared weights take.
func (o *convTranspose) PackedBytes() int64 { return o.weights.bytes() }

// Scratch asks for the kernel's memory, and for repacked images of one dimension, which have no layout that is channels-last.
func (o *convTranspose) Scratch(cpu *kernel.CPU, in []Info) int {
	x, ok := in[0].Shape.Known()
	if !ok || o.weights == nil || len(x) != len(o.weights.shape) {
		return 0
	}
	var s convState
	if err := o.slides(&s, x, o.weights.shape); err != nil {
		return 0
	}
	return o.weights.scratch(cpu, s.slides, x, product(s.shape[2:]))
}

func (o *convTranspose) Run(c *Call) error { return throughFloat32(c, o) }

func (o *convTranspose) run(c *Call) error {
	s := o.states.get()
	defer o.states.put(s)
	w, err := o.plan(c, s)
	if err != nil {
		return err
	}
	x := c.In[0]
	y, err := c.Out(0, x.Type, s.shape, x.Layout)
	if err != nil || y.Len() == 0 {
		return err
	}
	if x.Type == onnx.Float && len(x.Shape) <= 4 && product(w) > 0 {
		k := o.weights
		if k == nil {
			k, _ = newImageWeights(describeValues(c.In[:o.own(len(c.In))]), o.channels(w), newBackward)
		}
		return o.images(c, s, k.prepared(c.CPU, s.slides), y)
	}
	if x.Layout != tensor.Plain {
		return fmt.Errorf("input 0 is %s", x.Layout)
	}
	to, err := o.target(y)
	if err != nil {
		return err
	}
	switch x.Type {
	case onnx.Float:
		spreadOut[float32](c, o, s, to)
	case onnx.Double:
		spreadOut[float64](c, o, s, to)
	default:
		return typeError(x.Type)
	}
	return o.finish(c, y, to)
}

// plan checks the operands and returns the shape of the weights.
func (o *convTranspose) plan(c *Call, s *convState) (w []int, err error) {
	x := c.In[0].Shape
	own := o.own(len(c.In))
	if o.weights != nil {
		w = o.weights.shape
		if c.In[0].Type != onnx.Float {
			return nil, typeError(c.In[0].Type)
		}
	} else {
		w = c.In[1].Shape
		if err := c.sameTypes(own); err != nil {
			return nil, err
		}
	}
	if len(x) < 3 || len(w) != len(x) {
		return nil, fmt.Errorf("ranks %d of the input and %d of the weights", len(x), len(w))
	}
	if err := o.slides(s, x, w); err != nil {
		return nil, err
	}
	if o.weights == nil && own > 2 && c.In[2] != nil && (len(c.In[2].Shape) != 1 || c.In[2].Shape[0] != s.shape[1]) {
		return nil, fmt.Errorf("bias of shape %v for %d channels", c.In[2].Shape, s.shape[1])
	}
	return w, nil
}

// slides computes how windows lie, and the shape of the output.
func (o *convTranspose) slides(s *convState, x, w []int) error {
	if err := o.fit(Known(x[1]), Known(w[0])); err != nil {
		return err
	}
	if w[1] > maxExtent {
		return fmt.Errorf("%d output channels in each group", w[1])
	}
	if err := o.window.fits(len(x)-2, w[2:]); err != nil {
		return err
	}
	s.shape, s.slides = append(s.shape[:0], x[0], w[1]*o.groups), s.slides[:0]
	for i := range x[2:] {
		sl, err := o.window.transposed(i, len(x)-2, w[i+2], x[i+2])
		if err != nil {
			return fmt.Errorf("dimension %d: %w", i+2, err)
		}
		s.slides = append(s.slides, sl)
		s.shape = append(s.shape, sl.in)
	}
	return nil
}

// spreadOut is the definition, but for what is fused.
func spreadOut[T float32 | float64](c *Call, o *convTranspose, s *convState, y *tensor.Tensor) {
	x, w, dst := elements[T](c.In[0]), elements[T](c.In[1]), elements[T](y)
	each, m := c.In[1].Shape[0]/o.groups, c.In[1].Shape[1]
	positions, taps := outputs(s.slides), volumeOf(s.slides)
	size := len(dst) / (y.Shape[0] * y.Shape[1])
	clear(dst)
	for i := range y.Shape[0] * o.groups {
		s.at.start(s.slides)
		for p := range positions {
			covered := s.at.covered()
			for ch := range each {
				v := x[(i*each+ch)*positions+p]
				kernels := w[(i%o.groups*each+ch)*m*taps:]
				for k := range m {
					for _, t := range covered {
						dst[(i*m+k)*size+t.offset] += v * kernels[k*taps+t.kernel]
					}
				}
			}
			s.at.next()
		}
	}
	if b := c.input(2); b != nil && o.own(len(c.In)) > 2 {
		addBias(dst, elements[T](b), size)
	}
}
