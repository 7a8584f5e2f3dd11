package ops

import (
	"fmt"
	"unsafe"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// types is a set of element types.
type types uint64

// Sets that ONNX's operators have in common.
const (
	typesSigned   types = 1<<onnx.Int8 | 1<<onnx.Int16 | 1<<onnx.Int32 | 1<<onnx.Int64
	typesUnsigned types = 1<<onnx.Uint8 | 1<<onnx.Uint16 | 1<<onnx.Uint32 | 1<<onnx.Uint64
	typesInteger        = typesSigned | typesUnsigned
	typesHalf     types = 1<<onnx.Float16 | 1<<onnx.BFloat16
	typesFloat    types = 1<<onnx.Float | 1<<onnx.Double | typesHalf
	typesNumber         = typesInteger | typesFloat
	typesIndex    types = 1<<onnx.Int32 | 1<<onnx.Int64
	typesBool     types = 1 << onnx.Bool
	typesString   types = 1 << onnx.String
	typesAny      types = 1<<62 - 1
)

func (s types) has(dt onnx.DataType) bool { return dt >= 0 && dt < 64 && s>>dt&1 != 0 }

// check returns an error when the type of input i is known and not in the set.
func (s types) check(in []Info, i int) error {
	if i < len(in) && in[i].Type != onnx.Undefined && !s.has(in[i].Type) {
		return fmt.Errorf("input %d: elements of type %s are not supported", i, tensor.TypeName(in[i].Type))
	}
	return nil
}

// same returns the type that inputs from to to−1 have in common, where it is known.
func (s types) same(in []Info, from, to int) (onnx.DataType, error) {
	dt := onnx.Undefined
	for i := from; i < min(to, len(in)); i++ {
		if err := s.check(in, i); err != nil {
			return dt, err
		}
		switch t := in[i].Type; {
		case dt == onnx.Undefined:
			dt = t
		case t != onnx.Undefined && t != dt:
			return dt, fmt.Errorf("input %d is %s and not %s", i, tensor.TypeName(t), tensor.TypeName(dt))
		}
	}
	return dt, nil
}

// elements returns the elements of t as values of a type of their size, whatever their type is called.
func elements[T any](t *tensor.Tensor) []T {
	if t.Type == onnx.String {
		s := t.Strings()
		return *(*[]T)(unsafe.Pointer(&s))
	}
	b := t.Bytes()
	var v T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(v)))
}

// number is a type that Go computes with.
type number interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64
}

// numeric holds the algorithms that compute, for elements of one type. The methods are beside the operators that they serve.
type numeric interface {
	binary(kind binaryKind, dst, a, b *tensor.Tensor, w *walk) error
	compare(kind binaryKind, dst, a, b *tensor.Tensor, w *walk)
	unary(f *function1, dst, src *tensor.Tensor)
	classify(kind classKind, dst, src *tensor.Tensor)
	reduce(kind reduceKind, dst, src *tensor.Tensor, p pile)
	argument(o *argument, dst, src *tensor.Tensor, p pile)
	cumulate(o *cumulative, dst, src *tensor.Tensor, p pile)
	top(o *topK, values, indices, src *tensor.Tensor, k int, p pile, w *work)
	scatter(kind binaryKind, dst, src *tensor.Tensor, index []int, n int) error
	ramp(dst, start, delta *tensor.Tensor)
	loadFloats(buf []float64, src *tensor.Tensor, first int)
	loadInts(buf []int64, src *tensor.Tensor, first int)
	storeFloats(dst *tensor.Tensor, first int, buf []float64)
	storeInts(dst *tensor.Tensor, first int, buf []int64)
	order(index []int, src *tensor.Tensor, p pile)
	nonZero(index []int, src *tensor.Tensor) []int
}

// numbers is numeric for elements like T.
type numbers[T number] struct{}

