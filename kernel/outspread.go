package kernel

import "github.com/effml/effml/internal/pages"

// outspread is a way to compute a transposed convolution: a product gives what every input pixel adds to the window of outputs around it, and for
// each output these are summed. It takes the fewest operations where the padding of the output is large beside it, or its channels are few beside
// what a vector takes; but what the product gives of an image must fit into the cache.
type outspread struct {
	shape ConvShape
	conv  *Conv // the product, to [KH·KW, Out] channels
	bias  []float32
}

const (
	spreadImage = 1 << 16 // elements that the product may give of an image
	spreadSum   = 32      // multiplications that take as long as an addition of the sums
)

// planOutspread returns nil where the convolution of the phase is as good. There is one phase, and h × w pixels become oh × ow.
func planOutspread(c *CPU, s ConvShape, phase *Conv, oh, ow int) *outspread {
	h, w := s.inputs(0, oh), s.inputs(1, ow)
	taps := s.Kernel[0] * s.Kernel[1]
	vector := tileWidth(c.ISA()) / 2
	most := h * w * taps * s.Out
	if phase.how != direct || s.Groups > 1 || taps == 1 || h <= 0 || w <= 0 || most > spreadImage || s.In == 0 || s.Out == 0 {
		return nil
	}
	direct := oh * ow * taps * roundUp(s.Out, vector) * s.In
	if 3*(h*w*roundUp(taps*s.Out, vector)*s.In+most*spreadSum) > 2*direct {
		return nil
	}
	return newOutspread(c, s)
}

func newOutspread(c *CPU, s ConvShape) *outspread {
	taps := s.Kernel[0] * s.Kernel[1]
	one := ConvShape{In: s.In, Out: taps * s.Out, Groups: 1, Kernel: [2]int{1, 1}, Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}}
	return &outspread{shape: s, conv: planConv(c, one, weightOrder{turned: true, all: 1, taps: []int{0}}, product, nil)}
}

// inputs is the number of input pixels along a dimension for a number of outputs of a transposed convolution.
func (s *ConvShape) inputs(axis, size int) int {
	return floorDiv(size+s.Pads[axis]+s.Pads[axis+2]-s.extent(axis), s.Stride[axis]) + 1
}

func (p *outspread) biasSize() int { return roundUp(2*p.shape.Out, cacheLine) }

// size is the number of elements that weights, bias and as many ones take.
func (p *outspread) size() int { return p.biasSize() + p.conv.size() }

// loadScratch is how many elements load needs besides.
func (p *outspread) loadScratch() int {
	return roundUp(p.shape.In*p.conv.shape.Out, cacheLine) + p.conv.loadScratch()
}

// load takes weights and bias over to memory of size elements.
func (p *outspread) load(c *CPU, weights, bias, memory, scratch []float32) {
	s := &p.shape
	taps := s.Kernel[0] * s.Kernel[1]
	sameLen("ConvTranspose", s.In*s.Out*taps, len(weights))
	p.bias = memory[:2*s.Out]
	clear(p.bias)
	copy(p.bias[:s.Out], bias)
	for i := range s.Out {
		p.bias[s.Out+i] = 1
	}
	turned := scratch[:len(weights)]
	transposeTiles(c.ISA(), words(turned), words(weights), s.Out, taps, s.Out, taps, s.In, s.Out*taps, s.Out*taps)
	p.conv.divide(memory[p.biasSize():])
	p.conv.load(c, turned, nil, scratch[roundUp(len(turned), cacheLine):])
}

// scratch is how many elements run needs.
func (p *outspread) scratch(h, w int) int {
	return p.conv.workers*roundUp(h*w*p.conv.shape.Out, cacheLine) + cacheLine
}

