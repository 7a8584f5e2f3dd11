package onnx

import (
	"bytes"
	"fmt"
	"strings"
)

// FormatError says where and why bytes are not an ONNX model.
type FormatError struct {
	Path   string // the file, when it is known
	Field  string // the message or field, such as "graph.node[3].attribute[0].t"; empty for the model itself
	Offset int64  // of the byte at fault, from the start of the file
	Msg    string
}

func (e *FormatError) Error() string {
	var b strings.Builder
	b.WriteString("onnx: ")
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	fmt.Fprintf(&b, "byte %d: ", e.Offset)
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	return b.String() + e.Msg
}

// within prefixes the place of an error with the field it happened in.
func (e *FormatError) within(field string) *FormatError {
	if e.Field != "" && e.Field[0] != '[' {
		field += "."
	}
	e.Field = field + e.Field
	return e
}

// impostors are files that are often handed over instead of an ONNX model, by what they begin with.
var impostors = []struct{ prefix, what string }{
	{"version https://git-lfs", "a git-lfs pointer, not the file it stands for (git lfs pull fetches it)"},
	{"<", "HTML or XML, not ONNX (was an error page downloaded?)"},
	{"PK\x03\x04", "a zip archive, such as a PyTorch checkpoint or a Keras model, not ONNX"},
	{"\x80\x02", "a Python pickle, not ONNX"},
	{"\x1f\x8b", "a gzip file; unpack it first"},
	{"\x28\xb5\x2f\xfd", "a zstd file; unpack it first"},
	{"\xfd7zXZ", "an xz file; unpack it first"},
	{"\x89HDF", "an HDF5 file, not ONNX"},
	{"GGUF", "a GGUF file, not ONNX"},
	{"ORTM", "an ORT-format model, not ONNX"},
	{"{", "JSON text, not ONNX"},
}

// impostor tells what data is when it is not ONNX and looks like something known, else "".
func impostor(data []byte) string {
	text := bytes.TrimLeft(data[:min(len(data), 512)], " \t\r\n\ufeff")
	for _, k := range impostors {
		if bytes.HasPrefix(text, []byte(k.prefix)) {
			return k.what
		}
	}
	if len(data) >= 8 && string(data[4:8]) == "TFL3" || len(data) >= 8 && string(data[4:8]) == "ORTM" {
		return "a TensorFlow Lite or ORT-format model, not ONNX"
	}
	for _, c := range data[:min(len(data), 512)] {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
			return ""
		}
	}
	return "text, not ONNX"
}
