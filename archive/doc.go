// Package archive writes and reads the .effml file: a complete ONNX model in
// which every tensor is coded, block by block, by package huffman.
//
// The bytes are specified in docs/format.md; constants here cite its sections.
// [Write] streams a model to any io.Writer and never seeks. [Open] maps a file,
// checks its tables, and decodes nothing until it is asked: one tensor
// ([Reader.Decode]), one block's codes ([Reader.Packed]), the whole model with
// payloads that are decoded while they are written ([Reader.Model]), or
// everything for the sake of its checksums ([Reader.Verify]).
//
// What is written does not depend on the number of threads. What is read is
// checked: no length is believed beyond the bytes that are there, and every
// decoded byte is covered by a checksum, so that a damaged archive yields an
// error and never wrong values.
package archive
