package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// scan is Scan: the body runs once for each position of the scan inputs along their axes, which have one length. Its inputs are the
// states and a slice of each scan input; its outputs the next states and slices that are stacked to the scan outputs.
//
// In operator set 8 all values have a batch axis before the others, the scan axis comes second, and an optional first input
// says how long each sequence of the batch is; what lies behind is zero in scan outputs.
type scan struct {
	body           Body
	states, scans  int
	batched        bool
	axes, outAxes  []int // nil: all 0; may be negative
	back, outBack  []int // 1: from the last position to the first
	shift, results int   // inputs before the states; outputs of the body that are scan outputs
}

func newScan(n *Node) (Op, error) {
	b, _, err := n.body("body")
	if err != nil {
		return nil, err
	}
	o := &scan{body: b, scans: n.Int("num_scan_inputs", 0), batched: n.Opset == 8}
	names := n.Inputs
	if o.batched {
		o.shift = 1
		names = names[min(1, len(names)):]
		o.back = n.Ints("directions")
	} else {
		o.axes, o.outAxes = n.Ints("scan_input_axes"), n.Ints("scan_output_axes")
		o.back, o.outBack = n.Ints("scan_input_directions"), n.Ints("scan_output_directions")
	}
	o.states = len(names) - o.scans
	o.results = b.NumOut() - o.states
	switch {
	case o.scans < 1 || o.states < 0 || slices.Contains(names, ""):
		return nil, fmt.Errorf("num_scan_inputs %d for %d inputs", o.scans, len(names))
	case b.NumIn() != len(names) || o.results < 0 || len(n.Outputs) > b.NumOut():
		return nil, fmt.Errorf("body has %d inputs and %d outputs for %d states, %d scan inputs and %d outputs of the node",
			b.NumIn(), b.NumOut(), o.states, o.scans, len(n.Outputs))
	}
	for name, list := range map[string][]int{"scan_input_axes": o.axes, "scan_input_directions": o.back} {
		if list != nil && len(list) != o.scans {
			return nil, fmt.Errorf("attribute %s has %d values for %d scan inputs", name, len(list), o.scans)
		}
	}
	for name, list := range map[string][]int{"scan_output_axes": o.outAxes, "scan_output_directions": o.outBack} {
		if list != nil && len(list) != o.results {
			return nil, fmt.Errorf("attribute %s has %d values for %d scan outputs", name, len(list), o.results)
		}
	}
	return o, nil
}

// at returns list[i], or 0 where the list is absent.
func at(list []int, i int) int {
	if list == nil {
		return 0
	}
	return list[i]
}

// axisOf turns an axis that may be counted from the end into one of a tensor of a rank.
func axisOf(axis, rank int) (int, error) {
	if axis < -rank || axis >= rank {
		return 0, fmt.Errorf("axis %d of a tensor of rank %d", axis, rank)
	}
	return (axis + rank) % rank, nil
}

func (o *scan) Infer(in []Info) ([]Info, error) {
	in = in[o.shift:]
	batch, length := Unknown, Unknown
	inner := make([]Info, len(in))
	for i, v := range in {
		inner[i] = variable(v)
		inner[i].Ints = nil
		if v.Shape == nil {
			continue
		}
		rest := slices.Clone(v.Shape)
		if o.batched {
			if len(rest) == 0 {
				return nil, fmt.Errorf("input %d has no batch axis", i+o.shift)
			}
			batch, rest = sharper(batch, rest[0]), rest[1:]
		}
		if k := i - o.states; k >= 0 {
			axis, err := axisOf(at(o.axes, k), len(rest))
			if err != nil {
				return nil, fmt.Errorf("scan input %d: %w", k, err)
			}
			if length.IsKnown() && rest[axis].IsKnown() && length != rest[axis] {
				return nil, fmt.Errorf("scan inputs have %s and %s positions", length, rest[axis])
			}
			length = sharper(length, rest[axis])
			rest = slices.Delete(rest, axis, axis+1)
		}
		inner[i].Shape = rest
	}
	states := inner[:o.states:o.states]
	out, err := settle(states, func(states []Info) ([]Info, error) {
		return o.body.Infer(slices.Concat(states, inner[o.states:]))
	})
	if err != nil {
		return nil, err
	}
	return o.outputs(states, out[o.states:], batch, length)
}

