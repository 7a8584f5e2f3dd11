package onnx

import "github.com/effml/effml/internal/mapped"

// File is a model whose values are views of memory-mapped files. The model must not be used after Close.
type File struct {
	Model *Model
	Path  string
	Files []FileInfo // the .onnx file, then the external ones in the order of their first use

	maps []*mapped.File
}

// FileInfo is a file that a model was read from.
type FileInfo struct {
	Path  string
	Bytes int64
}

// ExternalError says which tensor's external data cannot be had, and why.
type ExternalError struct {
	Tensor   string
	Location string // as the model has it
	Err      error
}

// Problem is a rule of ONNX that a model breaks.
type Problem struct {
	Node   string // by name, or operator and position, with the path of its graph; empty if it is not about a node
	Tensor string // the value at fault; empty if it is not about one
	Msg    string
}
