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
type convTranspose struct {
	fused
	window *window
	groups int
	states *states[transposeState]
}

type transposeState struct {
	convState
	task scatterTask
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
	o := &convTranspose{window: w, groups: n.Int("group", 1), states: new(states[transposeState])}
	if o.groups < 1 {
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

func (o *convTranspose) Run(c *Call) error { return half(c, o) }

func (o *convTranspose) run(c *Call) error {
	s := o.states.get()
	defer o.states.put(s)
	if err := o.plan(c, &s.convState); err != nil {
		return err
	}
	x := c.In[0]
	y, err := c.Out(0, x.Type, s.shape)
	if err != nil || y.Len() == 0 {
		return err
	}
	to, err := o.target(y)
	if err != nil {
		return err
	}
	switch x.Type {
	case onnx.Float:
		spread32(c, o, s, to)
	case onnx.Double:
		spread64(c, o, s, to)
	default:
		return typeError(0, x.Type)
	}
	return o.finish(c, y, to)
}

// plan checks the operands.
func (o *convTranspose) plan(c *Call, s *convState) error {
	x, w := c.In[0].Shape, c.In[1].Shape
	own := o.own(len(c.In))
	if err := c.sameTypes(own); err != nil {
		return err
	}
	if len(x) < 3 || len(w) != len(x) {
		return fmt.Errorf("ranks %d of the input and %d of the weights", len(x), len(w))
	}
	if err := o.fit(Known(x[1]), Known(w[0])); err != nil {
		return err
	}
	m, err := tensor.Count([]int{w[1], o.groups})
	if err != nil {
		return err
	}
	if own > 2 && c.In[2] != nil && (len(c.In[2].Shape) != 1 || c.In[2].Shape[0] != m) {
		return fmt.Errorf("bias of shape %v for %d channels", c.In[2].Shape, m)
	}
	if err := o.window.fits(len(x)-2, w[2:]); err != nil {
		return err
	}
	s.shape, s.slides = append(s.shape[:0], x[0], m), s.slides[:0]
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

// spread32 computes in float32: for a chunk of positions at a time a row of results each, whose windows are then added.
func spread32(c *Call, o *convTranspose, s *transposeState, y *tensor.Tensor) {
	x, w, dst := tensor.Of[float32](c.In[0]), tensor.Of[float32](c.In[1]), tensor.Of[float32](y)
	each, m := c.In[1].Shape[0]/o.groups, c.In[1].Shape[1]
	positions, taps := outputs(s.slides), volumeOf(s.slides)
	row := m * taps
	chunk := min(positions, max(1, unfolded/max(row, 1)))
	rows := c.scratch(chunk * row)
	clear(dst)
	for i := range y.Shape[0] * o.groups {
		g := i % o.groups
		for first := 0; first < positions; first += chunk {
			count := min(chunk, positions-first)
			kernel.Gemm(c.CPU, &kernel.Product{
				TransA: true, M: count, N: row, K: each, Alpha: 1, A: x[i*each*positions+first:], LDA: positions,
				B: w[g*each*row:], LDB: row, C: rows, LDC: row,
			})
			s.task.run(c.CPU, s.slides, dst[i*m*(len(dst)/(y.Shape[0]*y.Shape[1])):], rows, m, first, count)
		}
	}
	if b := c.input(2); b != nil && o.own(len(c.In)) > 2 {
		addBias(dst, tensor.Of[float32](b), len(dst)/(y.Shape[0]*y.Shape[1]))
	}
}

// Scratch asks for rows of results.
func (o *convTranspose) Scratch(_ *kernel.CPU, in []Info) int {
	x, ok := in[0].Shape.Known()
	w, okW := in[1].Shape.Known()
	if !ok || !okW || len(x) < 3 || len(w) < 3 {
		return 0
	}
	row := max(product(w[1:]), 1)
	return min(product(x[2:]), max(1, unfolded/row)) * row
}

// scatterTask adds windows to images: a channel a piece.
type scatterTask struct {
	slides       []slide
	dst, rows    []float32
	m            int
	first, count int
	at           []positions // a worker each
}

// run adds count rows, each of m channels of windows, to the images dst, from position first on.
func (t *scatterTask) run(cpu *kernel.CPU, s []slide, dst, rows []float32, m, first, count int) {
	t.slides, t.dst, t.rows, t.m, t.first, t.count = s, dst, rows, m, first, count
	if n := cpu.Threads(); len(t.at) < n {
		t.at = make([]positions, n)
	}
	cpu.Parallel((m+scatterChannels-1)/scatterChannels, t)
	t.dst, t.rows = nil, nil
}

// scatterChannels is how many channels share the work of finding where windows are.
const scatterChannels = 16

// Piece implements [kernel.Task].
func (t *scatterTask) Piece(i, worker int) {
	at := &t.at[worker]
	at.start(t.slides)
	at.seek(t.first)
	taps := volumeOf(t.slides)
	size := 1
	for _, s := range t.slides {
		size *= s.in
	}
	lo, hi := i*scatterChannels, min(t.m, (i+1)*scatterChannels)
	for r := range t.count {
		row := t.rows[r*t.m*taps:][:t.m*taps]
		covered := at.covered()
		for ch := lo; ch < hi; ch++ {
			from, to := row[ch*taps:][:taps], t.dst[ch*size:][:size]
			for _, p := range covered {
				to[p.offset] += from[p.kernel]
			}
		}
		at.next()
	}
}

// spread64 is the definition, in float64.
func spread64(c *Call, o *convTranspose, s *transposeState, y *tensor.Tensor) {
	x, w, dst := tensor.Of[float64](c.In[0]), tensor.Of[float64](c.In[1]), tensor.Of[float64](y)
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
		addBias(dst, tensor.Of[float64](b), size)
	}
}
