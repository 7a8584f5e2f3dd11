package dataset

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Augment is the random changes to images that a network is trained on. All images of a sample are changed alike, so that
// pairs stay pairs. The order is: ResizedCrop, or else resizing as [Preprocess] says and PadCrop (without one, the crop from
// the centre); Flip; CutOut. The zero value changes nothing.
type Augment struct {
	Flip        float64      `yaml:"flip,omitempty" json:"flip,omitempty" doc:"probability of left and right being swapped"`
	PadCrop     int          `yaml:"pad_crop,omitempty" json:"pad_crop,omitempty" doc:"black pixels added on every side before a crop of the former size, or of preprocess.crop, is cut at a random place"`
	ResizedCrop *ResizedCrop `yaml:"resized_crop,omitempty" json:"resized_crop,omitempty" doc:"a random part of the image is resized to a square"`
	CutOut      int          `yaml:"cut_out,omitempty" json:"cut_out,omitempty" doc:"side of a square around a random pixel that is filled with the mean colour"`
}

// ResizedCrop is a part of the image with a random area and a random ratio of its sides, resized to Size × Size.
//
// Source: Szegedy et al., Going Deeper with Convolutions, CVPR 2015, §6; the logarithm of the ratio is uniform, and after ten
// parts that do not fit in the image the largest from the centre is taken, as in torchvision's RandomResizedCrop.
type ResizedCrop struct {
	Size  int        `yaml:"size,omitempty" json:"size,omitempty" doc:"side of the result, 0: preprocess.crop"`
	Scale [2]float64 `yaml:"scale,omitempty,flow" json:"scale,omitempty" doc:"least and greatest share of the area; left out: 0.08, 1"`
	Ratio [2]float64 `yaml:"ratio,omitempty,flow" json:"ratio,omitempty" doc:"least and greatest width by height; left out: 3/4, 4/3"`
}

// Transform changes a sample, several fields together perhaps. It must draw all its randomness from r, must not change the
// tensors that it finds, and must be safe for concurrent calls.
type Transform func(s Sample, r *rand.Rand) error

// problems lists what is wrong with a.
func (a *Augment) problems() []error {
	var errs []error
	if !(a.Flip >= 0 && a.Flip <= 1) {
		errs = append(errs, fmt.Errorf("augment.flip: %v is no probability", a.Flip))
	}
	for _, f := range []struct {
		key string
		v   int
	}{{"pad_crop", a.PadCrop}, {"cut_out", a.CutOut}} {
		if f.v < 0 || f.v > maxSide {
			errs = append(errs, fmt.Errorf("augment.%s: %d is out of range, it must be 0 to %d", f.key, f.v, maxSide))
		}
	}
	c := a.ResizedCrop
	if c == nil {
		return errs
	}
	if a.PadCrop > 0 {
		errs = append(errs, errors.New("augment.pad_crop: there is a resized_crop already"))
	}
	if c.Size < 0 || c.Size > maxSide {
		errs = append(errs, fmt.Errorf("augment.resized_crop.size: %d is out of range, it must be 0 to %d", c.Size, maxSide))
	}
	if s := c.Scale; s != [2]float64{} && !(0 < s[0] && s[0] <= s[1] && s[1] <= 1) {
		errs = append(errs, fmt.Errorf("augment.resized_crop.scale: %v must be two rising numbers above 0 and at most 1", s))
	}
	if r := c.Ratio; r != [2]float64{} && !(0 < r[0] && r[0] <= r[1] && !math.IsInf(r[1], 1)) {
		errs = append(errs, fmt.Errorf("augment.resized_crop.ratio: %v must be two rising numbers above 0", r))
	}
	return errs
}

// IsZero reports whether a changes nothing.
func (a *Augment) IsZero() bool {
	return a.Flip == 0 && a.PadCrop == 0 && a.ResizedCrop == nil && a.CutOut == 0
}

// after returns what is left for a Preprocess to do behind the augmentation: all but sizes.
func (a *Augment) after(p Preprocess) Preprocess {
	if !a.IsZero() {
		p.Resize, p.Crop = 0, 0
	}
	return p
}

// apply changes the images of s, which are the fields called fields.
func (a *Augment) apply(s Sample, fields []string, p *Preprocess, r *rand.Rand) error {
	if a.IsZero() || len(fields) == 0 {
		return nil
	}
	_, height, width, _, err := checkImage(s[fields[0]])
	if err != nil {
		return fmt.Errorf("field %s: %w", fields[0], err)
	}
	plan, err := a.draw(width, height, p, r)
	if err != nil {
		return err
	}
	for _, name := range fields {
		t := s[name]
		frames, h, w, c, err := checkImage(t)
		if err == nil && (w != width || h != height) {
			err = fmt.Errorf("an image of %d×%d pixels beside one of %d×%d cannot be changed alike", w, h, width, height)
		}
		if err != nil {
			return fmt.Errorf("field %s: %w", name, err)
		}
		shape := append(slices.Clone(t.Shape[:len(t.Shape)-3]), plan.crop.height, plan.crop.width, c)
		var out *tensor.Tensor
		if t.Type == onnx.Uint8 {
			out = tensor.From(change(&plan, t.Bytes(), frames, w, h, c, p), shape...)
		} else if plan.part != (window{0, 0, width, height}) || plan.width != width || plan.height != height {
			return fmt.Errorf("field %s: images of %s cannot be resized, only those of uint8", name, tensor.TypeName(t.Type))
		} else {
			out = tensor.From(change(&plan, tensor.Of[float32](t), frames, w, h, c, p), shape...)
		}
		s[name] = out
	}
	return nil
}

