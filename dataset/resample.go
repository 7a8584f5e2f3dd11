package dataset

import "math"

// Resizing with the triangle filter, widened by the factor of reduction so that it does not alias.
//
// Output pixel i of n has its centre at c = (i+½)·s in the input, s = m/n. With f = max(s, 1) it is the mean of the input
// pixels j of |j+½−c| < f, weighted by 1 − |j+½−c|/f; first along the rows, then along the columns, each rounded to 8 bits,
// with weights of 22 fractional bits. That is the arithmetic of Pillow's resize with the filter BILINEAR, and the result is
// the same to the bit. Source: Turkowski, Filters for Common Resampling Tasks, Graphics Gems, 1990, "tent filter"; Pillow
// documentation, "Concepts: filters".
//
// Cost: about 2f multiplications an axis, pixel and channel. Only the columns and rows of the output that are asked for are
// computed.

const weightBits = 22

// value is what a channel of a pixel is.
type value interface{ uint8 | float32 }

// raster is pixels of channels values each, a part of an image perhaps.
type raster[T value] struct {
	pix                     []T
	width, height, channels int
	stride                  int // from row to row
}

// window is a rectangle of pixels.
type window struct{ x, y, width, height int }

// part returns the pixels of r in w, a view.
func (r raster[T]) part(w window) raster[T] {
	r.pix = r.pix[w.y*r.stride+w.x*r.channels:]
	r.width, r.height = w.width, w.height
	return r
}

// axis holds the weights of consecutive output pixels.
type axis struct {
	first, count []int   // the input pixels of an output pixel
	weights      []int32 // width of them an output pixel
	width        int
}

// newAxis returns the weights of the pixels from…from+n−1 of out, which in pixels become.
func newAxis(in, out, from, n int) axis {
	step := float64(in) / float64(out)
	reach := max(step, 1)
	a := axis{first: make([]int, n), count: make([]int, n), width: int(math.Ceil(reach))*2 + 1}
	a.weights = make([]int32, n*a.width)
	exact := make([]float64, a.width)
	for i := range n {
		centre := (float64(from+i) + 0.5) * step
		lo, hi := max(int(centre-reach+0.5), 0), min(int(centre+reach+0.5), in)
		sum := 0.0
		for k := range hi - lo {
			exact[k] = max(0, 1-math.Abs((float64(k+lo)-centre+0.5)*(1/reach)))
			sum += exact[k]
		}
		a.first[i], a.count[i] = lo, hi-lo
		for k := range hi - lo {
			a.weights[i*a.width+k] = int32(0.5 + exact[k]/sum*(1<<weightBits))
		}
	}
	return a
}

// resize returns the window w of src resized to width × height. The pixels are new ones, or src's own where its size is
// that already.
func resize(src raster[uint8], width, height int, w window) raster[uint8] {
	var rows axis
	keepRows := src.height == height
	top, bottom := w.y, w.y+w.height
	if !keepRows {
		rows = newAxis(src.height, height, w.y, w.height)
		top, bottom = rows.first[0], rows.first[w.height-1]+rows.count[w.height-1]
		for i := range rows.first {
			rows.first[i] -= top
		}
	}
	if src.width == width {
		src = src.part(window{w.x, top, w.width, bottom - top})
	} else {
		src = resizeRows(src.part(window{0, top, src.width, bottom - top}), newAxis(src.width, width, w.x, w.width))
	}
	if keepRows {
		return src
	}
	return resizeColumns(src, rows)
}

func newRaster[T value](width, height, channels int) raster[T] {
	return raster[T]{make([]T, width*height*channels), width, height, channels, width * channels}
}

const roundWeight = 1 << (weightBits - 1)

// resizeRows gives every row of src the pixels of a.
func resizeRows(src raster[uint8], a axis) raster[uint8] {
	dst := newRaster[uint8](len(a.first), src.height, src.channels)
	for y := range src.height {
		from, to := src.pix[y*src.stride:][:src.width*src.channels], dst.pix[y*dst.stride:][:dst.stride]
		if src.channels == 3 {
			for i, first := range a.first {
				r, g, b := int32(roundWeight), int32(roundWeight), int32(roundWeight)
				p := from[3*first:][:3*a.count[i]]
				for _, w := range a.weights[i*a.width:][:a.count[i]] {
					if len(p) < 3 {
						break
					}
					r += w * int32(p[0])
					g += w * int32(p[1])
					b += w * int32(p[2])
					p = p[3:]
				}
				d := to[3*i : 3*i+3 : 3*i+3]
				d[0], d[1], d[2] = clip(r>>weightBits), clip(g>>weightBits), clip(b>>weightBits)
			}
			continue
		}
		for i, first := range a.first {
			for c := range src.channels {
				v := int32(roundWeight)
				for k, w := range a.weights[i*a.width:][:a.count[i]] {
					v += w * int32(from[(first+k)*src.channels+c])
				}
				to[i*src.channels+c] = clip(v >> weightBits)
			}
		}
	}
	return dst
}

// resizeColumns gives every column of src the pixels of a.
func resizeColumns(src raster[uint8], a axis) raster[uint8] {
	dst := newRaster[uint8](src.width, len(a.first), src.channels)
	sums := make([]int32, dst.stride)
	for i, first := range a.first {
		for x := range sums {
			sums[x] = roundWeight
		}
		for k, w := range a.weights[i*a.width:][:a.count[i]] {
			row := src.pix[(first+k)*src.stride:][:len(sums)]
			for x := range sums {
				sums[x] += w * int32(row[x])
			}
		}
		row := dst.pix[i*dst.stride:][:len(sums)]
		for x, v := range sums {
			row[x] = clip(v >> weightBits)
		}
	}
	return dst
}
