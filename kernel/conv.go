package kernel

import (
	"unsafe"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/pages"
)

// ConvShape says which convolution. The first of two numbers is along the height. Out and In are multiples of Groups.
type ConvShape struct {
	In, Out, Groups          int // channels, all groups together
	Kernel, Stride, Dilation [2]int
	Pads                     [4]int // zeros around the image: top, left, bottom, right; less than none are pixels that are cut off
	Fine                     bool   // only algorithms whose error is that of sums
}

// window returns the windows along the height (0) or width (1) of an image that has size pixels along it.
func (s *ConvShape) window(axis, size int) window {
	return window{s.Kernel[axis], s.Stride[axis], s.Dilation[axis], s.Pads[axis], s.Pads[axis+2], size}
}

// Conv is a two-dimensional convolution (cross-correlation, as networks mean it) of tensors that are channels-last, with its
// weights in the form that the chosen algorithm takes. A one-dimensional convolution is one of height 1. Several goroutines may
// run one Conv.
//
// Results have the error of sums in float32, see [winograd] for 3×3. NaN and infinities come out as the sums give, but
// Winograd's algorithms may spread NaN over the results that share a tile, up to 4×4 pixels, with an infinite or NaN input.
type Conv struct {
	shape   ConvShape
	set     isa.Set
	workers int
	how     algorithm
	bias    []float32

	order    weightOrder
	apart    bool      // results are not dense
	packed   []Packed  // product and direct: a group each; Winograd: an element of the transform each
	matrices []float32 // their memory
	weights  []float32 // depthwise: [KH·KW, channels]
	winograd *winograd
}

// algorithm is a way to convolve.
type algorithm uint8

const (
	direct    algorithm = iota // products that read windows in place, see convTask.direct
	product                    // 1×1 with stride 1: one product
	depthwise                  // a channel a group
	minimal                    // Winograd
)

// NewConv prepares a convolution for [Conv.Run] on c or a CPU of the same instruction set and no more threads. weights are
// [Out, In/Groups, KH, KW], bias has Out elements or is nil; neither is needed afterwards. h and w are the size of the images to
// expect, on which the choice of the algorithm depends; 0 if it is unknown. The shape must be valid: numbers but pads positive.
func NewConv(c *CPU, s ConvShape, weights, bias []float32, h, w int) *Conv {
	cv := PlanConv(c, s, h, w)
	cv.Own(c, weights, bias)
	return cv
}

// PlanConv is NewConv without weights, which [Conv.Load] brings.
func PlanConv(c *CPU, s ConvShape, h, w int) *Conv {
	how, win := s.choose(c.ISA(), h, w)
	return planConv(c, s, plainOrder(&s), how, win)
}

func planConv(c *CPU, s ConvShape, order weightOrder, how algorithm, win *winograd) *Conv {
	cv := &Conv{shape: s, set: c.ISA(), workers: c.Threads(), how: how, winograd: win, order: order}
	if how != depthwise {
		count, rows := cv.packs()
		cv.packed = make([]Packed, count)
		for i := range cv.packed {
			cv.packed[i].resize(cv.set, rows, s.Out/s.Groups)
		}
	}
	return cv
}

// Own loads weights, as [Conv.Load] does, to memory that cv keeps.
func (cv *Conv) Own(c *CPU, weights, bias []float32) {
	cv.divide(alignedFloats(cv.size()))
	cv.load(c, weights, bias, make([]float32, cv.loadScratch()))
}

// Memory is how many elements Load needs.
func (cv *Conv) Memory() int { return cv.size() + cv.loadScratch() + cacheLine }

// Load prepares weights, as [NewConv] does, in memory of [Conv.Memory] elements, which must stay as it is while Run is to use them. It allocates
// nothing the second time.
func (cv *Conv) Load(c *CPU, weights, bias, memory []float32) {
	memory = alignFloats(memory)
	cv.divide(memory)
	cv.load(c, weights, bias, memory[cv.size():])
}

// Bytes is the memory that the weights take.
func (cv *Conv) Bytes() int { return 4 * cv.size() }

// Output returns the size of the output for images of a size.
func (cv *Conv) Output(h, w int) (oh, ow int) {
	return cv.shape.window(0, h).outputs(), cv.shape.window(1, w).outputs()
}

// Scratch returns how many elements of scratch memory Run needs for n images of a size.
func (cv *Conv) Scratch(n, h, w int) int {
	oh, ow := cv.Output(h, w)
	return cv.scratch(n, h, w, oh, ow)
}

func (cv *Conv) scratch(n, h, w, oh, ow int) int {
	if n <= 0 || oh <= 0 || ow <= 0 || cv.shape.Out == 0 {
		return 0
	}
	switch cv.how {
	case direct:
		p := cv.planDirect(n, h, w, oh, ow)
		return cv.workers*p.scratch + cacheLine
	case minimal:
		p := cv.planMinimal(n, oh, ow)
		return p.scratch(cv.workers) + cacheLine
	}
	return 0
}

// place says where results go: a number of pixels, and the distances between neighbouring ones, their rows and images.
type place struct{ oh, ow, pixel, row, image int }

// dense is where the pixels of images of a number of channels lie one after another.
func dense(oh, ow, channels int) place {
	return place{oh, ow, channels, ow * channels, oh * ow * channels}
}

