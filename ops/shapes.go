package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// maxInts is how many integers arithmetic on shapes follows: more are data.
const maxInts = 64

// inferred is what Infer returns of an operator with one output. Where all inputs are constants as small as arithmetic on shapes has
// them the output is computed.
func inferred(op Op, in []Info, out Info) ([]Info, error) {
	c := Call{Outs: make([]*tensor.Tensor, 1), Limit: 16 * maxInts}
	for _, i := range in {
		if i.Value == nil && !i.Missing() || i.Value != nil && i.Value.Len() > maxInts {
			return []Info{out}, nil
		}
		c.In = append(c.In, i.Value)
	}
	c.CPU = kernel.NewCPU(kernel.Options{Threads: 1})
	defer c.CPU.Close()
	// Errors are left to the run, which may never come to this node.
	if err := op.Run(&c); err == nil && c.Outs[0] != nil && c.Outs[0].Len() <= maxInts {
		out = Of(c.Outs[0])
	}
	return []Info{out}, nil
}

// known returns the elements of an integer tensor that is known before the run.
func known(i Info) ([]int, bool) {
	if i.Value != nil {
		return Integers(i.Value)
	}
	return Shape(i.Ints).Known()
}

// dimsOf returns what is known of the elements of a short integer tensor; nil if nothing is. A negative element is Unknown.
func dimsOf(i Info) []Dim {
	if i.Ints != nil || i.Value == nil || len(i.Value.Shape) > 1 || i.Value.Len() > maxInts {
		return i.Ints
	}
	v, ok := Integers(i.Value)
	if !ok {
		return nil
	}
	return possibleDims(v)
}

// possibleDims makes dimensions of integers, Unknown of negative ones.
func possibleDims(v []int) []Dim {
	dims := make([]Dim, len(v))
	for i, n := range v {
		dims[i] = Known(max(n, -1))
	}
	return dims
}

// intsInfo describes an integer tensor of rank 0 or 1 by its elements.
func intsInfo(dt onnx.DataType, shape Shape, elements []Dim) Info {
	out := Info{Type: dt, Shape: shape}
	v, ok := Shape(elements).Known()
	if !slices.ContainsFunc(elements, func(d Dim) bool { return d != Unknown }) && len(elements) > 0 || len(elements) > maxInts {
		return out
	}
	out.Ints = elements
	if s, fixed := shape.Known(); ok && fixed {
		if t, err := tensor.New(dt, s...); err == nil && len(v) == t.Len() {
			setIntegers(t, v)
			out.Value = t
		}
	}
	return out
}

// setIntegers stores v in an int32 or int64 tensor.
func setIntegers(t *tensor.Tensor, v []int) {
	for i, x := range v {
		if t.Type == onnx.Int32 {
			tensor.Of[int32](t)[i] = int32(x)
		} else {
			tensor.Of[int64](t)[i] = int64(x)
		}
	}
}

// broadcastInfo is the shape that shapes have in common.
func broadcastInfo(in []Info) (Shape, error) {
	rank := 0
	for _, i := range in {
		if i.Shape == nil {
			return nil, nil
		}
		rank = max(rank, len(i.Shape))
	}
	out := make(Shape, rank)
	for i := range out {
		out[i] = Known(1)
	}
	for _, i := range in {
		for k, d := range i.Shape {
			o := &out[rank-len(i.Shape)+k]
			switch {
			case o.N == 1 || o.Same(d):
				*o = d
			case d.N == 1 || !d.IsKnown() && o.IsKnown(): // an unknown one is equal or 1
			case d.IsKnown() && !o.IsKnown():
				*o = d
			case d.IsKnown():
				return nil, fmt.Errorf("shapes %s do not broadcast", infoShapes(in))
			default:
				*o = Unknown
			}
		}
	}
	return out, nil
}

func infoShapes(in []Info) string {
	s := ""
	for k, i := range in {
		if k > 0 {
			s += " and "
		}
		s += i.Shape.String()
	}
	return s
}

// mapDims applies op to the elements of two short integer tensors, of which one may have a single element.
func mapDims(a, b []Dim, op func(a, b Dim) Dim) []Dim {
	if a == nil || b == nil || len(a) != len(b) && len(a) != 1 && len(b) != 1 {
		return nil
	}
	out := make([]Dim, max(len(a), len(b)))
	if len(a) == 0 || len(b) == 0 {
		out = out[:0]
	}
	for i := range out {
		out[i] = op(a[i%len(a)], b[i%len(b)])
	}
	return out
}

