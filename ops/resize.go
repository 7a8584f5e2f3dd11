package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// resize is Resize and Upsample: each position of the output is the nearest element, or a sum of near ones, of the input, along one
// axis after another. Types: any for the nearest, else numbers; integers are computed in float64 and truncated within their range.
//
// Coordinates are computed in float32. Antialiasing stretches the filter, and beyond the border repeats the last element, as ONNX
// defines it.
type resize struct {
	mode          resizeMode
	coordinate    string
	nearest       string
	policy        string // what sizes mean
	axes          []int  // nil: all
	cubic         float64
	extrapolation float32
	exclude       bool
	antialias     bool
	scales        []float32 // of an attribute
	roiAt         int       // inputs; 0: there is none
	scalesAt      int
	sizesAt       int
	states        *states[resizeState]
}

type resizeMode uint8

const (
	resizeNearest resizeMode = iota
	resizeLinear
	resizeCubic
)

// resizeState is what a run needs.
type resizeState struct {
	axes    []resizeAxis
	shape   []int
	numbers []float64
	sizes   []int
}

// resizeAxis is one axis with what was last computed for it.
type resizeAxis struct {
	resizeKey
	made    resizeKey
	taps    kernel.Taps
	weights []float64
	outside []bool // positions that get the extrapolation value; nil for none
}

// resizeKey is what the taps of an axis depend on.
type resizeKey struct {
	in, out    int
	scale      float32
	start, end float32 // of the region of interest, as parts of the extent
}

