package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// convolution is Conv or ConvTranspose: what a window of weights makes of x [N, C, …], plus a bias [M], of floating-point numbers.
//
// Images of one and two dimensions in float32 go to the direction's kernel, which is channels-last: for others it is repacked around
// them. All else is computed by the direction's general method.
type convolution struct {
	fused
	direction
	window  *window
	groups  int
	inputs  int // of its own
	weights *imageWeights
	states  *states[convState]
}

// direction is what distinguishes a convolution and its transpose.
type direction interface {
	// fit checks channels of the input against the first two dimensions of the weights, and returns those of the output.
	fit(groups int, c, w0, w1 Dim) (Dim, error)
	// infer computes dimension i of n of the output for a kernel and an input that may be unknown.
	infer(w *window, i, n int, kernel, in Dim) (Dim, error)
	// lay computes how the window lies along dimension i of n, and the extent of the output.
	lay(w *window, i, n, kernel, in int) (slide, int, error)
	// channels describes weights of a shape.
	channels(groups int, w []int) kernel.ConvShape
	// images plans a kernel, see imageMaker.
	images(cpu *kernel.CPU, s kernel.ConvShape, size [2]int) imageKernel
	// macs counts multiplications for shapes of input and output that are known.
	macs(x, w, y []int) int64
	// general computes y of float32 or float64 but for the bias and what is fused.
	general(c *Call, groups int, s *convState, y *tensor.Tensor)
	// gradient sets those of x and weights that are wanted, for dy and how the window lies.
	gradient(g *Gradient, groups int, s []slide, dy Value)
}

func newConvolution(n *Node, d direction, w *window) (Op, error) {
	o := &convolution{direction: d, window: w, groups: n.Int("group", 1), inputs: len(n.Inputs), states: new(states[convState])}
	if o.groups < 1 || o.groups > maxExtent {
		return nil, fmt.Errorf("attribute group is %d", o.groups)
	}
	return o, nil
}

func (o *convolution) Infer(in []Info) ([]Info, error) {
	own := in[:o.own(len(in))]
	dt, err := typesFloat.same(own, 0, len(own))
	if err != nil {
		return nil, err
	}
	x, w := in[0].Shape, o.shape(in)
	out := Info{Type: dt}
	switch {
	case x != nil && len(x) < 3:
		return nil, rankError(0, len(x), "3 or more")
	case w != nil && len(w) < 3:
		return nil, rankError(1, len(w), "3 or more")
	case x != nil && w != nil && len(x) != len(w):
		return nil, fmt.Errorf("ranks %d of the input and %d of the weights", len(x), len(w))
	case x == nil:
		return []Info{out}, nil
	}
	var kernel Shape
	channels := Unknown
	if w != nil {
		kernel = w[2:]
		if channels, err = o.fit(o.groups, x[1], w[0], w[1]); err != nil {
			return nil, err
		}
	}
	spatial, err := o.window.infer(x[2:], kernel, o.direction)
	if err != nil {
		return nil, err
	}
	if len(own) > 2 && own[2].Shape != nil {
		if b := own[2].Shape; len(b) != 1 || b[0].IsKnown() && channels.IsKnown() && b[0] != channels {
			return nil, fmt.Errorf("bias of shape %s for %s channels", b, channels)
		}
	}
	out.Shape = slices.Concat(Shape{x[0], channels}, spatial)
	return []Info{out}, o.fused.infer(in, out)
}

// shape returns that of the weights.
func (o *convolution) shape(in []Info) Shape {
	if o.weights != nil {
		return MakeShape(o.weights.shape...)
	}
	return in[1].Shape
}

func (o *convolution) Cost(in, out []Info) Cost {
	x, okX := in[0].Shape.Known()
	w, okW := o.shape(in).Known()
	y, okY := out[0].Shape.Known()
	if !okX || !okW || !okY || len(w) < 2 {
		return Cost{}
	}
	return Cost{MACs: o.macs(x, w, y)}
}

