package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// loop is Loop: the body runs for i = 0, 1, … while i is below the trip count (input 0, absent: no bound) and the condition
// (input 1, absent: true) that the iteration before gave holds. Its inputs are i, the condition, and the loop-carried values;
// its outputs the next condition, the next loop-carried values, and slices that are stacked along a new first axis.
type loop struct {
	body    Body
	carried int
	// shapes of the body's first two inputs: [] as the standard says or [1] as some models declare
	count, cond []int
}

func newLoop(n *Node) (Op, error) {
	b, g, err := n.body("body")
	if err != nil {
		return nil, err
	}
	o := &loop{body: b, carried: len(n.Inputs) - 2}
	if o.carried < 0 || slices.Contains(n.Inputs[2:], "") || b.NumIn() != o.carried+2 {
		return nil, fmt.Errorf("body has %d inputs; %d inputs of the node ask for as many, and none after the second may be left out", b.NumIn(), len(n.Inputs))
	}
	if b.NumOut() < o.carried+1 || b.NumOut()-1 < len(n.Outputs) {
		return nil, fmt.Errorf("body has %d outputs, too few for %d loop-carried values and %d outputs of the node", b.NumOut(), o.carried, len(n.Outputs))
	}
	if len(g.Inputs) >= 2 {
		o.count, o.cond = oneElement(g.Inputs[0]), oneElement(g.Inputs[1])
	}
	return o, nil
}

// oneElement returns the shape of a declared value of one element.
func oneElement(v *onnx.ValueInfo) []int {
	if v.Type != nil && v.Type.Tensor != nil && v.Type.Tensor.Shape != nil && len(v.Type.Tensor.Shape.Dims) == 1 {
		return []int{1}
	}
	return nil
}

func (o *loop) Infer(in []Info) ([]Info, error) {
	states, out, trips, err := o.settled(in)
	if err != nil {
		return nil, err
	}
	infos := slices.Clone(states)
	for _, s := range out[o.carried : len(out)-1] {
		if s.Shape != nil {
			s.Shape = append(Shape{trips}, s.Shape...)
		}
		infos = append(infos, Info{Type: s.Type, Shape: s.Shape})
	}
	return infos, nil
}

// Repeats implements Repeater.
func (o *loop) Repeats(in []Info) (int, bool) {
	_, _, trips, err := o.settled(in)
	return trips.N, err == nil && trips.IsKnown()
}

// settled returns what holds of the loop-carried values before every iteration, of the body's outputs, with the condition last, and
// the number of iterations.
func (o *loop) settled(in []Info) (states, out []Info, trips Dim, err error) {
	states = slices.Clone(in[2:])
	// A body runs under a condition that holds.
	yes := tensor.From([]bool{true}, o.cond...)
	first := []Info{{Type: onnx.Int64, Shape: MakeShape(o.count...), Ints: []Dim{Unknown}}, Of(yes)}
	out, err = settle(states, func(states []Info) ([]Info, error) {
		out, err := o.body.Infer(append(slices.Clone(first), states...))
		if err != nil {
			return nil, err
		}
		if t := out[0].Type; t != onnx.Bool && t != onnx.Undefined {
			return nil, fmt.Errorf("the body's condition is of type %s, not bool", t)
		}
		return append(out[1:len(out):len(out)], out[0]), nil
	})
	if err != nil {
		return nil, nil, Unknown, err
	}
	last := out[len(out)-1]
	if m, ok := o.trips(in[0]); ok && always(in[1]) && always(last) && last.Value != nil {
		return states, out, Known(m), nil
	}
	return states, out, Unknown, nil
}

// always reports whether a condition is left out or known to hold.
func always(i Info) bool {
	if i.Value == nil {
		return i.Missing()
	}
	cond, err := truth(i.Value)
	return err == nil && cond
}

// trips returns the trip count where it is known.
func (o *loop) trips(i Info) (int, bool) {
	if i.Value == nil {
		if len(i.Ints) == 1 && i.Ints[0].IsKnown() {
			return i.Ints[0].N, true
		}
		return 0, false
	}
	n, err := scalar(i.Value)
	return max(n, 0), err == nil
}

func (o *loop) Run(c *Call) error {
	trips, cond := math.MaxInt, true
	var err error
	if c.In[0] != nil {
		if trips, err = scalar(c.In[0]); err != nil {
			return fmt.Errorf("trip count: %w", err)
		}
	}
	if c.In[1] != nil {
		if cond, err = truth(c.In[1]); err != nil {
			return err
		}
	}
	in := slices.Clone(c.In)
	layers := make([][]*tensor.Tensor, o.body.NumOut()-1-o.carried)
	used := int64(0)
	ran := false
	for i := int64(0); i < int64(trips) && cond; i++ {
		in[0], in[1] = tensor.From([]int64{i}, o.count...), tensor.From([]bool{true}, o.cond...)
		out, err := o.body.Run(c, in)
		if err != nil {
			return fmt.Errorf("iteration %d: %w", i, err)
		}
		if cond, err = truth(out[0]); err != nil {
			return fmt.Errorf("iteration %d: %w", i, err)
		}
		copy(in[2:], out[1:])
		for k, s := range out[1+o.carried:] {
			if !c.wants(o.carried + k) {
				continue
			}
			layers[k] = append(layers[k], s)
			if used += int64(s.Size()) + 64; c.Limit > 0 && used > c.Limit {
				return &LimitError{What: fmt.Sprintf("scan outputs of %d iterations", i+1), Bytes: used, Limit: c.Limit}
			}
		}
		ran = true
	}
	if ran {
		copy(c.Outs[:min(o.carried, len(c.Outs))], in[2:])
	} else {
		for i := range min(o.carried, len(c.Outs)) {
			if err := c.give(i, in[2+i]); err != nil {
				return err
			}
		}
	}
	return o.stack(c, layers, ran)
}

// stack makes the scan outputs of the slices. Where there was no iteration their types are the inferred ones.
func (o *loop) stack(c *Call, results [][]*tensor.Tensor, ran bool) error {
	var infos []Info
	for k, layers := range results {
		i := o.carried + k
		if !c.wants(i) {
			continue
		}
		if !ran && infos == nil {
			var err error
			if infos, err = o.Infer(describeAll(c.In)); err != nil {
				return err
			}
		}
		var one Info
		if !ran {
			one = infos[i]
			if one.Type == onnx.Undefined {
				return fmt.Errorf("the type of scan output %d, of no iterations, is unknown", k)
			}
			one.Shape = one.Shape[min(1, len(one.Shape)):]
		}
		if err := c.stack(i, layers, one); err != nil {
			return fmt.Errorf("scan output %d: %w", k, err)
		}
	}
	return nil
}
