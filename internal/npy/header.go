package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

const (
	magic     = "\x93NUMPY"
	maxHeader = 64 << 10
	maxRank   = 64 // NumPy 2 stops there too
)

// Header says what an NPY file holds.
type Header struct {
	Type  onnx.DataType // onnx.String for texts of either kind
	Shape []int

	kind    byte // of the element: b i u f c S U
	width   int  // bytes of an element in the file
	swap    bool // the file is big-endian
	fortran bool // the first dimension changes fastest
	start   int  // of the elements
}

// size returns the bytes of all elements in the file.
func (h *Header) size() (int, error) {
	n, err := tensor.Count(h.Shape)
	if err != nil {
		return 0, fmt.Errorf("npy: %w", err)
	}
	if h.width > 0 && n > math.MaxInt/h.width {
		return 0, fmt.Errorf("npy: shape %v has more bytes than can be counted", h.Shape)
	}
	return n * h.width, nil
}

// ParseHeader reads the beginning of an NPY file; data may end anywhere behind the header.
func ParseHeader(data []byte) (*Header, error) {
	if len(data) < 10 || string(data[:6]) != magic {
		return nil, errors.New("npy: not an NPY file: it does not begin with \\x93NUMPY and a version")
	}
	n, start := int(binary.LittleEndian.Uint16(data[8:])), 10
	switch data[6] {
	case 1:
	case 2, 3:
		if len(data) < 12 {
			return nil, errors.New("npy: the file ends inside its header")
		}
		start = 12
		if long := binary.LittleEndian.Uint32(data[8:]); long <= maxHeader {
			n = int(long)
		} else {
			n = maxHeader + 1
		}
	default:
		return nil, fmt.Errorf("npy: version %d.%d is not supported, 1 to 3 are", data[6], data[7])
	}
	switch {
	case n > maxHeader:
		return nil, fmt.Errorf("npy: a header of more than %d bytes", maxHeader)
	case len(data)-start < n:
		return nil, fmt.Errorf("npy: the file ends inside its header, at byte %d of %d", len(data), start+n)
	}
	h := &Header{start: start + n}
	p := parser{text: string(data[start : start+n])}
	if err := p.header(h); err != nil {
		return nil, fmt.Errorf("npy: byte %d: %w", start+p.at, err)
	}
	_, err := h.size()
	return h, err
}

// describe reads a type such as <f4: byte order, kind, bytes (of texts in Unicode: characters).
func (h *Header) describe(descr string) error {
	text := descr
	if text != "" && strings.IndexByte("<>|=", text[0]) >= 0 {
		h.swap, text = text[0] == '>', text[1:]
	}
	if text == "?" {
		text = "b1"
	}
	if text == "" {
		return fmt.Errorf("type %q is not supported", descr)
	}
	n, err := strconv.Atoi(text[1:])
	if err != nil || n < 0 || n > 1<<24 || text[1:] != strconv.Itoa(n) {
		n = -1
	}
	h.kind, h.width = text[0], n
	for _, t := range types {
		if t.descr == text {
			h.Type = t.dt
			return nil
		}
	}
	switch {
	case (h.kind == 'S' || h.kind == 'a') && n >= 0:
		h.Type, h.kind = onnx.String, 'S'
	case h.kind == 'U' && n >= 0:
		h.Type, h.width = onnx.String, 4*n
	case h.kind == 'O':
		return errors.New("an array of Python objects (a pickle) is not supported")
	default:
		return fmt.Errorf("type %q is not supported", descr)
	}
	return nil
}

// types are the numeric types, by kind and bytes. A type is written as the first line that names it.
var types = [...]struct {
	descr string
	dt    onnx.DataType
}{
	{"f4", onnx.Float},
	{"f8", onnx.Double},
	{"f2", onnx.Float16},
	{"i1", onnx.Int8},
	{"i2", onnx.Int16},
	{"i4", onnx.Int32},
	{"i8", onnx.Int64},
	{"u1", onnx.Uint8},
	{"u2", onnx.Uint16},
	{"u4", onnx.Uint32},
	{"u8", onnx.Uint64},
	{"b1", onnx.Bool},
	{"c8", onnx.Complex64},
	{"c16", onnx.Complex128},
	{"i1", onnx.Int4}, // a byte an element in memory
	{"i1", onnx.Int2},
	{"u1", onnx.Uint4},
	{"u1", onnx.Uint2},
}

// parser reads the one Python expression that a header is.
type parser struct {
	text string
	at   int
}

func (p *parser) header(h *Header) error {
	if err := p.expect('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for !p.accept('}') {
		key, err := p.quoted()
		if err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("key %q twice", key)
		}
		seen[key] = true
		if err := p.expect(':'); err != nil {
			return err
		}
		if err := p.value(h, key); err != nil {
			return err
		}
		if !p.accept(',') {
			if err := p.expect('}'); err != nil {
				return err
			}
			break
		}
	}
	if !seen["descr"] || !seen["fortran_order"] || !seen["shape"] {
		return errors.New("the header must have descr, fortran_order and shape")
	}
	if p.blank(); p.at != len(p.text) {
		return errors.New("text behind the header's dictionary")
	}
	return nil
}

func (p *parser) value(h *Header, key string) error {
	switch key {
	case "descr":
		if p.blank(); p.at < len(p.text) && p.text[p.at] == '[' {
			return errors.New("a structured type is not supported")
		}
		descr, err := p.quoted()
		if err != nil {
			return err
		}
		return h.describe(descr)
	case "fortran_order":
		p.blank()
		for text, value := range map[string]bool{"True": true, "False": false} {
			if strings.HasPrefix(p.text[p.at:], text) {
				h.fortran = value
				p.at += len(text)
				return nil
			}
		}
		return errors.New("fortran_order must be True or False")
	case "shape":
		return p.shape(h)
	}
	return fmt.Errorf("unknown key %q", key)
}

// shape reads a tuple of integers; those written by Python 2 may end with L.
func (p *parser) shape(h *Header) error {
	if err := p.expect('('); err != nil {
		return err
	}
	h.Shape = []int{}
	for !p.accept(')') {
		p.blank()
		from := p.at
		for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
			p.at++
		}
		d, err := strconv.Atoi(p.text[from:p.at])
		if err != nil {
			return errors.New("a dimension of the shape is no number of this machine")
		}
		if h.Shape = append(h.Shape, d); len(h.Shape) > maxRank {
			return fmt.Errorf("more than %d dimensions", maxRank)
		}
		p.accept('L')
		if !p.accept(',') {
			return p.expect(')')
		}
	}
	return nil
}

func (p *parser) blank() {
	for p.at < len(p.text) && strings.IndexByte(" \n\t\r", p.text[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) accept(c byte) bool {
	p.blank()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(c byte) error {
	if p.accept(c) {
		return nil
	}
	return fmt.Errorf("the header must have %q here", c)
}

func (p *parser) quoted() (string, error) {
	p.blank()
	if p.at < len(p.text) && (p.text[p.at] == '\'' || p.text[p.at] == '"') {
		if n := strings.IndexByte(p.text[p.at+1:], p.text[p.at]); n >= 0 {
			s := p.text[p.at+1:][:n]
			p.at += n + 2
			return s, nil
		}
	}
	return "", errors.New("the header must have a quoted text here")
}
