package onnx

import (
	"errors"
	"fmt"
	"math"
	"reflect"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxDepth bounds the nesting of messages, as protobuf's own libraries do.
const maxDepth = 100

// Decode reads a model from the bytes of a .onnx file. Tensor values and other byte fields are views of data, which must
// therefore stay as it is. Values in external files are not loaded (Open does that). What is no ONNX model is a
// *FormatError.
func Decode(data []byte) (*Model, error) {
	m := &Model{}
	if len(data) == 0 {
		return nil, &FormatError{Msg: "the file is empty"}
	}
	err := decode(m, data, 0, 0)
	if err == nil && m.Graph == nil {
		err = &FormatError{Msg: "the message has no graph: not an ONNX model"}
	}
	if err != nil {
		if what := impostor(data); what != "" {
			return nil, &FormatError{Msg: "this is " + what}
		}
		return nil, err
	}
	return m, nil
}

// DecodeTensor reads a tensor from the bytes of a file that holds one and nothing else, as ONNX's test data do. Its values
// are views of data. What is no TensorProto is a *FormatError.
func DecodeTensor(data []byte) (*Tensor, error) {
	t := &Tensor{}
	if err := decode(t, data, 0, 0); err != nil {
		return nil, err
	}
	return t, nil
}

// decode reads the message at p, a pointer to a struct of the schema, from b, which lies at the absolute offset off. A
// message that has been read before is added to, as protobuf wants it.
func decode(p any, b []byte, off int64, depth int) *FormatError {
	if depth >= maxDepth {
		return &FormatError{Offset: off, Msg: fmt.Sprintf("messages nest deeper than %d", maxDepth)}
	}
	v, head, err := fieldsOf(p)
	if err != nil {
		return &FormatError{Offset: off, Msg: err.Error()}
	}
	seen := head.span != nil || head.unknown != nil
	s := schemas[reflect.TypeOf(p).Elem()]
	if ferr := s.decodeFields(v, head, b, off, depth); ferr != nil {
		return ferr
	}
	if seen {
		head.span = nil
	} else {
		head.span = b[:len(b):len(b)]
	}
	if a, ok := p.(*Attribute); ok {
		a.markAbsent()
	}
	if t, ok := p.(*Tensor); ok {
		if err := t.fill(v.Addr().Interface().(*tensorFields)); err != nil {
			ferr, ok := errors.AsType[*FormatError](err)
			if !ok {
				ferr = &FormatError{Msg: err.Error()}
			}
			ferr.Offset = off
			return ferr
		}
	}
	return nil
}

func (s *schema) decodeFields(v reflect.Value, head *message, b []byte, off int64, depth int) *FormatError {
	for pos := 0; pos < len(b); {
		r := record{start: pos, off: off}
		if err := r.read(b); err != nil {
			if f := s.byNum[r.num]; f != nil && err.Field == "" {
				err.Field = f.name
			}
			return err
		}
		pos = r.end
		f := s.byNum[r.num]
		if f == nil {
			head.unknown = append(head.unknown, b[r.start:r.end]...)
			continue
		}
		if r.wire != f.wire && !(f.list && r.wire == protowire.BytesType) {
			return &FormatError{
				Field: f.name, Offset: off + int64(r.start),
				Msg: fmt.Sprintf("has wire type %d where %d belongs", r.wire, f.wire),
			}
		}
		if f.oneof {
			s.clearOneof(v, head, f)
		}
		if err := f.set(v.Field(f.index), head, &r, depth); err != nil {
			return err.within(f.name)
		}
	}
	return nil
}

// clearOneof resets the other members of the message's oneof.
func (s *schema) clearOneof(v reflect.Value, head *message, f *field) {
	for _, g := range s.fields {
		if g.oneof && g != f {
			v.Field(g.index).SetZero()
			head.zero &^= g.bit
		}
	}
}

// record is one field of a message on the wire.
type record struct {
	off        int64 // of the message, absolute
	start, end int   // in the message
	num        protowire.Number
	wire       protowire.Type
	x          uint64 // the value of a number
	data       []byte // the contents of a bytes field, else the bytes of the number
	dataStart  int
}

func (r *record) read(b []byte) *FormatError {
	tag, n := protowire.ConsumeVarint(b[r.start:])
	if n < 0 {
		return r.errorf("the tag of a field is %s", truncated(n))
	}
	pos := r.start + n
	r.num, r.wire = protowire.DecodeTag(tag)
	if r.num < protowire.MinValidNumber {
		return r.errorf("%d is not a field number", tag>>3)
	}
	r.dataStart = pos
	switch r.wire {
	case protowire.VarintType:
		r.x, n = protowire.ConsumeVarint(b[pos:])
	case protowire.Fixed32Type:
		var x uint32
		x, n = protowire.ConsumeFixed32(b[pos:])
		r.x = uint64(x)
	case protowire.Fixed64Type:
		r.x, n = protowire.ConsumeFixed64(b[pos:])
	case protowire.BytesType:
		size, k := protowire.ConsumeVarint(b[pos:])
		if k < 0 {
			return r.errorf("the length of a field is %s", truncated(k))
		}
		pos += k
		if size > uint64(len(b)-pos) {
			return r.errorf("a length of %d bytes where %d remain", size, len(b)-pos)
		}
		r.dataStart, n = pos, int(size)
	default:
		n = protowire.ConsumeFieldValue(r.num, r.wire, b[pos:])
	}
	if n < 0 {
		return r.errorf("a field of wire type %d is %s", r.wire, truncated(n))
	}
	r.end = pos + n
	r.data = b[r.dataStart:r.end:r.end]
	return nil
}

func (r *record) errorf(format string, args ...any) *FormatError {
	return &FormatError{Offset: r.off + int64(r.start), Msg: fmt.Sprintf(format, args...)}
}

// truncated words protowire's error codes.
func truncated(code int) string {
	if err := protowire.ParseError(code); err.Error() != "unexpected EOF" {
		return "malformed: " + err.Error()
	}
	return "cut short"
}

// set stores a record in the struct field v.
func (f *field) set(v reflect.Value, head *message, r *record, depth int) *FormatError {
	if f.elem != nil {
		return f.setMessage(v, r, depth)
	}
	isZero := false
	switch p := v.Addr().Interface().(type) {
	case *string:
		*p, isZero = string(r.data), len(r.data) == 0
	case *[]byte:
		*p, isZero = r.data, len(r.data) == 0
	case *int64:
		*p, isZero = int64(r.x), r.x == 0
	case *int32:
		*p, isZero = int32(r.x), int32(r.x) == 0
	case *DataType:
		*p, isZero = DataType(r.x), DataType(r.x) == 0
	case *AttributeType:
		*p, isZero = AttributeType(r.x), AttributeType(r.x) == 0
	case *float32:
		*p, isZero = math.Float32frombits(uint32(r.x)), r.x == 0
	case **int64:
		x := int64(r.x)
		*p = &x
	case *[]string:
		*p = append(*p, string(r.data))
	case *[][]byte:
		*p = append(*p, r.data)
	default:
		return f.setList(p, head, r)
	}
	head.zero &^= f.bit
	if isZero {
		head.zero |= f.bit
	}
	return nil
}

func (f *field) setMessage(v reflect.Value, r *record, depth int) *FormatError {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(f.elem.typ))
		}
		return decode(v.Interface(), r.data, r.off+int64(r.dataStart), depth+1)
	}
	p := reflect.New(f.elem.typ)
	if err := decode(p.Interface(), r.data, r.off+int64(r.dataStart), depth+1); err != nil {
		return err.within(fmt.Sprintf("[%d]", v.Len()))
	}
	v.Set(reflect.Append(v, p))
	return nil
}

