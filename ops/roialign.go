package ops

import (
	"fmt"
	"math"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// roiAlign is RoiAlign: regions [R, 4] (x₁, y₁, x₂, y₂) of the images of x [N, C, H, W] that an index [R] names, each cut into bins whose
// results are the mean, or the largest part, of samples by bilinear interpolation. Types: floating-point ones.
//
// K. He, G. Gkioxari, P. Dollár, R. Girshick: Mask R-CNN, 2017, section 3. As ONNX has it, the largest is taken of the four weighted
// neighbours of all samples, not of the interpolated values.
type roiAlign struct {
	height, width, ratio int
	scale                float64
	max                  bool
	half                 bool // pixel centres are at halves
}

func newRoiAlign(n *Node) (Op, error) {
	o := &roiAlign{
		height: n.Int("output_height", 1), width: n.Int("output_width", 1), ratio: n.Int("sampling_ratio", 0),
		scale: float64(n.Float("spatial_scale", 1)),
	}
	def := "half_pixel"
	if n.Opset < 16 {
		def = "output_half_pixel"
	}
	switch m := n.Text("coordinate_transformation_mode", def); m {
	case "half_pixel":
		o.half = true
	case "output_half_pixel":
	default:
		return nil, fmt.Errorf("attribute coordinate_transformation_mode is %q", m)
	}
	switch m := n.Text("mode", "avg"); m {
	case "avg":
	case "max":
		o.max = true
	default:
		return nil, fmt.Errorf("attribute mode is %q", m)
	}
	if o.height < 1 || o.width < 1 || o.ratio < 0 || o.ratio > maxSamples || o.height > maxExtent || o.width > maxExtent {
		return nil, fmt.Errorf("output of %d×%d bins with a sampling ratio of %d", o.height, o.width, o.ratio)
	}
	return o, nil
}

// maxSamples bounds the samples of a bin along a dimension, which a region may ask for.
const maxSamples = 1 << 12

func (o *roiAlign) Infer(in []Info) ([]Info, error) {
	for i, rank := range []int{4, 2, 1} {
		if s := in[i].Shape; s != nil && len(s) != rank {
			return nil, rankError(i, len(s), fmt.Sprint(rank))
		}
	}
	if s := in[1].Shape; s != nil && s[1].IsKnown() && s[1].N != 4 {
		return nil, fmt.Errorf("regions of shape %s", s)
	}
	if err := typesIndex.check(in, 2); err != nil {
		return nil, err
	}
	dt, err := typesFloat.same(in, 0, 2)
	out := Info{Type: dt, Shape: Shape{Unknown, Unknown, Known(o.height), Known(o.width)}}
	if s := in[0].Shape; s != nil {
		out.Shape[1] = s[1]
	}
	switch {
	case in[2].Shape != nil && in[2].Shape[0] != Unknown:
		out.Shape[0] = in[2].Shape[0]
	case in[1].Shape != nil:
		out.Shape[0] = in[1].Shape[0]
	}
	return []Info{out}, err
}

func (o *roiAlign) Run(c *Call) error { return throughFloat32(c, o) }

func (o *roiAlign) run(c *Call) error {
	x, regions := c.In[0], c.In[1]
	index, ok := Integers(c.In[2])
	if !ok || len(x.Shape) != 4 || len(regions.Shape) != 2 || regions.Shape[1] != 4 || len(index) != regions.Shape[0] {
		return fmt.Errorf("%s regions and %s indices for %s", regions, c.In[2], x)
	}
	y, err := c.Out(0, x.Type, []int{len(index), x.Shape[1], o.height, o.width})
	if err != nil || y.Len() == 0 {
		return err
	}
	if x.Len() == 0 {
		return fmt.Errorf("input 0 of shape %v has no elements", x.Shape)
	}
	corners, err := numbersOf(nil, regions)
	if err != nil {
		return fmt.Errorf("input 1: %w", err)
	}
	for r, n := range index {
		if n < 0 || n >= x.Shape[0] {
			return fmt.Errorf("region %d is in image %d of %d", r, n, x.Shape[0])
		}
		switch x.Type {
		case onnx.Float:
			err = alignRegion(o, tensor.Of[float32](y), tensor.Of[float32](x), x.Shape, corners[4*r:], r, n)
		case onnx.Double:
			err = alignRegion(o, tensor.Of[float64](y), tensor.Of[float64](x), x.Shape, corners[4*r:], r, n)
		default:
			err = typeError(x.Type)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// span is one direction of a region.
type span struct {
	start, bin float64
	samples    int
}

func (o *roiAlign) span(from, to float64, bins int) (span, error) {
	s := span{start: from * o.scale, samples: o.ratio}
	size := (to - from) * o.scale
	if o.half {
		s.start -= 0.5
	} else {
		size = max(size, 1) // a region that is none becomes a pixel
	}
	s.bin = size / float64(bins)
	if s.samples == 0 {
		n := math.Ceil(s.bin)
		if !(n <= maxSamples) || s.start != s.start { //nolint:gocritic // NaN
			return s, fmt.Errorf("region from %v to %v", from, to)
		}
		s.samples = max(int(n), 0)
	}
	return s, nil
}

// bilinear returns the neighbours of a coordinate and the weight of the second; false outside of the image.
func bilinear(v float64, extent int) (lo, hi int, w float64, ok bool) {
	if !(v >= -1 && v <= float64(extent)) {
		return 0, 0, 0, false
	}
	v = max(v, 0)
	if lo = int(v); lo >= extent-1 {
		return extent - 1, extent - 1, 0, true
	}
	return lo, lo + 1, v - float64(lo), true
}

func alignRegion[T float32 | float64](o *roiAlign, dst, src []T, shape []int, corners []float64, region, image int) error {
	h, w := shape[2], shape[3]
	sx, err := o.span(corners[0], corners[2], o.width)
	if err != nil {
		return err
	}
	sy, err := o.span(corners[1], corners[3], o.height)
	if err != nil {
		return err
	}
	var parts []weighted // four for each sample of a bin
	for ph := range o.height {
		for pw := range o.width {
			parts = parts[:0]
			for iy := range sy.samples {
				y0, y1, wy, okY := bilinear(sy.start+float64(ph)*sy.bin+(float64(iy)+0.5)*sy.bin/float64(sy.samples), h)
				for ix := range sx.samples {
					x0, x1, wx, ok := bilinear(sx.start+float64(pw)*sx.bin+(float64(ix)+0.5)*sx.bin/float64(sx.samples), w)
					if !ok || !okY {
						parts = append(parts, weighted{}) // a zero, which the largest may be
						continue
					}
					parts = append(parts, weighted{y0*w + x0, (1 - wy) * (1 - wx)}, weighted{y0*w + x1, (1 - wy) * wx},
						weighted{y1*w + x0, wy * (1 - wx)}, weighted{y1*w + x1, wy * wx})
				}
			}
			for ch := range shape[1] {
				plane := src[(image*shape[1]+ch)*h*w:]
				v := 0.0
				for k, p := range parts {
					part := p.weight * float64(plane[p.offset])
					switch {
					case !o.max:
						v += part
					case k == 0 || part > v:
						v = part
					}
				}
				if !o.max {
					v /= float64(max(sx.samples*sy.samples, 1))
				}
				dst[((region*shape[1]+ch)*o.height+ph)*o.width+pw] = T(v)
			}
		}
	}
	return nil
}
