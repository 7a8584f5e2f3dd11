package onnx

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/effml/effml/internal/mapped"
)

// WriteTo writes the model as a .onnx file, without the external data files (Save writes those). A message that still
// says what it said when it was decoded is written as it was; the others are written in canonical form, so that the same
// model always gives the same bytes. Large values are handed to w as they are, not copied.
func (m *Model) WriteTo(w io.Writer) (n int64, err error) {
	err = mapped.Guard(func() error {
		e, err := encode(m, true)
		if err != nil {
			return err
		}
		n, err = e.writeTo(w)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("onnx: write: %w", err)
	}
	return n, nil
}

// The encoder works from the last byte to the first: when a message's tag and length are due, its contents are
// written and its length is known. Small pieces gather in chunks; large ones are referred to.
type encoder struct {
	verbatim bool    // write unchanged messages as they were
	pieces   []piece // last first
	chunk    []byte
	pos, end int   // chunk[pos:end] is written but not yet among the pieces
	n        int64 // bytes so far
	depth    int
}

type piece struct {
	data   []byte
	stream Payload // instead of data
}

const (
	chunkSize = 32 << 10
	largeSize = 4 << 10 // from here on bytes are referred to, not copied
)

func encode(m *Model, verbatim bool) (*encoder, error) {
	e := &encoder{verbatim: verbatim}
	if err := e.message(m); err != nil {
		return nil, err
	}
	e.flush()
	return e, nil
}

func (e *encoder) writeTo(w io.Writer) (int64, error) {
	b := bufio.NewWriterSize(w, 256<<10)
	var n int64
	for i := len(e.pieces) - 1; i >= 0; i-- {
		p := e.pieces[i]
		if p.stream == nil {
			k, err := b.Write(p.data)
			n += int64(k)
			if err != nil {
				return n, err
			}
			continue
		}
		k, err := p.stream.WriteTo(b)
		n += k
		if err == nil && k != p.stream.Size() {
			err = fmt.Errorf("a stream of %d bytes wrote %d", p.stream.Size(), k)
		}
		if err != nil {
			return n, err
		}
	}
	return n, b.Flush()
}

func (e *encoder) flush() {
	if e.pos < e.end {
		e.pieces = append(e.pieces, piece{data: e.chunk[e.pos:e.end]})
		e.end = e.pos
	}
}

// room makes the n bytes before what is written so far and returns them.
func (e *encoder) room(n int) []byte {
	if n > e.pos {
		e.flush()
		e.chunk = make([]byte, chunkSize)
		e.pos, e.end = chunkSize, chunkSize
	}
	e.pos -= n
	e.n += int64(n)
	return e.chunk[e.pos : e.pos+n]
}

func (e *encoder) bytes(b []byte) {
	if len(b) < largeSize {
		copy(e.room(len(b)), b)
		return
	}
	e.flush()
	e.pieces = append(e.pieces, piece{data: b})
	e.n += int64(len(b))
}

func (e *encoder) string(s string) {
	if len(s) < largeSize {
		copy(e.room(len(s)), s)
		return
	}
	e.bytes([]byte(s))
}

func (e *encoder) varint(x uint64) {
	var b [10]byte
	copy(e.room(protowire.SizeVarint(x)), protowire.AppendVarint(b[:0], x))
}

func (e *encoder) fixed32(x uint32) {
	protowire.AppendFixed32(e.room(4)[:0], x)
}

func (e *encoder) tag(num protowire.Number, wire protowire.Type) {
	e.varint(protowire.EncodeTag(num, wire))
}

// delimit writes the length and tag of what was written since e.n was start.
func (e *encoder) delimit(f *field, start int64) {
	e.varint(uint64(e.n - start))
	e.tag(f.num, protowire.BytesType)
}

// message writes the contents of the message at p.
func (e *encoder) message(p any) error {
	if e.depth >= maxDepth {
		return fmt.Errorf("onnx: messages nest deeper than %d", maxDepth)
	}
	v, head, err := fieldsOf(p)
	if err != nil {
		return err
	}
	if e.verbatim && head.span != nil && unchanged(p, head.span) {
		e.bytes(head.span)
		return nil
	}
	e.depth++
	defer func() { e.depth-- }()
	e.bytes(head.unknown)
	fields := schemas[reflect.TypeOf(p).Elem()].fields
	for i := len(fields) - 1; i >= 0; i-- {
		if err := e.field(fields[i], v.Field(fields[i].index), head, p); err != nil {
			return err
		}
	}
	return nil
}

// field writes all records of a field, the last first.
func (e *encoder) field(f *field, v reflect.Value, head *message, p any) error {
	if f.elem != nil {
		return e.messages(f, v)
	}
	keep := head.zero&f.bit != 0 // a value that is there although it is the default
	if a, ok := p.(*Attribute); ok && a.scalar() == f.num && head.alt&f.bit == 0 {
		keep = true
	}
	switch x := v.Addr().Interface().(type) {
	case *string:
		if *x != "" || keep {
			start := e.n
			e.string(*x)
			e.delimit(f, start)
		}
	case *[]byte:
		if len(*x) > 0 || keep {
			start := e.n
			e.bytes(*x)
			e.delimit(f, start)
		}
	case *float32:
		if bits := math.Float32bits(*x); bits != 0 || keep {
			e.fixed32(bits)
			e.tag(f.num, f.wire)
		}
	case **int64:
		if *x != nil {
			e.varint(uint64(**x))
			e.tag(f.num, f.wire)
		}
	case *blob:
		return e.blob(f, x, head.alt&f.bit != 0)
	default:
		if v.CanInt() {
			if v.Int() != 0 || keep {
				e.varint(uint64(v.Int()))
				e.tag(f.num, f.wire)
			}
			return nil
		}
		e.list(f, x, head.alt&f.bit != 0)
	}
	return nil
}

func (e *encoder) messages(f *field, v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		start := e.n
		if err := e.message(v.Interface()); err != nil {
			return err
		}
		e.delimit(f, start)
		return nil
	}
	for i := v.Len() - 1; i >= 0; i-- {
		if v.Index(i).IsNil() {
			return fmt.Errorf("onnx: element %d of %s is nil", i, f.name)
		}
		start := e.n
		if err := e.message(v.Index(i).Interface()); err != nil {
			return err
		}
		e.delimit(f, start)
	}
	return nil
}

