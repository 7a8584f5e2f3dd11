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

// External says where Save puts values.
type External uint8

const (
	AsIs     External = iota // external tensors stay external, at their place; the others stay in the model
	Inline                   // everything goes into the model file
	Separate                 // initializers of SaveOptions.Threshold bytes or more go into one data file
)

// SaveOptions tells Save how to write. The zero value writes a model as it was read and refuses to replace a file.
type SaveOptions struct {
	Overwrite bool
	// DataName is the file for external data, beside the model. When AsIs it replaces the recorded location (of
	// several the second becomes DataName.1, …); when empty the recorded ones stay, and new data goes to the
	// model's name with ".data" appended.
	DataName  string
	External  External
	Threshold int64 // bytes from which Separate moves an initializer; 0 is 1024
	// Progress is told the bytes just written, often; an error that it returns ends the save and is returned.
	Progress func(bytes int64) error
}

// Problem is a rule of ONNX that a model breaks.
type Problem struct {
	Node   string // by name, or operator and position, with the path of its graph; empty if it is not about a node
	Tensor string // the value at fault; empty if it is not about one
	Msg    string
}