// quotient returns the dimension d for which the product of part and d is that of whole, if that is certain.
func quotient(whole, part []Dim) Dim {
	p, q := 1, 1
	var names []Dim
	for _, d := range whole {
		switch {
		case d.IsKnown() && (d.N == 0 || p > 1<<40/d.N):
			return Unknown
		case d.IsKnown():
			p *= d.N
		default:
			names = append(names, d)
		}
	}
	for _, d := range part {
		if d.IsKnown() {
			if d.N == 0 || q > 1<<40/d.N {
				return Unknown
			}
			q *= d.N
			continue
		}
		k := slices.IndexFunc(names, d.Same)
		if k < 0 {
			return Unknown
		}
		names = slices.Delete(names, k, k+1)
	}
	switch {
	case len(names) == 0 && p%q == 0:
		return Known(p / q)
	case len(names) == 1 && p == q:
		return names[0]
	}
	return Unknown
}

// unknownShape is a shape of which only the rank is known.
func unknownShape(rank int) Shape {
	s := make(Shape, rank)
	for i := range s {
		s[i] = Unknown
	}
	return s
}

// joinShapes puts parts of shapes together; the result is not nil even if it is empty.
func joinShapes(parts ...Shape) Shape { return append(Shape{}, slices.Concat(parts...)...) }

// axesOf makes axes positive and checks that none occurs twice.
func axesOf(axes []int, rank int) ([]int, error) {
	out := make([]int, len(axes))
	for i, a := range axes {
		k, err := axisOf(a, rank)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out[:i], k) {
			return nil, fmt.Errorf("axis %d is named twice", k)
		}
		out[i] = k
	}
	return out, nil
}

// intsOf reads an int32 or int64 tensor of a run into memory of w.
func (w *work) intsOf(t *tensor.Tensor) ([]int, error) {
	v := w.take(t.Len())
	switch t.Type {
	case onnx.Int64:
		for i, x := range tensor.Of[int64](t) {
			v[i] = int(x)
		}
	case onnx.Int32:
		for i, x := range tensor.Of[int32](t) {
			v[i] = int(x)
		}
	default:
		return nil, fmt.Errorf("%s is not of integers", t)
	}
	return v, nil
}

// scalarOf reads a tensor of one integer.
func (w *work) scalarOf(t *tensor.Tensor) (int, error) {
	if t.Len() != 1 {
		return 0, fmt.Errorf("%s is not one integer", t)
	}
	v, err := w.intsOf(t)
	if err != nil {
		return 0, err
	}
	return v[0], nil
}

// positions reads indices into an axis of n elements; negative ones count from the end.
func (w *work) positions(t *tensor.Tensor, n int) ([]int, error) {
	if err := checkPositions(t, n); err != nil {
		return nil, err
	}
	v := w.take(t.Len())
	positionsFrom(v, t, 0, n)
	return v, nil
}

// positionsFrom fills v with the indices that t has from element first on.
func positionsFrom(v []int, t *tensor.Tensor, first, n int) {
	if t.Type == onnx.Int32 {
		fromEnd(v, tensor.Of[int32](t)[first:], n)
	} else {
		fromEnd(v, tensor.Of[int64](t)[first:], n)
	}
}

// fromEnd copies indices; negative ones count from the end of n elements.
func fromEnd[T int32 | int64](v []int, index []T, n int) {
	for i := range v {
		k := int(index[i])
		if k < 0 {
			k += n
		}
		v[i] = k
	}
}

// checkPositions checks indices into an axis of n elements.
func checkPositions(t *tensor.Tensor, n int) error {
	switch t.Type {
	case onnx.Int32:
		return checkWithin(tensor.Of[int32](t), n)
	case onnx.Int64:
		return checkWithin(tensor.Of[int64](t), n)
	}
	return fmt.Errorf("indices: %s is not of integers", t)
}

func checkWithin[T int32 | int64](index []T, n int) error {
	for i, k := range index {
		if int(k) < -n || int(k) >= n {
			return fmt.Errorf("index %d at position %d is outside of %d", k, i, n)
		}
	}
	return nil
}

// axisInput returns a list of axes that is an attribute or else input i of a run; nil, without error, if it is neither.
func (w *work) axisInput(c *Call, attribute []int, i int) ([]int, error) {
	if attribute != nil || i >= len(c.In) || c.In[i] == nil {
		return attribute, nil
	}
	return w.intsOf(c.In[i])
}

// axisInfo is axisInput for Infer: known is false when the axes come with the run only.
func axisInfo(in []Info, attribute []int, i int) (axes []int, isKnown bool) {
	if attribute != nil || i >= len(in) || in[i].Missing() {
		return attribute, true
	}
	return known(in[i])
}
