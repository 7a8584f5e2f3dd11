package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// fused is what an operator has taken over from those that follow it: the addition of its last input, then a function.
type fused struct {
	add bool
	act kernel.Activation
}

// with takes over more; false if that cannot be.
func (f fused) with(add bool, act kernel.Activation) (fused, bool) {
	if f.act.Kind != kernel.None || f.add && add {
		return f, false
	}
	return fused{f.add || add, act}, true
}

// fusable is a pointer to an operator that others are fused into.
type fusable[T any] interface {
	*T
	Op
	fusion() *fused
}

func (f *fused) fusion() *fused { return f }

// fuseInto returns a copy of an operator that has taken over an addition or a function; nil if that cannot be.
func fuseInto[T any, P fusable[T]](o P, add bool, act kernel.Activation) Op {
	f, ok := o.fusion().with(add, act)
	if !ok {
		return nil
	}
	p := P(new(T))
	*p = *o
	*p.fusion() = f
	return p
}

// own returns how many of the inputs are the operator's own.
func (f fused) own(inputs int) int {
	if f.add {
		return inputs - 1
	}
	return inputs
}

// infer checks what is added to an output.
func (f fused) infer(in []Info, out Info) error {
	if !f.add {
		return nil
	}
	if err := broadcastsTo(in[len(in)-1].Shape, out.Shape); err != nil {
		return fmt.Errorf("what is added: %w", err)
	}
	return nil
}

// addend returns what is to be added to the output y, nil for nothing.
func (f fused) addend(c *Call, y *tensor.Tensor) ([]float32, error) {
	if !f.add {
		return nil, nil
	}
	t := c.In[len(c.In)-1]
	if t == nil || t.Type != onnx.Float || t.Layout != y.Layout || !slices.Equal(t.Shape, y.Shape) {
		return nil, fmt.Errorf("what is added to %s is %s", y, t)
	}
	return tensor.Of[float32](t), nil
}

// target returns where to compute what finish then makes y of: y itself, unless that may be the memory of what is added.
func (f fused) target(y *tensor.Tensor) (*tensor.Tensor, error) {
	if f.add {
		return tensor.New(y.Type, y.Shape...)
	}
	return y, nil
}

// finish does the rest on results of float32 or float64.
func (f fused) finish(c *Call, y, results *tensor.Tensor) error {
	var t *tensor.Tensor
	if f.add {
		if t = c.In[len(c.In)-1]; t == nil || t.Type != y.Type || t.Layout != y.Layout || !slices.Equal(t.Shape, y.Shape) {
			return fmt.Errorf("what is added to %s is %s", y, t)
		}
	}
	if y.Type == onnx.Float {
		dst, src := tensor.Of[float32](y), tensor.Of[float32](results)
		if t == nil {
			if f.act.Kind != kernel.None {
				kernel.Activate(c.CPU, f.act, dst, src)
			}
			return nil
		}
		shape, step := [1]int{len(dst)}, [1]int{1}
		kernel.Binary(c.CPU, kernel.Add, dst, src, tensor.Of[float32](t), shape[:], step[:], step[:], f.act)
		return nil
	}
	dst := tensor.Of[float64](y)
	for i, v := range tensor.Of[float64](results) {
		if t != nil {
			v += tensor.Of[float64](t)[i]
		}
		dst[i] = f.act.Of(v)
	}
	return nil
}
