// Package onnx reads, checks and writes ONNX models: the protobuf file, its tensors and their external data files.
//
// A [Model] is a tree of plain structs that mirror onnx.proto (IR version 3 to 14). Tensor values are never copied by
// [Decode], [Open] and writing: raw values stay a view of the (memory-mapped) file until somebody replaces them.
//
// Writing what was read gives the same bytes. Each message remembers the bytes it was decoded from and is written as those
// when its contents are still what they say; a changed message is written in the canonical form that Google's
// protobuf libraries use (fields in the order of their numbers, unknown fields last). Fields that the schema does not
// know are kept.
//
// Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and docs/IR.md there. Where this package deviates: a
// tensor stored in a Segment is read as just its part, and a model of more than 2 GiB is accepted although protobuf's own
// libraries stop there.
package onnx