// Repeats implements Repeater. In operator set 8 every sequence of the batch has its own length.
func (o *scan) Repeats(in []Info) (int, bool) {
	k := o.states
	if o.batched || k >= len(in) {
		return 0, false
	}
	axis, err := axisOf(at(o.axes, 0), len(in[k].Shape))
	if err != nil || !in[k].Shape[axis].IsKnown() {
		return 0, false
	}
	return in[k].Shape[axis].N, true
}

// sharper returns the dimension of two equal ones of which more is known.
func sharper(a, b Dim) Dim {
	if a.IsKnown() || !b.IsKnown() && a.Name != "" {
		return a
	}
	return b
}

// outputs adds the axes that the body does not see.
func (o *scan) outputs(states, slicesOut []Info, batch, length Dim) ([]Info, error) {
	infos := make([]Info, 0, len(states)+len(slicesOut))
	for _, s := range states {
		infos = append(infos, Info{Type: s.Type, Shape: s.Shape})
	}
	for k, s := range slicesOut {
		if s.Shape != nil {
			axis, err := axisOf(at(o.outAxes, k), len(s.Shape)+1)
			if err != nil {
				return nil, fmt.Errorf("scan output %d: %w", k, err)
			}
			s.Shape = slices.Insert(slices.Clone(s.Shape), axis, length)
		}
		infos = append(infos, Info{Type: s.Type, Shape: s.Shape})
	}
	for i := range infos {
		if o.batched && infos[i].Shape != nil {
			infos[i].Shape = append(Shape{batch}, infos[i].Shape...)
		}
	}
	return infos, nil
}

func (o *scan) Run(c *Call) error {
	if o.batched {
		return o.runBatch(c)
	}
	length, err := o.length(c.In, 0)
	if err != nil {
		return err
	}
	return o.sequence(c, c.In, length, length, c)
}

// length returns the number of positions of the scan inputs among in, whose scan axes come skip later.
func (o *scan) length(in []*tensor.Tensor, skip int) (int, error) {
	length := -1
	for k, t := range in[o.states:] {
		axis, err := axisOf(at(o.axes, k), len(t.Shape)-skip)
		if err != nil {
			return 0, fmt.Errorf("scan input %d: %w", k, err)
		}
		if n := t.Shape[axis+skip]; length >= 0 && length != n {
			return 0, fmt.Errorf("scan inputs have %d and %d positions", length, n)
		}
		length = t.Shape[axis+skip]
	}
	return length, nil
}

// sequence runs the body for positions 0 to n−1 of scan inputs of the given length, and puts the results into to.
func (o *scan) sequence(c *Call, in []*tensor.Tensor, n, length int, to *Call) error {
	cur := slices.Clone(in)
	outs := make([]*tensor.Tensor, o.results)
	for step := range n {
		for k, t := range in[o.states:] {
			axis, err := axisOf(at(o.axes, k), len(t.Shape))
			if err != nil {
				return err
			}
			i := step
			if at(o.back, k) != 0 {
				i = n - 1 - step
			}
			if cur[o.states+k], err = layer(t, axis, i); err != nil {
				return err
			}
		}
		res, err := o.body.Run(c, cur)
		if err != nil {
			return fmt.Errorf("iteration %d: %w", step, err)
		}
		copy(cur[:o.states], res)
		for k, s := range res[o.states:] {
			if !to.wants(o.states + k) {
				continue
			}
			i := step
			if at(o.outBack, k) != 0 {
				i = n - 1 - step
			}
			if outs[k], err = o.put(to, k, i, length, outs[k], s, n < length); err != nil {
				return fmt.Errorf("scan output %d: %w", k, err)
			}
		}
	}
	for i := range min(o.states, len(to.Outs)) {
		if n > 0 {
			to.Outs[i] = cur[i]
		} else if err := to.give(i, cur[i]); err != nil {
			return err
		}
	}
	if n == 0 {
		return o.empty(in, length, to)
	}
	return nil
}