// setList adds a record to a repeated number or to bytes that stay as they are.
func (f *field) setList(p any, head *message, r *record) *FormatError {
	if f.list {
		if len(r.data) == 0 {
			return nil
		}
		head.alt &^= f.bit
		if isPacked := r.wire == protowire.BytesType; isPacked != f.packed {
			head.alt |= f.bit
		}
		if unit := f.unit(); unit > 0 && len(r.data)%unit != 0 {
			return r.errorf("%d bytes are not a list of %d-byte numbers", len(r.data), unit)
		}
	}
	switch p := p.(type) {
	case *blob:
		if !f.list || len(p.data) == 0 {
			p.data = r.data
		} else {
			p.data = append(p.data, r.data...) // a view has no room to grow, so this copies it first
		}
		p.present = !f.list
		if head.alt&f.bit != 0 { // packed numbers are looked at when they are asked for, but these would be written one by one
			if err := f.checkNumbers(p.data[p.checked:], r); err != nil {
				return err
			}
			p.checked = len(p.data)
		}
	case *[]int64:
		for b := r.data; len(b) > 0; {
			x, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return r.errorf("a packed number is %s", truncated(n))
			}
			*p = append(*p, int64(x))
			b = b[n:]
		}
	case *[]float32:
		for b := r.data; len(b) > 0; b = b[4:] {
			x, _ := protowire.ConsumeFixed32(b)
			*p = append(*p, math.Float32frombits(x))
		}
	}
	return nil
}

// checkNumbers objects to packed varints that are malformed; other numbers have been checked.
func (f *field) checkNumbers(packed []byte, r *record) *FormatError {
	for f.unit() == 0 && len(packed) > 0 {
		_, n := protowire.ConsumeVarint(packed)
		if n < 0 {
			return r.errorf("a packed number is %s", truncated(n))
		}
		packed = packed[n:]
	}
	return nil
}
