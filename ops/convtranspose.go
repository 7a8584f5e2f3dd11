package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// backward is the direction of ConvTranspose: what the gradient of a convolution is with respect to its input, for x [N, C, …] and
// weights [C, M/groups, …]. A product gives each element of x a window of results, and windows are added where they overlap.
// Images go to [kernel.ConvTranspose].
type backward struct{}

func newConvTranspose(n *Node) (Op, error) {
	w, err := newWindow(n)
	if err != nil {
		return nil, err
	}
	w.outputPadding, w.outputSize = n.Ints("output_padding"), n.Ints("output_shape")
	if err := w.check(); err != nil {
		return nil, err
	}
	return newConvolution(n, backward{}, w)
}

func (backward) fit(groups int, c, w0, each Dim) (Dim, error) {
	switch {
	case each.N > maxExtent:
		return Unknown, fmt.Errorf("%d output channels in each group", each.N)
	case w0.IsKnown() && w0.N%groups != 0:
		return Unknown, fmt.Errorf("%d input channels in %d groups", w0.N, groups)
	case c.IsKnown() && c.N%groups != 0:
		return Unknown, fmt.Errorf("%d input channels in %d groups", c.N, groups)
	case c.IsKnown() && w0.IsKnown() && c.N != w0.N:
		return Unknown, fmt.Errorf("%d input channels for weights of %d", c.N, w0.N)
	}
	return dimProduct(each, Known(groups)), nil
}

func (d backward) infer(w *window, i, n int, kernel, in Dim) (Dim, error) {
	switch {
	case kernel.IsKnown() && in.IsKnown():
		_, out, err := d.lay(w, i, n, kernel.N, in.N)
		return Known(out), err
	case w.outputSize != nil:
		return Known(w.outputSize[i]), nil
	}
	return Unknown, nil
}

// lay computes a slide in which input and output change places.
func (backward) lay(w *window, i, n, kernel, in int) (slide, int, error) {
	s := w.along(i, n, kernel)
	s.out = in
	if in < 1 || in > maxExtent {
		return s, 0, fmt.Errorf("extent %d", in)
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
			return s, 0, fmt.Errorf("padding of %d and %d leaves nothing of %d", s.before, s.after, whole)
		}
		return s, s.in, nil
	}
	// The padding follows from the size; the odd one goes where the attribute does not say it should.
	total := max(0, whole-s.in)
	s.before = total - total/2
	if w.autoPad == "SAME_UPPER" {
		s.before = total / 2
	}
	s.after = total - s.before
	return s, s.in, nil
}

func (backward) channels(groups int, w []int) kernel.ConvShape {
	return kernel.ConvShape{In: w[0], Out: w[1] * groups, Groups: groups}
}

// macs counts a multiplication for each element of the input and of a window of results.
func (backward) macs(x, w, _ []int) int64 { return int64(product(x)) * int64(product(w[1:])) }

func (backward) images(cpu *kernel.CPU, s kernel.ConvShape, size [2]int) imageKernel {
	return backwardImages{kernel.PlanConvTranspose(cpu, s, size[0], size[1])}
}

type backwardImages struct{ *kernel.ConvTranspose }

func (b backwardImages) own(cpu *kernel.CPU, weights, bias []float32) { b.Own(cpu, weights, bias) }

func (b backwardImages) scratch(n int, in, out [2]int) int {
	return b.Scratch(n, in[0], in[1], out[0], out[1])
}

func (b backwardImages) run(cpu *kernel.CPU, dst, src []float32, n int, in, out [2]int, ep *kernel.Epilogue, scratch []float32) {
	b.Run(cpu, dst, src, n, in[0], in[1], out[0], out[1], ep, scratch)
}

func (backward) general(c *Call, groups int, s *convState, y *tensor.Tensor) {
	if y.Type == onnx.Float {
		spreadOut[float32](c, groups, s, y)
	} else {
		spreadOut[float64](c, groups, s, y)
	}
}

// spreadOut is the definition.
func spreadOut[T float32 | float64](c *Call, groups int, s *convState, y *tensor.Tensor) {
	x, w, dst := elements[T](c.In[0]), elements[T](c.In[1]), elements[T](y)
	each, m := c.In[1].Shape[0]/groups, c.In[1].Shape[1]
	positions, taps := outputs(s.slides), volumeOf(s.slides)
	size := len(dst) / (y.Shape[0] * y.Shape[1])
	clear(dst)
	for i := range y.Shape[0] * groups {
		s.at.start(s.slides)
		for p := range positions {
			covered := s.at.covered()
			for ch := range each {
				v := x[(i*each+ch)*positions+p]
				kernels := w[(i%groups*each+ch)*m*taps:]
				for k := range m {
					for _, t := range covered {
						dst[(i*m+k)*size+t.offset] += v * kernels[k*taps+t.kernel]
					}
				}
			}
			s.at.next()
		}
	}
}

// gradient is without pixels of the output that no window reaches: they are cut off, and the padding of those at the end that reach beyond it is
// what is left.
func (backward) gradient(g *Gradient, groups int, slides []slide, dy Value) {
	ends := slices.Clone(dy.Dims())
	for i := range slides {
		d := &slides[i]
		reach := (d.out-1)*d.stride + d.extent() - d.before
		d.in = min(d.in, reach)
		d.after, ends[i+2] = reach-d.in, d.in
	}
	if !slices.Equal(ends, dy.Dims()) {
		dy = g.apply("Slice", dy, g.Ints(make([]int, len(ends))...), g.Ints(ends...))
	}
	if g.Wants(0) {
		g.Set(0, g.Node("Conv", windowAttributes(slides, groups), dy, g.In(1)))
	}
	if g.Wants(1) {
		g.Set(1, g.Node("ConvWeightGrad", windowAttributes(slides, groups), dy, g.In(0)))
	}
}
