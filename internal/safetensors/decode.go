package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
	"unsafe"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// File is what a file holds.
type File struct {
	Metadata map[string]string // nil where there is none
	Tensors  []Tensor          // in the order of the elements
}

// Tensor is an array and its name.
type Tensor struct {
	Name string
	*tensor.Tensor
}

// FormatError says what in a file is not as the format has it.
type FormatError struct {
	Tensor string // empty where it is about the whole file
	Msg    string
}

func (e *FormatError) Error() string {
	if e.Tensor == "" {
		return "safetensors: " + e.Msg
	}
	return fmt.Sprintf("safetensors: tensor %q: %s", e.Tensor, e.Msg)
}

const (
	metadataName = "__metadata__"
	maxHeader    = 100_000_000 // as the reference implementation
)

// dtype is a type and its name.
type dtype struct {
	name string
	typ  onnx.DataType
}

var dtypes = []dtype{
	{"F64", onnx.Double},
	{"F32", onnx.Float},
	{"F16", onnx.Float16},
	{"BF16", onnx.BFloat16},
	{"F8_E4M3", onnx.Float8E4M3FN},
	{"F8_E5M2", onnx.Float8E5M2},
	{"I64", onnx.Int64},
	{"I32", onnx.Int32},
	{"I16", onnx.Int16},
	{"I8", onnx.Int8},
	{"U64", onnx.Uint64},
	{"U32", onnx.Uint32},
	{"U16", onnx.Uint16},
	{"U8", onnx.Uint8},
	{"BOOL", onnx.Bool},
}

// entry is a tensor as the header describes it.
type entry struct {
	name    string
	DType   string  `json:"dtype"`
	Shape   []int   `json:"shape"`
	Offsets []int64 `json:"data_offsets"`
}

// Decode reads a file. Elements at suitable addresses are not copied: tensors are then views of data, which must not be written to. Memory is taken only
// for what data really has. Errors are a [*FormatError].
func Decode(data []byte) (*File, error) {
	if len(data) < 8 {
		return nil, &FormatError{Msg: fmt.Sprintf("%d bytes are no file", len(data))}
	}
	n := binary.LittleEndian.Uint64(data)
	if rest := uint64(len(data) - 8); n > rest || n > maxHeader {
		return nil, &FormatError{Msg: fmt.Sprintf("a header of %d bytes, where the file has %d more and the format allows %d", n, rest, maxHeader)}
	}
	f := &File{}
	entries, err := f.header(data[8 : 8+n])
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.Offsets[0], b.Offsets[0]), cmp.Compare(a.Offsets[1], b.Offsets[1]))
	})
	values, at := data[8+n:], int64(0)
	for _, e := range entries {
		if e.Offsets[0] != at || e.Offsets[1] < at || e.Offsets[1] > int64(len(values)) {
			return nil, &FormatError{e.name, fmt.Sprintf("data_offsets %v, where the tensors before end at %d and the file at %d", e.Offsets, at, len(values))}
		}
		at = e.Offsets[1]
		t, err := e.tensor(values[e.Offsets[0]:at])
		if err != nil {
			return nil, err
		}
		f.Tensors = append(f.Tensors, Tensor{e.name, t})
	}
	if at != int64(len(values)) {
		return nil, &FormatError{Msg: fmt.Sprintf("%d bytes belong to no tensor", int64(len(values))-at)}
	}
	return f, nil
}

// header reads the JSON, name by name, so that one that stands twice is seen.
func (f *File) header(text []byte) (entries []entry, err error) {
	bad := func(err error) error { return &FormatError{Msg: fmt.Sprintf("header: %v", err)} }
	if !utf8.Valid(text) {
		return nil, bad(errors.New("it is no UTF-8"))
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, bad(errors.Join(errors.New("it is no JSON object"), err))
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, bad(err)
		}
		name := key.(string) // in an object it is nothing else
		if seen[name] {
			return nil, &FormatError{name, "it is there twice"}
		}
		seen[name] = true
		if name == metadataName {
			err = d.Decode(&f.Metadata)
		} else {
			e := entry{name: name}
			if err = d.Decode(&e); err == nil && (e.Shape == nil || len(e.Offsets) != 2) {
				err = errors.New("shape or data_offsets are missing")
			}
			entries = append(entries, e)
		}
		if err != nil {
			return nil, &FormatError{name, err.Error()}
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, bad(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, bad(errors.New("something follows the object"))
	}
	return entries, nil
}

// tensor returns the array over raw.
func (e *entry) tensor(raw []byte) (*tensor.Tensor, error) {
	dt := onnx.Undefined
	for _, d := range dtypes {
		if d.name == e.DType {
			dt = d.typ
		}
	}
	if dt == onnx.Undefined {
		return nil, &FormatError{e.name, fmt.Sprintf("type %q is not supported", e.DType)}
	}
	n, err := tensor.Count(e.Shape)
	if err != nil {
		return nil, &FormatError{e.name, err.Error()}
	}
	width := tensor.Width(dt)
	if n > len(raw)/width || n*width != len(raw) {
		return nil, &FormatError{e.name, fmt.Sprintf("%d bytes of values where %s %v takes %d elements of %d", len(raw), e.DType, e.Shape, n, width)}
	}
	if dt == onnx.Bool && slices.ContainsFunc(raw, func(b byte) bool { return b > 1 }) {
		return nil, &FormatError{e.name, "a boolean is neither 0 nor 1"}
	}
	if uintptr(unsafe.Pointer(unsafe.SliceData(raw)))%uintptr(width) != 0 {
		out := tensor.Buffer(len(raw))
		copy(out, raw)
		raw = out
	}
	return tensor.Over(raw, dt, e.Shape, tensor.Plain), nil
}
