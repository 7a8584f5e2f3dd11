package onnx

import (
	"reflect"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is what every struct of the schema remembers of the bytes it was decoded from. Its zero value is right for one
// that was made in code.
type message struct {
	zero    uint32 // by position in the schema: the scalar was there although it has its default value
	alt     uint32 // by position: a repeated number was not in the packed or unpacked form that onnx.proto states; or see markAbsent
	unknown []byte // fields that the schema does not have, as they were
	span    []byte // the contents; nil if there were none or they came in pieces
}

func (m *message) header() *message { return m }

type header interface{ header() *message }

// schema is the table of a message, made from the tags of its struct.
type schema struct {
	typ    reflect.Type
	name   string
	fields []*field // in the order of their numbers
	byNum  map[protowire.Number]*field
}

type field struct {
	num    protowire.Number
	name   string // in onnx.proto
	index  int    // in the struct
	bit    uint32 // in message.zero and message.alt
	wire   protowire.Type
	list   bool    // a repeated number, which may come packed and unpacked
	packed bool    // onnx.proto says packed
	oneof  bool    // setting it clears the message's other oneof fields
	elem   *schema // of a message or repeated message
}

// schemas holds the table of every message reachable from a model.
var schemas = func() map[reflect.Type]*schema {
	all := map[reflect.Type]*schema{}
	addSchema(all, reflect.TypeFor[Model]())
	return all
}()

func addSchema(all map[reflect.Type]*schema, typ reflect.Type) *schema {
	if s := all[typ]; s != nil {
		return s
	}
	s := &schema{typ: typ, name: typ.Name(), byNum: map[protowire.Number]*field{}}
	all[typ] = s
	table := typ
	if typ == reflect.TypeFor[Tensor]() {
		table = reflect.TypeFor[tensorFields]()
	}
	for i := range table.NumField() {
		sf := table.Field(i)
		tag := strings.Split(sf.Tag.Get("onnx"), ",")
		if len(tag) < 2 {
			continue // the embedded message
		}
		num, err := strconv.Atoi(tag[0])
		if err != nil {
			panic("onnx: bad tag of " + typ.Name() + "." + sf.Name)
		}
		f := &field{num: protowire.Number(num), name: tag[1], index: i, bit: 1 << len(s.fields)}
		for _, option := range tag[2:] {
			switch option {
			case "oneof":
				f.oneof = true
			case "fixed32":
				f.packed, f.list, f.wire = true, true, protowire.Fixed32Type
			case "fixed64":
				f.packed, f.list, f.wire = true, true, protowire.Fixed64Type
			case "varint":
				f.packed, f.list, f.wire = true, true, protowire.VarintType
			}
		}
		f.setType(all, sf.Type)
		s.fields = append(s.fields, f)
		s.byNum[f.num] = f
	}
	return s
}

// setType derives the wire type from the Go type, unless the tag told it.
func (f *field) setType(all map[reflect.Type]*schema, typ reflect.Type) {
	if f.list {
		return
	}
	f.wire = protowire.BytesType
	switch typ {
	case reflect.TypeFor[[]int64]():
		f.wire, f.list = protowire.VarintType, true
		return
	case reflect.TypeFor[[]float32]():
		f.wire, f.list = protowire.Fixed32Type, true
		return
	}
	if typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
		if typ.Kind() == reflect.Struct {
			f.elem = addSchema(all, typ)
		}
	}
	switch typ.Kind() {
	case reflect.Int32, reflect.Int64:
		f.wire = protowire.VarintType
	case reflect.Float32:
		f.wire = protowire.Fixed32Type
	}
}

// unit is the bytes of a fixed-size number, 0 for others.
func (f *field) unit() int {
	switch f.wire {
	case protowire.Fixed32Type:
		return 4
	case protowire.Fixed64Type:
		return 8
	}
	return 0
}

// fieldsOf returns the struct that the table of the message at p describes, and what the message remembers. It is *p
// itself but for a Tensor, whose values take their wire form first; that is what can fail.
func fieldsOf(p any) (reflect.Value, *message, error) {
	if t, ok := p.(*Tensor); ok {
		w, err := t.fields()
		if err != nil {
			return reflect.Value{}, nil, err
		}
		return reflect.ValueOf(w).Elem(), &w.message, nil
	}
	return reflect.ValueOf(p).Elem(), p.(header).header(), nil
}
