package onnx

import (
	"bytes"
	"reflect"
)

// Canonical encodes the model as if it had been made in code: no message is written as it was read.
func Canonical(m *Model) ([]byte, error) {
	e, err := encode(m, false)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = e.writeTo(&b)
	return b.Bytes(), err
}

// Pieces tells how many runs of bytes the model is written as, and how many of them are copies.
func Pieces(m *Model) (referred, copied int, err error) {
	e, err := encode(m, true)
	if err != nil {
		return 0, 0, err
	}
	for _, p := range e.pieces {
		if len(p.data) < chunkSize {
			copied++
		} else {
			referred++
		}
	}
	return referred, copied, nil
}

// Equal compares two models.
func Equal(a, b *Model) bool { return equal(a, b) }

// WithLimit sets the size from which a model file cannot be.
func (o SaveOptions) WithLimit(n int64) SaveOptions {
	o.limit = n
	return o
}

// Field is a row of the schema.
type Field struct {
	Message, Name, Elem string
	Num                 int
	Wire                int8
	List, Packed, Oneof bool
	Repeated            bool
}

// Fields lists the schema.
func Fields() []Field {
	var all []Field
	for _, s := range schemas {
		table := s.typ
		if table == reflect.TypeFor[Tensor]() {
			table = reflect.TypeFor[tensorFields]()
		}
		for _, f := range s.fields {
			row := Field{
				Message: s.name, Name: f.name, Num: int(f.num), Wire: int8(f.wire), List: f.list, Packed: f.packed,
				Oneof: f.oneof,
			}
			typ := table.Field(f.index).Type
			row.Repeated = f.list || typ.Kind() == reflect.Slice && typ != reflect.TypeFor[[]byte]()
			if f.elem != nil {
				row.Elem = f.elem.name
			}
			all = append(all, row)
		}
	}
	return all
}
