package dataset

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// pipeline is a Preprocess made ready for images of any size. It is safe for concurrent use.
type pipeline struct {
	p        Preprocess
	channels int // of the result; 0: as many as the image has
	// Per channel of the result: its place among red, green and blue, and the result for each of the 256 values.
	from  [3]int
	table [3][256]float32
}

func newPipeline(p Preprocess) *pipeline {
	q := &pipeline{p: p, from: [3]int{0, 1, 2}}
	switch p.Channels {
	case "rgb":
		q.channels = 3
	case "bgr":
		q.channels, q.from = 3, [3]int{2, 1, 0}
	case "grey":
		q.channels = 1
	}
	for c := range q.table {
		for v := range q.table[c] {
			q.table[c][v] = q.value(c, float32(v))
		}
	}
	return q
}

// value is the equation of Preprocess in float32, each step rounded.
func (q *pipeline) value(c int, x float32) float32 {
	scale, mean, std := float32(1), pick(q.p.Mean, c, 0), pick(q.p.Std, c, 1)
	if q.p.Scale != 0 {
		scale = float32(q.p.Scale)
	}
	x = float32(x * scale)
	return (x - mean) / std
}

// pick returns the number of a channel.
func pick(v []Number, c int, otherwise float32) float32 {
	switch {
	case len(v) == 0:
		return otherwise
	case len(v) == 1:
		return float32(v[0])
	}
	return float32(v[c])
}

// scaled returns the size of a w × h image after its short side became p.Resize; a half is rounded to even.
func (p *Preprocess) scaled(w, h int) (width, height int, err error) {
	width, height = w, h
	if r := p.Resize; r > 0 {
		if w < h {
			width, height = r, int(math.RoundToEven(float64(h*r)/float64(w)))
		} else {
			width, height = int(math.RoundToEven(float64(w*r)/float64(h))), r
		}
		if width > maxPixels/height {
			return 0, 0, fmt.Errorf("an image of %d×%d pixels would become too large, with a short side of %d", w, h, r)
		}
	}
	if p.Crop > min(width, height) {
		return 0, 0, fmt.Errorf("an image of %d×%d pixels is too small for a crop of %d; preprocess.resize can enlarge it", width, height, p.Crop)
	}
	return width, height, nil
}

// centre returns the window that Crop leaves of a width × height image.
func (p *Preprocess) centre(width, height int) window {
	if p.Crop == 0 {
		return window{0, 0, width, height}
	}
	return window{(width - p.Crop) / 2, (height - p.Crop) / 2, p.Crop, p.Crop}
}

// checkImage returns the frames of t, which must be an image.
func checkImage(t *tensor.Tensor) (frames, height, width, channels int, err error) {
	if t == nil {
		return 0, 0, 0, 0, errors.New("the sample has none")
	}
	s := t.Shape
	if len(s) != 3 && len(s) != 4 || slices.Contains(s, 0) || (t.Type != onnx.Uint8 && t.Type != onnx.Float) {
		return 0, 0, 0, 0, fmt.Errorf("%s is not an image, uint8 or float32 [H, W, C]", t)
	}
	frames, s = 1, s[len(s)-3:]
	if len(t.Shape) == 4 {
		frames = t.Shape[0]
	}
	if s[2] != 1 && s[2] != 3 {
		return 0, 0, 0, 0, fmt.Errorf("%s has %d channels, an image has 1 or 3", t, s[2])
	}
	return frames, s[0], s[1], s[2], nil
}

// output returns the shape of what run writes for an image such as t.
func (q *pipeline) output(t *tensor.Tensor) ([]int, error) {
	_, h, w, c, err := checkImage(t)
	if err != nil {
		return nil, err
	}
	if q.channels != 0 {
		c = q.channels
	}
	if q.p.Resize > 0 && t.Type != onnx.Uint8 {
		return nil, fmt.Errorf("images of %s cannot be resized, only those of uint8", tensor.TypeName(t.Type))
	}
	width, height, err := q.p.scaled(w, h)
	if err != nil {
		return nil, err
	}
	win := q.p.centre(width, height)
	shape := []int{c, win.height, win.width}
	if q.p.Layout == "nhwc" {
		shape = []int{win.height, win.width, c}
	}
	return append(slices.Clone(t.Shape[:len(t.Shape)-3]), shape...), nil
}

// run writes the input for t, whose shape is that of output.
func (q *pipeline) run(dst []float32, t *tensor.Tensor) error {
	frames, h, w, c, err := checkImage(t)
	if err != nil {
		return err
	}
	width, height, err := q.p.scaled(w, h)
	if err != nil {
		return err
	}
	win := q.p.centre(width, height)
	size := len(dst) / frames
	for f := range frames {
		to := dst[f*size:][:size]
		if t.Type == onnx.Float {
			src := raster[float32]{tensor.Of[float32](t)[f*h*w*c:], w, h, c, w * c}
			write(q, to, toGrey(q, src).part(win), q.value)
			continue
		}
		src := raster[uint8]{t.Bytes()[f*h*w*c:][:h*w*c], w, h, c, w * c}
		write(q, to, resize(toGrey(q, src), width, height, win), nil)
	}
	return nil
}

// numbers returns the result for each element of t, which is no image, as float32.
func (q *pipeline) numbers(t *tensor.Tensor) (*tensor.Tensor, error) {
	if t == nil {
		return nil, errors.New("the sample has none")
	}
	out, err := tensor.New(onnx.Float, t.Shape...)
	if err != nil {
		return nil, err
	}
	y := tensor.Of[float32](out)
	if !t.Floats(y, 0) {
		return nil, fmt.Errorf("%s holds no numbers that scale, mean and std apply to", t)
	}
	for i, x := range y {
		y[i] = q.value(0, x)
	}
	return out, nil
}

// toGrey returns the luma of ITU-R BT.601 where the pipeline gives one channel and src has three, else src.
func toGrey[T value](q *pipeline, src raster[T]) raster[T] {
	if q.channels != 1 || src.channels != 3 {
		return src
	}
	dst := newRaster[T](src.width, src.height, 1)
	for i := range dst.pix {
		y, x := i/src.width, i%src.width
		p := src.pix[y*src.stride+3*x:][:3]
		switch p := any(p).(type) {
		case []uint8:
			dst.pix[i] = T((19595*uint32(p[0]) + 38470*uint32(p[1]) + 7471*uint32(p[2]) + 1<<15) >> 16)
		case []float32:
			dst.pix[i] = T(float32(0.299*p[0]) + float32(0.587*p[1]) + float32(0.114*p[2]))
		}
	}
	return dst
}

// write writes the result for the pixels of src: of value, or where that is nil from the table.
func write[T value](q *pipeline, dst []float32, src raster[T], value func(c int, x float32) float32) {
	plane := src.width * src.height
	channels := len(dst) / plane
	for c := range channels {
		from, to, step := 0, dst[c*plane:], 1
		if src.channels == 3 {
			from = q.from[c]
		}
		if q.p.Layout == "nhwc" {
			to, step = dst[c:], channels
		}
		table := &q.table[c]
		for y := range src.height {
			row := src.pix[y*src.stride:][:src.width*src.channels]
			at := y * src.width * step
			for x := from; x < len(row); x += src.channels {
				if value != nil {
					to[at] = value(c, float32(row[x]))
				} else {
					to[at] = table[uint8(row[x])]
				}
				at += step
			}
		}
	}
}