func newResize(n *Node) (Op, error) {
	o := &resize{
		coordinate: n.Text("coordinate_transformation_mode", "half_pixel"), nearest: n.Text("nearest_mode", "round_prefer_floor"),
		policy: n.Text("keep_aspect_ratio_policy", "stretch"), axes: n.Ints("axes"), cubic: float64(n.Float("cubic_coeff_a", -0.75)),
		extrapolation: n.Float("extrapolation_value", 0), exclude: n.Bool("exclude_outside", false), antialias: n.Bool("antialias", false),
		roiAt: 1, scalesAt: 2, sizesAt: 3, states: new(states[resizeState]),
	}
	if n.OpType == "Upsample" || n.Opset < 11 {
		o.coordinate, o.nearest, o.policy, o.axes = "asymmetric", "floor", "stretch", nil
		o.roiAt, o.scalesAt, o.sizesAt = 0, 1, 0
	}
	if n.OpType == "Upsample" && n.Opset < 9 {
		if o.scales, o.scalesAt = n.Floats("scales"), 0; o.scales == nil {
			return nil, fmt.Errorf("attribute scales is missing")
		}
	}
	switch s := n.Text("mode", "nearest"); s {
	case "nearest":
	case "linear", "bilinear":
		o.mode = resizeLinear
	case "cubic":
		o.mode = resizeCubic
	default:
		return nil, fmt.Errorf("attribute mode is %q", s)
	}
	for _, a := range []struct {
		name, value string
		allowed     []string
	}{
		{"coordinate_transformation_mode", o.coordinate, []string{
			"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize", "tf_half_pixel_for_nn",
		}},
		{"nearest_mode", o.nearest, []string{"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}},
		{"keep_aspect_ratio_policy", o.policy, []string{"stretch", "not_larger", "not_smaller"}},
	} {
		if !slices.Contains(a.allowed, a.value) {
			return nil, fmt.Errorf("attribute %s is %q", a.name, a.value)
		}
	}
	if o.antialias && o.mode == resizeNearest {
		return nil, fmt.Errorf("attribute antialias with mode nearest")
	}
	return o, nil
}

// targets returns the axes that scales and sizes speak of, for a rank.
func (o *resize) targets(buf []int, rank int) ([]int, error) {
	buf = buf[:0]
	if o.axes == nil {
		for i := range rank {
			buf = append(buf, i)
		}
		return buf, nil
	}
	for _, a := range o.axes {
		axis, err := axisOf(a, rank)
		if err != nil {
			return nil, err
		}
		if slices.Contains(buf, axis) {
			return nil, fmt.Errorf("attribute axes %v names axis %d twice", o.axes, axis)
		}
		buf = append(buf, axis)
	}
	return buf, nil
}

func (o *resize) Infer(in []Info) ([]Info, error) {
	allowed := typesNumber
	if o.mode == resizeNearest {
		allowed = typesAny
	}
	out := Info{Type: in[0].Type}
	if err := allowed.check(in, 0); err != nil {
		return nil, err
	}
	x := in[0].Shape
	if x == nil {
		return []Info{out}, nil
	}
	out.Shape = slices.Clone(x)
	axes, err := o.targets(nil, len(x))
	if err != nil {
		return nil, err
	}
	for _, a := range axes {
		out.Shape[a] = Unknown
	}
	given := func(at int) (Info, bool) {
		i := inputAt(in, at)
		return i, at > 0 && !i.Missing() && (len(i.Shape) != 1 || i.Shape[0].N != 0)
	}
	if i, ok := given(o.sizesAt); ok {
		return []Info{out}, o.inferSizes(out.Shape, x, axes, i)
	}
	scales := o.scales
	if i, ok := given(o.scalesAt); ok && i.Value != nil {
		v, err := numbersOf(nil, i.Value)
		if err != nil {
			return nil, fmt.Errorf("scales: %w", err)
		}
		scales = make([]float32, len(v))
		narrow(scales, v)
	}
	if scales == nil {
		return []Info{out}, nil
	}
	if len(scales) != len(axes) {
		return nil, fmt.Errorf("%d scales for %d axes", len(scales), len(axes))
	}
	for k, a := range axes {
		switch {
		case scales[k] == 1:
			out.Shape[a] = x[a]
		case x[a].IsKnown():
			n, err := scaled(x[a].N, scales[k])
			if err != nil {
				return nil, err
			}
			out.Shape[a] = Known(n)
		}
	}
	return []Info{out}, nil
}

// inferSizes fills in what the input sizes says.
func (o *resize) inferSizes(out, x Shape, axes []int, sizes Info) error {
	dims := dimsOf(sizes)
	if dims == nil {
		return nil
	}
	if len(dims) != len(axes) {
		return fmt.Errorf("%d sizes for %d axes", len(dims), len(axes))
	}
	if o.policy == "stretch" {
		for k, a := range axes {
			out[a] = dims[k]
		}
		return nil
	}
	want, ok := Shape(dims).Known()
	have := make([]int, len(axes))
	for k, a := range axes {
		ok = ok && x[a].IsKnown() && x[a].N > 0
		have[k] = x[a].N
	}
	if !ok {
		return nil
	}
	scale := o.kept(want, have)
	for k, a := range axes {
		out[a] = Known(roundUp(scale, have[k]))
	}
	return nil
}

// kept returns the scale that keeps the aspect ratio.
func (o *resize) kept(want, have []int) float32 {
	best := float32(0)
	for k := range want {
		s := float32(want[k]) / float32(have[k])
		if k == 0 || (o.policy == "not_larger") == (s < best) {
			best = s
		}
	}
	return best
}

// roundUp returns the nearest integer to a product, halves up.
func roundUp(scale float32, n int) int { return int(math.Floor(float64(scale*float32(n)) + 0.5)) }

// scaled returns the extent of the output.
func scaled(n int, scale float32) (int, error) {
	v := scale * float32(n)
	if !(scale > 0) || v > 1<<40 {
		return 0, fmt.Errorf("scale %v of %d elements", scale, n)
	}
	return int(v), nil
}

// ChannelsLast takes images whose samples and channels stay.
func (o *resize) ChannelsLast(in []Info) ([]bool, bool) {
	ok := make([]bool, len(in))
	if in[0].Type != onnx.Float || len(in[0].Shape) != 4 {
		return ok, false
	}
	out, err := o.Infer(in)
	if err != nil {
		return ok, false
	}
	x, y := in[0].Shape, out[0].Shape
	ok[0] = y[0].Same(x[0]) && y[1].Same(x[1]) && (o.coordinate != "tf_crop_and_resize" || o.axes != nil && !slices.Contains(o.axes, 0) && !slices.Contains(o.axes, 1))
	return ok, ok[0]
}

func (o *resize) Run(c *Call) error {
	if o.mode == resizeNearest { // also moves elements of 16 bits
		return o.run(c)
	}
	return throughFloat32(c, o)
}

func (o *resize) run(c *Call) error {
	s := o.states.get()
	defer o.states.put(s)
	x := c.In[0]
	if err := o.plan(c, s, x.Shape); err != nil {
		return err
	}
	s.shape = s.shape[:0]
	for i := range s.axes {
		s.shape = append(s.shape, s.axes[i].out)
	}
	y, err := c.Out(0, x.Type, s.shape, x.Layout)
	if err != nil || y.Len() == 0 {
		return err
	}
	if x.Len() == 0 {
		return fmt.Errorf("input 0 of shape %v has no elements", x.Shape)
	}
	for i := range s.axes {
		o.tap(&s.axes[i])
	}
	switch {
	case x.Layout == tensor.ChannelsLast:
		if x.Type != onnx.Float || !s.axes[0].identity() || !s.axes[1].identity() {
			return fmt.Errorf("input 0 is %s", x.Layout)
		}
		o.images(c, s, y)
	case o.mode == resizeNearest:
		o.pick(c, s, y)
	case x.Type == onnx.Float:
		interpolate(s, tensor.Of[float32](y), tensor.Of[float32](x))
	case x.Type == onnx.Double:
		interpolate(s, tensor.Of[float64](y), tensor.Of[float64](x))
	default:
		return o.integers(s, y, x)
	}
	return o.extrapolate(s, y)
}

// plan resolves extents, scales and regions of the axes of an input.
func (o *resize) plan(c *Call, s *resizeState, x []int) error {
	for len(s.axes) < len(x) {
		s.axes = append(s.axes, resizeAxis{})
	}
	s.axes = s.axes[:len(x)]
	for i, d := range x {
		s.axes[i].resizeKey = resizeKey{in: d, out: d, scale: 1, end: 1}
	}
	axes, err := o.targets(s.shape, len(x))
	if err != nil {
		return err
	}
	s.shape = axes
	given := func(at int) *tensor.Tensor {
		if t := c.input(at); at > 0 && t != nil && t.Len() > 0 {
			return t
		}
		return nil
	}
	if sizes := given(o.sizesAt); sizes != nil {
		if given(o.scalesAt) != nil {
			return fmt.Errorf("there are both scales and sizes")
		}
		if err := o.planSizes(s, axes, sizes); err != nil {
			return err
		}
	} else {
		scales := o.scales
		if t := given(o.scalesAt); t != nil && t.Type == onnx.Float {
			scales = tensor.Of[float32](t)
		}
		if len(scales) != len(axes) {
			return fmt.Errorf("%d scales for %d axes", len(scales), len(axes))
		}
		for k, a := range axes {
			ax := &s.axes[a]
			ax.scale = scales[k]
			if ax.out, err = scaled(ax.in, ax.scale); err != nil {
				return err
			}
		}
	}
	if o.coordinate != "tf_crop_and_resize" {
		return nil
	}
	roi := given(o.roiAt)
	if roi == nil {
		return fmt.Errorf("coordinate_transformation_mode tf_crop_and_resize without roi")
	}
	if s.numbers, err = numbersOf(s.numbers, roi); err != nil || len(s.numbers) != 2*len(axes) {
		return fmt.Errorf("roi is %s for %d axes", roi, len(axes))
	}
	for k, a := range axes {
		s.axes[a].start, s.axes[a].end = float32(s.numbers[k]), float32(s.numbers[len(axes)+k])
	}
	return nil
}

// planSizes resolves the input sizes.
func (o *resize) planSizes(s *resizeState, axes []int, sizes *tensor.Tensor) error {
	want, ok := Integers(sizes)
	if !ok || len(want) != len(axes) {
		return fmt.Errorf("sizes is %s for %d axes", sizes, len(axes))
	}
	s.sizes = s.sizes[:0]
	for k, a := range axes {
		if want[k] < 0 || want[k] > 1<<40 || s.axes[a].in == 0 && want[k] > 0 {
			return fmt.Errorf("size %d for an extent of %d", want[k], s.axes[a].in)
		}
		s.sizes = append(s.sizes, s.axes[a].in)
	}
	same := o.kept(want, s.sizes)
	for k, a := range axes {
		ax := &s.axes[a]
		if o.policy == "stretch" {
			ax.out, ax.scale = want[k], float32(want[k])/float32(ax.in)
		} else {
			ax.out, ax.scale = roundUp(same, ax.in), same
		}
	}
	return nil
}

// identity reports whether the axis stays as it is.
func (a *resizeAxis) identity() bool {
	return a.in == a.out && a.scale == 1 && a.start == 0 && a.end == 1
}

// images resizes what is channels-last.
func (o *resize) images(c *Call, s *resizeState, y *tensor.Tensor) {
	x := c.In[0]
	kernel.Resize(c.CPU, tensor.Of[float32](y), tensor.Of[float32](x), x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3], s.axes[2].taps, s.axes[3].taps)
}

// pick moves the nearest elements.
func (o *resize) pick(c *Call, s *resizeState, y *tensor.Tensor) {
	x := c.In[0]
	w := newWork()
	defer w.free()
	index := w.take(y.Len())
	step, n := 1, 1 // of the input, and how much of index is done: the last n positions of the inner axes
	for d := len(s.axes) - 1; d >= 0; d-- {
		a := &s.axes[d]
		for i := a.out - 1; i >= 0; i-- {
			for k := range n {
				index[i*n+k] = index[k] + int(a.taps.Index[i])*step
			}
		}
		n, step = n*a.out, step*a.in
	}
	movingOf(x.Type).pick(y, x, index)
}

// integers interpolates elements of other types in float64.
func (o *resize) integers(s *resizeState, y, x *tensor.Tensor) error {
	n, err := numericOf(x.Type)
	if err != nil || !typesInteger.has(x.Type) {
		return typeError(x.Type)
	}
	src, dst := make([]float64, x.Len()), make([]float64, y.Len())
	n.loadFloats(src, x, 0)
	interpolate(s, dst, src)
	lo, hi := integerRange(x.Type)
	for i, v := range dst {
		dst[i] = min(max(math.Trunc(v), lo), hi)
	}
	n.storeFloats(y, 0, dst)
	return nil
}

// integerRange returns the least and the greatest number of an integer type that are float64 too.
func integerRange(dt onnx.DataType) (lo, hi float64) {
	bits := dt.Bits()
	if typesSigned.has(dt) {
		lo = -math.Ldexp(1, bits-1)
		bits--
	}
	return lo, math.Nextafter(math.Ldexp(1, bits), 0)
}

// extrapolate stores the extrapolation value where a coordinate is outside.
func (o *resize) extrapolate(s *resizeState, y *tensor.Tensor) error {
	if o.coordinate != "tf_crop_and_resize" {
		return nil
	}
	value, err := tensor.New(y.Type, 1)
	if err != nil {
		return err
	}
	if !value.SetFloats(0, []float32{o.extrapolation}, true) {
		n, err := numericOf(y.Type)
		if err != nil {
			return typeError(y.Type)
		}
		n.storeFloats(value, 0, []float64{float64(o.extrapolation)})
	}
	width := tensor.Width(y.Type)
	shape := y.Physical()
	for d := range s.axes {
		p := pileOf(shape, physicalAxis(d, y.Layout))
		for i, outside := range s.axes[d].outside {
			if !outside {
				continue
			}
			for o := range p.outer {
				row := y.Bytes()[(o*p.n+i)*p.inner*width:][:p.inner*width]
				for k := 0; k < len(row); k += width {
					copy(row[k:], value.Bytes())
				}
			}
		}
	}
	return nil
}