// run computes dst [n, oh, ow, Out].
func (p *outspread) run(c *CPU, dst, src []float32, n, h, w, oh, ow int, ep *Epilogue, scratch []float32) {
	if c.ISA() != p.conv.set || c.Threads() > p.conv.workers {
		panic("kernel: convolution prepared for another CPU")
	}
	t := outspreadTasks.Get()
	t.outspread, t.dst, t.src, t.h, t.w, t.oh, t.ow = p, dst, src[:n*h*w*p.shape.In], h, w, oh, ow
	t.scratch, t.ep = alignFloats(scratch), Epilogue{}
	if ep != nil {
		t.ep = Epilogue{Act: ep.Act, Add: ep.Add}
	}
	taps := p.shape.Kernel[0] * p.shape.Kernel[1]
	for len(t.lists) < c.Threads() {
		t.lists = append(t.lists, nil)
	}
	for i := range t.lists {
		t.lists[i] = grow(t.lists[i], 2*taps)
		clear(t.lists[i])
		for k := range taps {
			t.lists[i][taps+k] = p.shape.Out
		}
	}
	c.Parallel(n, t)
	*t = outspreadTask{lists: t.lists}
	outspreadTasks.Put(t)
}

// outspreadTask is one call of run; a piece is an image.
type outspreadTask struct {
	*outspread
	dst, src     []float32
	h, w, oh, ow int
	ep           Epilogue
	scratch      []float32
	lists        [][]int // of taps, then of their weights, which are ones: a worker each
}

var outspreadTasks pages.Pool[outspreadTask]

// Piece implements [Task].
func (t *outspreadTask) Piece(i, worker int) {
	s, columns := &t.shape, t.conv.shape.Out
	each := roundUp(t.h*t.w*columns, cacheLine)
	parts := t.scratch[worker*each:][:each]
	b := rowBlock{m: t.h * t.w, a: t.src[i*t.h*t.w*s.In:], lda: s.In, k: s.In, dst: parts, ldc: columns}
	packed := &t.conv.packed[0]
	packed.rows(&b, 0, packed.panels())
	ep := splitEpilogue(t.ep)
	a := tapArgs{src: parts, w: t.bias, bias: t.bias[:s.Out], ch: s.Out, dstStep: s.Out, srcStep: columns, lo: ep.lo, hi: ep.hi}
	list := t.lists[worker]
	a.wAt = list[len(list)/2:]
	for y := range t.oh {
		row := t.dst[(i*t.oh+y)*t.ow*s.Out:][:t.ow*s.Out]
		for x := 0; x < t.ow; x += a.pixels {
			a.pixels = t.same(x)
			a.at = t.taps(list[:0], x, y)
			a.dst = row[x*s.Out:]
			taps(t.conv.set, kernelTapsDot, &a)
		}
	}
	ep.finish(t.conv.set, t.dst, i*t.oh*t.ow*s.Out, (i+1)*t.oh*t.ow*s.Out)
}

// taps lists where the product has what an output sums.
func (t *outspreadTask) taps(list []int, x, y int) []int {
	s, columns := &t.shape, t.conv.shape.Out
	for ky := range s.Kernel[0] {
		iy, ok := source(y+s.Pads[0]-ky*s.Dilation[0], s.Stride[0], t.h)
		if !ok {
			continue
		}
		for kx := range s.Kernel[1] {
			if ix, ok := source(x+s.Pads[1]-kx*s.Dilation[1], s.Stride[1], t.w); ok {
				list = append(list, (iy*t.w+ix)*columns+(ky*s.Kernel[1]+kx)*s.Out)
			}
		}
	}
	return list
}

// same is the number of outputs, from one on, that see the same elements of their windows, each a pixel further than the one before.
func (t *outspreadTask) same(x int) int {
	s := &t.shape
	first, last := s.extent(1)-1-s.Pads[1], t.w-s.Pads[1] // outputs from first to last−1 see all
	if s.Stride[1] != 1 || x < first || x >= last {
		return 1
	}
	return min(last, t.ow) - x
}

// source returns which input pixel reaches place p, if one of size does.
func source(p, stride, size int) (int, bool) {
	return p / stride, p >= 0 && p%stride == 0 && p/stride < size
}