// Run computes dst [n, oh, ow, Out] from src [n, h, w, In]. ep may be nil; its Bias must be, as the Conv has its own. Only
// ep.Add may overlap dst. What scratch, of [Conv.Scratch] elements, holds is arbitrary.
func (cv *Conv) Run(c *CPU, dst, src []float32, n, h, w int, ep *Epilogue, scratch []float32) {
	oh, ow := cv.Output(h, w)
	cv.run(c, dst, src, n, h, w, dense(oh, ow, cv.shape.Out), ep, scratch)
}

// run is Run with results elsewhere. Where they are not dense, ep has no more than limits and the algorithm is direct or depthwise.
func (cv *Conv) run(c *CPU, dst, src []float32, n, h, w int, to place, ep *Epilogue, scratch []float32) {
	oh, ow := to.oh, to.ow
	if n <= 0 || oh <= 0 || ow <= 0 || cv.shape.Out == 0 {
		return
	}
	if c.ISA() != cv.set || c.Threads() > cv.workers {
		panic("kernel: convolution prepared for another CPU")
	}
	size := (n-1)*to.image + (oh-1)*to.row + (ow-1)*to.pixel + cv.shape.Out
	if cv.how == depthwise {
		cv.slide(c, dst[:size], src[:n*h*w*cv.shape.In], n, h, w, to, ep)
		return
	}
	t := convTasks.Get()
	defer t.release()
	t.cv, t.dst, t.src, t.n, t.h, t.w, t.oh, t.ow = cv, dst[:size], src[:n*h*w*cv.shape.In], n, h, w, oh, ow
	t.to = to
	t.ep = Epilogue{Bias: cv.bias}
	if ep != nil {
		t.ep.Act = ep.Act
		if ep.Add != nil {
			t.ep.Add = ep.Add[:size]
		}
	}
	t.scratch = alignFloats(scratch)
	switch cv.how {
	case product:
		cv.packed[0].Gemm(c, n*h*w, t.src, cv.shape.In, t.dst, cv.shape.Out, &t.ep, cv.shape.Out)
	case minimal:
		t.minimal = cv.planMinimal(n, oh, ow)
		t.minimalRun(c)
	default:
		t.direct = cv.planDirect(n, h, w, oh, ow)
		t.offsets = t.direct.segments(t.offsets[:0], &cv.shape)
		c.Parallel(t.direct.pieces(), t)
	}
}

// slide is Run of a depthwise convolution.
func (cv *Conv) slide(c *CPU, dst, src []float32, n, h, w int, to place, ep *Epilogue) {
	t := slideTasks.Get()
	t.kind, t.dst, t.src, t.weights, t.bias = kernelTapsDot, dst, src, cv.weights, cv.bias
	t.x, t.y, t.ch, t.n = cv.shape.window(1, w), cv.shape.window(0, h), cv.shape.Out, n
	t.oh, t.ow, t.to = to.oh, to.ow, to
	if ep != nil {
		t.ep = Epilogue{Add: ep.Add, Act: ep.Act}
	}
	t.run(c)
	t.release()
}

// convTask is one call of Run.
type convTask struct {
	cv              *Conv
	dst, src        []float32
	n, h, w, oh, ow int
	to              place
	ep              Epilogue
	scratch         []float32
	offsets         []int
	direct          directPlan
	minimal         minimalPlan
	transforming    bool // [convTask.minimalRow] is what a piece is
}

var convTasks pages.Pool[convTask]

func (t *convTask) release() {
	*t = convTask{offsets: t.offsets[:0]}
	convTasks.Put(t)
}

// Piece implements [Task].
func (t *convTask) Piece(i, worker int) {
	switch {
	case t.cv.how == direct:
		t.directPiece(i, worker)
	case t.transforming:
		t.minimalRow(i, worker)
	default:
		t.minimalPiece(i, worker)
	}
}

// window describes windows along one dimension of an image.
type window struct {
	kernel, stride, dilation, before, after, size int
}

// extent is the number of pixels from the first to the last of a window.
func (w window) extent() int { return (w.kernel-1)*w.dilation + 1 }

// outputs is the number of windows that lie inside the padded image.
func (w window) outputs() int {
	n := w.size + w.before + w.after - w.extent()
	if n < 0 {
		return 0
	}
	return n/w.stride + 1
}

// start is the first pixel of window o, maybe negative.
func (w window) start(o int) int { return o*w.stride - w.before }

// inside returns the range of elements of window o that lie inside the image, or, with some padding counted, inside of that.
func (w window) inside(o, before, after int) (lo, hi int) {
	start := w.start(o)
	lo = min(w.kernel, max(0, ceilDiv(-before-start, w.dilation)))
	hi = min(w.kernel, ceilDiv(w.size+after-start, w.dilation))
	return lo, max(lo, hi)
}

// whole returns the range of windows, of n, that lie inside the image with all elements.
func (w window) whole(n int) (lo, hi int) {
	lo = min(n, max(0, ceilDiv(w.before, w.stride)))
	hi = min(n, max(0, floorDiv(w.size+w.before-w.extent(), w.stride)+1))
	return lo, max(lo, hi)
}

func ceilDiv(a, b int) int { return -floorDiv(-a, b) }

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

const cacheLine = 16 // elements

// alignFloats returns s from its first cache line on.
func alignFloats(s []float32) []float32 {
	if len(s) < cacheLine {
		return s
	}
	return s[int(-uintptr(unsafe.Pointer(unsafe.SliceData(s)))/4%cacheLine):]
}
