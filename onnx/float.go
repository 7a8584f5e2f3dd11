package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
)

// ReadFloats fills dst with elements first … first+len(dst)-1 as float32. FLOAT16 and BFLOAT16 convert exactly, DOUBLE
// rounds to nearest even, and other types are an error. Where Bytes is a view nothing is allocated, so a large tensor can be
// read block by block.
func (t *Tensor) ReadFloats(dst []float32, first int64) error {
	switch t.DataType {
	case Float, Double, Float16, BFloat16:
	default:
		return t.errorf("elements of type %s do not convert to float", t.DataType)
	}
	raw, err := t.Bytes()
	if err != nil {
		return err
	}
	n, err := t.NumElements()
	if err != nil {
		return err
	}
	if first < 0 || first > n || int64(len(dst)) > n-first {
		return t.errorf("elements %d to %d are not within its %d", first, first+int64(len(dst)), n)
	}
	width := int64(t.DataType.Bits() / 8)
	raw = raw[first*width : (first+int64(len(dst)))*width]
	switch t.DataType {
	case Float:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case Double:
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
		}
	case Float16:
		for i := range dst {
			dst[i] = float16ToFloat32(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	case BFloat16:
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		}
	}
	return nil
}

// PutFloats writes src into dst in the raw layout of dt, which is Float, Double, Float16 or BFloat16, rounding to nearest
// even; what exceeds the range becomes infinite, and NaN stays NaN. dst has exactly len(src) elements. It panics
// on another type or length.
func PutFloats(dst []byte, dt DataType, src []float32) {
	if len(dst) != len(src)*dt.Bits()/8 {
		panic(fmt.Sprintf("onnx: PutFloats: %d bytes for %d elements of type %s", len(dst), len(src), dt))
	}
	switch dt {
	case Float:
		for i, v := range src {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
	case Double:
		for i, v := range src {
			binary.LittleEndian.PutUint64(dst[8*i:], math.Float64bits(float64(v)))
		}
	case Float16:
		for i, v := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], float32ToFloat16(v))
		}
	case BFloat16:
		for i, v := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], float32ToBFloat16(v))
		}
	default:
		panic(fmt.Sprintf("onnx: PutFloats: elements of type %s do not convert from float", dt))
	}
}

// float16ToFloat32 widens an IEEE 754 binary16; a NaN keeps its sign and payload.
func float16ToFloat32(h uint16) float32 {
	sign, exp, man := uint32(h>>15)<<31, uint32(h>>10&31), uint32(h&0x3ff)
	switch exp {
	case 0: // zero and denormals: man × 2⁻²⁴
		return math.Float32frombits(sign | math.Float32bits(float32(man)*0x1p-24))
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | man<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | man<<13)
}

// float32ToFloat16 rounds to the nearest binary16, ties to even.
func float32ToFloat16(f float32) uint16 {
	b := math.Float32bits(f)
	sign, abs := uint16(b>>16&0x8000), b&0x7fffffff
	switch {
	case abs > 0x7f800000: // a NaN must not lose its payload's last bit
		return sign | 0x7c00 | uint16(abs>>13&0x3ff) | 0x200
	case abs >= 0x477ff000: // rounds to 2¹⁶ or more
		return sign | 0x7c00
	case abs < 0x38800000: // below 2⁻¹⁴: in units of 2⁻²⁴, by an addition that rounds there
		return sign | uint16(math.Float32bits(math.Float32frombits(abs)+0.5)-math.Float32bits(0.5))
	}
	return sign | uint16((abs-0x38000000+0xfff+abs>>13&1)>>13)
}

// float32ToBFloat16 rounds to the nearest bfloat16, ties to even.
func float32ToBFloat16(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}
