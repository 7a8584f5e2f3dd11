package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/webp"

	"github.com/effml/effml/tensor"
)

// imageFormats are known by their first bytes; a dot stands for any byte.
var imageFormats = []struct {
	name, magic string
	config      func(io.Reader) (image.Config, error)
	decode      func(io.Reader) (image.Image, error)
}{
	{"JPEG", "\xff\xd8\xff", jpeg.DecodeConfig, jpeg.Decode},
	{"PNG", "\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode},
	{"GIF", "GIF8", gif.DecodeConfig, gif.Decode},
	{"WebP", "RIFF....WEBP", webp.DecodeConfig, webp.Decode},
	{"BMP", "BM", bmp.DecodeConfig, bmp.Decode},
}

// imageExtensions are the names under which images are looked for in a folder.
var imageExtensions = []string{".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp"}

const (
	maxPixels = 1 << 27 // of one image
	// No format says more about pixels with a byte than deflate does, at 1 bit a pixel; but a small file of one colour may
	// be anything, and freePixels of memory are no harm.
	maxPixelsPerByte = 8 * 1032
	freePixels       = 1 << 22
)

// decodeImage returns the image in data as uint8 [H, W, C]: C is 1 for grey images, else 3. Transparency is dropped and 16 bits
// become the upper 8, as Pillow's convert("RGB") does; of an animation the first frame is taken; an orientation that a
// camera noted is not applied.
func decodeImage(data []byte) (t *tensor.Tensor, err error) {
	defer func() { // the decoders are others' code, which has been seen to panic on damaged files
		if r := recover(); r != nil {
			err = fmt.Errorf("damaged image: %v", r)
		}
	}()
	for _, f := range imageFormats {
		if !matches(data, f.magic) {
			continue
		}
		config, err := f.config(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%s image: %w", f.name, err)
		}
		w, h := int64(config.Width), int64(config.Height)
		if w <= 0 || h <= 0 || w > maxPixels || h > maxPixels || w*h > min(maxPixels, freePixels+maxPixelsPerByte*int64(len(data))) {
			return nil, fmt.Errorf("%s image of %d×%d pixels in %d bytes: empty, or more than can be", f.name, w, h, len(data))
		}
		im, err := f.decode(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%s image: %w", f.name, err)
		}
		t := pixels(im, f.name == "WebP")
		if b := im.Bounds(); b.Dx() != config.Width || b.Dy() != config.Height {
			return canvas(t, b, config)
		}
		return t, nil
	}
	if len(data) == 0 {
		return nil, errors.New("the file is empty")
	}
	return nil, errors.New("not an image of a known format (JPEG, PNG, GIF, WebP, BMP)")
}

func matches(data []byte, magic string) bool {
	if len(data) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '.' && data[i] != magic[i] {
			return false
		}
	}
	return true
}

// canvas places the first frame of an animation, which may be smaller than the picture, on black.
func canvas(t *tensor.Tensor, b image.Rectangle, config image.Config) (*tensor.Tensor, error) {
	if !b.In(image.Rect(0, 0, config.Width, config.Height)) {
		return nil, errors.New("a frame lies outside of its picture")
	}
	c := t.Shape[2]
	out := make([]uint8, config.Width*config.Height*c)
	src := t.Bytes()
	for y := range b.Dy() {
		copy(out[((b.Min.Y+y)*config.Width+b.Min.X)*c:], src[y*b.Dx()*c:][:b.Dx()*c])
	}
	return tensor.From(out, config.Height, config.Width, c), nil
}

// pixels returns the values of im; studio says that its luma runs from 16 to 235, as it does in WebP.
func pixels(im image.Image, studio bool) *tensor.Tensor {
	b := im.Bounds()
	w, h := b.Dx(), b.Dy()
	channels := 3
	switch im.(type) {
	case *image.Gray, *image.Gray16:
		channels = 1
	}
	out := make([]uint8, w*h*channels)
	t := tensor.From(out, h, w, channels)
	// pick takes the first channels bytes, step bytes apart, of every pixel.
	pick := func(pix []uint8, stride, pixel, step int) {
		for y := range h {
			row, to := pix[y*stride:][:w*pixel], out[y*w*channels:][:w*channels]
			for len(to) >= channels && len(row) >= pixel {
				for c := range channels {
					to[c] = row[c*step]
				}
				to, row = to[channels:], row[pixel:]
			}
		}
	}
	switch im := im.(type) {
	case *image.YCbCr:
		convertYCbCr(out, im, studio)
	case *image.NYCbCrA:
		convertYCbCr(out, &im.YCbCr, studio)
	case *image.Gray:
		pick(im.Pix, im.Stride, 1, 1)
	case *image.Gray16:
		pick(im.Pix, im.Stride, 2, 2)
	case *image.RGBA: // the decoders give it to opaque images only
		pick(im.Pix, im.Stride, 4, 1)
	case *image.NRGBA:
		pick(im.Pix, im.Stride, 4, 1)
	case *image.RGBA64:
		pick(im.Pix, im.Stride, 8, 2)
	case *image.NRGBA64:
		pick(im.Pix, im.Stride, 8, 2)
	case *image.Paletted:
		var table [256][3]uint8
		for i, c := range im.Palette {
			n := color.NRGBAModel.Convert(c).(color.NRGBA)
			table[i&255] = [3]uint8{n.R, n.G, n.B}
		}
		for y := range h {
			for x, v := range im.Pix[y*im.Stride:][:w] {
				copy(out[(y*w+x)*3:], table[v][:])
			}
		}
	default: // CMYK
		for y := range h {
			for x := range w {
				r, g, b, _ := im.At(b.Min.X+x, b.Min.Y+y).RGBA()
				copy(out[(y*w+x)*3:], []uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)})
			}
		}
	}
	return t
}