// numericOf returns the algorithms for elements of a type that Go computes with; bool and the types of less than 8 bits are computed
// with as bytes. Half precision is not among them, see half.
func numericOf(dt onnx.DataType) (numeric, error) {
	switch dt {
	case onnx.Float:
		return numbers[float32]{}, nil
	case onnx.Double:
		return numbers[float64]{}, nil
	case onnx.Int8, onnx.Int4, onnx.Int2:
		return numbers[int8]{}, nil
	case onnx.Int16:
		return numbers[int16]{}, nil
	case onnx.Int32:
		return numbers[int32]{}, nil
	case onnx.Int64:
		return numbers[int64]{}, nil
	case onnx.Uint8, onnx.Bool, onnx.Uint4, onnx.Uint2:
		return numbers[uint8]{}, nil
	case onnx.Uint16:
		return numbers[uint16]{}, nil
	case onnx.Uint32:
		return numbers[uint32]{}, nil
	case onnx.Uint64:
		return numbers[uint64]{}, nil
	}
	return nil, fmt.Errorf("elements of type %s are not computed with", tensor.TypeName(dt))
}

// isFloat reports whether T has fractions.
func isFloat[T number]() bool {
	one := T(1)
	return one/2 != 0
}

// widening is an operator on float32 that serves the types of half precision too: their elements are widened, and the float32
// results rounded.
type widening interface {
	Op
	run(c *Call) error
}

// Wide is memory for operands of half precision as float32, for runs of operators one after the other.
type Wide struct {
	call    Call
	in, out []*tensor.Tensor
	scratch []float32
}

// slot returns entry i of a list of tensors to use again, which is nil at first.
func slot(all *[]*tensor.Tensor, i int) **tensor.Tensor {
	for len(*all) <= i {
		*all = append(*all, nil)
	}
	return &(*all)[i]
}

// half runs an operator through float32 when an input is of half precision, else as it is.
func half(c *Call, op widening) error {
	dt := onnx.Undefined
	for _, t := range c.In {
		if t != nil && typesHalf.has(t.Type) {
			dt = t.Type // that of the first
			break
		}
	}
	if dt == onnx.Undefined {
		return op.run(c)
	}
	w := c.Wide
	if w == nil {
		w = new(Wide)
	}
	wide := &w.call
	in, outs := wide.In[:0], wide.Outs[:0]
	*wide = *c
	defer func() { *wide = Call{In: in[:0], Outs: outs[:0]} }()
	for i, t := range c.In {
		if t != nil && typesHalf.has(t.Type) {
			f, err := w.widened(i, t)
			if err != nil {
				return err
			}
			t = f
		}
		in = append(in, t)
	}
	for i := range c.Outs {
		outs = append(outs, nil)
		if c.wants(i) {
			outs[i] = *slot(&w.out, i)
		}
	}
	wide.In, wide.Outs, wide.Scratch = in, outs, w.scratch // the plan foresees float32 only
	if err := op.run(wide); err != nil {
		return err
	}
	w.scratch = wide.Scratch
	for i, t := range outs {
		if t == nil {
			continue
		}
		if err := w.narrowed(c, i, t, dt); err != nil {
			return err
		}
	}
	return nil
}

// widened returns input i as float32.
func (w *Wide) widened(i int, t *tensor.Tensor) (*tensor.Tensor, error) {
	f := slot(&w.in, i)
	if *f == nil || !(*f).Reuse(onnx.Float, t.Shape, t.Layout) {
		made, err := tensor.New(onnx.Float, t.Shape...)
		if err != nil {
			return nil, err
		}
		made.Layout, *f = t.Layout, made
	}
	t.Floats(elements[float32](*f), 0)
	return *f, nil
}

// narrowed gives output i of c what was computed: in type dt if that is float32.
func (w *Wide) narrowed(c *Call, i int, t *tensor.Tensor, dt onnx.DataType) error {
	if kept := slot(&w.out, i); t != *kept && t.Type != onnx.String { // t may share the memory of an input
		made, err := tensor.New(t.Type, t.Shape...)
		if err != nil {
			return err
		}
		*kept = made
	}
	if t.Type != onnx.Float {
		return c.give(i, t)
	}
	out, err := c.Out(i, dt, t.Shape, t.Layout)
	if err != nil {
		return err
	}
	out.SetFloats(0, elements[float32](t), false)
	return nil
}
