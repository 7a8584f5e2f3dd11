package infer

import (
	"slices"
	"strings"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// A constant that is computed may take so many times the bytes that it is made of, or so many bytes.
const (
	maxFoldFactor = 8
	maxFoldBytes  = 1 << 20
)

// random are operators that give something else each time.
var random = []string{"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial", "Dropout"}

// fold computes a node whose inputs are constant, if the result is not out of proportion, and makes its outputs constants. A
// node that fails is left to the run, which may never come to it.
func (s *Session) fold(n *node) bool {
	known := !slices.ContainsFunc(n.out, func(v *value) bool { return v != nil && v.info.Value == nil })
	if !known && !s.compute(n) {
		return false
	}
	for _, v := range n.out {
		if v == nil {
			continue
		}
		if v.from = nil; n.is("Constant") && known {
			v.stored = storedConstant(n)
		}
	}
	return true
}

// storedConstant returns the model's tensor that a Constant gives.
func storedConstant(n *node) *onnx.Tensor {
	for _, a := range n.Attributes {
		if a.Name == "value" {
			return a.T
		}
	}
	return nil
}

func (s *Session) compute(n *node) bool {
	if s.options.NoFuse || slices.Contains(random, n.kind) || strings.HasPrefix(n.kind, "Random") || len(n.captured) > 0 {
		return false
	}
	bound := int64(maxFoldBytes)
	c := &ops.Call{CPU: s.cpu, Outs: make([]*tensor.Tensor, len(n.out)), Wanted: make([]bool, len(n.out))}
	for _, v := range n.in {
		if v == nil {
			c.In = append(c.In, nil)
			continue
		}
		if !v.constant() {
			return false
		}
		c.In = append(c.In, v.info.Value)
		bound = max(bound, maxFoldFactor*int64(v.info.Value.Size()))
	}
	for i, v := range n.out {
		if v == nil {
			continue
		}
		c.Wanted[i] = true
		if n, ok := size(v.info); ok && n > bound {
			return false
		}
	}
	if c.Limit = bound; execute(n.op, c, infos(n.in)) != nil {
		return false
	}
	for i, v := range n.out {
		if v != nil && (c.Outs[i] == nil || c.Outs[i].Layout != tensor.Plain) {
			return false
		}
	}
	for i, v := range n.out {
		if v != nil {
			v.info = ops.Of(c.Outs[i])
		}
	}
	return true
}

// execute runs an operator outside of a plan.
func execute(op ops.Op, c *ops.Call, in []ops.Info) (err error) {
	defer caught(&err)
	if s, ok := op.(ops.Scratcher); ok {
		c.Scratch = make([]float32, s.Scratch(c.CPU, in))
	}
	return op.Run(c)
}

// size returns the bytes of a value whose shape is known. An element that is a string counts as 16.
func size(i ops.Info) (int64, bool) {
	shape, ok := i.Shape.Known()
	if !ok || i.Type == onnx.Undefined {
		return 0, false
	}
	n, err := tensor.Count(shape)
	w := tensor.Width(i.Type)
	if w == 0 {
		w = 16
	}
	return int64(n) * int64(w), err == nil
}
