package huffman

import (
	"encoding/binary"
	"fmt"
)

// Elem says how the elements of an array lie in memory, little-endian.
type Elem struct {
	Width int  // bytes an element: 1, 2, 4 or 8
	Float bool // a floating-point number: sign, exponent, mantissa from the top
}

// Format of coded values. Elements come in chunks of valueChunk (the last may
// be shorter):
//
//	method    1 byte; the last chunk has bit 7 (valueLast) set, or bit 6
//	          (valueTail) if bytes beyond the last whole element follow
//	length    uvarint, bytes of the payload; left out with bit 7, where the
//	          payload takes all bytes left
//	payload   by method, below
//
// and then those bytes beyond the last whole element as they are.
//
// "symbols" below stands for: coder ID (1 byte), least symbol (zigzag varint),
// greatest minus least (uvarint), payload of that Coder with shape {n}; it
// takes all bytes that are left. "values" stands for the method and the payload
// of other elements, which takes all bytes that are left; it nests to a depth of
// valueDepth.
//
//	0 stored    the bytes
//	1 zero      nothing: all bits are 0
//	2 constant  the element
//	3 planes    see planes.go
//	4 palette   see palette.go
//	5 grid      see grid.go
//	6 sparse    uvarint bytes of the symbols, symbols (0 where an element is zero, −1 where it is −0, 1 elsewhere), values (those elsewhere)
//	7 integers  mode (uvarint), symbols: element − mode as a signed number of the element's width
//	8 deltas    symbols: element − the one before (0 before the first) as a signed number of the element's width
//	9 mix       AppendMix with the element's width as stride
const (
	valueChunk = 1 << 16
	valueDepth = 3
	valueLast  = 0x80
	valueTail  = 0x40

	methodStored   = 0
	methodZero     = 1
	methodConstant = 2
	methodPlanes   = 3
	methodPalette  = 4
	methodGrid     = 5
	methodSparse   = 6
	methodIntegers = 7
	methodDeltas   = 8
	methodMix      = 9
)

// AppendValues appends a lossless coding of raw to dst: never more than 7 bytes
// a chunk larger than raw, bit-exact for NaN, −0 and all else. Each chunk of
// 2¹⁶ elements is coded by the method that takes the fewest bytes among those
// that effort allows: 0 decides by histograms and costs about 4 ns a float32;
// 1 also tries the context coder and mantissa bits; 2 tries everything that a
// sample does not speak against, at a few MB/s. The coding is self-contained but
// for len(raw) and e.
func AppendValues(dst, raw []byte, e Elem, effort int) []byte {
	c := &valueCoder{effort: effort}
	e = e.known(len(raw))
	whole := len(raw) - len(raw)%e.Width
	step := valueChunk * e.Width
	for at := 0; at < whole; at += step {
		chunk := raw[at:min(at+step, whole)]
		method, payload := c.best(chunk, e, 0)
		switch {
		case at+step < whole:
		case whole == len(raw):
			method |= valueLast
		default:
			method |= valueTail
		}
		dst = append(dst, method)
		if method&valueLast == 0 {
			dst = binary.AppendUvarint(dst, uint64(len(payload)))
		}
		dst = append(dst, payload...)
	}
	return append(dst, raw[whole:]...)
}

// DecodeValues fills dst from src, which AppendValues made from as many bytes
// of the same e. It consumes src exactly; anything else is a *CorruptError.
func DecodeValues(dst, src []byte, e Elem) error {
	c := &valueCoder{}
	e = e.known(len(dst))
	whole := len(dst) - len(dst)%e.Width
	step := valueChunk * e.Width
	rest := src
	for at := 0; at < whole; at += step {
		chunk := dst[at:min(at+step, whole)]
		method, payload, next, err := cutChunk(rest)
		if last := at+step >= whole; err == nil && last != (method >= valueTail) {
			err = corruptf(0, "the wrong number of chunks")
		}
		if err == nil {
			err = c.decode(chunk, payload, method&^(valueLast|valueTail), e, 0)
		}
		if err != nil {
			return fmt.Errorf("huffman: values, chunk at byte %d: %w", len(src)-len(rest), err)
		}
		rest = next
	}
	if len(rest) != len(dst)-whole {
		return corruptf(len(src)-len(rest), "%d bytes behind the values, expected %d", len(rest), len(dst)-whole)
	}
	copy(dst[whole:], rest)
	return nil
}

