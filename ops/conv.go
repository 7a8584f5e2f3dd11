package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// conv is Conv: the cross-correlation of x [N, C, …] with weights [M, C/groups, …], plus a bias [M], of floating-point numbers.
//
// Images of one and two dimensions in float32 go to [kernel.Conv], which is channels-last: for others it is repacked around them.
// All else unfolds windows and multiplies.
type conv struct {
	fused
	window  *window
	groups  int
	inputs  int // of its own
	weights *imageWeights
	states  *states[convState]
}

func newConv(n *Node) (Op, error) {
	w, err := newWindow(n)
	if err != nil {
		return nil, err
	}
	o := &conv{window: w, groups: n.Int("group", 1), inputs: len(n.Inputs), states: new(states[convState])}
	if o.groups < 1 || o.groups > maxExtent {
		return nil, fmt.Errorf("attribute group is %d", o.groups)
	}
	return o, nil
}

func (o *conv) Infer(in []Info) ([]Info, error) {
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
		if err := o.fit(x[1], w[0], w[1]); err != nil {
			return nil, err
		}
		kernel, channels = w[2:], w[0]
	}
	spatial, err := o.window.infer(x[2:], kernel)
	if err != nil {
		return nil, err
	}
	if len(own) > 2 && own[2].Shape != nil {
		if b := own[2].Shape; len(b) != 1 || b[0].IsKnown() && channels.IsKnown() && b[0] != channels {
			return nil, fmt.Errorf("bias of shape %s for %s channels", b, channels)
		}
	}
	out.Shape = slices.Concat(Shape{x[0], channels}, spatial)
	return []Info{out}, o.infer(in, out)
}

// fit checks channels of the input, and the first two dimensions of the weights.
func (o *conv) fit(c, m, each Dim) error {
	switch {
	case each.N > maxExtent:
		return fmt.Errorf("%d input channels in each group", each.N)
	case m.IsKnown() && m.N%o.groups != 0:
		return fmt.Errorf("%d output channels in %d groups", m.N, o.groups)
	case c.IsKnown() && c.N%o.groups != 0:
		return fmt.Errorf("%d input channels in %d groups", c.N, o.groups)
	case c.IsKnown() && each.IsKnown() && c.N != each.N*o.groups:
		return fmt.Errorf("%d input channels for weights of %d groups of %d", c.N, o.groups, each.N)
	}
	return nil
}

// Cost counts a multiplication for each element of the result and of a window.
func (o *conv) Cost(in, out []Info) Cost {
	y, ok := out[0].Shape.Known()
	w, okW := in[1].Shape.Known()
	if o.weights != nil {
		w, okW = o.weights.shape, true
	}
	if !ok || !okW || len(w) < 2 {
		return Cost{}
	}
	return Cost{MACs: int64(product(y)) * int64(product(w[1:]))}
}

// ChannelsLast takes images of two dimensions in float32, and what is added, in that layout.
func (o *conv) ChannelsLast(in []Info) ([]bool, bool) {
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

// InPlace lists what is added, unless channels are kept apart: then the kernels store their sums before they add.
func (o *conv) InPlace() []int {
	if o.add && o.groups == 1 {
		return []int{o.inputs}
	}
	return nil
}

// Fuse takes over an addition and a function.
func (o *conv) Fuse(add bool, act kernel.Activation) Op {
	f, ok := o.with(add, act)
	if !ok {
		return nil
	}
	p := *o
	p.fused = f
	return &p
}

// Pack prepares constant weights in float32 and a constant bias.
func (o *conv) Pack(cpu *kernel.CPU, info []Info) (Op, []int, error) {
	w := info[1].Value
	if o.weights != nil || !packable(w) {
		return nil, nil, nil
	}
	if err := o.fit(Unknown, Known(w.Shape[0]), Known(w.Shape[1])); err != nil {
		return nil, nil, err
	}
	if err := o.window.fits(len(w.Shape)-2, w.Shape[2:]); err != nil {
		return nil, nil, fmt.Errorf("input 1: %w", err)
	}
	iw, dropped := newImageWeights(info[:o.own(len(info))], o.channels(w.Shape), newForward)
	if iw == nil {
		return nil, nil, nil
	}
	p := *o
	p.weights = iw
	// Prepare now if the padding is known, which it is unless it depends on the size of the image.
	size, known := make([]int, len(w.Shape)-2), false
	if s := info[0].Shape; len(s) == len(w.Shape) {
		if d, ok := s[2:].Known(); ok {
			size, known = d, true
		}
	}
	if o.window.same() && !known {
		return &p, dropped, nil
	}
	slides := make([]slide, len(size))
	for i := range slides {
		slides[i] = o.window.along(i, len(size), w.Shape[i+2])
		if err := o.window.place(&slides[i], size[i]); err != nil && known {
			return nil, nil, fmt.Errorf("input 0: dimension %d: %w", i+2, err)
		}
	}
	iw.prepared(cpu, slides)
	if !o.window.same() {
		iw.release()
	}
	return &p, dropped, nil
}

// channels describes weights of a shape.
func (o *conv) channels(w []int) kernel.ConvShape {
	return kernel.ConvShape{In: w[1] * o.groups, Out: w[0], Groups: o.groups}
}

// PackedBytes is the memory that prepared weights take.
func (o *conv) PackedBytes() int64 { return o.weights.bytes() }

// Scratch asks for the kernel's memory, and for repacked images of one dimension, which have no layout that is channels-last.
func (o *conv) Scratch(cpu *kernel.CPU, in []Info) int {
	x, ok := in[0].Shape.Known()
	if !ok || o.weights == nil || len(x) != len(o.weights.shape) {
		return 0
	}
	s, err := o.window.slides(nil, x[2:], o.weights.shape[2:])
	if err != nil {
		return 0
	}
	return o.weights.scratch(cpu, s, x, outputs(s))
}

func (o *conv) Run(c *Call) error { return throughFloat32(c, o) }

func (o *conv) run(c *Call) error {
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
			k, _ = newImageWeights(describeValues(c.In[:o.own(len(c.In))]), o.channels(w), newForward)
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
		convolve[float32](c, o, s, w, to)
	case onnx.Double:
		convolve[float64](c, o, s, w, to)
	default:
		return typeError(x.Type)
	}
	return o.finish(c, y, to)
}

