package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// argument is ArgMax and ArgMin: the position of the greatest or least element along an axis, the first of equals unless the
// last is asked for. NaN counts as the greatest and the least, as in NumPy.
type argument struct {
	axis                int
	least, keep, latest bool
}

func newArgument(n *Node) (Op, error) {
	return &argument{
		axis: n.Int("axis", 0), least: n.OpType == "ArgMin", keep: n.Bool("keepdims", true), latest: n.Bool("select_last_index", false),
	}, nil
}

// Infer implements Op.
func (o *argument) Infer(in []Info) ([]Info, error) {
	if err := typesNumber.check(in, 0); err != nil {
		return nil, err
	}
	out := Info{Type: onnx.Int64}
	if x := in[0].Shape; x != nil {
		axis, err := axisOf(o.axis, len(x))
		if err != nil {
			return nil, err
		}
		if x[axis].N == 0 {
			return nil, fmt.Errorf("axis %d of %s is empty", axis, x)
		}
		out.Shape = slices.Clone(x)
		if out.Shape[axis] = Known(1); !o.keep {
			out.Shape = slices.Delete(out.Shape, axis, axis+1)
		}
	}
	return inferred(o, in, out)
}

// ChannelsLast implements ChannelsLaster.
func (o *argument) ChannelsLast(in []Info) ([]bool, bool) {
	// Without the channels [N, H, W] remain in this order.
	return []bool{len(in[0].Shape) == 4 && in[0].Type == onnx.Float && (o.axis == 1 || o.axis == -3)}, false
}

// Run implements Op.
func (o *argument) Run(c *Call) error { return half(c, o) }

func (o *argument) run(c *Call) error {
	w := newWork()
	defer w.free()
	x := c.In[0]
	n, err := numericOf(x.Type)
	if err != nil {
		return err
	}
	axis, err := axisOf(o.axis, len(x.Shape))
	if err != nil {
		return err
	}
	if x.Shape[axis] == 0 {
		return fmt.Errorf("axis %d of %v is empty", axis, x.Shape)
	}
	shape, layout := w.copyOf(x.Shape), x.Layout
	physical(shape, layout)
	p := pileOf(shape, physicalAxis(axis, layout))
	copy(shape, x.Shape)
	if shape[axis] = 1; !o.keep {
		shape, layout = slices.Delete(shape, axis, axis+1), tensor.Plain
	}
	out, err := c.Out(0, onnx.Int64, shape, layout)
	if err != nil {
		return err
	}
	n.argument(o, out, x, p)
	return nil
}

func (numbers[T]) argument(o *argument, dst, src *tensor.Tensor, p pile) {
	d, s := tensor.Of[int64](dst), elements[T](src)
	clear(d)
	if p.inner == 1 {
		for i := range d {
			row := s[i*p.n:][:p.n]
			for k, x := range row {
				if k > 0 && better(o, x, row[d[i]]) {
					d[i] = int64(k)
				}
			}
		}
		return
	}
	var best [256]T // of columns that are scanned together, row after row
	for outer := range p.outer {
		for first := 0; first < p.inner; first += len(best) {
			n := min(len(best), p.inner-first)
			at := d[outer*p.inner+first:][:n]
			for k := range p.n {
				row := s[(outer*p.n+k)*p.inner+first:][:n]
				if k == 0 {
					copy(best[:], row)
					continue
				}
				for i, x := range row {
					if better(o, x, best[i]) {
						best[i], at[i] = x, int64(k)
					}
				}
			}
		}
	}
}

// better reports whether x takes the place of the best so far.
func better[T number](o *argument, x, best T) bool {
	switch {
	case best != best: // NaN stays, and gives way to a later one only
		return o.latest && x != x
	case x != x:
		return true
	case x == best:
		return o.latest
	}
	return (x > best) != o.least
}

// cumulative is CumSum and CumProd: sums or products of the elements up to each along an axis, or if exclusive of those before
// it, or in reverse of those after.
type cumulative struct {
	product, exclusive, reverse bool
}

func newCumulative(n *Node) (Op, error) {
	return &cumulative{product: n.OpType == "CumProd", exclusive: n.Bool("exclusive", false), reverse: n.Bool("reverse", false)}, nil
}

// Infer implements Op.
func (o *cumulative) Infer(in []Info) ([]Info, error) {
	if err := typesNumber.check(in, 0); err != nil {
		return nil, err
	}
	if err := typesIndex.check(in, 1); err != nil {
		return nil, err
	}
	return inferred(o, in, Info{Type: in[0].Type, Shape: in[0].Shape})
}

// Run implements Op.
func (o *cumulative) Run(c *Call) error { return half(c, o) }

func (o *cumulative) run(c *Call) error {
	x := c.In[0]
	n, err := numericOf(x.Type)
	if err != nil {
		return err
	}
	w := newWork()
	defer w.free()
	axis, err := w.scalarOf(c.In[1])
	if err != nil {
		return fmt.Errorf("axis: %w", err)
	}
	if axis, err = axisOf(axis, len(x.Shape)); err != nil {
		return err
	}
	out, err := c.Out(0, x.Type, x.Shape)
	if err != nil {
		return err
	}
	n.cumulate(o, out, x, pileOf(x.Shape, axis))
	return nil
}

func (numbers[T]) cumulate(o *cumulative, dst, src *tensor.Tensor, p pile) {
	d, s := elements[T](dst), elements[T](src)
	for i := range p.outer * p.inner {
		at, step := i/p.inner*p.n*p.inner+i%p.inner, p.inner
		if o.reverse {
			at, step = at+(p.n-1)*step, -step
		}
		var sum T
		if o.product {
			sum = 1
		}
		for range p.n {
			x := s[at]
			if o.exclusive {
				d[at] = sum
			}
			if o.product {
				sum *= x
			} else {
				sum += x
			}
			if !o.exclusive {
				d[at] = sum
			}
			at += step
		}
	}
}

// Gradient of a sum is the sum of what arrives in the other direction. Products are not supported.
func (o *cumulative) Gradient(g *Gradient) error {
	if o.product {
		return errors.New("cumulative products are not supported")
	}
	dy, _ := g.Of(0)
	g.Set(0, g.Node("CumSum", with(attrBool("exclusive", o.exclusive), attrBool("reverse", !o.reverse)), dy, g.In(1)))
	return nil
}
