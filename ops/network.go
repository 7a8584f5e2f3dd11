package ops

import (
	"fmt"

	"github.com/effml/effml/internal/pages"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// typeError refuses the type of input 0.
func typeError(dt onnx.DataType) error {
	return fmt.Errorf("input 0: elements of type %s are not supported", tensor.TypeName(dt))
}

// inputAt returns what is known of an input that need not be there.
func inputAt(in []Info, i int) Info {
	if i < len(in) {
		return in[i]
	}
	return Info{}
}

// input returns an input that need not be there, or nil.
func (c *Call) input(i int) *tensor.Tensor {
	if i < len(c.In) {
		return c.In[i]
	}
	return nil
}

// throughFloat32 runs an operator through float32 when input 0 is of half precision; the types of others do not matter.
func throughFloat32(c *Call, op widening) error {
	if typesHalf.has(c.In[0].Type) {
		return half(c, op)
	}
	return op.run(c)
}

// sameTypes checks that inputs 0 to n−1, as far as they are there, have one type.
func (c *Call) sameTypes(n int) error {
	for i := range min(n, len(c.In)) {
		if t := c.In[i]; t != nil && t.Type != c.In[0].Type {
			return fmt.Errorf("input %d is %s and not %s", i, tensor.TypeName(t.Type), tensor.TypeName(c.In[0].Type))
		}
	}
	return nil
}

// rankError refuses the rank of an input.
func rankError(input, rank int, want string) error {
	return fmt.Errorf("input %d has rank %d, not %s", input, rank, want)
}

// states keeps what runs of an operator need beside their operands, so that they allocate nothing.
type states[T any] struct{ pool pages.Pool[T] }

func (s *states[T]) get() *T { return s.pool.Get() }

func (s *states[T]) put(v *T) { s.pool.Put(v) }

// resized returns s with length n; what it holds is arbitrary.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// scratch returns n float32 with arbitrary contents: what the executor has given where that suffices.
func (c *Call) scratch(n int) []float32 {
	c.Scratch = resized(c.Scratch, n)
	return c.Scratch
}

// product multiplies dimensions that are known to fit.
func product(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// dimProduct multiplies dimensions; 1 times a named one keeps the name.
func dimProduct(dims ...Dim) Dim {
	out := Known(1)
	for _, d := range dims {
		switch {
		case d.IsKnown() && d.N == 1:
		case out.IsKnown() && out.N == 1:
			out = d
		case d.IsKnown() && out.IsKnown():
			n, err := tensor.Count([]int{out.N, d.N})
			if err != nil {
				return Unknown
			}
			out = Known(n)
		default:
			out = Unknown
		}
	}
	return out
}

// numberOf returns the element of a tensor that has one; false for other tensors and none.
func numberOf(t *tensor.Tensor) (float64, bool) {
	if t == nil || t.Len() != 1 {
		return 0, false
	}
	v, err := numbersOf(nil, t)
	return append(v, 0)[0], err == nil
}

// numbersOf returns the elements of a small float32 or float64 tensor, or of one of 16 bits, as float64.
func numbersOf(buf []float64, t *tensor.Tensor) ([]float64, error) {
	if t.Type == onnx.Double {
		return append(buf[:0], tensor.Of[float64](t)...), nil
	}
	if t.Type == onnx.Float { // the case that must not allocate
		buf = buf[:0]
		for _, x := range tensor.Of[float32](t) {
			buf = append(buf, float64(x))
		}
		return buf, nil
	}
	v := make([]float32, t.Len())
	if !t.Floats(v, 0) {
		return nil, fmt.Errorf("elements of type %s are no real numbers", t.Type)
	}
	buf = buf[:0]
	for _, x := range v {
		buf = append(buf, float64(x))
	}
	return buf, nil
}
