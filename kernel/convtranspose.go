package kernel

import "sync"

// ConvTranspose is a two-dimensional transposed convolution, the adjoint of a convolution in its input, of tensors that are
// channels-last: a product that gives what every input pixel adds to the window of outputs around it, and a sum of these for each output.
// Several goroutines may run one ConvTranspose.
type ConvTranspose struct {
	shape  ConvShape
	bias   []float32
	packed []*Packed // [In/Groups, KH·KW·Out/Groups], a group each
}

// NewConvTranspose prepares a transposed convolution from s.In to s.Out channels. weights are [In, Out/Groups, KH, KW], bias has
// Out elements or is nil; neither is needed afterwards. The shape has the attributes of the operator: Pads are cut off the output.
func NewConvTranspose(c *CPU, s ConvShape, weights, bias []float32) *ConvTranspose {
	in, out, taps := s.In/s.Groups, s.Out/s.Groups, s.Kernel[0]*s.Kernel[1]
	sameLen("NewConvTranspose", s.In*out*taps, len(weights))
	cv := &ConvTranspose{shape: s, bias: make([]float32, s.Out)}
	copy(cv.bias, bias)
	b := make([]float32, in*taps*out)
	for g := range s.Groups {
		for i := range in {
			from, to := weights[(g*in+i)*out*taps:][:out*taps], b[i*out*taps:][:out*taps]
			for o := range out {
				for k := range taps {
					to[k*out+o] = from[o*taps+k]
				}
			}
		}
		cv.packed = append(cv.packed, Pack(c, b, taps*out, in, taps*out, false))
	}
	return cv
}

// Bytes is the memory that the weights take.
func (cv *ConvTranspose) Bytes() int {
	n := 4 * len(cv.bias)
	for _, p := range cv.packed {
		n += p.Bytes()
	}
	return n
}

// Scratch returns how many elements of scratch memory Run needs for n images of a size.
func (cv *ConvTranspose) Scratch(n, h, w int) int {
	return n * h * w * cv.shape.Kernel[0] * cv.shape.Kernel[1] * cv.shape.Out
}

// Run computes dst [n, oh, ow, Out] from src [n, h, w, In]: output pixels that no window reaches are act(bias + add). oh and ow are the caller's
// choice, as several sizes are right: stride·(h−1) + dilation·(kernel−1) + 1 − pads, and up to stride−1 more. ep may be nil; its
// Bias must be, as the ConvTranspose has its own. Only ep.Add may overlap dst.
func (cv *ConvTranspose) Run(c *CPU, dst, src []float32, n, h, w, oh, ow int, ep *Epilogue, scratch []float32) {
	s := &cv.shape
	if n <= 0 || oh <= 0 || ow <= 0 || s.Out == 0 {
		return
	}
	t := transposeTasks.Get().(*transposeTask)
	t.c, t.cv, t.h, t.w, t.oh, t.ow = c, cv, h, w, oh, ow
	t.dst, t.parts = dst[:n*oh*ow*s.Out], scratch[:cv.Scratch(n, h, w)]
	if ep != nil {
		t.ep = Epilogue{Act: ep.Act, Add: ep.Add}
	}
	taps := s.Kernel[0] * s.Kernel[1]
	in, out := s.In/s.Groups, s.Out/s.Groups
	for g, p := range cv.packed {
		p.Gemm(c, n*h*w, src[min(len(src), g*in):], s.In, t.parts[min(len(t.parts), g*taps*out):], taps*s.Out, nil, 0)
	}
	for len(t.lists) < c.Threads() {
		t.lists = append(t.lists, nil)
	}
	for i := range t.lists {
		t.lists[i] = grow(t.lists[i], 2*taps)
		clear(t.lists[i])
	}
	t.ones = grow(t.ones, out)
	for i := range t.ones {
		t.ones[i] = 1
	}
	c.Parallel(n*oh, t)
	*t = transposeTask{lists: t.lists, ones: t.ones}
	transposeTasks.Put(t)
}

// transposeTask is one call of Run; a piece is a row of output pixels.
type transposeTask struct {
	c            *CPU
	cv           *ConvTranspose
	dst, parts   []float32 // parts is [n, h, w, Groups, KH·KW, Out/Groups]
	ep           Epilogue
	h, w, oh, ow int
	lists        [][]int   // of taps, then of their weights, a worker each
	ones         []float32 // weights
}

var transposeTasks = sync.Pool{New: func() any { return new(transposeTask) }}

// Piece implements [Task].
func (t *transposeTask) Piece(i, worker int) {
	s := &t.cv.shape
	y, image := i%t.oh, i/t.oh
	count, out := s.Kernel[0]*s.Kernel[1], s.Out/s.Groups
	ep := splitEpilogue(t.ep)
	a := tapArgs{w: t.ones, pixels: 1, ch: out, lo: ep.lo, hi: ep.hi}
	list := t.lists[worker]
	a.wAt = list[count:]
	for x := range t.ow {
		a.at = list[:0]
		for ky := range s.Kernel[0] {
			iy, ok := source(y+s.Pads[0]-ky*s.Dilation[0], s.Stride[0], t.h)
			for kx := 0; ok && kx < s.Kernel[1]; kx++ {
				if ix, ok := source(x+s.Pads[1]-kx*s.Dilation[1], s.Stride[1], t.w); ok {
					a.at = append(a.at, ((image*t.h+iy)*t.w+ix)*count*s.Out+(ky*s.Kernel[1]+kx)*out)
				}
			}
		}
		for g := range s.Groups {
			a.dst, a.bias = t.dst[(i*t.ow+x)*s.Out+g*out:], t.cv.bias[g*out:]
			a.src = t.parts[min(len(t.parts), g*count*out):]
			taps(t.c.ISA(), kernelTapsDot, &a)
		}
	}
	ep.finish(t.c.ISA(), t.dst, i*t.ow*s.Out, (i+1)*t.ow*s.Out)
}

// source returns which input pixel reaches place p, if one of size does.
func source(p, stride, size int) (int, bool) {
	return p / stride, p >= 0 && p%stride == 0 && p/stride < size
}
