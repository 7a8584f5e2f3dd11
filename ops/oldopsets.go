package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/tensor"
)

// testOnly refuses what opset 7 has no longer: nodes that train unless they say otherwise.
func testOnly(n *Node) error {
	if (n.OpType == "BatchNormalization" || n.OpType == "Dropout") && !n.Bool("is_test", false) {
		return &UnsupportedError{Domain: n.Domain, Name: n.OpType, Opset: n.Opset, Detail: "without attribute is_test it is for training"}
	}
	return nil
}

// axisBroadcast is an operator of two inputs as it was before opset 7, when broadcasting was not NumPy's: the dimensions of input 1 are
// those of input 0 from an axis on. Inside it the operator is today's, and input 1 has ones behind its own dimensions.
type axisBroadcast struct {
	Op
	axis   int
	states *states[axisState]
}

// axisState is what a run needs, so that it allocates nothing.
type axisState struct {
	call  Call
	in    [2]*tensor.Tensor
	moved tensor.Tensor
}

// BroadcastsAlongAxis reports whether the inputs of an operator belong together otherwise than NumPy and all other operators have it.
func BroadcastsAlongAxis(op Op) bool {
	_, ok := op.(*axisBroadcast)
	return ok
}

// alongAxis gives an operator the broadcasting that its node asks for. Before opset 7 the other ways to write it, equal shapes, a single
// element, the last dimensions, agree with NumPy's.
func alongAxis(n *Node, op Op) Op {
	o := &axisBroadcast{Op: op, axis: n.Int("axis", -1), states: new(states[axisState])}
	switch {
	case n.Opset >= 7:
		return op
	case n.OpType == "PRelu": // a slope for each channel
		o.axis = 1
		return o
	case n.Bool("broadcast", false) && o.axis >= 0:
		return o
	}
	return op
}

// ones returns how many dimensions of 1 input 1 gets.
func (o *axisBroadcast) ones(rank, of int) (int, error) {
	switch {
	case of <= 1 && rank <= o.axis: // one element
		return 0, nil
	case o.axis+of > rank:
		return 0, fmt.Errorf("input 1 of rank %d does not fit into rank %d from axis %d on", of, rank, o.axis)
	}
	return rank - o.axis - of, nil
}

func (o *axisBroadcast) Infer(in []Info) ([]Info, error) {
	if len(in) != 2 {
		return nil, errors.New("there must be 2 inputs")
	}
	second := Info{Type: in[1].Type} // of an unknown shape
	if a, b := in[0].Shape, in[1].Shape; a != nil && b != nil {
		ones, err := o.ones(len(a), len(b))
		if err != nil {
			return nil, err
		}
		second.Shape = slices.Concat(b, slices.Repeat(Shape{Known(1)}, ones))
	}
	first := Info{Type: in[0].Type, Shape: in[0].Shape}
	return o.Op.Infer([]Info{first, second})
}

func (o *axisBroadcast) Run(c *Call) error {
	s := o.states.get()
	defer o.states.put(s)
	b := c.In[1]
	ones, err := o.ones(len(c.In[0].Shape), len(b.Shape))
	if err != nil {
		return err
	}
	s.moved.Type, s.moved.Shape = b.Type, append(s.moved.Shape[:0], b.Shape...)
	for range ones {
		s.moved.Shape = append(s.moved.Shape, 1)
	}
	s.moved.Share(b)
	s.in = [2]*tensor.Tensor{c.In[0], &s.moved}
	s.call = *c
	s.call.In = s.in[:]
	err = o.Op.Run(&s.call)
	c.Scratch = s.call.Scratch
	s.call, s.in = Call{}, [2]*tensor.Tensor{}
	return err
}
