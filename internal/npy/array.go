package npy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Decode reads an NPY file. Little-endian elements in row-major order at a suitable address are not copied: the tensor is
// then a view of data, whose memory may be mapped and must not be written to. Booleans other than 0 and 1 count as true.
func Decode(data []byte) (*tensor.Tensor, error) {
	h, err := ParseHeader(data)
	if err != nil {
		return nil, err
	}
	size, err := h.size()
	if err != nil {
		return nil, err
	}
	if rest := len(data) - h.start; rest < size {
		return nil, fmt.Errorf("npy: %d bytes follow the header, %s needs %d", rest, tensor.Describe(h.Type, h.Shape), size)
	}
	return h.tensor(data[h.start:][:size])
}

// ReadFile reads the NPY file at path.
func ReadFile(path string) (*tensor.Tensor, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// tensor returns the array whose elements in the file are raw, as a view where that is possible.
func (h *Header) tensor(raw []byte) (*tensor.Tensor, error) {
	if h.Type == onnx.String {
		return h.texts(raw)
	}
	align := uintptr(min(h.width, 8))
	aligned := uintptr(unsafe.Pointer(unsafe.SliceData(raw)))%align == 0
	swap := h.swap && h.width > 1
	fortran := h.fortran && len(h.Shape) > 1
	if aligned && !swap && !fortran && (h.kind != 'b' || allBool(raw)) {
		return tensor.Over(raw, h.Type, h.Shape, tensor.Plain), nil
	}
	out := tensor.Buffer(len(raw))
	if fortran {
		untranspose(out, raw, h.Shape, h.width)
	} else {
		copy(out, raw)
	}
	if part := h.width; swap {
		if h.kind == 'c' {
			part /= 2
		}
		for ; len(raw) > 0; raw = raw[part:] {
			slices.Reverse(out[len(out)-len(raw):][:part])
		}
	}
	if h.kind == 'b' {
		for i, v := range out {
			out[i] = min(v, 1)
		}
	}
	return tensor.Over(out, h.Type, h.Shape, tensor.Plain), nil
}

func allBool(raw []byte) bool {
	for _, v := range raw {
		if v > 1 {
			return false
		}
	}
	return true
}

// untranspose copies elements of width bytes from an array whose first dimension changes fastest to one in row-major order.
func untranspose(dst, src []byte, shape []int, width int) {
	if len(dst) == 0 {
		return
	}
	index, stride := make([]int, len(shape)), make([]int, len(shape))
	step := width
	for i, d := range shape {
		stride[i] = step
		step *= d
	}
	for from := 0; len(dst) > 0; dst = dst[width:] {
		copy(dst[:width], src[from:])
		for i := len(shape) - 1; i >= 0; i-- {
			if index[i]++; index[i] < shape[i] {
				from += stride[i]
				break
			}
			from -= (shape[i] - 1) * stride[i]
			index[i] = 0
		}
	}
}

// texts reads fixed-width bytes (kept as they are) or UTF-32; zeros at the end of a text are padding.
func (h *Header) texts(raw []byte) (*tensor.Tensor, error) {
	n, err := tensor.Count(h.Shape)
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	if h.width == 0 && n > len(raw)+maxHeader {
		return nil, fmt.Errorf("npy: %d empty texts are more than the file is worth", n)
	}
	if h.fortran && len(h.Shape) > 1 {
		rows := make([]byte, len(raw))
		untranspose(rows, raw, h.Shape, h.width)
		raw = rows
	}
	out := make([]string, n)
	var order binary.ByteOrder = binary.LittleEndian
	if h.swap {
		order = binary.BigEndian
	}
	var b strings.Builder
	for i := range out {
		element := raw[i*h.width:][:h.width]
		if h.kind == 'S' {
			out[i] = string(bytes.TrimRight(element, "\x00"))
			continue
		}
		b.Reset()
		for len(element) > 0 {
			c := order.Uint32(element)
			if c > utf8.MaxRune {
				return nil, fmt.Errorf("npy: text %d has a character %#x, which there is not", i, c)
			}
			b.WriteRune(rune(c))
			element = element[4:]
		}
		out[i] = strings.TrimRight(b.String(), "\x00")
	}
	return tensor.FromStrings(out, h.Shape...), nil
}

// Write writes t as an NPY file of version 1, little-endian and in row-major order. Texts become fixed-width Unicode and
// integers of 4 and 2 bits whole bytes; bfloat16 and the 8-bit floats, of which NumPy has none, are an error.
func Write(w io.Writer, t *tensor.Tensor) error {
	if t.Layout != tensor.Plain {
		return errors.New("npy: only row-major tensors can be written")
	}
	descr, body, err := encode(t)
	if err != nil {
		return err
	}
	var shape strings.Builder
	for _, d := range t.Shape {
		fmt.Fprintf(&shape, "%d, ", d)
	}
	tuple := strings.TrimSuffix(shape.String(), " ")
	if len(t.Shape) > 1 {
		tuple = strings.TrimSuffix(tuple, ",")
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, tuple)
	const align = 64
	header += strings.Repeat(" ", align-1-(len(magic)+4+len(header))%align) + "\n"
	if len(header) > 0xffff {
		return fmt.Errorf("npy: a shape of %d dimensions does not fit the header", len(t.Shape))
	}
	head := append([]byte(magic), 1, 0)
	head = binary.LittleEndian.AppendUint16(head, uint16(len(header)))
	if _, err := w.Write(append(head, header...)); err != nil {
		return fmt.Errorf("npy: write header: %w", err)
	}
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("npy: write elements: %w", err)
	}
	return nil
}

// encode returns the type's name and the elements as they are in the file.
func encode(t *tensor.Tensor) (string, []byte, error) {
	if t.Type == onnx.String {
		longest := 1
		for _, s := range t.Strings() {
			longest = max(longest, utf8.RuneCountInString(s))
		}
		body := make([]byte, 4*longest*t.Len())
		for i, s := range t.Strings() {
			at := 4 * longest * i
			for _, r := range s {
				binary.LittleEndian.PutUint32(body[at:], uint32(r))
				at += 4
			}
		}
		return fmt.Sprintf("<U%d", longest), body, nil
	}
	for _, k := range types {
		if k.dt == t.Type {
			order := "<"
			if tensor.Width(t.Type) == 1 {
				order = "|"
			}
			return order + k.descr, t.Bytes(), nil
		}
	}
	return "", nil, fmt.Errorf("npy: NumPy has no type for %s", tensor.TypeName(t.Type))
}
