package onnx

import "fmt"

// DataType is TensorProto.DataType.
type DataType int32

// The element types of a tensor, as of IR version 14.
const (
	Undefined DataType = iota
	Float
	Uint8
	Int8
	Uint16
	Int16
	Int32
	Int64
	String
	Bool
	Float16
	Double
	Uint32
	Uint64
	Complex64
	Complex128
	BFloat16
	Float8E4M3FN
	Float8E4M3FNUZ
	Float8E5M2
	Float8E5M2FNUZ
	Uint4
	Int4
	Float4E2M1
	Float8E8M0
	Uint2
	Int2
	Float6E2M3
	Float6E3M2
)

// dataTypes tells of each type its name in onnx.proto, its bits in raw_data, the field that holds its values
// when not raw_data, and whether it is a real floating-point type.
var dataTypes = [...]struct {
	name    string
	bits    int
	storage Storage
	float   bool
}{
	Undefined:      {"UNDEFINED", 0, StorageNone, false},
	Float:          {"FLOAT", 32, StorageFloat, true},
	Uint8:          {"UINT8", 8, StorageInt32, false},
	Int8:           {"INT8", 8, StorageInt32, false},
	Uint16:         {"UINT16", 16, StorageInt32, false},
	Int16:          {"INT16", 16, StorageInt32, false},
	Int32:          {"INT32", 32, StorageInt32, false},
	Int64:          {"INT64", 64, StorageInt64, false},
	String:         {"STRING", 0, StorageString, false},
	Bool:           {"BOOL", 8, StorageInt32, false},
	Float16:        {"FLOAT16", 16, StorageInt32, true},
	Double:         {"DOUBLE", 64, StorageDouble, true},
	Uint32:         {"UINT32", 32, StorageUint64, false},
	Uint64:         {"UINT64", 64, StorageUint64, false},
	Complex64:      {"COMPLEX64", 64, StorageFloat, false},
	Complex128:     {"COMPLEX128", 128, StorageDouble, false},
	BFloat16:       {"BFLOAT16", 16, StorageInt32, true},
	Float8E4M3FN:   {"FLOAT8E4M3FN", 8, StorageInt32, true},
	Float8E4M3FNUZ: {"FLOAT8E4M3FNUZ", 8, StorageInt32, true},
	Float8E5M2:     {"FLOAT8E5M2", 8, StorageInt32, true},
	Float8E5M2FNUZ: {"FLOAT8E5M2FNUZ", 8, StorageInt32, true},
	Uint4:          {"UINT4", 4, StorageInt32, false},
	Int4:           {"INT4", 4, StorageInt32, false},
	Float4E2M1:     {"FLOAT4E2M1", 4, StorageInt32, true},
	Float8E8M0:     {"FLOAT8E8M0", 8, StorageInt32, true},
	Uint2:          {"UINT2", 2, StorageInt32, false},
	Int2:           {"INT2", 2, StorageInt32, false},
	Float6E2M3:     {"FLOAT6E2M3", 6, StorageInt32, true},
	Float6E3M2:     {"FLOAT6E3M2", 6, StorageInt32, true},
}

// Known reports whether the type is one of those above and not Undefined.
func (d DataType) Known() bool { return d > Undefined && int(d) < len(dataTypes) }

// Bits returns the bits of one element in the raw layout; 0 for String and for types that are not Known.
func (d DataType) Bits() int {
	if !d.Known() {
		return 0
	}
	return dataTypes[d].bits
}

// IsFloat reports whether elements are real floating-point numbers of any width (complex ones are not).
func (d DataType) IsFloat() bool { return d.Known() && dataTypes[d].float }

// TypedStorage returns the field that holds values of this type when they are not stored as raw bytes.
func (d DataType) TypedStorage() Storage {
	if !d.Known() {
		return StorageNone
	}
	return dataTypes[d].storage
}

// String returns the type's name in onnx.proto.
func (d DataType) String() string {
	if d < 0 || int(d) >= len(dataTypes) {
		return fmt.Sprintf("DataType(%d)", int32(d))
	}
	return dataTypes[d].name
}

// AttributeType is AttributeProto.AttributeType.
type AttributeType int32

// The types of an attribute.
const (
	AttributeUndefined     AttributeType = 0
	AttributeFloat         AttributeType = 1
	AttributeInt           AttributeType = 2
	AttributeString        AttributeType = 3
	AttributeTensor        AttributeType = 4
	AttributeGraph         AttributeType = 5
	AttributeFloats        AttributeType = 6
	AttributeInts          AttributeType = 7
	AttributeStrings       AttributeType = 8
	AttributeTensors       AttributeType = 9
	AttributeGraphs        AttributeType = 10
	AttributeSparseTensor  AttributeType = 11
	AttributeSparseTensors AttributeType = 12
	AttributeTypeProto     AttributeType = 13
	AttributeTypeProtos    AttributeType = 14
)

// attributeTypes are the names in onnx.proto.
var attributeTypes = [...]string{
	"UNDEFINED", "FLOAT", "INT", "STRING", "TENSOR", "GRAPH", "FLOATS", "INTS", "STRINGS", "TENSORS", "GRAPHS",
	"SPARSE_TENSOR", "SPARSE_TENSORS", "TYPE_PROTO", "TYPE_PROTOS",
}

// String returns the type's name in onnx.proto.
func (a AttributeType) String() string {
	if a < 0 || int(a) >= len(attributeTypes) {
		return fmt.Sprintf("AttributeType(%d)", int32(a))
	}
	return attributeTypes[a]
}

// Storage is the field of TensorProto that holds the values, and that will hold them when written.
type Storage uint8

// The places for values. StorageNone is a tensor without any, as those of no elements mostly are.
const (
	StorageNone Storage = iota
	StorageRaw
	StorageFloat
	StorageInt32
	StorageString
	StorageInt64
	StorageDouble
	StorageUint64
	StorageExternal
)

var storages = [...]string{
	"none", "raw_data", "float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data", "external_data",
}

// String returns the field's name in onnx.proto, or "none".
func (s Storage) String() string {
	if int(s) >= len(storages) {
		return fmt.Sprintf("Storage(%d)", uint8(s))
	}
	return storages[s]
}
