package ops

import (
	"fmt"
	"slices"
)

// sliceGrad is SliceGrad of [Domain], the adjoint of Slice: zeros of the shape of attribute shape, with what arrives in its place, which begins
// at attribute starts and goes on by attribute steps, an element for each dimension.
type sliceGrad struct{ shape, starts, steps []int }

func newSliceGrad(n *Node) (Op, error) {
	o := &sliceGrad{n.Ints("shape"), n.Ints("starts"), n.Ints("steps")}
	if len(o.starts) != len(o.shape) || len(o.steps) != len(o.shape) {
		return nil, fmt.Errorf("attributes shape, starts and steps are %v, %v and %v", o.shape, o.starts, o.steps)
	}
	return o, nil
}

// fits checks the shape of what arrives.
func (o *sliceGrad) fits(dy []int) error {
	ok := len(dy) == len(o.shape)
	for i := 0; ok && i < len(dy); i++ {
		inside := func(k int) bool { return k >= 0 && k < o.shape[i] }
		ok = dy[i] == 0 || inside(o.starts[i]) && inside(o.starts[i]+(dy[i]-1)*o.steps[i])
	}
	if !ok {
		return fmt.Errorf("%v from %v by %v is outside of %v", dy, o.starts, o.steps, o.shape)
	}
	return nil
}

// Infer implements Op.
func (o *sliceGrad) Infer(in []Info) ([]Info, error) {
	err := typesFloat.check(in, 0)
	if dy, ok := in[0].Shape.Known(); ok && err == nil {
		err = o.fits(dy)
	}
	return []Info{{Type: in[0].Type, Shape: MakeShape(o.shape...)}}, err
}

// ChannelsLast implements ChannelsLaster.
func (o *sliceGrad) ChannelsLast(in []Info) ([]bool, bool) { return allRank4(in, 1), false }

// Run implements Op.
func (o *sliceGrad) Run(c *Call) error {
	w := newWork()
	defer w.free()
	dy := c.In[0]
	if err := o.fits(dy.Shape); err != nil {
		return err
	}
	dx, err := c.Out(0, dy.Type, o.shape, dy.Layout)
	if err != nil {
		return err
	}
	if !slices.Equal(o.shape, dy.Shape) {
		clear(dx.Bytes())
	}
	if dy.Len() == 0 {
		return nil
	}
	to, n, at := w.take(len(o.shape)), w.copyOf(dy.Shape), 0
	strides(to, dx)
	for i := range to {
		at += o.starts[i] * to[i]
		to[i] *= o.steps[i]
	}
	physical(to, dy.Layout)
	physical(n, dy.Layout)
	w.start(at, 0)
	dense := 1
	for i, n := range slices.Backward(n) {
		w.add(n, to[i], dense)
		dense *= n
	}
	c.move(dx, dy, &w.walk)
	return nil
}
