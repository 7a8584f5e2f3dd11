package kernel

// slide is Run of a depthwise convolution: for each element of the window the products of pixels, channel by channel.
func (t *gradTask) slide(c *CPU) {
	g, s := t.g, &t.g.shape
	t.at = grow(t.at, 2*g.ow) // where outputs are in dy, and what they see in x
	for o := range g.ow {
		t.at[o], t.at[g.ow+o] = o*s.Out, o*s.Stride[1]*s.In
	}
	c.Parallel(g.splits, t)
	t.last = true
	taps := s.Kernel[0] * s.Kernel[1]
	sum := t.partial(0)[:taps*s.Out]
	pairs := rowsOfPairs{rows: 1, n: len(sum), stepA: 1, stepB: 1}
	for split := 1; split < g.splits; split++ {
		pairs.apply(g.set, Add, sum, sum, t.partial(split))
	}
	transposeTile(g.set, words(t.dw), words(sum), taps, s.Out, taps, s.Out)
}

// slidePiece sums over some output rows, [KH·KW, Out].
func (t *gradTask) slidePiece(split int) {
	g, s := t.g, &t.g.shape
	wx, wy := s.window(1, g.w), s.window(0, g.h)
	sums := t.partial(split)
	clear(sums)
	total := g.n * g.oh
	for row := split * total / g.splits; row < (split+1)*total/g.splits; row++ {
		image, oy := row/g.oh, row%g.oh
		top, bottom := wy.inside(oy, 0, 0)
		left, right := wx.whole(g.ow)
		if left < right && top < bottom {
			slideGrad(g.set, &slideGradArgs{
				dst: sums[top*s.Kernel[1]*s.Out:], src: t.x[((image*g.h+wy.start(oy)+top*wy.dilation)*g.w+wx.start(left))*s.In:],
				w: t.dy[(row*g.ow+left)*s.Out:], pixels: right - left, ch: s.Out, height: bottom - top, tapStep: s.Out,
				srcStep: wx.dilation * s.In, nextStep: wx.stride * s.In, srcRow: wy.dilation * g.w * s.In, wStep: s.Out, width: s.Kernel[1],
			})
		}
		for i := top; i < bottom; i++ {
			for j := range s.Kernel[1] {
				from, end := wx.seen(j, g.ow)
				t.border(sums, image, oy, i, j, from, min(end, left))
				t.border(sums, image, oy, i, j, max(from, right), end)
			}
		}
	}
}

// border adds what element (i, j) of the windows of some pixels of a row shows, whose windows are partly outside.
func (t *gradTask) border(sums []float32, image, oy, i, j, from, end int) {
	if from >= end {
		return
	}
	g, s := t.g, &t.g.shape
	wx, wy := s.window(1, g.w), s.window(0, g.h)
	_, lo, hi, _ := clipOnly(Activation{})
	iy, ix := wy.start(oy)+i*wy.dilation, wx.start(from)+j*wx.dilation
	sum := sums[(i*s.Kernel[1]+j)*s.Out:][:s.Out]
	taps(g.set, kernelTapsDot, &tapArgs{
		dst: sum, bias: sum, pixels: 1, ch: s.Out,
		w: t.dy[((image*g.oh+oy)*g.ow+from)*s.Out:], wAt: t.at[:end-from],
		src: t.x[((image*g.h+iy)*g.w+ix)*s.In:], at: t.at[g.ow:][:end-from], lo: lo, hi: hi,
	})
}
