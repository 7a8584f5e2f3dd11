package onnx

import (
	"bytes"
	"math"
	"reflect"
	"slices"
)

// unchanged reports whether the message at p says just what its span says.
func unchanged(p any, span []byte) bool {
	old := reflect.New(reflect.TypeOf(p).Elem()).Interface()
	return decode(old, span, 0, 0) == nil && equal(old, p)
}

// equal reports whether two messages of one type have the same fields, with the same explicit defaults and unknown
// fields. Values in external files do not belong to the message.
func equal(p, q any) bool {
	a, ha, err := fieldsOf(p)
	if err != nil {
		return false
	}
	b, hb, err := fieldsOf(q)
	if err != nil {
		return false
	}
	if ha.zero != hb.zero || ha.alt != hb.alt || !bytes.Equal(ha.unknown, hb.unknown) {
		return false
	}
	for _, f := range schemas[reflect.TypeOf(p).Elem()].fields {
		if !f.equal(a.Field(f.index), b.Field(f.index)) {
			return false
		}
	}
	return true
}

func (f *field) equal(a, b reflect.Value) bool {
	if f.elem != nil {
		return equalMessages(a, b)
	}
	switch x := a.Addr().Interface().(type) {
	case *[]byte:
		return bytes.Equal(*x, b.Bytes())
	case *float32:
		return math.Float32bits(*x) == math.Float32bits(*b.Addr().Interface().(*float32)) // Float would quieten a signalling NaN
	case **int64:
		y := *b.Addr().Interface().(**int64)
		return (*x == nil) == (y == nil) && (y == nil || **x == *y)
	case *blob:
		y := b.Addr().Interface().(*blob)
		return x.stream == nil && y.stream == nil && x.present == y.present && bytes.Equal(x.data, y.data)
	case *[]string:
		return slices.Equal(*x, *b.Addr().Interface().(*[]string))
	case *[][]byte:
		return slices.EqualFunc(*x, *b.Addr().Interface().(*[][]byte), bytes.Equal)
	case *[]int64:
		return slices.Equal(*x, *b.Addr().Interface().(*[]int64))
	case *[]float32:
		return slices.EqualFunc(*x, *b.Addr().Interface().(*[]float32), func(x, y float32) bool {
			return math.Float32bits(x) == math.Float32bits(y)
		})
	}
	return a.Equal(b)
}

func equalMessages(a, b reflect.Value) bool {
	if a.Kind() == reflect.Pointer {
		return a.IsNil() == b.IsNil() && (a.IsNil() || equal(a.Interface(), b.Interface()))
	}
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if !equalMessages(a.Index(i), b.Index(i)) {
			return false
		}
	}
	return true
}

// Clone returns a deep copy of the model. Bytes that are never changed in place are shared: tensor values, byte strings
// of attributes, and the file that they are views of.
func (m *Model) Clone() *Model { return clone(reflect.ValueOf(m)).Interface().(*Model) }

// clone copies a message, *int64, or slice of anything that occurs in the schema.
func clone(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		c := reflect.New(v.Type().Elem())
		c.Elem().Set(v.Elem())
		if s := schemas[v.Type().Elem()]; s != nil {
			cloneFields(s, c)
		}
		return c
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
			return v
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		if v.Type().Elem().Kind() == reflect.Pointer {
			for i := range c.Len() {
				c.Index(i).Set(clone(c.Index(i)))
			}
		}
		return c
	}
	return v
}

// cloneFields replaces what the shallow copy c still shares with its original.
func cloneFields(s *schema, c reflect.Value) {
	if t, ok := c.Interface().(*Tensor); ok {
		t.Dims = slices.Clone(t.Dims)
		t.Metadata = clone(reflect.ValueOf(t.Metadata)).Interface().([]*StringEntry)
		t.Segment = clone(reflect.ValueOf(t.Segment)).Interface().(*Segment)
		if t.External != nil {
			external := *t.External
			t.External = &external
		}
		return
	}
	for _, f := range s.fields {
		field := c.Elem().Field(f.index)
		field.Set(clone(field))
	}
}