// plan checks the operands and returns the shape of the weights.
func (o *conv) plan(c *Call, s *convState) (w []int, err error) {
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
	if err := o.fit(Known(x[1]), Known(w[0]), Known(w[1])); err != nil {
		return nil, err
	}
	if b := o.bias(c); b != nil && (len(b.Shape) != 1 || b.Shape[0] != w[0]) {
		return nil, fmt.Errorf("bias of shape %v for %d channels", b.Shape, w[0])
	}
	if s.slides, err = o.window.slides(s.slides, x[2:], w[2:]); err != nil {
		return nil, err
	}
	s.shape = append(s.shape[:0], x[0], w[0])
	for _, d := range s.slides {
		s.shape = append(s.shape, d.out)
	}
	return w, nil
}

// bias returns the bias that is not prepared with the weights, or nil.
func (o *conv) bias(c *Call) *tensor.Tensor {
	if o.weights != nil || o.own(len(c.In)) < 3 {
		return nil
	}
	return c.In[2]
}

// unfolded is how many elements of windows are laid out at once.
const unfolded = 1 << 20

// convolve is the general method, but for what is fused: it lays windows out as rows and multiplies them with the weights.
func convolve[T float32 | float64](c *Call, o *conv, s *convState, w []int, y *tensor.Tensor) {
	x, weights, dst := elements[T](c.In[0]), elements[T](c.In[1]), elements[T](y)
	n, each, m := c.In[0].Shape[0], w[1], w[0]/o.groups
	inner, outer, taps := product(c.In[0].Shape[2:]), outputs(s.slides), volumeOf(s.slides)
	k := each * taps
	if k == 0 {
		clear(dst)
	} else {
		chunk := min(outer, max(1, unfolded/k))
		rows := make([]T, chunk*k)
		for i := range n * o.groups {
			image := x[i*each*inner:][:each*inner]
			s.at.start(s.slides)
			for first := 0; first < outer; first += chunk {
				count := min(chunk, outer-first)
				clear(rows[:count*k])
				for r := range count {
					for _, t := range s.at.covered() {
						for ch := range each {
							rows[r*k+ch*taps+t.kernel] = image[ch*inner+t.offset]
						}
					}
					s.at.next()
				}
				group := i % o.groups
				multiplyTransposed(c.CPU, dst[i*m*outer+first:], outer, weights[group*m*k:][:m*k], rows[:count*k], m, count, k)
			}
		}
	}
	if b := o.bias(c); b != nil {
		addBias(dst, elements[T](b), outer)
	}
}

// addBias adds to rows of n elements an element each, again from the first when bias ends.
func addBias[T number](dst, bias []T, n int) {
	for i := range dst {
		dst[i] += bias[i/n%len(bias)]
	}
}

// multiplyTransposed computes dst [m, n] = a [m, k] · b [n, k]ᵀ; rows of dst begin ldc apart.
func multiplyTransposed[T float32 | float64](cpu *kernel.CPU, dst []T, ldc int, a, b []T, m, n, k int) {
	if d, ok := any(dst).([]float32); ok {
		kernel.Gemm(cpu, &kernel.Product{
			TransB: true, M: m, N: n, K: k, Alpha: 1, A: any(a).([]float32), LDA: k, B: any(b).([]float32), LDB: k, C: d, LDC: ldc,
		})
		return
	}
	for i := range m {
		for j := range n {
			var sum T
			for l, v := range a[i*k:][:k] {
				sum += v * b[j*k+l]
			}
			dst[i*ldc+j] = sum
		}
	}
}