// put stores a slice of scan output k at position i and returns the output, made for the first slice: of zeros if not all
// positions will be stored.
func (o *scan) put(to *Call, k, i, length int, out, s *tensor.Tensor, short bool) (*tensor.Tensor, error) {
	axis, err := axisOf(at(o.outAxes, k), len(s.Shape)+1)
	if err != nil {
		return nil, err
	}
	shape := slices.Insert(slices.Clone(s.Shape), axis, length)
	if out == nil {
		if out, err = to.Out(o.states+k, s.Type, shape); err != nil {
			return nil, err
		}
		if short {
			wipe(out)
		}
	}
	if out.Type != s.Type || !slices.Equal(out.Shape, shape) || s.Layout != tensor.Plain {
		return nil, errSlices
	}
	setLayer(out, axis, i, s)
	return out, nil
}

// empty makes scan outputs of zeros, of no iterations.
func (o *scan) empty(in []*tensor.Tensor, length int, to *Call) error {
	infos := make([]Info, len(in))
	for i, t := range in {
		infos[i] = describe(t)
		if k := i - o.states; k >= 0 {
			axis, err := axisOf(at(o.axes, k), len(t.Shape))
			if err != nil {
				return err
			}
			infos[i].Shape = slices.Delete(infos[i].Shape, axis, axis+1)
		}
	}
	res, err := o.body.Infer(infos)
	if err != nil {
		return err
	}
	for k, s := range res[o.states:] {
		i := o.states + k
		if !to.wants(i) {
			continue
		}
		if s.Type == onnx.Undefined {
			return fmt.Errorf("the type of scan output %d, of no iterations, is unknown", k)
		}
		shape := make([]int, len(s.Shape))
		for d := range s.Shape {
			shape[d] = max(s.Shape[d].N, 0)
		}
		axis, err := axisOf(at(o.outAxes, k), len(shape)+1)
		if err != nil {
			return err
		}
		out, err := to.Out(i, s.Type, slices.Insert(shape, axis, length))
		if err != nil {
			return err
		}
		wipe(out)
	}
	return nil
}

// wipe sets all elements to zero.
func wipe(t *tensor.Tensor) {
	clear(t.Bytes())
	clear(t.Strings())
}

// runBatch is operator set 8: a sequence after another.
func (o *scan) runBatch(c *Call) error {
	in := c.In[1:]
	length, err := o.length(in, 1)
	if err != nil {
		return err
	}
	batch := in[len(in)-1].Shape[0]
	for _, t := range in {
		if len(t.Shape) == 0 || t.Shape[0] != batch {
			return fmt.Errorf("inputs have batches of %d and of %v", batch, t.Shape)
		}
	}
	if batch == 0 {
		return errors.New("a batch of no sequences")
	}
	lens := slices.Repeat([]int{length}, batch)
	if c.In[0] != nil {
		var ok bool
		if lens, ok = Integers(c.In[0]); !ok || len(lens) != batch || slices.Min(lens) < 0 || slices.Max(lens) > length {
			return fmt.Errorf("sequence lengths %s for %d sequences of %d", c.In[0], batch, length)
		}
	}
	for b := range batch {
		one := make([]*tensor.Tensor, len(in))
		for i, t := range in {
			if one[i], err = layer(t, 0, b); err != nil {
				return err
			}
		}
		part := &Call{Outs: make([]*tensor.Tensor, len(c.Outs)), Wanted: c.Wanted, Limit: c.Limit}
		if err := o.sequence(c, one, lens[b], length, part); err != nil {
			return fmt.Errorf("sequence %d: %w", b, err)
		}
		for i, t := range part.Outs {
			if t == nil {
				continue
			}
			shape := append([]int{batch}, t.Shape...)
			if b == 0 {
				if _, err := c.Out(i, t.Type, shape); err != nil {
					return err
				}
			}
			if c.Outs[i].Type != t.Type || !slices.Equal(c.Outs[i].Shape, shape) {
				return fmt.Errorf("output %d: %w", i, errSlices)
			}
			setLayer(c.Outs[i], 0, b, t)
		}
	}
	return nil
}
