package ops

import (
	"fmt"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// forward is the direction of Conv: the cross-correlation of x [N, C, …] with weights [M, C/groups, …]. Images go to [kernel.Conv];
// the general method unfolds windows and multiplies.
type forward struct{}

func newConv(n *Node) (Op, error) {
	w, err := newWindow(n)
	if err != nil {
		return nil, err
	}
	return newConvolution(n, forward{}, w)
}

func (forward) fit(groups int, c, m, each Dim) (Dim, error) {
	switch {
	case each.N > maxExtent:
		return m, fmt.Errorf("%d input channels in each group", each.N)
	case m.IsKnown() && m.N%groups != 0:
		return m, fmt.Errorf("%d output channels in %d groups", m.N, groups)
	case c.IsKnown() && c.N%groups != 0:
		return m, fmt.Errorf("%d input channels in %d groups", c.N, groups)
	case c.IsKnown() && each.IsKnown() && c.N != each.N*groups:
		return m, fmt.Errorf("%d input channels for weights of %d groups of %d", c.N, groups, each.N)
	}
	return m, nil
}

func (forward) infer(w *window, i, n int, kernel, in Dim) (Dim, error) {
	if !kernel.IsKnown() {
		return Unknown, nil
	}
	s := w.along(i, n, kernel.N)
	switch {
	case in.IsKnown():
		err := w.place(&s, in.N)
		return Known(s.out), err
	case s.stride == 1 && (w.same() || s.before+s.after == s.extent()-1):
		return in, nil
	}
	return Unknown, nil
}

func (forward) lay(w *window, i, n, kernel, in int) (slide, int, error) {
	s := w.along(i, n, kernel)
	err := w.place(&s, in)
	return s, s.out, err
}

func (forward) channels(groups int, w []int) kernel.ConvShape {
	return kernel.ConvShape{In: w[1] * groups, Out: w[0], Groups: groups}
}

// macs counts a multiplication for each element of the result and of a window.
func (forward) macs(_, w, y []int) int64 { return int64(product(y)) * int64(product(w[1:])) }

// images plans for weights that change, which means training. There an error of the values is one in which of them a Relu lets gradients through.
func (forward) images(cpu *kernel.CPU, s kernel.ConvShape, size [2]int) imageKernel {
	s.Fine = true
	return forwardImages{kernel.PlanConv(cpu, s, size[0], size[1])}
}

type forwardImages struct{ *kernel.Conv }

func (f forwardImages) own(cpu *kernel.CPU, weights, bias []float32) { f.Own(cpu, weights, bias) }

func (f forwardImages) scratch(n int, in, _ [2]int) int { return f.Scratch(n, in[0], in[1]) }

func (f forwardImages) run(cpu *kernel.CPU, dst, src []float32, n int, in, _ [2]int, ep *kernel.Epilogue, scratch []float32) {
	f.Run(cpu, dst, src, n, in[0], in[1], ep, scratch)
}

func (forward) general(c *Call, groups int, s *convState, y *tensor.Tensor) {
	if y.Type == onnx.Float {
		convolve[float32](c, groups, s, y)
	} else {
		convolve[float64](c, groups, s, y)
	}
}

// unfolded is how many elements of windows are laid out at once.
const unfolded = 1 << 20

// convolve lays windows out as rows and multiplies them with the weights.
func convolve[T float32 | float64](c *Call, groups int, s *convState, y *tensor.Tensor) {
	x, weights, dst := elements[T](c.In[0]), elements[T](c.In[1]), elements[T](y)
	w := c.In[1].Shape
	n, each, m := c.In[0].Shape[0], w[1], w[0]/groups
	inner, outer, taps := product(c.In[0].Shape[2:]), outputs(s.slides), volumeOf(s.slides)
	k := each * taps
	if k == 0 {
		clear(dst)
		return
	}
	chunk := min(outer, max(1, unfolded/k))
	rows := make([]T, chunk*k)
	for i := range n * groups {
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
			group := i % groups
			multiplyTransposed(c.CPU, dst[i*m*outer+first:], outer, weights[group*m*k:][:m*k], rows[:count*k], m, count, k)
		}
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

func (forward) gradient(g *Gradient, groups int, slides []slide, dy Value) {
	if g.Wants(0) {
		extra := make([]int, len(slides))
		for i, s := range slides {
			extra[i] = s.in - ((s.out-1)*s.stride + s.extent() - s.before - s.after)
		}
		g.Set(0, g.Node("ConvTranspose", append(windowAttributes(slides, groups), attrInts("output_padding", extra...)), dy, g.In(1)))
	}
	if g.Wants(1) {
		g.Set(1, g.Node("ConvWeightGrad", windowAttributes(slides, groups), g.In(0), dy))
	}
}

// windowAttributes describes how a kernel slides.
func windowAttributes(slides []slide, groups int) []*onnx.Attribute {
	n := len(slides)
	size, strides, dilations, pads := make([]int, n), make([]int, n), make([]int, n), make([]int, 2*n)
	for i, s := range slides {
		size[i], strides[i], dilations[i], pads[i], pads[n+i] = s.kernel, s.stride, s.dilation, s.before, s.after
	}
	return with(attrInts("kernel_shape", size...), attrInts("strides", strides...), attrInts("dilations", dilations...), attrInts("pads", pads...), attrInt("group", groups))
}
