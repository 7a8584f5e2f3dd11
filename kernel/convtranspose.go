package kernel

import (
	"slices"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/pages"
)

// ConvTranspose is a two-dimensional transposed convolution, the adjoint of a convolution in its input, of tensors that are
// channels-last. Outputs whose places have the same remainder by the strides see the same elements of the window, turned round: they are a
// convolution with stride 1, each with the algorithm that suits it, whose results are apart in memory.
// Several goroutines may run one ConvTranspose.
type ConvTranspose struct {
	shape     ConvShape
	phases    []phase
	outspread *outspread // instead of phases; nil: none
}

// phase is the outputs that have a remainder along each dimension.
type phase struct {
	first [2]int // the place of the first output
	conv  *Conv
}

// NewConvTranspose prepares a transposed convolution from s.In to s.Out channels. weights are [In, Out/Groups, KH, KW], bias has
// Out elements or is nil; neither is needed afterwards. The shape has the attributes of the operator: Pads are cut off the output, oh × ow
// pixels of which are to be expected; the choice of the algorithm depends on it. 0 if that is unknown.
func NewConvTranspose(c *CPU, s ConvShape, weights, bias []float32, oh, ow int) *ConvTranspose {
	cv := PlanConvTranspose(c, s, oh, ow)
	cv.Own(c, weights, bias)
	return cv
}

// Own loads weights, as [ConvTranspose.Load] does, to memory that cv keeps.
func (cv *ConvTranspose) Own(c *CPU, weights, bias []float32) {
	if p := cv.outspread; p != nil {
		p.load(c, weights, bias, alignedFloats(p.size()), make([]float32, p.loadScratch()))
		return
	}
	for _, p := range cv.phases {
		p.conv.Own(c, weights, bias)
	}
}

// PlanConvTranspose is NewConvTranspose without weights, which [ConvTranspose.Load] brings.
func PlanConvTranspose(c *CPU, s ConvShape, oh, ow int) *ConvTranspose {
	cv := &ConvTranspose{shape: s}
	y, x := s.remainders(0, oh), s.remainders(1, ow)
	for _, a := range y {
		for _, b := range x {
			cv.phases = append(cv.phases, phase{[2]int{a.first, b.first}, s.phase(c, &a, &b)})
		}
	}
	if len(cv.phases) == 1 {
		cv.outspread = planOutspread(c, s, cv.phases[0].conv, oh, ow)
	}
	return cv
}

// remainder is the outputs along a dimension whose places have the same remainder: element e of their windows, at input
// output − before + e·dilation, is element taps[e] of the whole window.
type remainder struct {
	first, before, dilation int
	taps                    []int
	count                   int // of outputs, as far as it is known
}

// remainders lists those that see something.
func (s *ConvShape) remainders(axis, size int) []remainder {
	stride, dilation := s.Stride[axis], s.Dilation[axis]
	step := stride / commonDivisor(stride, dilation) // from an element of the window to the next that the same output sees
	var list []remainder
	for k := range min(s.Kernel[axis], step) {
		r := remainder{dilation: step * dilation / stride}
		at := k*dilation - s.Pads[axis]
		if r.first = at % stride; r.first < 0 {
			r.first += stride
		}
		for ; k < s.Kernel[axis]; k += step {
			r.taps = append(r.taps, k)
		}
		slices.Reverse(r.taps)
		r.before = (len(r.taps)-1)*r.dilation - (r.first-at)/stride
		if size > r.first {
			r.count = (size-r.first-1)/stride + 1
		}
		list = append(list, r)
	}
	return list
}

