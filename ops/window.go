package ops

import (
	"fmt"
	"slices"
)

// window is how the kernel of a convolution or of pooling slides over the dimensions after the second, as attributes say it.
type window struct {
	autoPad                   string
	kernel                    []int // nil: of the weights
	strides, dilations, pads  []int // nil: the defaults
	ceil                      bool  // round the number of positions up
	outputPadding, outputSize []int // of ConvTranspose
}

// slide is a window along one dimension.
type slide struct {
	in, out                  int
	kernel, stride, dilation int
	before, after            int // padding
}

// maxExtent bounds attributes so that sums and products of a few of them do not overflow.
const maxExtent = 1 << 30

func newWindow(n *Node) (*window, error) {
	w := &window{
		autoPad: n.Text("auto_pad", "NOTSET"), kernel: n.Ints("kernel_shape"), strides: n.Ints("strides"), dilations: n.Ints("dilations"),
		pads: n.Ints("pads"), ceil: n.Bool("ceil_mode", false),
	}
	switch w.autoPad {
	case "NOTSET", "":
		w.autoPad = ""
	case "VALID":
		w.pads = nil
	case "SAME_UPPER", "SAME_LOWER":
		w.pads = nil
	default:
		return nil, fmt.Errorf("attribute auto_pad is %q", w.autoPad)
	}
	return w, w.check()
}

func (w *window) check() error {
	rank := -1
	for _, a := range []struct {
		name     string
		values   []int
		least, n int
	}{
		{"kernel_shape", w.kernel, 1, 1},
		{"strides", w.strides, 1, 1},
		{"dilations", w.dilations, 1, 1},
		{"pads", w.pads, 0, 2},
		{"output_padding", w.outputPadding, 0, 1},
		{"output_shape", w.outputSize, 1, 1},
	} {
		if a.values == nil {
			continue
		}
		for _, v := range a.values {
			if v < a.least || v > maxExtent {
				return fmt.Errorf("attribute %s is %v", a.name, a.values)
			}
		}
		if len(a.values)%a.n != 0 || rank >= 0 && len(a.values) != rank*a.n {
			return fmt.Errorf("attribute %s is %v for %d dimensions", a.name, a.values, rank)
		}
		rank = len(a.values) / a.n
	}
	return nil
}

// rank checks the number of dimensions that the window slides over.
func (w *window) rank(n int) error {
	for _, v := range [][]int{w.kernel, w.strides, w.dilations, w.outputPadding, w.outputSize} {
		if v != nil && len(v) != n {
			return fmt.Errorf("attributes for %d dimensions on %d", len(v), n)
		}
	}
	if w.pads != nil && len(w.pads) != 2*n {
		return fmt.Errorf("attribute pads is %v for %d dimensions", w.pads, n)
	}
	return nil
}

// along returns dimension i of n without its extents.
func (w *window) along(i, n, kernel int) slide {
	s := slide{kernel: kernel, stride: 1, dilation: 1}
	if w.strides != nil {
		s.stride = w.strides[i]
	}
	if w.dilations != nil {
		s.dilation = w.dilations[i]
	}
	if w.pads != nil {
		s.before, s.after = w.pads[i], w.pads[n+i]
	}
	return s
}

// extent is how far the kernel reaches.
func (s *slide) extent() int { return (s.kernel-1)*s.dilation + 1 }

// same reports whether padding is chosen to keep the size, rounded up to strides.
func (w *window) same() bool { return w.autoPad == "SAME_UPPER" || w.autoPad == "SAME_LOWER" }

// adapts reports whether padding depends on the size of the image.
func (w *window) adapts() bool { return w.same() || w.outputSize != nil }

// split divides padding among the two ends.
func (w *window) split(s *slide, total int) {
	s.before = total / 2
	if w.autoPad == "SAME_LOWER" {
		s.before = total - total/2
	}
	s.after = total - s.before
}

// slides computes how the window lies over dimensions in, for a kernel of the given extents. It appends to buf[:0].
func (w *window) slides(buf []slide, in, kernel []int) ([]slide, error) {
	buf = buf[:0]
	if err := w.fits(len(in), kernel); err != nil {
		return nil, err
	}
	for i, d := range in {
		s := w.along(i, len(in), kernel[i])
		if err := w.place(&s, d); err != nil {
			return nil, fmt.Errorf("dimension %d: %w", i+2, err)
		}
		buf = append(buf, s)
	}
	return buf, nil
}

// fits checks the kernel's extents.
func (w *window) fits(rank int, kernel []int) error {
	if err := w.rank(rank); err != nil {
		return err
	}
	if len(kernel) != rank || w.kernel != nil && !slices.Equal(kernel, w.kernel) {
		return fmt.Errorf("kernel of extents %v and attribute kernel_shape %v for %d dimensions", kernel, w.kernel, rank)
	}
	for _, k := range kernel {
		if k < 1 || k > maxExtent {
			return fmt.Errorf("kernel of extents %v", kernel)
		}
	}
	return nil
}

