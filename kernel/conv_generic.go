package kernel

// The structures below are arguments of kernels that exist once an instruction set; kernel/_asm/conv knows their layout.
// Distances are in elements. Slices begin where the kernel begins.

// copyArgs are the arguments of copySpans: dst[i·dstStep + j] = src[i·srcStep + j] for i < count, j < n.
type copyArgs struct {
	dst, src         []float32
	count, n         int
	dstStep, srcStep int
}

func copySpansGeneric(a *copyArgs) {
	for i := range a.count {
		copy(a.dst[i*a.dstStep:][:a.n], a.src[i*a.srcStep:][:a.n])
	}
}

// rowArgs are the arguments of depthwiseRow, which computes pixels of a row whose windows lie inside the image,
//
//	dst[x·dstStep + c] = clip(bias[c] + Σ w[(i·width + j)·wStep + c] · src[i·srcRow + (x·stride + j)·srcStep + c])
//
// for x < pixels and c < ch. dst is only written to, maybe twice.
type rowArgs struct {
	dst, src, w, bias               []float32
	pixels, ch, height              int
	dstStep, srcStep, srcRow, wStep int
	lo, hi                          float32
	width, stride                   int // not read by assembly, which has a function for each
}

func depthwiseRowGeneric(a *rowArgs) {
	for x := range a.pixels {
		dst := a.dst[x*a.dstStep:][:a.ch]
		copy(dst, a.bias)
		for i := range a.height {
			for j := range a.width {
				w := a.w[(i*a.width+j)*a.wStep:][:a.ch]
				src := a.src[i*a.srcRow+(x*a.stride+j)*a.srcStep:][:a.ch]
				for c, v := range src {
					dst[c] += float32(w[c] * v)
				}
			}
		}
		for c, v := range dst {
			dst[c] = clip(v, a.lo, a.hi)
		}
	}
}

// slideGradArgs are the arguments of slideGrad, which adds over pixels of a row
//
//	dst[(i·width + j)·tapStep + c] += Σₓ w[x·wStep + c] · src[i·srcRow + x·nextStep + j·srcStep + c]
//
// for i < height, j < width and c < ch.
type slideGradArgs struct {
	dst, src, w                               []float32
	pixels, ch, height                        int
	tapStep, srcStep, nextStep, srcRow, wStep int
	width                                     int // not read by assembly, which has a function for each
}

func slideGradGeneric(a *slideGradArgs) {
	for tap := range a.height * a.width {
		dst := a.dst[tap*a.tapStep:][:a.ch]
		for x := range a.pixels {
			src := a.src[tap/a.width*a.srcRow+x*a.nextStep+tap%a.width*a.srcStep:][:a.ch]
			for c, v := range a.w[x*a.wStep:][:a.ch] {
				dst[c] += float32(v * src[c])
			}
		}
	}
}

// tapArgs are the arguments of the kernels that reduce, for every pixel and channel, what a list of taps shows:
//
//	tapsDot: dst[x·dstStep + c] = clip(bias[c] + Σₖ w[wAt[k] + c] · src[x·srcStep + at[k] + c], lo, hi)
//	tapsSum: dst[x·dstStep + c] = scale · Σₖ src[x·srcStep + at[k] + c]
//	tapsMax: dst[x·dstStep + c] = max(lo, maxₖ src[x·srcStep + at[k] + c]), NaN if there is one
//
//	spreadFirst: dst[x·srcStep + at[k] + c] += w[x·dstStep + c] for the first k for which src[x·srcStep + at[k] + c] is largest, and above lo
//	spreadAll: dst[x·srcStep + at[k] + c] += scale · w[x·dstStep + c] for all k
//
// for x < pixels and c < ch.
type tapArgs struct {
	dst, src, w, bias []float32
	at, wAt           []int
	pixels, ch        int
	dstStep, srcStep  int
	lo, hi, scale     float32
}

func tapsDotGeneric(a *tapArgs) {
	for x := range a.pixels {
		dst := a.dst[x*a.dstStep:][:a.ch]
		copy(dst, a.bias)
		for k, at := range a.at {
			w := a.w[a.wAt[k]:][:a.ch]
			for c, v := range a.src[x*a.srcStep+at:][:a.ch] {
				dst[c] += float32(w[c] * v)
			}
		}
		for c, v := range dst {
			dst[c] = clip(v, a.lo, a.hi)
		}
	}
}

func tapsSumGeneric(a *tapArgs) {
	for x := range a.pixels {
		dst := a.dst[x*a.dstStep:][:a.ch]
		clear(dst)
		for _, at := range a.at {
			for c, v := range a.src[x*a.srcStep+at:][:a.ch] {
				dst[c] += v
			}
		}
		for c := range dst {
			dst[c] *= a.scale
		}
	}
}