func commonDivisor(a, b int) int {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// phase plans the convolution of outputs that have a remainder along each dimension.
func (s *ConvShape) phase(c *CPU, y, x *remainder) *Conv {
	sub := ConvShape{
		In: s.In, Out: s.Out, Groups: s.Groups, Kernel: [2]int{len(y.taps), len(x.taps)}, Stride: [2]int{1, 1},
		Dilation: [2]int{y.dilation, x.dilation}, Pads: [4]int{y.before, x.before},
	}
	order := weightOrder{turned: true, all: s.Kernel[0] * s.Kernel[1]}
	for _, i := range y.taps {
		for _, j := range x.taps {
			order.taps = append(order.taps, i*s.Kernel[1]+j)
		}
	}
	apart := s.Stride != [2]int{1, 1}
	how, win := direct, (*winograd)(nil)
	switch {
	case sub.Groups == sub.In && sub.In == sub.Out && sub.Groups > 1:
		how = depthwise
	case !apart:
		known := sub // of images whose outputs are as many as expected
		known.Pads = [4]int{sub.extent(0) - 1, sub.extent(1) - 1}
		how, win = known.choose(c.ISA(), y.count, x.count)
		if how == product && sub.Pads != [4]int{} {
			how = direct
		}
	}
	cv := planConv(c, sub, order, how, win)
	cv.apart = apart
	return cv
}

// extent is the number of pixels from the first to the last of a window.
func (s *ConvShape) extent(axis int) int { return (s.Kernel[axis]-1)*s.Dilation[axis] + 1 }

// Bytes is the memory that the weights take.
func (cv *ConvTranspose) Bytes() int {
	if cv.outspread != nil {
		return 4 * cv.outspread.size()
	}
	n := 0
	for _, p := range cv.phases {
		n += p.conv.Bytes()
	}
	return n
}

// Memory is how many elements Load needs.
func (cv *ConvTranspose) Memory() int {
	if p := cv.outspread; p != nil {
		return p.size() + p.loadScratch() + cacheLine
	}
	n := 0
	for _, p := range cv.phases {
		n += p.conv.Memory()
	}
	return n
}

// Load prepares weights and bias, as [Conv.Load] does.
func (cv *ConvTranspose) Load(c *CPU, weights, bias, memory []float32) {
	if p := cv.outspread; p != nil {
		memory = alignFloats(memory)
		p.load(c, weights, bias, memory, memory[p.size():])
		return
	}
	for _, p := range cv.phases {
		n := p.conv.Memory()
		p.conv.Load(c, weights, bias, memory[:n])
		memory = memory[n:]
	}
}

// Scratch returns how many elements of scratch memory Run needs for n images of h × w pixels that become oh × ow.
func (cv *ConvTranspose) Scratch(n, h, w, oh, ow int) int {
	if cv.outspread != nil {
		return cv.outspread.scratch(h, w)
	}
	most := 0
	for i := range cv.phases {
		p := &cv.phases[i]
		to := cv.place(p, oh, ow)
		most = max(most, p.conv.scratch(n, h, w, to.oh, to.ow))
	}
	return most
}

// place is where the results of a phase go, of all from the first of them on.
func (cv *ConvTranspose) place(p *phase, oh, ow int) place {
	s, out := &cv.shape, cv.shape.Out
	return place{
		oh: max(0, ceilDiv(oh-p.first[0], s.Stride[0])), ow: max(0, ceilDiv(ow-p.first[1], s.Stride[1])),
		pixel: s.Stride[1] * out, row: s.Stride[0] * ow * out, image: oh * ow * out,
	}
}

// Run computes dst [n, oh, ow, Out] from src [n, h, w, In]: output pixels that no window reaches are act(bias + add). oh and ow are the caller's
// choice, as several sizes are right: stride·(h−1) + dilation·(kernel−1) + 1 − pads, and up to stride−1 more. ep may be nil; its
// Bias must be, as the ConvTranspose has its own. Only ep.Add may overlap dst, and only where its sum is with strides of 1 or without it.
func (cv *ConvTranspose) Run(c *CPU, dst, src []float32, n, h, w, oh, ow int, ep *Epilogue, scratch []float32) {
	s := &cv.shape
	size := n * oh * ow * s.Out
	if n <= 0 || oh <= 0 || ow <= 0 || s.Out == 0 {
		return
	}
	if cv.outspread != nil {
		cv.outspread.run(c, dst[:size], src, n, h, w, oh, ow, ep, scratch)
		return
	}
	if s.Stride == [2]int{1, 1} {
		cv.phases[0].conv.run(c, dst[:size], src, n, h, w, dense(oh, ow, s.Out), ep, scratch)
		return
	}
	if len(cv.phases) < s.Stride[0]*s.Stride[1] { // some see nothing
		t := fillTasks.Get()
		*t = fillTask{c.ISA(), dst[:size], cv.phases[0].conv.bias, ow}
		c.Parallel(n*oh, t)
		*t = fillTask{}
		fillTasks.Put(t)
	}
	for i := range cv.phases {
		p := &cv.phases[i]
		if p.first[0] < oh && p.first[1] < ow {
			p.conv.run(c, dst[(p.first[0]*ow+p.first[1])*s.Out:size], src, n, h, w, cv.place(p, oh, ow), nil, scratch)
		}
	}
	if ep != nil && (ep.Add != nil || ep.Act.Kind != None) {
		finish(c, dst[:size], ep)
	}
}

// fillTask stores bias in all pixels; a piece is a row of them.
type fillTask struct {
	set       isa.Set
	dst, bias []float32
	ow        int
}

var fillTasks pages.Pool[fillTask]

// Piece implements [Task].
func (t *fillTask) Piece(i, _ int) {
	n := len(t.bias)
	copySpans(t.set, &copyArgs{dst: t.dst[i*t.ow*n:], src: t.bias, count: t.ow, n: n, dstStep: n})
}

// finish adds and activates all of dst.
func finish(c *CPU, dst []float32, ep *Epilogue) {
	t := newVecTask(c, finishPiece)
	t.dst, t.y, t.act = dst, ep.Add, ep.Act
	t.run(c, len(dst), pieceSize)
	t.release()
}

func finishPiece(t *vecTask, lo, hi, _ int) {
	ep := splitEpilogue(Epilogue{Add: t.y, Act: t.act})
	ep.more = true
	ep.finish(t.set, t.dst, lo, hi)
}
