package kernel

import "sync"

// packTask rearranges the weights [Out, In/Groups, KH, KW] of a convolution into panels. A piece is a panel of a group: first as a
// matrix [In/Groups · KH·KW, outputs of the panel], whose rows are then put where they belong, or transformed.
type packTask struct {
	cv      *Conv
	weights []float32
	in, out int // channels of a group
	taps    int
	panels  int // of a group
	data    []float32
	stride  int         // from matrix to matrix in data
	scratch [][]float32 // of each worker
}

var packTasks = sync.Pool{New: func() any { return new(packTask) }}

// pack makes the packed matrices, a group each or an element of the transform each, all in one piece of memory.
func (cv *Conv) pack(c *CPU, weights []float32) {
	s := &cv.shape
	t := packTasks.Get().(*packTask)
	t.cv, t.weights, t.in, t.out, t.taps = cv, weights, s.In/s.Groups, s.Out/s.Groups, s.Kernel[0]*s.Kernel[1]
	k, matrices := t.in*t.taps, s.Groups
	if cv.how == minimal {
		k, matrices = t.in, cv.winograd.size*cv.winograd.size
	}
	var shape Packed
	shape.resize(c.set, k, t.out)
	t.stride = roundUp(shape.size(), cacheLine)
	if cv.how == minimal {
		t.stride += cacheLine // all are written side by side, and must not collide in the cache
	}
	t.data = alignedFloats(t.stride * matrices)
	list := make([]Packed, matrices)
	cv.packed = make([]*Packed, matrices)
	for i := range list {
		list[i] = shape
		list[i].divide(t.data[i*t.stride:])
		cv.packed[i] = &list[i]
	}
	t.panels = shape.panels()
	t.scratch = grow(t.scratch, c.Threads())
	c.Parallel(s.Groups*t.panels, t)
	*t = packTask{scratch: t.scratch}
	packTasks.Put(t)
}

// Piece implements [Task].
func (t *packTask) Piece(i, worker int) {
	group, j := i/t.panels, i%t.panels
	p, k := t.cv.packed[group], t.in*t.taps
	if k == 0 {
		return
	}
	n, width := min(p.width, t.out-j*p.width), p.width
	if n < width {
		width = p.lastWidth
	}
	dst := t.data[group*t.stride+j*p.step:]
	src := t.weights[(group*t.out+j*p.width)*k:][:n*k]
	moved := t.cv.how == minimal || t.taps > 1 && t.in > 1
	m := dst
	if moved {
		t.scratch[worker] = grow(t.scratch[worker], k*p.width)
		m = t.scratch[worker]
	}
	m = m[:k*width]
	if n < width {
		clear(m)
	}
	transposeTile(p.set, words(m), words(src), n, k, width, k)
	switch {
	case t.cv.how == minimal:
		winogradWeights(p.set, t.cv.winograd, &winogradWeightsArgs{
			dst: dst, src: m, matrix: t.cv.winograd.weights[:], in: t.in, width: width, position: t.stride,
		})
	case moved: // a row of the packed matrix is an element of a window: row, column, channel
		for tap := range t.taps {
			copySpans(p.set, &copyArgs{
				dst: dst[tap*t.in*width:], src: m[tap*width:], count: t.in, n: width, dstStep: width, srcStep: t.taps * width,
			})
		}
	}
}