func tapsMaxGeneric(a *tapArgs) {
	for x := range a.pixels {
		dst := a.dst[x*a.dstStep:][:a.ch]
		for c := range dst {
			dst[c] = a.lo
		}
		for _, at := range a.at {
			for c, v := range a.src[x*a.srcStep+at:][:a.ch] {
				dst[c] = max(dst[c], v)
			}
		}
	}
}

func spreadGeneric(k convKernel, a *tapArgs) {
	for x := range a.pixels {
		dy, first := a.w[x*a.dstStep:][:a.ch], x*a.srcStep
		for c, v := range dy {
			best, where := a.lo, -1
			for _, at := range a.at {
				switch {
				case k == kernelSpreadAll:
					a.dst[first+at+c] += float32(v * a.scale)
				case a.src[first+at+c] > best:
					best, where = a.src[first+at+c], at
				}
			}
			if where >= 0 {
				a.dst[first+where+c] += v
			}
		}
	}
}

// winogradInputArgs are the arguments of winogradInput, which transforms n×n pixels of each of several tiles. Tile t begins at
// src[t·srcTile]; element (i, j) of its transform goes to dst[t·dstTile + (i·n + j)·position], ch channels rounded up to a
// multiple of winogradLanes. Neighbouring pixels are pixel apart, rows of them row.
type winogradInputArgs struct {
	dst, src             []float32
	ch, tiles            int
	pixel, row, position int
	srcTile, dstTile     int
}

func winogradInputGeneric(w *winograd, a *winogradInputArgs) {
	n := w.size
	var d, t [maxWinograd * maxWinograd]float32
	for tile := range a.tiles {
		src, dst := a.src[tile*a.srcTile:], a.dst[tile*a.dstTile:]
		for c := range a.ch {
			for i := range n {
				for j := range n {
					d[i*n+j] = src[i*a.row+j*a.pixel+c]
				}
			}
			sandwich(t[:], w.input[:], d[:], n, n)
			for i, v := range t[:n*n] {
				dst[i*a.position+c] = v
			}
		}
	}
}

// winogradOutputArgs are the arguments of winogradOutput, which transforms the products of one tile back, adds bias and, unless
// it is nil, add, which is laid out as dst, and clips. Pixels below row rows and right of column cols do not exist.
type winogradOutputArgs struct {
	dst, src, bias, add  []float32
	ch, rows, cols       int
	pixel, row, position int
	lo, hi               float32
}

func winogradOutputGeneric(w *winograd, a *winogradOutputArgs) {
	n, out := w.size, w.out
	var d, t [maxWinograd * maxWinograd]float32
	for c := range a.ch {
		for i := range n * n {
			d[i] = a.src[i*a.position+c]
		}
		sandwich(t[:], w.output[:], d[:], out, n)
		for i := range min(out, a.rows) {
			for j := range min(out, a.cols) {
				at := i*a.row + j*a.pixel + c
				v := t[i*out+j] + a.bias[c]
				if a.add != nil {
					v += a.add[at]
				}
				a.dst[at] = clip(v, a.lo, a.hi)
			}
		}
	}
}

// sandwich computes dst = m · src · mᵀ, where m is [rows, n] and src [n, n].
func sandwich(dst, m, src []float32, rows, n int) {
	var half [maxWinograd * maxWinograd]float32
	for i := range rows {
		for j := range n {
			var sum float32
			for k := range n {
				if m[i*n+k] != 0 {
					sum += float32(m[i*n+k] * src[k*n+j])
				}
			}
			half[i*n+j] = sum
		}
	}
	for i := range rows {
		for j := range rows {
			var sum float32
			for k := range n {
				if m[j*n+k] != 0 {
					sum += float32(half[i*n+k] * m[j*n+k])
				}
			}
			dst[i*rows+j] = sum
		}
	}
}

// winogradWeightsArgs are the arguments of winogradWeights, which transforms 3×3 weights src [in, 9, width] by matrix, that of the
// transform, [size, 3]: element p goes to dst[p·position:], [in, width]. It computes in float64 and rounds once.
type winogradWeightsArgs struct {
	dst, src            []float32
	matrix              []float64
	in, width, position int
}

// winogradDoubles is what assembly takes the width to be a multiple of.
const winogradDoubles = 8

func winogradWeightsGeneric(w *winograd, a *winogradWeightsArgs) {
	var g [9]float32
	var u [maxWinograd * maxWinograd]float32
	for i := range a.in {
		for x := range a.width {
			for k := range g {
				g[k] = a.src[(9*i+k)*a.width+x]
			}
			w.transformWeights(u[:], g[:])
			for p, v := range u[:w.size*w.size] {
				a.dst[p*a.position+i*a.width+x] = v
			}
		}
	}
}
