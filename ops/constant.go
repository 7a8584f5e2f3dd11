package ops

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// constant is Constant, in all its forms; a sparse tensor is made dense.
type constant struct{ value *tensor.Tensor }

func newConstant(n *Node) (Op, error) {
	var o constant
	var err error
	for _, a := range n.Attributes {
		switch a.Name {
		case "value":
			o.value, err = n.Tensor(a.Name)
		case "value_float":
			o.value = tensor.Scalar(n.Float(a.Name, 0))
		case "value_int":
			o.value = tensor.Scalar(int64(n.Int(a.Name, 0)))
		case "value_string":
			o.value = tensor.FromStrings([]string{n.Text(a.Name, "")})
		case "value_floats":
			o.value = tensor.From(n.Floats(a.Name), len(n.Floats(a.Name)))
		case "value_ints":
			if l := n.Attr(a.Name, onnx.AttributeInts); l != nil {
				o.value = tensor.From(l.Ints, len(l.Ints))
			}
		case "value_strings":
			o.value = tensor.FromStrings(n.Texts(a.Name), len(n.Texts(a.Name)))
		case "sparse_value":
			if s := n.Attr(a.Name, onnx.AttributeSparseTensor); s != nil && s.SparseTensor != nil {
				o.value, err = dense(s.SparseTensor)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", a.Name, err)
		}
	}
	if o.value == nil && n.Err() == nil {
		return nil, errors.New("no attribute gives a value")
	}
	return &o, nil
}

// maxDense bounds the elements that a sparse constant has for each that is stored: such constants are meant to be dense.
const maxDense = 1 << 16

// dense puts the values of a sparse tensor where its indices say.
func dense(s *onnx.SparseTensor) (*tensor.Tensor, error) {
	if s.Values == nil || s.Indices == nil {
		return nil, errors.New("a sparse tensor without values or indices")
	}
	values, err := tensor.FromONNX(s.Values)
	if err != nil {
		return nil, err
	}
	indices, err := tensor.FromONNX(s.Indices)
	if err != nil {
		return nil, err
	}
	shape := make([]int, len(s.Dims))
	for i, d := range s.Dims {
		shape[i] = int(d)
	}
	n, err := tensor.Count(shape)
	if err != nil {
		return nil, err
	}
	if n/maxDense > values.Len() {
		return nil, fmt.Errorf("a sparse tensor of shape %v with %d values", shape, values.Len())
	}
	at, ok := Integers(indices)
	rank := 1
	if len(indices.Shape) == 2 {
		rank = len(shape)
	}
	if !ok || len(at) != rank*values.Len() {
		return nil, fmt.Errorf("%s as indices of %d values", indices, values.Len())
	}
	out, err := tensor.New(values.Type, shape...)
	if err != nil {
		return nil, err
	}
	flat := make([]int, values.Len())
	for i := range flat {
		for k := range rank {
			d := n
			if rank > 1 || len(indices.Shape) == 2 {
				d = shape[k]
			}
			if p := at[i*rank+k]; p < 0 || p >= d {
				return nil, fmt.Errorf("index %d is outside of %v", p, shape)
			}
			flat[i] = flat[i]*d + at[i*rank+k]
		}
	}
	movingOf(out.Type).put(out, values, flat, 1)
	return out, nil
}

// Infer implements Op.
func (o *constant) Infer([]Info) ([]Info, error) { return []Info{Of(o.value)}, nil }

// Run implements Op.
func (o *constant) Run(c *Call) error { return c.give(0, o.value) }

// constantOfShape is ConstantOfShape: all elements are the one of the attribute value, by default float32 0.
type constantOfShape struct{ value *tensor.Tensor }

func newConstantOfShape(n *Node) (Op, error) {
	v, err := n.Tensor("value")
	if err != nil {
		return nil, fmt.Errorf("attribute value: %w", err)
	}
	if v == nil {
		v = tensor.Scalar(float32(0))
	}
	if v.Len() != 1 {
		return nil, fmt.Errorf("attribute value is %s, not one element", v)
	}
	return &constantOfShape{v}, nil
}

// Infer implements Op.
func (o *constantOfShape) Infer(in []Info) ([]Info, error) {
	if err := typesIndex.check(in, 0); err != nil {
		return nil, err
	}
	out := Info{Type: o.value.Type, Shape: shapeFrom(in[0])}
	if s, ok := out.Shape.Known(); ok {
		if _, err := tensor.Count(s); err != nil {
			return nil, err
		}
	}
	if v, ok := Integers(o.value); ok && len(out.Shape) == 1 && out.Shape[0].IsKnown() && out.Shape[0].N <= maxInts && v[0] >= 0 {
		out = intsInfo(out.Type, out.Shape, slices.Repeat([]Dim{Known(v[0])}, out.Shape[0].N))
	}
	return inferred(o, in, out)
}

// shapeFrom is the shape whose dimensions are the elements of a tensor.
func shapeFrom(i Info) Shape {
	if d := dimsOf(i); d != nil {
		return slices.Clone(Shape(d))
	}
	if len(i.Shape) == 1 && i.Shape[0].IsKnown() && i.Shape[0].N <= maxInts {
		return unknownShape(i.Shape[0].N)
	}
	return nil
}

// Run implements Op.
func (o *constantOfShape) Run(c *Call) error {
	w := newWork()
	defer w.free()
	shape, err := w.intsOf(c.In[0])
	if err != nil {
		return err
	}
	out, err := c.Out(0, o.value.Type, shape)
	if err != nil {
		return err
	}
	movingOf(out.Type).fill(out, o.value)
	return nil
}

// sequence is Range: start, start + delta, …, as long as they are before limit. Sums of float16 and bfloat16 are made in
// float32 and rounded, whatever stash_type says.
type sequence struct{}

func newRange(*Node) (Op, error) { return sequence{}, nil }

// typesRange are the types that Range takes.
const typesRange = typesFloat | 1<<onnx.Int16 | typesIndex

// Infer implements Op.
func (o sequence) Infer(in []Info) ([]Info, error) {
	dt, err := typesRange.same(in, 0, 3)
	if err != nil {
		return nil, err
	}
	out := Info{Type: dt, Shape: unknownShape(1)}
	// The named dimension of range(0, n, 1) is n; constants are left to the run, for large ones only the length is.
	start, delta := dimsOf(in[0]), dimsOf(in[2])
	if limit := dimsOf(in[1]); len(limit) == 1 && len(start) == 1 && len(delta) == 1 && start[0].N == 0 && delta[0].N == 1 {
		out.Shape[0] = limit[0]
	}
	if a, b, d := in[0].Value, in[1].Value, in[2].Value; a != nil && b != nil && d != nil {
		n, err := o.count(a, b, d)
		if err != nil {
			return nil, err
		}
		out.Shape[0] = Known(n)
	}
	return inferred(o, in, out)
}

// count returns the number of elements.
func (sequence) count(start, limit, delta *tensor.Tensor) (int, error) {
	for i, t := range []*tensor.Tensor{start, limit, delta} {
		if t.Len() != 1 || t.Type != start.Type || !typesRange.has(t.Type) {
			return 0, fmt.Errorf("input %d is %s, not a scalar of a type that all have", i, t)
		}
	}
	if start.Type.IsFloat() {
		var v [3]blocks64
		v[0].load(start, 0, 1)
		v[1].load(limit, 0, 1)
		v[2].load(delta, 0, 1)
		n := math.Ceil((v[1].floats[0] - v[0].floats[0]) / v[2].floats[0])
		if n != n || n > 1<<46 || v[2].floats[0] == 0 {
			return 0, fmt.Errorf("range from %v to %v by %v has no end", v[0].floats[0], v[1].floats[0], v[2].floats[0])
		}
		return int(max(n, 0)), nil
	}
	num, err := numericOf(start.Type)
	if err != nil {
		return 0, err
	}
	var v [3]int64
	num.loadInts(v[:1], start, 0)
	num.loadInts(v[1:2], limit, 0)
	num.loadInts(v[2:], delta, 0)
	way, step := uint64(v[1])-uint64(v[0]), uint64(v[2])
	switch {
	case v[2] == 0:
		return 0, errors.New("delta is 0")
	case v[2] > 0 && v[1] <= v[0], v[2] < 0 && v[1] >= v[0]:
		return 0, nil
	case v[2] < 0:
		way, step = -way, -step
	}
	n := (way-1)/step + 1
	if n > 1<<46 {
		return 0, fmt.Errorf("range from %d to %d by %d is too long", v[0], v[1], v[2])
	}
	return int(n), nil
}

// Run implements Op.
func (o sequence) Run(c *Call) error { return half(c, o) }

func (o sequence) run(c *Call) error {
	n, err := o.count(c.In[0], c.In[1], c.In[2])
	if err != nil {
		return err
	}
	w := newWork()
	defer w.free()
	shape := w.take(1)
	shape[0] = n
	out, err := c.Out(0, c.In[0].Type, shape)
	if err != nil {
		return err
	}
	num, err := numericOf(out.Type)
	if err != nil {
		return err
	}
	num.ramp(out, c.In[0], c.In[2])
	return nil
}

func (numbers[T]) ramp(dst, start, delta *tensor.Tensor) {
	a, d := elements[T](start)[0], elements[T](delta)[0]
	to := elements[T](dst)
	for i := range to {
		to[i] = a + T(i)*d
	}
}

// eyeLike is EyeLike: ones on the k-th diagonal of a matrix of the input's shape, zeros elsewhere.
type eyeLike struct {
	k  int
	dt onnx.DataType // Undefined: of the input
}

func newEyeLike(n *Node) (Op, error) {
	return &eyeLike{n.Int("k", 0), onnx.DataType(n.Int("dtype", 0))}, nil
}

// Infer implements Op.
func (o *eyeLike) Infer(in []Info) ([]Info, error) {
	out := Info{Type: o.dt, Shape: in[0].Shape}
	if o.dt == onnx.Undefined {
		out.Type = in[0].Type
	}
	if out.Shape != nil && len(out.Shape) != 2 {
		return nil, rankError(0, len(out.Shape), "2")
	}
	return []Info{out}, nil
}

// Run implements Op.
func (o *eyeLike) Run(c *Call) error {
	x, dt := c.In[0], o.dt
	if dt == onnx.Undefined {
		dt = x.Type
	}
	if len(x.Shape) != 2 {
		return rankError(0, len(x.Shape), "2")
	}
	if !typesReal.has(dt) {
		return fmt.Errorf("elements of type %s are not supported", tensor.TypeName(dt))
	}
	out, err := c.Out(0, dt, x.Shape)
	if err != nil {
		return err
	}
	one, err := tensor.New(dt)
	if err != nil {
		return err
	}
	zero := one.Clone()
	if err := convert(one, tensor.Scalar(int64(1)), conversion{}); err != nil {
		return err
	}
	m := movingOf(dt)
	m.fill(out, zero)
	rows, cols := x.Shape[0], x.Shape[1]
	var diagonal []int
	for i := max(0, -max(o.k, -rows)); i < rows && o.k < cols && i+o.k < cols; i++ {
		diagonal = append(diagonal, i*cols+i+o.k)
	}
	ones, err := tensor.New(dt, len(diagonal))
	if err != nil {
		return err
	}
	m.fill(ones, one)
	m.put(out, ones, diagonal, 1)
	return nil
}

// shapeOp is Shape, from dimension start to before end, and Size.
type shapeOp struct {
	start, end int
	size       bool
}

func newShape(n *Node) (Op, error) {
	return &shapeOp{start: n.Int("start", 0), end: n.Int("end", math.MaxInt)}, nil
}

func newSize(*Node) (Op, error) { return &shapeOp{size: true}, nil }

// slice returns the range of dimensions.
func (o *shapeOp) slice(rank int) (lo, hi int) {
	lo, hi = o.start, o.end
	if lo < 0 {
		lo += rank
	}
	if hi < 0 {
		hi += rank
	}
	lo = min(max(lo, 0), rank)
	return lo, max(lo, min(max(hi, 0), rank))
}

// Infer implements Op.
func (o *shapeOp) Infer(in []Info) ([]Info, error) {
	s := in[0].Shape
	switch {
	case o.size && s != nil:
		return []Info{intsInfo(onnx.Int64, Shape{}, []Dim{dimProduct(s...)})}, nil
	case o.size:
		return []Info{{Type: onnx.Int64, Shape: Shape{}}}, nil
	case s == nil:
		return []Info{{Type: onnx.Int64, Shape: unknownShape(1)}}, nil
	}
	lo, hi := o.slice(len(s))
	return []Info{intsInfo(onnx.Int64, MakeShape(hi-lo), slices.Clone(s[lo:hi]))}, nil
}

// ChannelsLast implements ChannelsLaster: the layout does not matter.
func (o *shapeOp) ChannelsLast([]Info) ([]bool, bool) { return []bool{true}, false }

// Run implements Op.
func (o *shapeOp) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x := c.In[0].Shape
	lo, hi := o.slice(len(x))
	dims := x[lo:hi]
	shape := w.take(1)
	shape[0] = len(dims)
	if o.size {
		dims, shape = w.take(1), nil
		dims[0] = product(x)
	}
	out, err := c.Out(0, onnx.Int64, shape)
	if err != nil {
		return err
	}
	setIntegers(out, dims)
	return nil
}