// list writes a repeated string, bytes or number field; the numbers packed if packed is true.
func (e *encoder) list(f *field, list any, packed bool) {
	start := e.n
	switch x := list.(type) {
	case *[]string:
		for i := len(*x) - 1; i >= 0; i-- {
			start := e.n
			e.string((*x)[i])
			e.delimit(f, start)
		}
		return
	case *[][]byte:
		for i := len(*x) - 1; i >= 0; i-- {
			start := e.n
			e.bytes((*x)[i])
			e.delimit(f, start)
		}
		return
	case *[]int64:
		for i := len(*x) - 1; i >= 0; i-- {
			e.varint(uint64((*x)[i]))
			if !packed {
				e.tag(f.num, f.wire)
			}
		}
	case *[]float32:
		for i := len(*x) - 1; i >= 0; i-- {
			e.fixed32(math.Float32bits((*x)[i]))
			if !packed {
				e.tag(f.num, f.wire)
			}
		}
	}
	if packed && e.n > start {
		e.delimit(f, start)
	}
}

// blob writes raw_data or a packed field, or, as some writers do, the latter's numbers one by one.
func (e *encoder) blob(f *field, b *blob, single bool) error {
	start := e.n
	switch {
	case b.stream != nil:
		e.flush()
		e.pieces = append(e.pieces, piece{stream: b.stream})
		e.n += b.stream.Size()
	case single:
		return e.singles(f, b.data)
	default:
		e.bytes(b.data)
	}
	// A packed field of no numbers is not written, an empty raw_data is.
	if e.n > start || b.present && !f.list {
		e.delimit(f, start)
	}
	return nil
}

func (e *encoder) singles(f *field, packed []byte) error {
	for end := len(packed); end > 0; {
		start := end - f.unit()
		if f.wire == protowire.VarintType {
			for start--; start > 0 && packed[start-1]&0x80 != 0; start-- {
			}
		}
		if start < 0 {
			return errors.New("onnx: " + f.name + " is no list of numbers")
		}
		e.bytes(packed[start:end])
		e.tag(f.num, f.wire)
		end = start
	}
	return nil
}

// scalar returns the number of the field that is the attribute's value, which is written even if it is zero; 0 if it is
// a list or message, or stands for another attribute.
func (a *Attribute) scalar() protowire.Number {
	if a.RefAttrName == "" && a.Type >= AttributeFloat && a.Type <= AttributeString {
		return attributeFields[a.Type]
	}
	return 0
}

// markAbsent remembers, in message.alt, that the attribute was read without the value that its type names. It is
// against the rules, but not ours to mend while writing.
func (a *Attribute) markAbsent() {
	f := schemas[reflect.TypeFor[Attribute]()].byNum[a.scalar()]
	if f == nil {
		return
	}
	a.alt &^= f.bit
	if reflect.ValueOf(a).Elem().Field(f.index).IsZero() && a.zero&f.bit == 0 {
		a.alt |= f.bit
	}
}
