package kernel

import "github.com/effml/effml/internal/pages"

// PoolShape says which windows are pooled. The first of two numbers is along the height.
type PoolShape struct {
	Kernel, Stride, Dilation [2]int
	Pads                     [4]int // top, left, bottom, right
	Ceil                     bool   // a last window that begins inside the image or the padding before it, but does not fit, counts
	CountPad                 bool   // an average divides by the number of elements in the padded image, not in the image
}

func (s *PoolShape) window(axis, size int) window {
	return window{s.Kernel[axis], s.Stride[axis], s.Dilation[axis], s.Pads[axis], s.Pads[axis+2], size}
}

// Output returns the size of the output for images of a size.
func (s *PoolShape) Output(h, w int) (oh, ow int) {
	return s.outputs(0, h), s.outputs(1, w)
}

func (s *PoolShape) outputs(axis, size int) int {
	w := s.window(axis, size)
	free := size + w.before + w.after - w.extent()
	n := floorDiv(free, w.stride) + 1
	if s.Ceil {
		n = ceilDiv(free, w.stride) + 1
		if w.start(n-1) >= size {
			n--
		}
	}
	return max(0, n)
}

// MaxPool computes dst [n, oh, ow, ch], the largest element of each window of src [n, h, w, ch]: NaN if there is one, −Inf if
// a window has no element.
func MaxPool(c *CPU, dst, src []float32, n, ch, h, w int, s PoolShape) {
	pool(c, kernelTapsMax, dst, src, n, ch, h, w, &s)
}

// AveragePool computes dst [n, oh, ow, ch], the mean of each window of src [n, h, w, ch], 0 if it has no element. Sums are taken
// in float32, in the order of elements.
func AveragePool(c *CPU, dst, src []float32, n, ch, h, w int, s PoolShape) {
	pool(c, kernelTapsSum, dst, src, n, ch, h, w, &s)
}

// MaxPoolGrad computes dx [n, h, w, ch] from dy [n, oh, ow, ch] and what was pooled, src [n, h, w, ch]: of each window the first of its
// largest elements, in row-major order, gets what the window got. Images are done by one thread each.
func MaxPoolGrad(c *CPU, dx, src, dy []float32, n, ch, h, w int, s PoolShape) {
	poolGrad(c, kernelSpreadFirst, dx, src, dy, n, ch, h, w, &s)
}

// AveragePoolGrad computes dx [n, h, w, ch] from dy [n, oh, ow, ch]: the elements of a window share what it got.
func AveragePoolGrad(c *CPU, dx, dy []float32, n, ch, h, w int, s PoolShape) {
	poolGrad(c, kernelSpreadAll, dx, nil, dy, n, ch, h, w, &s)
}

func poolGrad(c *CPU, kind convKernel, dx, src, dy []float32, n, ch, h, w int, s *PoolShape) {
	oh, ow := s.Output(h, w)
	if n*oh*ow*ch <= 0 {
		clear(dx[:max(0, n*ch*h*w)])
		return
	}
	t := slideTasks.Get()
	t.kind, t.dst, t.src, t.weights, t.countPad = kind, dx, src, dy, s.CountPad
	t.x, t.y, t.ch, t.n, t.oh, t.ow = s.window(1, w), s.window(0, h), ch, n, oh, ow
	t.to = dense(oh, ow, ch)
	t.run(c)
	t.release()
}

func pool(c *CPU, kind convKernel, dst, src []float32, n, ch, h, w int, s *PoolShape) {
	t := slideTasks.Get()
	t.kind, t.dst, t.src, t.countPad = kind, dst, src, s.CountPad
	t.x, t.y, t.ch, t.n = s.window(1, w), s.window(0, h), ch, n
	t.oh, t.ow = s.Output(h, w)
	t.to = dense(t.oh, t.ow, ch)
	t.run(c)
	t.release()
}

// GlobalAverage computes dst [n, ch], the means of src [n, hw, ch] over hw. Sums of up to globalChunk elements are taken in
// float32, and added to each other in float32.
func GlobalAverage(c *CPU, dst, src []float32, n, ch, hw int) {
	if n <= 0 || ch <= 0 {
		return
	}
	t := globalTasks.Get()
	t.c, t.n, t.ch, t.hw = c, n, ch, hw
	t.chunks = max(1, ceilDiv(hw, globalChunk))
	if hw*ch >= globalSplit {
		t.chunks = max(t.chunks, min(hw, globalPieces))
	}
	t.chunk = max(1, ceilDiv(hw, t.chunks))
	t.chunks = max(1, ceilDiv(hw, t.chunk))
	t.at = t.at[:0]
	for i := range max(t.chunks, t.chunk) {
		t.at = append(t.at, i*ch)
	}
	t.src, t.dst, t.scale = src[:n*hw*ch], dst[:n*ch], 1
	if t.chunks == 1 {
		t.scale = 1 / float32(max(1, hw))
	} else {
		t.sums = grow(t.sums, n*t.chunks*ch)
		t.dst = t.sums
	}
	if t.chunks*n == 1 {
		t.Piece(0, 0)
	} else {
		c.Parallel(n*t.chunks, t)
	}
	if t.chunks > 1 {
		t.n, t.src, t.dst = n, t.sums, dst[:n*ch]
		taps(c.ISA(), kernelTapsSum, &tapArgs{
			dst: t.dst, src: t.src, at: t.at[:t.chunks], pixels: n, ch: ch, dstStep: ch, srcStep: t.chunks * ch,
			scale: 1 / float32(hw),
		})
	}
	*t = globalTask{at: t.at, sums: t.sums}
	globalTasks.Put(t)
}

const (
	globalChunk  = 1024    // pixels that are summed one after the other
	globalSplit  = 1 << 14 // elements of an image from which on several threads sum it, each what it probably has at hand
	globalPieces = 4       // of it then
)

var globalTasks pages.Pool[globalTask]

// globalTask sums chunks of pixels: piece i is chunk i%chunks of image i/chunks.
type globalTask struct {
	c             *CPU
	dst, src      []float32
	n, ch, hw     int
	chunk, chunks int // pixels of a chunk; of an image
	scale         float32
	at            []int // where pixels are
	sums          []float32
}

// Piece implements [Task].
func (t *globalTask) Piece(i, _ int) {
	image, first := i/t.chunks, i%t.chunks*t.chunk
	taps(t.c.ISA(), kernelTapsSum, &tapArgs{
		dst: t.dst[i*t.ch:], src: t.src[(image*t.hw+first)*t.ch:], at: t.at[:min(t.chunk, t.hw-first)], pixels: 1, ch: t.ch,
		scale: t.scale,
	})
}