// place computes padding and positions for an extent of the input.
func (w *window) place(s *slide, in int) error {
	s.in = in
	if in > maxExtent<<10 {
		return fmt.Errorf("extent %d is too large", in)
	}
	if w.same() {
		s.out = (in + s.stride - 1) / s.stride
		w.split(s, max(0, (s.out-1)*s.stride+s.extent()-in))
		return nil
	}
	room := in + s.before + s.after - s.extent()
	if room < 0 {
		return fmt.Errorf("a window of %d does not fit into %d and padding of %d and %d", s.extent(), in, s.before, s.after)
	}
	s.out = room/s.stride + 1
	// Rounded up, but the last position begins before the padding at the end.
	if w.ceil && room%s.stride != 0 && s.out*s.stride < in+s.before {
		s.out++
	}
	return nil
}

// infer computes dimensions of the output in a direction, of kernel extents that may be unknown.
func (w *window) infer(in, kernel Shape, d direction) (Shape, error) {
	if err := w.rank(len(in)); err != nil {
		return nil, err
	}
	out := make(Shape, len(in))
	for i := range in {
		k := Unknown
		if w.kernel != nil {
			k = Known(w.kernel[i])
		}
		if i < len(kernel) && kernel[i].IsKnown() {
			if k.IsKnown() && k != kernel[i] {
				return nil, fmt.Errorf("kernel of extents %s and attribute kernel_shape %v", kernel, w.kernel)
			}
			k = kernel[i]
		}
		if k.IsKnown() && (k.N < 1 || k.N > maxExtent) {
			return nil, fmt.Errorf("kernel of extents %s", kernel)
		}
		var err error
		if out[i], err = d.infer(w, i, len(in), k, in[i]); err != nil {
			return nil, fmt.Errorf("dimension %d: %w", i+2, err)
		}
	}
	return out, nil
}

// positions goes over the positions of a window of any rank, one after another, and finds for each the elements of the input (or, for
// what is transposed, of the output) that the kernel covers there.
type positions struct {
	slides []slide
	at     []int // the position
	taps   []tap
}

// tap is an element that the kernel covers.
type tap struct{ offset, kernel int }

// start goes to the first position.
func (p *positions) start(s []slide) {
	p.slides = s
	p.at = resized(p.at, len(s))
	clear(p.at)
}

// next goes to the next position, and from the last to the first.
func (p *positions) next() {
	for d := len(p.at) - 1; d >= 0; d-- {
		if p.at[d]++; p.at[d] < p.slides[d].out {
			return
		}
		p.at[d] = 0
	}
}

// covered lists the elements that the kernel covers, in the order of the kernel; those in the padding are left out.
func (p *positions) covered() []tap {
	p.taps = append(p.taps[:0], tap{})
	for d := range p.slides {
		s := &p.slides[d]
		lo, hi, origin := s.inside(p.at[d])
		// Each tap so far becomes hi − lo ones.
		n, each := len(p.taps), hi-lo
		p.taps = slices.Grow(p.taps, max(0, n*each-n))[:n*max(each, 0)]
		for t := n - 1; t >= 0 && each > 0; t-- {
			from := p.taps[t]
			for k := each - 1; k >= 0; k-- {
				p.taps[t*each+k] = tap{from.offset*s.in + origin + (lo+k)*s.dilation, from.kernel*s.kernel + lo + k}
			}
		}
	}
	return p.taps
}

// inside returns which elements of the kernel are inside at a position, and where element 0 is.
func (s *slide) inside(at int) (lo, hi, origin int) {
	origin = at*s.stride - s.before
	if origin < 0 {
		lo = (-origin + s.dilation - 1) / s.dilation
	}
	hi = min(s.kernel, (s.in-origin+s.dilation-1)/s.dilation)
	return lo, max(lo, hi), origin
}

// counted is covered, and the number of elements that a mean over them divides by: all in the padding too where that counts.
func (p *positions) counted(padding bool) ([]tap, int) {
	taps := p.covered()
	if padding {
		return taps, p.inPadding()
	}
	return taps, len(taps)
}

// inPadding counts the elements of the kernel that are inside of input or padding at the position.
func (p *positions) inPadding() int {
	n := 1
	for d := range p.slides {
		s := &p.slides[d]
		origin := p.at[d] * s.stride // from the beginning of the padding
		n *= max(0, min(s.kernel, (s.in+s.before+s.after-origin+s.dilation-1)/s.dilation))
	}
	return n
}

// outputs is the number of positions.
func outputs(s []slide) int {
	n := 1
	for i := range s {
		n *= s[i].out
	}
	return n
}

// volumeOf is the number of elements of the kernel.
func volumeOf(s []slide) int {
	n := 1
	for i := range s {
		n *= s[i].kernel
	}
	return n
}
