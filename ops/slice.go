package ops

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// slicing is Slice: along each of some axes the elements from start to before end, step apart. Negative starts and ends count
// from the end; what is outside of the axis is cut off. Before opset 10 starts, ends and axes are attributes.
type slicing struct {
	attributes         bool
	starts, ends, axes []int
}

func newSlice(n *Node) (Op, error) {
	o := &slicing{attributes: n.Opset < 10}
	if !o.attributes {
		if present(n.Inputs) < 3 {
			return nil, errors.New("starts and ends are missing")
		}
		return o, nil
	}
	o.starts, o.ends, o.axes = n.Ints("starts"), n.Ints("ends"), n.Ints("axes")
	if !n.Has("starts") || !n.Has("ends") {
		return nil, errors.New("attribute starts or ends is missing")
	}
	return o, nil
}

// cut is what Slice does along an axis.
type cut struct{ first, n, step int }

// cutOf returns the cut of an axis of d elements. The greatest int32 and int64 mean no end in either direction.
func cutOf(start, end, step, d int) (cut, error) {
	if step == 0 {
		return cut{}, errors.New("step is 0")
	}
	step = max(min(step, d+1), -d-1) // the same, and nothing overflows
	if start < 0 {
		start += d
	}
	switch {
	case step < 0 && (end == math.MaxInt32 || end == math.MaxInt64):
		end = -1 // the end on this side, as ONNX Runtime has it
	case end < 0:
		end += d
	}
	if step > 0 {
		start, end = max(0, min(start, d)), max(0, min(end, d))
		return cut{start, max(0, (end-start+step-1)/step), step}, nil
	}
	if d == 0 {
		return cut{0, 0, step}, nil
	}
	start, end = max(0, min(start, d-1)), max(-1, min(end, d-1))
	return cut{start, max(0, (start-end-step-1)/-step), step}, nil
}

// Cut returns which elements Slice takes of an axis of d: n of them, step apart, from first on. A step of 0 is an error.
func Cut(start, end, by, d int) (first, n, step int, err error) {
	k, err := cutOf(start, end, by, d)
	return k.first, k.n, k.step, err
}

// cuts checks the lists that Slice is given for a rank, and calls do for each axis.
func cuts(starts, ends, axes, steps []int, rank int, do func(axis, start, end, step int) error) error {
	if len(starts) != len(ends) || axes != nil && len(axes) != len(starts) || steps != nil && len(steps) != len(starts) {
		return fmt.Errorf("%d starts, %d ends, %d axes, %d steps", len(starts), len(ends), len(axes), len(steps))
	}
	named := uint64(0)
	for i := range starts {
		axis, step := i, 1
		if axes != nil {
			axis = axes[i]
		}
		if steps != nil {
			step = steps[i]
		}
		axis, err := axisOf(axis, rank)
		if err != nil {
			return err
		}
		if named>>axis&1 != 0 {
			return fmt.Errorf("axis %d is named twice", axis)
		}
		named |= 1 << axis
		if err := do(axis, starts[i], ends[i], step); err != nil {
			return err
		}
	}
	return nil
}

