package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/effml/effml/tensor"
)

// WriteTo writes a file: tensors of wide elements first, so that all begin at multiples of their elements' size, and those alike by name. The same File
// always gives the same bytes. Elements are handed to w as they are, not copied.
//
// Errors: a [*FormatError] for what the format cannot hold, before anything is written.
func (f *File) WriteTo(w io.Writer) (n int64, err error) {
	sorted := slices.Clone(f.Tensors)
	slices.SortFunc(sorted, func(a, b Tensor) int {
		return cmp.Or(-cmp.Compare(tensor.Width(a.Type), tensor.Width(b.Type)), cmp.Compare(a.Name, b.Name))
	})
	header, err := f.describe(sorted)
	if err != nil {
		return 0, err
	}
	write := func(b []byte) {
		if err == nil {
			var k int
			k, err = w.Write(b)
			n += int64(k)
		}
	}
	write(binary.LittleEndian.AppendUint64(nil, uint64(len(header))))
	write(header)
	for _, t := range sorted {
		write(t.Bytes())
	}
	return n, err
}

// describe is the header.
func (f *File) describe(sorted []Tensor) ([]byte, error) {
	var b bytes.Buffer
	put := func(name string, v any) error {
		if !utf8.ValidString(name) {
			return &FormatError{name, "the name is no UTF-8"}
		}
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s:%s", key, text)
		return nil
	}
	if f.Metadata != nil {
		for k, v := range f.Metadata {
			if !utf8.ValidString(k) || !utf8.ValidString(v) {
				return nil, &FormatError{Msg: fmt.Sprintf("metadata %q is no UTF-8", k)}
			}
		}
		if err := put(metadataName, f.Metadata); err != nil {
			return nil, err
		}
	}
	at, seen := int64(0), map[string]bool{metadataName: true}
	for _, t := range sorted {
		i := slices.IndexFunc(dtypes, func(d dtype) bool { return d.typ == t.Type })
		switch {
		case seen[t.Name]:
			return nil, &FormatError{t.Name, "the name is taken"}
		case i < 0:
			return nil, &FormatError{t.Name, fmt.Sprintf("the format has no type %s", tensor.TypeName(t.Type))}
		case t.Layout != tensor.Plain && len(t.Shape) > 2:
			return nil, &FormatError{t.Name, fmt.Sprintf("elements are in %s layout", t.Layout)}
		}
		seen[t.Name] = true
		shape := t.Shape
		if shape == nil {
			shape = []int{}
		}
		end := at + int64(t.Len()*tensor.Width(t.Type))
		if err := put(t.Name, entry{DType: dtypes[i].name, Shape: shape, Offsets: []int64{at, end}}); err != nil {
			return nil, err
		}
		at = end
	}
	header := append(append([]byte{'{'}, b.Bytes()...), '}')
	for len(header)%8 != 0 {
		header = append(header, ' ')
	}
	if len(header) > maxHeader {
		return nil, &FormatError{Msg: fmt.Sprintf("a header of %d bytes, where the format allows %d", len(header), maxHeader)}
	}
	return header, nil
}
