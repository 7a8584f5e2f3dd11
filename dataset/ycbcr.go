package dataset

import "image"

// The conversion of luma and chroma to red, green and blue.
//
// Source: ITU-T T.871 (JFIF) §7 for the equations; the arithmetic (16 fractional bits) and the interpolation of chroma that
// has half the resolution ("fancy upsampling": weights 3/4 and 1/4 of the nearer and the farther sample along each axis) are
// those that the Independent JPEG Group's library documents and every program built on it shows; Go's image package repeats
// chroma samples instead, which differs by many levels along coloured edges. WebP: RFC 6386 §9.2, studio swing.

// convertYCbCr writes im as [H, W, 3].
func convertYCbCr(dst []uint8, im *image.YCbCr, studio bool) {
	b := im.Rect
	w, h := b.Dx(), b.Dy()
	u := newUpsampler(im, w, h)
	for y := range h {
		cb, cr := u.row(im, y)
		luma := im.Y[im.YOffset(b.Min.X, b.Min.Y+y):][:w]
		if studio {
			studioRow(dst[3*w*y:][:3*w], luma, cb, cr)
		} else {
			fullRow(dst[3*w*y:][:3*w], luma, cb, cr)
		}
	}
}

// fullRow converts pixels whose luma and chroma take all of 0…255.
func fullRow(dst, luma, cb, cr []uint8) {
	const half = 1 << 15
	cb, cr = cb[:len(luma)], cr[:len(luma)]
	dst = dst[:3*len(luma)]
	for x, v := range luma {
		y, b, r := int32(v), int32(cb[x])-128, int32(cr[x])-128
		d := dst[3*x : 3*x+3 : 3*x+3]
		d[0] = clip(y + (91881*r+half)>>16)
		d[1] = clip(y + (-22554*b-46802*r+half)>>16)
		d[2] = clip(y + (116130*b+half)>>16)
	}
}

// studioRow converts pixels whose luma takes 16…235 and whose chroma takes 16…240, with 14 fractional bits.
func studioRow(dst, luma, cb, cr []uint8) {
	cb, cr = cb[:len(luma)], cr[:len(luma)]
	for x, v := range luma {
		y, b, r := int32(v)*19077>>8, int32(cb[x]), int32(cr[x])
		dst[3*x] = clip((y + r*26149>>8 - 14234) >> 6)
		dst[3*x+1] = clip((y - b*6419>>8 - r*13320>>8 + 8708) >> 6)
		dst[3*x+2] = clip((y + b*33050>>8 - 17685) >> 6)
	}
}

// clip limits v to what 8 bits hold.
func clip(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^(v >> 31)) // 0 or 255 by the sign
	}
	return uint8(v)
}

// upsampler brings rows of chroma to the resolution of the luma.
type upsampler struct {
	cw, ch       int  // size of the planes of chroma
	wide, tall   bool // half the resolution along x, along y: interpolated
	cb, cr       []uint8
	sumCb, sumCr []int32
}

func newUpsampler(im *image.YCbCr, w, h int) *upsampler {
	u := &upsampler{cb: make([]uint8, w+1), cr: make([]uint8, w+1)}
	u.cw, u.ch = (w+1)/2, (h+1)/2
	switch im.SubsampleRatio {
	case image.YCbCrSubsampleRatio420:
		u.wide, u.tall = true, true
	case image.YCbCrSubsampleRatio422:
		u.wide = true
		u.ch = h
	case image.YCbCrSubsampleRatio440:
		u.tall = true
		u.cw = w
	}
	// A plane of two columns is repeated, and one that does not begin with a whole sample cannot be told apart here.
	if u.wide && u.cw <= 2 || im.Rect.Min.X&1 != 0 || im.Rect.Min.Y&1 != 0 {
		u.wide, u.tall = false, false
	}
	if u.wide {
		u.sumCb, u.sumCr = make([]int32, u.cw), make([]int32, u.cw)
	}
	return u
}

// row returns the chroma of row y, a sample a pixel; valid until the next call.
func (u *upsampler) row(im *image.YCbCr, y int) (cb, cr []uint8) {
	b := im.Rect
	w := b.Dx()
	at := im.COffset(b.Min.X, b.Min.Y+y)
	switch {
	case !u.wide && !u.tall:
		if im.SubsampleRatio == image.YCbCrSubsampleRatio444 {
			return im.Cb[at:][:w], im.Cr[at:][:w]
		}
		for x := range w {
			at := im.COffset(b.Min.X+x, b.Min.Y+y)
			u.cb[x], u.cr[x] = im.Cb[at], im.Cr[at]
		}
		return u.cb[:w], u.cr[:w]
	case !u.tall:
		wideRow(u.cb, im.Cb[at:][:u.cw])
		wideRow(u.cr, im.Cr[at:][:u.cw])
		return u.cb[:w], u.cr[:w]
	}
	far, bias := max(y/2-1, 0), int32(1) // of an even row the one above is the second nearest, of an odd one the one below
	if y&1 != 0 {
		far, bias = min(y/2+1, u.ch-1), 2
	}
	other := at + (far-y/2)*im.CStride
	if !u.wide {
		tallRow(u.cb[:w], im.Cb[at:], im.Cb[other:], bias)
		tallRow(u.cr[:w], im.Cr[at:], im.Cr[other:], bias)
		return u.cb[:w], u.cr[:w]
	}
	bothRow(u.cb, im.Cb[at:], im.Cb[other:], u.sumCb)
	bothRow(u.cr, im.Cr[at:], im.Cr[other:], u.sumCr)
	return u.cb[:w], u.cr[:w]
}

// wideRow doubles a row of more than two samples; dst may have one place less than twice as many.
func wideRow(dst, src []uint8) {
	n := len(src) - 1
	dst[0], dst[1] = src[0], uint8((3*int32(src[0])+int32(src[1])+2)>>2)
	for i := 1; i < n; i++ {
		v := 3 * int32(src[i])
		dst[2*i], dst[2*i+1] = uint8((v+int32(src[i-1])+1)>>2), uint8((v+int32(src[i+1])+2)>>2)
	}
	dst[2*n] = uint8((3*int32(src[n]) + int32(src[n-1]) + 1) >> 2)
	if 2*n+1 < len(dst) {
		dst[2*n+1] = src[n]
	}
}

func tallRow(dst, near, far []uint8, bias int32) {
	near, far = near[:len(dst)], far[:len(dst)]
	for i := range dst {
		dst[i] = uint8((3*int32(near[i]) + int32(far[i]) + bias) >> 2)
	}
}

// bothRow is tallRow and then wideRow, rounded once. Sums has a place a sample.
func bothRow(dst, near, far []uint8, sums []int32) {
	near, far = near[:len(sums)], far[:len(sums)]
	for i := range sums {
		sums[i] = 3*int32(near[i]) + int32(far[i])
	}
	n := len(sums) - 1
	last, this := sums[0], sums[0]
	for i, next := range sums[1:] {
		d := dst[2*i : 2*i+2 : 2*i+2]
		d[0], d[1] = uint8((3*this+last+8)>>4), uint8((3*this+next+7)>>4)
		last, this = this, next
	}
	dst[2*n] = uint8((3*this + last + 8) >> 4)
	if 2*n+1 < len(dst) {
		dst[2*n+1] = uint8((4*this + 7) >> 4)
	}
}