// plan is what was drawn for one sample.
type plan struct {
	part          window // of the image
	width, height int    // that part is resized to
	crop          window // of the result, which may reach beyond it
	flip          bool
	hole          window // of the crop, within it
}

// draw decides what happens to images of width × height. It draws the same number of random values whatever their size, but
// for ResizedCrop.
func (a *Augment) draw(width, height int, p *Preprocess, r *rand.Rand) (plan, error) {
	d := plan{part: window{0, 0, width, height}, width: width, height: height}
	if c := a.ResizedCrop; c != nil {
		size := c.Size
		if size == 0 {
			size = p.Crop
		}
		if size == 0 {
			return plan{}, errors.New("augment.resized_crop.size: it must be given where preprocess.crop is not")
		}
		d.part, d.width, d.height = c.draw(width, height, r), size, size
		d.crop = window{0, 0, size, size}
	} else {
		var err error
		if d.width, d.height, err = p.scaled(width, height); err != nil {
			return plan{}, err
		}
		d.crop = p.centre(d.width, d.height)
		if pad := a.PadCrop; pad > 0 {
			d.crop.x = r.IntN(d.width+2*pad-d.crop.width+1) - pad
			d.crop.y = r.IntN(d.height+2*pad-d.crop.height+1) - pad
		}
	}
	d.flip = a.Flip > 0 && r.Float64() < a.Flip
	if a.CutOut > 0 {
		x, y := r.IntN(d.crop.width)-a.CutOut/2, r.IntN(d.crop.height)-a.CutOut/2
		d.hole.x, d.hole.y = max(x, 0), max(y, 0)
		d.hole.width = min(x+a.CutOut, d.crop.width) - d.hole.x
		d.hole.height = min(y+a.CutOut, d.crop.height) - d.hole.y
	}
	return d, nil
}

func (c *ResizedCrop) draw(width, height int, r *rand.Rand) window {
	scale, ratio := c.Scale, c.Ratio
	if scale == [2]float64{} {
		scale = [2]float64{0.08, 1}
	}
	if ratio == [2]float64{} {
		ratio = [2]float64{3.0 / 4, 4.0 / 3}
	}
	lo, hi := math.Log(ratio[0]), math.Log(ratio[1])
	for range 10 {
		area := float64(width*height) * (scale[0] + float64((scale[1]-scale[0])*r.Float64()))
		shape := math.Exp(lo + float64((hi-lo)*r.Float64()))
		w, h := int(math.Round(math.Sqrt(area*shape))), int(math.Round(math.Sqrt(area/shape)))
		if w > 0 && w <= width && h > 0 && h <= height {
			return window{r.IntN(width - w + 1), r.IntN(height - h + 1), w, h}
		}
	}
	w, h := width, height
	switch shape := float64(width) / float64(height); {
	case shape < ratio[0]:
		h = max(int(math.Round(float64(w)/ratio[0])), 1)
	case shape > ratio[1]:
		w = max(int(math.Round(float64(h)*ratio[1])), 1)
	}
	return window{(width - w) / 2, (height - h) / 2, w, h}
}

// change carries a plan out on the frames of one image.
func change[T value](d *plan, pix []T, frames, w, h, c int, p *Preprocess) []T {
	size := d.crop.width * d.crop.height * c
	out := make([]T, frames*size)
	for f := range frames {
		src := raster[T]{pix[f*w*h*c:][:w*h*c], w, h, c, w * c}.part(d.part)
		if bytes, ok := any(src).(raster[uint8]); ok && (d.width != src.width || d.height != src.height) {
			src = any(resize(bytes, d.width, d.height, window{0, 0, d.width, d.height})).(raster[T]) // T is uint8
		}
		dst := raster[T]{out[f*size:][:size], d.crop.width, d.crop.height, c, d.crop.width * c}
		copyWindow(dst, src, d.crop)
		if d.flip {
			flip(dst)
		}
		fillHole(dst, d.hole, p)
	}
	return out
}

// copyWindow copies the window w of src, which may reach beyond it; what does stays 0.
func copyWindow[T value](dst, src raster[T], w window) {
	left, right := max(w.x, 0), min(w.x+w.width, src.width)
	if left >= right {
		return
	}
	for y := max(w.y, 0); y < min(w.y+w.height, src.height); y++ {
		copy(dst.pix[(y-w.y)*dst.stride+(left-w.x)*dst.channels:], src.pix[y*src.stride+left*src.channels:y*src.stride+right*src.channels])
	}
}

func flip[T value](r raster[T]) {
	for y := range r.height {
		row := r.pix[y*r.stride:][:r.stride]
		for a, b := 0, (r.width-1)*r.channels; a < b; a, b = a+r.channels, b-r.channels {
			for c := range r.channels {
				row[a+c], row[b+c] = row[b+c], row[a+c]
			}
		}
	}
}

// fillHole fills a window with what becomes 0 in preprocessing, as near as T allows.
//
// Source: DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017, §3.2.
func fillHole[T value](r raster[T], hole window, p *Preprocess) {
	var colour [3]T
	for c := range colour {
		place := c
		if p.Channels == "bgr" {
			place = 2 - c
		}
		v := pick(p.Mean, place, 0)
		if p.Scale != 0 {
			v /= float32(p.Scale)
		}
		if _, whole := any(colour[c]).(uint8); whole {
			v = min(max(float32(math.Round(float64(v))), 0), 255)
		}
		colour[c] = T(v)
	}
	for y := hole.y; y < hole.y+hole.height; y++ {
		for x := hole.x; x < hole.x+hole.width; x++ {
			copy(r.pix[y*r.stride+x*r.channels:][:r.channels], colour[:])
		}
	}
}
