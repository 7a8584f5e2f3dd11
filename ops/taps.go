package ops

import (
	"math"

	"github.com/effml/effml/kernel"
)

// coordinateOf returns where in the input position i of the output is.
func (o *resize) coordinateOf(a *resizeAxis, i int) float32 {
	x, in, out := float32(i), float32(a.in), float32(a.out)
	width := a.scale * in // what the output would measure without rounding
	switch o.coordinate {
	case "align_corners":
		if width == 1 || a.out == 1 {
			return 0
		}
		return x * (in - 1) / (width - 1)
	case "asymmetric":
		return x / a.scale
	case "tf_crop_and_resize":
		if a.out == 1 {
			return 0.5 * (a.start + a.end) * (in - 1)
		}
		return a.start*(in-1) + x*(a.end-a.start)*(in-1)/(out-1)
	case "pytorch_half_pixel":
		if a.out == 1 {
			return 0
		}
	case "half_pixel_symmetric":
		return in/2*(1-out/width) + (x+0.5)/a.scale - 0.5
	case "tf_half_pixel_for_nn":
		return (x + 0.5) / a.scale
	}
	return (x+0.5)/a.scale - 0.5
}

// tap computes what each position of the output is made of, unless that is what it was last time.
func (o *resize) tap(a *resizeAxis) {
	if a.made == a.resizeKey && a.taps.N > 0 {
		return
	}
	a.made = a.resizeKey
	width, reach := o.reach(a)
	a.taps = kernel.Taps{N: width, Index: resized(a.taps.Index, a.out*width), Weight: resized(a.taps.Weight, a.out*width)}
	a.weights = resized(a.weights, a.out*width)
	a.outside = a.outside[:0]
	for i := range a.out {
		x := o.coordinateOf(a, i)
		if o.coordinate == "tf_crop_and_resize" {
			a.outside = append(a.outside, x < 0 || x > float32(a.in-1))
		}
		if x = min(max(x, -1e9), 1e9); x != x { //nolint:gocritic // NaN, of a region that is none
			x = 0
		}
		if a.identity() {
			x = float32(i)
		}
		at := i * width
		if o.mode == resizeNearest || a.identity() {
			a.taps.Index[at] = int32(min(max(o.round(x), 0), a.in-1))
			continue
		}
		o.filter(a, x, reach, a.taps.Index[at:at+width], a.weights[at:at+width])
	}
	if o.mode == resizeNearest || a.identity() {
		a.taps.Weight, a.weights = nil, nil
		return
	}
	narrow(a.taps.Weight, a.weights)
}

// reach returns the number of taps and how far the first is before the element at or before the coordinate.
func (o *resize) reach(a *resizeAxis) (width, before int) {
	if o.mode == resizeNearest || a.identity() {
		return 1, 0
	}
	support := 1.0
	if o.mode == resizeCubic {
		support = 2
	}
	if o.antialias {
		support /= min(float64(a.scale), 1)
	}
	support = min(support, 1<<20) // the input may be smaller still
	before = -(int(math.Floor(-support)) + 1)
	return 2 + 2*before, before
}

// filter computes the taps of one position.
func (o *resize) filter(a *resizeAxis, x float32, before int, index []int32, weights []float64) {
	first := int(math.Floor(float64(x))) - before
	scale := 1.0
	if o.antialias {
		scale = min(float64(a.scale), 1)
	}
	sum, inside := 0.0, 0.0
	for k := range weights {
		w := o.kernel(math.Abs(float64(first+k)-float64(x)) * scale)
		i := first + k
		sum += w
		if i >= 0 && i < a.in {
			inside += w
		} else if o.exclude {
			w = 0
		}
		index[k], weights[k] = int32(min(max(i, 0), a.in-1)), w
	}
	if o.exclude {
		sum = inside
	}
	if sum == 0 {
		return
	}
	for k := range weights {
		weights[k] /= sum
	}
}

// kernel is the weight of an element at a distance. Keys: Cubic Convolution Interpolation, 1981, equation 4.
func (o *resize) kernel(d float64) float64 {
	a := o.cubic
	switch {
	case o.mode == resizeLinear:
		return max(0, 1-d)
	case d <= 1:
		return ((a+2)*d-(a+3))*d*d + 1
	case d < 2:
		return ((a*d-5*a)*d+8*a)*d - 4*a
	}
	return 0
}

// round returns the nearest element.
func (o *resize) round(x float32) int {
	v := float64(x)
	switch o.nearest {
	case "round_prefer_ceil":
		v = math.Floor(v + 0.5)
	case "floor":
		v = math.Floor(v)
	case "ceil":
		v = math.Ceil(v)
	default:
		v = math.Ceil(v - 0.5)
	}
	return int(v)
}

// interpolate computes along one axis after another.
func interpolate[T float32 | float64](s *resizeState, dst, src []T) {
	last := -1
	for d := range s.axes {
		if !s.axes[d].identity() {
			last = d
		}
	}
	if last < 0 {
		copy(dst, src)
		return
	}
	for d := range s.axes {
		a := &s.axes[d]
		if a.identity() {
			continue
		}
		// The axes before have their new extents, those after the old ones.
		outer, inner := 1, 1
		for k := range s.axes {
			switch {
			case k < d:
				outer *= s.axes[k].out
			case k > d:
				inner *= s.axes[k].in
			}
		}
		to := dst
		if d != last {
			to = make([]T, outer*a.out*inner)
		}
		for o := range outer {
			for i := range a.out {
				mix(to[(o*a.out+i)*inner:][:inner], src[o*a.in*inner:], a, i*a.taps.N)
			}
		}
		src = to
	}
}

// mix adds rows with their weights.
func mix[T float32 | float64](dst, src []T, a *resizeAxis, at int) {
	clear(dst)
	for k := range a.taps.N {
		w := T(a.weights[at+k])
		if w == 0 {
			continue
		}
		for j, v := range src[int(a.taps.Index[at+k])*len(dst):][:len(dst)] {
			dst[j] += w * v
		}
	}
}