// Infer implements Op.
func (o *slicing) Infer(in []Info) ([]Info, error) {
	for i := 1; i < len(in); i++ {
		if err := typesIndex.check(in, i); err != nil {
			return nil, err
		}
	}
	x := in[0].Shape
	if x == nil {
		return []Info{{Type: in[0].Type}}, nil
	}
	out := Info{Type: in[0].Type, Shape: slices.Clone(x)}
	starts, ok1 := axisInfo(in, o.starts, 1)
	ends, ok2 := axisInfo(in, o.ends, 2)
	axes, ok3 := axisInfo(in, o.axes, 3)
	steps, ok4 := axisInfo(in, nil, 4)
	if !ok3 {
		out.Shape = unknownShape(len(x))
		return []Info{out}, nil
	}
	if !ok1 || !ok2 || !ok4 {
		return []Info{o.partly(out, in, axes)}, nil
	}
	elements := dimsOf(in[0])
	err := cuts(starts, ends, axes, steps, len(x), func(axis, start, end, step int) error {
		d := x[axis]
		if !d.IsKnown() {
			if step == 0 {
				return errors.New("step is 0")
			}
			if (start != 0 || end < math.MaxInt32 || step != 1) && (step != -1 || start != -1 || end > math.MinInt32) {
				out.Shape[axis] = Unknown
			}
			elements = nil
			return nil
		}
		k, err := cutOf(start, end, step, d.N)
		if err != nil {
			return err
		}
		out.Shape[axis] = Known(k.n)
		if elements != nil && len(x) == 1 {
			part := make([]Dim, k.n)
			for i := range part {
				part[i] = elements[k.first+i*k.step]
			}
			elements = part
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if elements != nil && len(x) == 1 {
		out = intsInfo(out.Type, out.Shape, elements)
	}
	return inferred(o, in, out)
}

// partly infers the shape where not all of starts, ends and steps are constant: an axis from 0 to a known or named dimension is as
// long as that, if it is within.
func (o *slicing) partly(out Info, in []Info, axes []int) Info {
	starts, ends, steps := dimsOf(inputAt(in, 1)), dimsOf(inputAt(in, 2)), dimsOf(inputAt(in, 4))
	for i := range out.Shape {
		k := i
		if axes != nil {
			k = slices.IndexFunc(axes, func(a int) bool { return a == i || a+len(out.Shape) == i })
		}
		d := out.Shape[i]
		switch {
		case axes != nil && k < 0 || ends != nil && k >= len(ends):
			continue
		case k >= len(starts) || k >= len(ends) || starts[k].N != 0 || len(in) > 4 && (k >= len(steps) || steps[k].N != 1):
			out.Shape[i] = Unknown
		case ends[k].Same(d):
		default:
			out.Shape[i] = Unknown
		}
	}
	return out
}

// ChannelsLast implements ChannelsLaster.
func (o *slicing) ChannelsLast(in []Info) ([]bool, bool) { return allRank4(in, 1), false }

// Run implements Op.
func (o *slicing) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x := c.In[0]
	var lists [4][]int
	for i, attribute := range [...][]int{o.starts, o.ends, o.axes, nil} {
		var err error
		if lists[i], err = w.axisInput(c, attribute, i+1); err != nil {
			return err
		}
	}
	rank := len(x.Shape)
	shape, first, step := w.copyOf(x.Shape), w.take(rank), w.take(rank)
	for i := range step {
		step[i] = 1
	}
	err := cuts(lists[0], lists[1], lists[2], lists[3], rank, func(axis, start, end, by int) error {
		k, err := cutOf(start, end, by, x.Shape[axis])
		shape[axis], first[axis], step[axis] = k.n, k.first, k.step
		return err
	})
	if err != nil {
		return err
	}
	out, err := c.Out(0, x.Type, shape, x.Layout)
	if err != nil {
		return err
	}
	from := w.take(rank)
	strides(from, x)
	at := 0
	for i := range from {
		at += first[i] * from[i]
		from[i] *= step[i]
	}
	physical(shape, x.Layout)
	physical(from, x.Layout)
	w.start(0, at)
	dense := 1
	for i, n := range slices.Backward(shape) {
		w.add(n, dense, from[i])
		dense *= n
	}
	if out.Len() > 0 {
		c.move(out, x, &w.walk)
	}
	return nil
}

// Gradient surrounds with zeros, also between elements that were some steps apart.
func (o *slicing) Gradient(g *Gradient) error {
	var lists [4][]int
	for i, attribute := range [...][]int{o.starts, o.ends, o.axes, nil} {
		var err error
		if lists[i], err = g.list(i+1, attribute); err != nil {
			return err
		}
	}
	x := g.In(0).Dims()
	starts, by := make([]int, len(x)), slices.Repeat([]int{1}, len(x))
	err := cuts(lists[0], lists[1], lists[2], lists[3], len(x), func(axis, start, end, step int) error {
		k, err := cutOf(start, end, step, x[axis])
		starts[axis], by[axis] = k.first, k.step
		return err
	})
	if err != nil {
		return err
	}
	dy, _ := g.Of(0)
	if slices.Equal(dy.Dims(), x) && !slices.ContainsFunc(by, func(n int) bool { return n < 0 }) {
		g.Set(0, dy)
	} else {
		g.Set(0, g.Node("SliceGrad", with(attrInts("shape", x...), attrInts("starts", starts...), attrInts("steps", by...)), dy))
	}
	return nil
}
