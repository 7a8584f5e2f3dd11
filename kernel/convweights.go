package kernel

import "github.com/effml/effml/internal/pages"

// weightOrder says how the weights of a convolution lie: [Out, In/Groups, all], all being the elements of the window, or, where the
// convolution is (a part of) a transposed one, [In, Out/Groups, all]. Of these it takes element taps[e] for element e of its window.
type weightOrder struct {
	turned bool
	all    int
	taps   []int
}

// plainOrder is that of a convolution's own weights.
func plainOrder(s *ConvShape) weightOrder {
	o := weightOrder{all: s.Kernel[0] * s.Kernel[1]}
	for e := range o.all {
		o.taps = append(o.taps, e)
	}
	return o
}

const (
	loadElements = 1 << 12 // elements of a block of rows of a panel that is laid out together: it stays in the first-level cache
	loadAlign    = 2 * cacheLine
)

// matrixStep is the number of elements from a packed matrix to the next.
func (cv *Conv) matrixStep() int {
	n := roundUp(cv.packed[0].size(), loadAlign)
	if cv.how == minimal {
		n += loadAlign // all are written side by side, and must not collide in the cache
	}
	return n
}

// packs returns the number of packed matrices, and of their rows.
func (cv *Conv) packs() (count, rows int) {
	in := cv.shape.In / cv.shape.Groups
	if cv.how == minimal {
		return cv.winograd.size * cv.winograd.size, in
	}
	return cv.shape.Groups, len(cv.order.taps) * in
}

// size is the number of elements that weights and bias take, prepared.
func (cv *Conv) size() int {
	s := &cv.shape
	bias := roundUp(s.Out, loadAlign)
	if cv.how == depthwise {
		return bias + roundUp(len(cv.order.taps)*s.Out, loadAlign)
	}
	return bias + len(cv.packed)*cv.matrixStep()
}

// divide lays out memory for weights and bias, of size elements.
func (cv *Conv) divide(memory []float32) {
	s := &cv.shape
	cv.bias, memory = memory[:s.Out], memory[roundUp(s.Out, loadAlign):]
	if cv.how == depthwise {
		cv.weights = memory[:len(cv.order.taps)*s.Out]
		return
	}
	cv.matrices = memory[:len(cv.packed)*cv.matrixStep()]
	for i := range cv.packed {
		cv.packed[i].divide(cv.matrices[i*cv.matrixStep():])
	}
}

// loadScratch is how many elements load needs besides.
func (cv *Conv) loadScratch() int {
	if cv.how == depthwise {
		return cv.order.all * cv.shape.Out
	}
	return cv.workers * cv.loadOwn()
}

// loadBlock is the number of rows of a panel that are laid out together.
func (cv *Conv) loadBlock() int {
	return min(cv.shape.In/cv.shape.Groups, max(1, loadElements/(cv.order.all*tileWidth(cv.set))))
}

// loadOwn is the memory of a worker: the rows with all taps, and those that are taken.
func (cv *Conv) loadOwn() int {
	return roundUp(2*cv.order.all*cv.loadBlock()*tileWidth(cv.set), cacheLine)
}

// load takes weights and bias over to memory that divide has laid out.
func (cv *Conv) load(c *CPU, weights, bias, scratch []float32) {
	s := &cv.shape
	in, out, taps := s.In/s.Groups, s.Out/s.Groups, len(cv.order.taps)
	sameLen("Conv", s.In*out*cv.order.all, len(weights))
	clear(cv.bias)
	copy(cv.bias, bias)
	if taps == 0 || in == 0 || out == 0 {
		return
	}
	if cv.how == depthwise {
		turned := scratch[:cv.order.all*s.Out]
		transposeTile(cv.set, words(turned), words(weights), s.Out, cv.order.all, s.Out, cv.order.all)
		for e, tap := range cv.order.taps {
			copy(cv.weights[e*s.Out:][:s.Out], turned[tap*s.Out:])
		}
		return
	}
	t := loadTasks.Get()
	t.cv, t.weights, t.scratch = cv, weights, scratch
	c.Parallel(s.Groups*cv.packed[0].panels(), t)
	*t = loadTask{}
	loadTasks.Put(t)
}

// loadTask is a call of load; a piece is a panel of a group.
type loadTask struct {
	cv               *Conv
	weights, scratch []float32
}

var loadTasks pages.Pool[loadTask]

// Piece implements [Task].
func (t *loadTask) Piece(i, worker int) {
	cv, s := t.cv, &t.cv.shape
	in, out, taps, all := s.In/s.Groups, s.Out/s.Groups, len(cv.order.taps), cv.order.all
	p, panels := &cv.packed[0], cv.packed[0].panels()
	group, j := i/panels, i%panels
	first := j * p.width
	columns, width := min(out-first, p.width), p.width
	if columns < width {
		width = p.lastWidth
	}
	panel := cv.matrices[group*cv.matrixStep()+j*p.step:]
	if all == 1 {
		t.single(panel, group, first, columns, width)
		return
	}
	own := t.scratch[worker*cv.loadOwn():][:cv.loadOwn()]
	if columns < width {
		clear(own)
	}
	block := cv.loadBlock()
	rows, chosen := own[:all*block*width], own[all*block*width:]
	for row := 0; row < in; row += block {
		n := min(block, in-row)
		a := copyArgs{count: n, n: width, dstStep: width, srcStep: all * width}
		if cv.order.turned {
			a.srcStep = width
			transposeTiles(cv.set, words(rows), words(t.weights[((group*in+row)*out+first)*all:]), columns, all, n*width, all, n, width, out*all)
		} else {
			transposeTile(cv.set, words(rows), words(t.weights[((group*out+first)*in+row)*all:]), columns, n*all, width, in*all)
		}
		for e, tap := range cv.order.taps {
			a.src = rows[tap*width:]
			if cv.order.turned {
				a.src = rows[tap*n*width:]
			}
			if cv.how == minimal {
				a.dst, a.dstStep = chosen[e*width:], taps*width
			} else {
				a.dst = panel[(e*in+row)*width:]
			}
			copySpans(cv.set, &a)
		}
		if cv.how == minimal {
			winogradWeights(cv.set, cv.winograd, &winogradWeightsArgs{
				dst: panel[row*width:], src: chosen, matrix: cv.winograd.weights[:], in: n, width: width, position: cv.matrixStep(),
			})
		}
	}
}

// single does a panel for a window of one element.
func (t *loadTask) single(panel []float32, group, first, columns, width int) {
	cv := t.cv
	in, out := cv.shape.In/cv.shape.Groups, cv.shape.Out/cv.shape.Groups
	if columns < width {
		clear(panel[:in*width])
	}
	if cv.order.turned {
		copySpans(cv.set, &copyArgs{dst: panel, src: t.weights[group*in*out+first:], count: in, n: columns, dstStep: width, srcStep: out})
	} else {
		transposeTile(cv.set, words(panel), words(t.weights[(group*out+first)*in:]), columns, in, width, in)
	}
}
