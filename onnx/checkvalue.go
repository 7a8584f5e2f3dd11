package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// attributeFields are the numbers of the fields that hold the values of the attribute types.
var attributeFields = map[AttributeType]protowire.Number{
	AttributeFloat: 2, AttributeInt: 3, AttributeString: 4, AttributeTensor: 5, AttributeGraph: 6, AttributeFloats: 7,
	AttributeInts: 8, AttributeStrings: 9, AttributeTensors: 10, AttributeGraphs: 11, AttributeTypeProto: 14,
	AttributeTypeProtos: 15, AttributeSparseTensor: 22, AttributeSparseTensors: 23,
}

// attribute checks an attribute of the node or function of that name; inner is the path of sub-graphs but for the attribute.
func (c *checker) attribute(a *Attribute, name, inner string, s *scope) {
	if a.Name == "" {
		c.report(name, "", "has an attribute without a name")
	}
	if a.Type == AttributeUndefined {
		c.report(name, "", "attribute %q has no type", a.Name)
	}
	c.attributeValue(a, name)
	var tensors []*Tensor
	var graphs []*Graph
	var sparse []*SparseTensor
	tensors = appendSet(tensors, a.T, a.Tensors)
	graphs = appendSet(graphs, a.G, a.Graphs)
	sparse = appendSet(sparse, a.SparseTensor, a.SparseTensors)
	for _, t := range tensors {
		c.tensor(t, name)
	}
	for i, g := range graphs {
		path := inner + "." + a.Name
		if a.G == nil {
			path = fmt.Sprintf("%s[%d]", path, i)
		}
		c.graph(g, path, s)
	}
	for _, t := range sparse {
		c.sparseTensor(t, name)
	}
}

func appendSet[T any](list []*T, one *T, more []*T) []*T {
	if one != nil {
		list = append(list, one)
	}
	return append(list, more...)
}

// attributeValue checks that the field which the type names, and no other, has a value.
func (c *checker) attributeValue(a *Attribute, name string) {
	v := reflect.ValueOf(a).Elem()
	want := attributeFields[a.Type]
	if a.RefAttrName != "" {
		want = 0
		if c.function == nil {
			c.report(name, "", "attribute %q refers to attribute %q, which only a function can", a.Name, a.RefAttrName)
		} else if !c.function.declares(a.RefAttrName) {
			c.report(name, "", "attribute %q refers to attribute %q, which the function does not have", a.Name, a.RefAttrName)
		}
	}
	for _, f := range schemas[v.Type()].fields {
		isValue := false
		for _, num := range attributeFields {
			isValue = isValue || num == f.num
		}
		field := v.Field(f.index)
		switch {
		case !isValue:
		case f.num != want && (!field.IsZero() || a.zero&f.bit != 0):
			c.report(name, "", "attribute %q of type %s has a value in %s", a.Name, a.Type, f.name)
		case f.num == want && field.IsZero() && (field.Kind() == reflect.Pointer || a.alt&f.bit != 0 && !f.list):
			c.report(name, "", "attribute %q of type %s has no value", a.Name, a.Type)
		}
	}
}

// declares reports whether the function has an attribute of that name.
func (f *Function) declares(name string) bool {
	return slices.Contains(f.Attributes, name) ||
		slices.ContainsFunc(f.AttributeProtos, func(a *Attribute) bool { return a.Name == name })
}

func (c *checker) tensor(t *Tensor, node string) {
	if err := t.check(); err != nil {
		msg := err.Error()
		var values *ValuesError
		if errors.As(err, &values) {
			msg = values.Msg
		}
		c.report(node, t.Name, "%s", msg)
	}
}

// check returns what is wrong with a tensor's type, shape and values.
func (t *Tensor) check() error {
	switch {
	case !t.DataType.Known():
		return t.errorf("has no known type: %s", t.DataType)
	case t.other != nil:
		return t.errorf("has values in more than one field")
	case t.DataType == String:
		_, err := t.Strings()
		return err
	}
	size, err := t.ByteSize()
	if err != nil {
		return err
	}
	if x := t.External; t.Storage == StorageExternal {
		if err := checkLocation(x.location()); err != nil {
			return t.errorf("external data %q: %v", x.location(), err)
		}
		if x.HasLength && x.Length != size {
			return t.errorf("external data of %d bytes where %v of %s takes %d", x.Length, t.Dims, t.DataType, size)
		}
		if t.values.from == StorageExternal && t.values.source == nil {
			return nil // it is not loaded
		}
	}
	if s := t.values.stream; s != nil {
		if s.Size() != size {
			return t.errorf("a stream of %d bytes where %v of %s takes %d", s.Size(), t.Dims, t.DataType, size)
		}
		return nil
	}
	_, err = t.Bytes()
	return err
}

// sparseTensor checks the two tensors and that the indices are within Dims and ascend.
func (c *checker) sparseTensor(s *SparseTensor, node string) {
	if s.Values == nil || s.Indices == nil {
		c.report(node, "", "a sparse tensor has no values or no indices")
		return
	}
	c.tensor(s.Values, node)
	c.tensor(s.Indices, node)
	if err := s.check(); err != nil {
		c.report(node, s.Values.Name, "sparse: %v", err)
	}
}

func (s *SparseTensor) check() error {
	dense := Tensor{Dims: s.Dims}
	size, err := dense.NumElements()
	switch {
	case err != nil:
		return fmt.Errorf("shape %v is impossible", s.Dims)
	case len(s.Values.Dims) != 1:
		return fmt.Errorf("values have shape %v, not one dimension", s.Values.Dims)
	case s.Indices.DataType != Int64:
		return fmt.Errorf("indices are of type %s, not INT64", s.Indices.DataType)
	}
	count, rank := s.Values.Dims[0], int64(len(s.Dims))
	switch d := s.Indices.Dims; {
	case len(d) == 1 && d[0] == count:
		rank = 1
	case len(d) == 2 && d[0] == count && d[1] == rank:
	case len(d) == 2 && count == 0 && d[0] == 0:
	default:
		return fmt.Errorf("%d values of rank %d have indices of shape %v", count, rank, d)
	}
	raw, err := s.Indices.Bytes()
	if err != nil || len(s.Indices.Dims) == 0 {
		return nil //nolint:nilerr // reported with the tensor
	}
	last := int64(-1)
	for i := range count {
		position := int64(0)
		for j := range rank {
			x := int64(binary.LittleEndian.Uint64(raw[8*(i*rank+j):]))
			limit := size
			if len(s.Indices.Dims) == 2 {
				limit = s.Dims[j]
			}
			if x < 0 || x >= limit {
				return fmt.Errorf("index %d of value %d is not below %d", x, i, limit)
			}
			position = position*limit + x
		}
		if position <= last {
			return fmt.Errorf("the index of value %d does not come after the one before", i)
		}
		last = position
	}
	return nil
}
