// Package modelgen makes small ONNX models for tests: every element type in every place a model can store values, and
// every part of the schema that a real file may have.
package modelgen