// known returns e, or bytes if its width is none of those listed or more than n
// bytes.
func (e Elem) known(n int) Elem {
	switch e.Width {
	case 1, 2, 4, 8:
		if e.Width <= n {
			return e
		}
	}
	return Elem{Width: 1}
}

// cutChunk takes a chunk off src.
func cutChunk(src []byte) (method byte, payload, rest []byte, err error) {
	if len(src) == 0 {
		return 0, nil, nil, corruptf(0, "values end early")
	}
	method, rest = src[0], src[1:]
	if method&valueLast != 0 {
		return method, rest, nil, nil
	}
	n, rest, err := cutUvarint(rest)
	if err != nil {
		return 0, nil, nil, err
	}
	if n > uint64(len(rest)) {
		return 0, nil, nil, corruptf(1, "a chunk of %d bytes where %d are left", n, len(rest))
	}
	return method, rest[:n], rest[n:], nil
}

func cutUvarint(src []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(src)
	if n <= 0 {
		return 0, nil, corruptf(0, "bad number")
	}
	return v, src[n:], nil
}

// valueCoder holds the effort and the scratch memory of one call.
type valueCoder struct {
	effort int
	sym    [valueDepth + 1][]int32
	bytes  []byte
	trial  []byte
}

// symbols returns n symbols of scratch for nesting depth d.
func (c *valueCoder) symbols(n, d int) []int32 {
	if cap(c.sym[d]) < n {
		c.sym[d] = make([]int32, n)
	}
	return c.sym[d][:n]
}

// decode fills dst from the payload of one chunk.
func (c *valueCoder) decode(dst, src []byte, method byte, e Elem, depth int) error {
	if depth > valueDepth {
		return corruptf(0, "values nested too deeply")
	}
	switch method {
	case methodStored, methodConstant, methodZero:
		return decodePlain(dst, src, method, e)
	case methodPlanes:
		return c.decodePlanes(dst, src, e, depth)
	case methodPalette:
		return c.decodePalette(dst, src, e, depth)
	case methodGrid:
		return c.decodeGrid(dst, src, e, depth)
	case methodSparse:
		return c.decodeSparse(dst, src, e, depth)
	case methodIntegers:
		return c.decodeIntegers(dst, src, e, depth)
	case methodDeltas:
		return c.decodeDeltas(dst, src, e, depth)
	case methodMix:
		return DecodeMix(dst, src, e.Width)
	}
	return corruptf(0, "unknown method %d", method)
}

// decodePlain decodes what needs no coder.
func decodePlain(dst, src []byte, method byte, e Elem) error {
	want := len(dst)
	switch method {
	case methodZero:
		want = 0
	case methodConstant:
		want = e.Width
	}
	if len(src) != want {
		return corruptf(0, "%d bytes, expected %d", len(src), want)
	}
	clear(dst)
	for at := 0; at < len(dst) && want > 0; at += want {
		copy(dst[at:], src)
	}
	return nil
}

// decodeNested decodes "values".
func (c *valueCoder) decodeNested(dst, src []byte, e Elem, depth int) error {
	if len(src) == 0 {
		return corruptf(0, "nested values are missing")
	}
	return c.decode(dst, src[1:], src[0], e, depth+1)
}

// load returns element i of raw.
func load(raw []byte, i, width int) uint64 {
	switch width {
	case 1:
		return uint64(raw[i])
	case 2:
		return uint64(binary.LittleEndian.Uint16(raw[2*i:]))
	case 4:
		return uint64(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return binary.LittleEndian.Uint64(raw[8*i:])
}

// store sets element i of raw.
func store(raw []byte, i, width int, v uint64) {
	switch width {
	case 1:
		raw[i] = byte(v)
	case 2:
		binary.LittleEndian.PutUint16(raw[2*i:], uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(raw[4*i:], uint32(v))
	default:
		binary.LittleEndian.PutUint64(raw[8*i:], v)
	}
}