// ChannelsLast takes images of two dimensions in float32, and what is added, in that layout.
func (o *convolution) ChannelsLast(in []Info) ([]bool, bool) {
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

// InPlace lists what is added to a convolution, unless channels are kept apart: then the kernels store their sums before they add, as
// those of the transpose always do.
func (o *convolution) InPlace() []int {
	if _, ok := o.direction.(forward); ok && o.add && o.groups == 1 {
		return []int{o.inputs}
	}
	return nil
}

// Fuse takes over an addition and a function.
func (o *convolution) Fuse(add bool, act kernel.Activation) Op { return fuseInto(o, add, act) }

// Pack prepares constant weights in float32 and a constant bias.
func (o *convolution) Pack(cpu *kernel.CPU, info []Info) (Op, []int, error) {
	w := info[1].Value
	if o.weights != nil || !packable(w) {
		return nil, nil, nil
	}
	if _, err := o.fit(o.groups, Unknown, Known(w.Shape[0]), Known(w.Shape[1])); err != nil {
		return nil, nil, err
	}
	rank := len(w.Shape) - 2
	if err := o.window.fits(rank, w.Shape[2:]); err != nil {
		return nil, nil, fmt.Errorf("input 1: %w", err)
	}
	iw, dropped := newImageWeights(info[:o.own(len(info))], o.channels(o.groups, w.Shape), o.direction.images)
	if iw == nil {
		return nil, nil, nil
	}
	p := *o
	p.weights = iw
	// Prepare now if the padding is known, which it is unless it depends on the size of the image.
	size, known := make([]int, rank), false
	if s := info[0].Shape; len(s) == len(w.Shape) {
		if d, ok := s[2:].Known(); ok {
			size, known = d, true
		}
	}
	if o.window.adapts() && !known {
		return &p, dropped, nil
	}
	slides := make([]slide, rank)
	for i := range slides {
		var err error
		if slides[i], _, err = o.lay(o.window, i, rank, w.Shape[i+2], size[i]); err != nil && known {
			return nil, nil, fmt.Errorf("input 0: dimension %d: %w", i+2, err)
		}
	}
	iw.prepared(cpu, slides)
	if !o.window.adapts() {
		iw.release()
	}
	return &p, dropped, nil
}

// PackedBytes is the memory that prepared weights take.
func (o *convolution) PackedBytes() int64 { return o.weights.bytes() }

// Scratch asks for the kernel's memory, and for repacked images of one dimension, which have no layout that is channels-last.
func (o *convolution) Scratch(cpu *kernel.CPU, in []Info) int {
	x, w, ok := imageShapes(in, o.weights)
	var s convState
	if !ok || o.slides(&s, x, w) != nil {
		return 0
	}
	return imageScratch(o.kernel(cpu, &s, w), x, s.shape, o.weights == nil)
}

func (o *convolution) Run(c *Call) error { return throughFloat32(c, o) }

func (o *convolution) run(c *Call) error {
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
		return o.fused.images(c, s, o.kernel(c.CPU, s, w), o.weights == nil, y)
	}
	switch {
	case x.Layout != tensor.Plain:
		return fmt.Errorf("input 0 is %s", x.Layout)
	case x.Type != onnx.Float && x.Type != onnx.Double:
		return typeError(x.Type)
	}
	to, err := o.target(y)
	if err != nil {
		return err
	}
	o.general(c, o.groups, s, to)
	if b := o.bias(c); b != nil {
		if x.Type == onnx.Float {
			addBias(elements[float32](to), elements[float32](b), product(s.shape[2:]))
		} else {
			addBias(elements[float64](to), elements[float64](b), product(s.shape[2:]))
		}
	}
	return o.finish(c, y, to)
}

// kernel returns the one for weights of a shape, which it has if they are prepared.
func (o *convolution) kernel(cpu *kernel.CPU, s *convState, w []int) imageKernel {
	if o.weights != nil {
		return o.weights.prepared(cpu, s.slides)
	}
	return s.plan.of(cpu, o.channels(o.groups, w), s.slides, o.direction.images)
}

// plan checks the operands and returns the shape of the weights.
func (o *convolution) plan(c *Call, s *convState) (w []int, err error) {
	x := c.In[0].Shape
	if o.weights != nil {
		w = o.weights.shape
		if c.In[0].Type != onnx.Float {
			return nil, typeError(c.In[0].Type)
		}
	} else {
		w = c.In[1].Shape
		if err := c.sameTypes(o.own(len(c.In))); err != nil {
			return nil, err
		}
	}
	if len(x) < 3 || len(w) != len(x) {
		return nil, fmt.Errorf("ranks %d of the input and %d of the weights", len(x), len(w))
	}
	if err := o.slides(s, x, w); err != nil {
		return nil, err
	}
	if b := o.bias(c); b != nil && (len(b.Shape) != 1 || b.Shape[0] != s.shape[1]) {
		return nil, fmt.Errorf("bias of shape %v for %d channels", b.Shape, s.shape[1])
	}
	return w, nil
}

// slides computes how windows lie, and the shape of the output.
func (o *convolution) slides(s *convState, x, w []int) error {
	if _, err := o.fit(o.groups, Known(x[1]), Known(w[0]), Known(w[1])); err != nil {
		return err
	}
	if err := o.window.fits(len(x)-2, w[2:]); err != nil {
		return err
	}
	s.shape, s.slides = append(s.shape[:0], x[0], o.channels(o.groups, w).Out), s.slides[:0]
	for i := range x[2:] {
		sl, out, err := o.lay(o.window, i, len(x)-2, w[i+2], x[i+2])
		if err != nil {
			return fmt.Errorf("dimension %d: %w", i+2, err)
		}
		s.slides = append(s.slides, sl)
		s.shape = append(s.shape, out)
	}
	return nil
}

// bias returns the bias that is not prepared with the weights, or nil.
func (o *convolution) bias(c *Call) *tensor.Tensor {
	if o.weights != nil || o.own(len(c.In)) < 3 {
		return nil
	}
	return c.In[2]
}

// Gradient is a convolution of the other direction for the input; for the weights what ConvWeightGrad does, and for the bias the sum over all pixels.
func (o *convolution) Gradient(g *Gradient) error {
	var s convState
	if err := o.slides(&s, g.In(0).Dims(), g.In(1).Dims()); err != nil {
		return err
	}
	dy, _ := g.Of(0)
	if g.Wants(2) {
		g.Set(2, g.channelSum(dy))
	}
	o.gradient(g, o.groups, s.slides, dy)
	return nil
}

// channelSum sums v [N, C, …] to [C].
func (g *Gradient) channelSum(v Value) Value {
	axes := []int{0}
	for i := 2; i < len(v.Dims()); i++ {
		axes = append(axes, i)
	}
	return g.Reshape(g.ReduceSum(v, axes...), v.Dims()[1:2])
}

// addBias adds to rows of n elements an element each, again from the first when bias ends.
func addBias[T number](dst, bias []T, n int) {
	for i := range dst {
		dst[i] += bias[i/n%len(bias)]
	}
}
