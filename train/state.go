package train

import (
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// part is elements of a stored vector: n of them, step apart, from first on.
type part struct {
	tensor         string
	first, n, step int
}

// replace puts values in the place of the elements of t, the vector.
func (p part) replace(t *tensor.Tensor, values []float32) {
	all := tensor.Of[float32](t)
	for i, v := range values {
		all[p.first+i*p.step] = v
	}
}

// meets reports whether two parts may have an element in common.
func (p part) meets(q part) bool {
	ends := func(p part) (lo, hi int) {
		last := p.first + (p.n-1)*p.step
		return min(p.first, last), max(p.first, last)
	}
	lo, hi := ends(p)
	from, to := ends(q)
	return p.tensor == q.tensor && lo <= to && from <= hi
}

// state is a running mean or variance, and the value that replaces it after a step.
type state struct {
	part
	next string
}

// origins tells of which stored vectors values are parts: those that Slice takes, with constant limits, and Identity.
type origins struct {
	stored    func(name string) *tensor.Tensor // nil for other values
	constants map[string]*tensor.Tensor        // of nodes
	parts     map[string]part
}

func newOrigins(stored func(name string) *tensor.Tensor) origins {
	return origins{stored, map[string]*tensor.Tensor{}, map[string]part{}}
}

// constant returns a stored tensor or that of a Constant, nil where a value is none.
func (o *origins) constant(name string) *tensor.Tensor {
	if t := o.constants[name]; t != nil {
		return t
	}
	return o.stored(name)
}

// of returns what a value is part of, false where that is unknown.
func (o *origins) of(name string) (part, bool) {
	if t := o.stored(name); t != nil {
		return part{name, 0, t.Len(), 1}, t.Type == onnx.Float && len(t.Shape) == 1
	}
	p, ok := o.parts[name]
	return p, ok
}

// add takes note of a node, of which the inputs are known.
func (o *origins) add(n *onnx.Node) {
	switch {
	case !standard(n):
	case n.OpType == "Constant" && len(n.Attributes) == 1 && n.Attributes[0].T != nil:
		if v, err := tensor.FromONNX(n.Attributes[0].T); err == nil {
			o.constants[n.Outputs[0]] = v
		}
	case n.OpType == "Slice" || n.OpType == "Identity":
		p, ok := o.of(n.Inputs[0])
		if ok && n.OpType == "Slice" {
			p, ok = o.slice(p, n.Inputs[1:])
		}
		if ok {
			o.parts[n.Outputs[0]] = p
		}
	}
}

// slice returns the part of a part that a Slice takes, by its starts, ends, axes and steps.
func (o *origins) slice(p part, limits []string) (part, bool) {
	numbers := [4]int{3: 1}
	for i, name := range limits {
		t := o.constant(name)
		switch {
		case name == "" && i > 1:
		case t == nil || t.Len() != 1:
			return part{}, false
		case t.Type == onnx.Int64:
			numbers[i] = int(tensor.Of[int64](t)[0])
		case t.Type == onnx.Int32:
			numbers[i] = int(tensor.Of[int32](t)[0])
		}
	}
	if len(limits) < 2 {
		return part{}, false
	}
	first, n, step, err := ops.Cut(numbers[0], numbers[1], numbers[3], p.n)
	return part{p.tensor, p.first + first*p.step, n, step * p.step}, err == nil && n > 0
}

// standard reports whether an operator is ONNX's own.
func standard(n *onnx.Node) bool { return n.Domain == "" || n.Domain == "ai.onnx" }

// normalises reports whether a node is a BatchNormalization that has running states.
func normalises(n *onnx.Node) bool {
	return n.OpType == "BatchNormalization" && len(n.Inputs) == 5 && standard(n)
}
