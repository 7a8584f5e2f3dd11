package onnx

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// decodeTyped turns the contents of a typed field into raw layout; size bounds the result, so that a long field of
// short numbers cannot take more memory than the shape asks for.
func decodeTyped(t *Tensor, wire []byte, size int64) ([]byte, error) {
	if t.values.from == StorageFloat || t.values.from == StorageDouble {
		return wire, nil
	}
	width := t.DataType.Bits()
	want, err := t.NumElements()
	if err != nil {
		return nil, err
	}
	if width < 8 && width != 6 { // a number is a byte of 2 or 4 elements
		width, want = 8, size
	}
	count := int64(0)
	// A number takes a byte at least.
	raw := make([]byte, 0, min(size, int64(len(wire))*8))
	var group, bits uint64 // of 6-bit elements that do not yet fill bytes
	for pos := 0; pos < len(wire); count++ {
		x, n := protowire.ConsumeVarint(wire[pos:])
		if n < 0 {
			return nil, t.errorf("%s is not a list of numbers: byte %d: %v", t.values.from, pos, protowire.ParseError(n))
		}
		pos += n
		if count == want {
			return nil, t.errorf("%s has more numbers than %v of %s takes", t.values.from, t.Dims, t.DataType)
		}
		switch width {
		case 6:
			group |= x & 63 << bits
			bits += 6
			for ; bits >= 8; bits -= 8 {
				raw = append(raw, byte(group))
				group >>= 8
			}
		case 8:
			raw = append(raw, byte(x))
		case 16:
			raw = binary.LittleEndian.AppendUint16(raw, uint16(x))
		case 32:
			raw = binary.LittleEndian.AppendUint32(raw, uint32(x))
		default:
			raw = binary.LittleEndian.AppendUint64(raw, x)
		}
	}
	if count < want {
		return nil, t.errorf("%s has %d numbers where %v of %s takes %d", t.values.from, count, t.Dims, t.DataType, want)
	}
	if bits > 0 {
		raw = append(raw, byte(group))
	}
	return raw, nil
}

// encodeTyped is the inverse: the contents of int32_data, int64_data or uint64_data as onnx's helpers write them,
// signed types extended to 64 bits, everything else as its unsigned bits. raw has n elements.
func encodeTyped(dt DataType, raw []byte, n int64) []byte {
	var wire []byte
	put := func(x uint64) { wire = protowire.AppendVarint(wire, x) }
	switch dt {
	case Int8:
		for _, b := range raw {
			put(uint64(int8(b)))
		}
	case Int16:
		for ; len(raw) >= 2; raw = raw[2:] {
			put(uint64(int16(binary.LittleEndian.Uint16(raw))))
		}
	case Int32:
		for ; len(raw) >= 4; raw = raw[4:] {
			put(uint64(int32(binary.LittleEndian.Uint32(raw))))
		}
	case Uint32:
		for ; len(raw) >= 4; raw = raw[4:] {
			put(uint64(binary.LittleEndian.Uint32(raw)))
		}
	case Int64, Uint64:
		for ; len(raw) >= 8; raw = raw[8:] {
			put(binary.LittleEndian.Uint64(raw))
		}
	case Float6E2M3, Float6E3M2:
		var group, bits uint64
		for _, b := range raw {
			group |= uint64(b) << bits
			for bits += 8; bits >= 6 && n > 0; bits, n = bits-6, n-1 {
				put(group & 63)
				group >>= 6
			}
		}
	case Uint16, Float16, BFloat16:
		for ; len(raw) >= 2; raw = raw[2:] {
			put(uint64(binary.LittleEndian.Uint16(raw)))
		}
	default: // a byte is an element, or 2 or 4 of them
		for _, b := range raw {
			put(uint64(b))
		}
	}
	return wire
}
