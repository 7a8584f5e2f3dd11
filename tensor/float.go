package tensor

import (
	"encoding/binary"
	"math"

	"github.com/effml/effml/onnx"
)

// format is a floating-point type of 8 bits or less: sign, exponent, mantissa. A subnormal has the exponent 1 − bias.
type format struct {
	mantissa int   // bits
	bias     int   // of the exponent
	largest  uint8 // the code of the largest finite number
	infinite uint8 // the code of +∞, or of NaN where there is none; largest where there is neither
	nan      uint8 // a code of NaN, or what NaN becomes where there is none
	sign     uint8 // the bit of the sign
	onlyZero bool  // there is no −0: its code is NaN (the types …FNUZ)
}

// formatOf returns the format of a type, and false for a type that has none.
//
// P. Micikevicius et al., FP8 Formats for Deep Learning, arXiv:2209.05433; B. Noune et al., 8-bit Numerical Formats for Deep
// Neural Networks, arXiv:2206.02915 (…FNUZ); Open Compute Project, Microscaling Formats v1.0 (E2M1).
func formatOf(dt onnx.DataType) (format, bool) {
	switch dt {
	case onnx.Float8E4M3FN:
		return format{mantissa: 3, bias: 7, largest: 0x7e, infinite: 0x7f, nan: 0x7f, sign: 0x80}, true
	case onnx.Float8E4M3FNUZ:
		return format{mantissa: 3, bias: 8, largest: 0x7f, infinite: 0x80, nan: 0x80, sign: 0x80, onlyZero: true}, true
	case onnx.Float8E5M2:
		return format{mantissa: 2, bias: 15, largest: 0x7b, infinite: 0x7c, nan: 0x7f, sign: 0x80}, true
	case onnx.Float8E5M2FNUZ:
		return format{mantissa: 2, bias: 16, largest: 0x7f, infinite: 0x80, nan: 0x80, sign: 0x80, onlyZero: true}, true
	case onnx.Float4E2M1:
		return format{mantissa: 1, bias: 1, largest: 7, infinite: 7, nan: 8, sign: 8}, true // NaN becomes −0, as in ml_dtypes
	}
	return format{}, false
}

// encode rounds v to the nearest number of the format, ties to the even mantissa. What is beyond the largest becomes the largest
// if saturate, else infinite or NaN.
func (f format) encode(v float32, saturate bool) uint8 {
	sign := uint8(0)
	if math.Signbit(float64(v)) {
		sign = f.sign
	}
	a := math.Abs(float64(v))
	if a != a { //nolint:gocritic // NaN
		if f.onlyZero {
			return f.nan
		}
		return sign | f.nan
	}
	code := 0
	switch {
	case math.IsInf(a, 0):
		code = int(f.largest) + 1
	case a > 0:
		_, e := math.Frexp(a)            // a = m·2ᵉ, ½ ≤ m < 1
		e = max(e-1, 1-f.bias)           // exponent of the leading bit, or of a subnormal
		q := math.Ldexp(a, f.mantissa-e) // in units of the last place
		code = min(int(f.largest)+1, (e-(1-f.bias))<<f.mantissa+int(math.RoundToEven(q)))
	}
	switch {
	case code <= int(f.largest):
	case saturate:
		code = int(f.largest)
	default:
		code = int(f.infinite)
	}
	if f.onlyZero && code == 0 {
		return 0
	}
	return sign | uint8(code)
}

// decode returns the number of a code.
func (f format) decode(code uint8) float32 {
	if f.onlyZero && code == f.nan {
		return float32(math.NaN())
	}
	sign, c := float64(1), code&(f.sign-1)
	if code&f.sign != 0 {
		sign = -1
	}
	switch {
	case c <= f.largest:
	case c == f.infinite && f.infinite != f.nan:
		return float32(math.Inf(int(sign)))
	default:
		return float32(math.Copysign(math.NaN(), sign))
	}
	e, m := int(c)>>f.mantissa, int(c)&(1<<f.mantissa-1)
	if e > 0 {
		m |= 1 << f.mantissa
		e--
	}
	return float32(math.Copysign(math.Ldexp(float64(m), e+1-f.bias-f.mantissa), sign))
}

// decodeE8M0 returns the power of two that a code of Float8E8M0 is.
func decodeE8M0(code uint8) float32 {
	if code == 255 {
		return float32(math.NaN())
	}
	return float32(math.Ldexp(1, int(code)-127))
}

// Floats reads elements first to first+len(dst)−1 of t, in memory order, as float32: exactly where the type has no more than
// 24 significant bits, else rounded to nearest. It returns false for complex numbers and strings, of which it reads none.
func (t *Tensor) Floats(dst []float32, first int) bool {
	lo, hi := first, first+len(dst)
	switch t.Type {
	case onnx.Float:
		copy(dst, Of[float32](t)[lo:hi])
	case onnx.Double:
		widen(dst, Of[float64](t)[lo:hi])
	case onnx.Float16:
		for i, v := range Of[Float16](t)[lo:hi] {
			dst[i] = v.Float32()
		}
	case onnx.BFloat16:
		for i, v := range Of[BFloat16](t)[lo:hi] {
			dst[i] = math.Float32frombits(uint32(v) << 16)
		}
	case onnx.Int8:
		widen(dst, Of[int8](t)[lo:hi])
	case onnx.Int4:
		widen(dst, Of[Int4](t)[lo:hi])
	case onnx.Int2:
		widen(dst, Of[Int2](t)[lo:hi])
	case onnx.Uint8, onnx.Uint4, onnx.Uint2, onnx.Bool:
		widen(dst, t.Bytes()[lo:hi])
	case onnx.Int16:
		widen(dst, Of[int16](t)[lo:hi])
	case onnx.Uint16:
		widen(dst, Of[uint16](t)[lo:hi])
	case onnx.Int32:
		widen(dst, Of[int32](t)[lo:hi])
	case onnx.Uint32:
		widen(dst, Of[uint32](t)[lo:hi])
	case onnx.Int64:
		widen(dst, Of[int64](t)[lo:hi])
	case onnx.Uint64:
		widen(dst, Of[uint64](t)[lo:hi])
	default:
		return t.smallFloats(dst, lo)
	}
	return true
}

// smallFloats is Floats for floating-point types of 8 bits and less.
func (t *Tensor) smallFloats(dst []float32, first int) bool {
	var table [256]float32
	f, ok := formatOf(t.Type)
	for code := range table {
		switch {
		case ok:
			table[code] = f.decode(uint8(code))
		case t.Type == onnx.Float8E8M0:
			table[code] = decodeE8M0(uint8(code))
		default:
			return false
		}
	}
	for i, v := range t.Bytes()[first : first+len(dst)] {
		dst[i] = table[v]
	}
	return true
}

// SetFloats stores src as elements first and on of t, whose type is a floating-point one, rounded to nearest even. What is
// beyond a type's largest number becomes infinite (or NaN, where there is no infinity); with saturate, in types of 8 bits,
// the largest, and always so in types without infinity and NaN. It returns false for other types, Float8E8M0 among them, and
// stores nothing.
func (t *Tensor) SetFloats(first int, src []float32, saturate bool) bool {
	lo, hi := first, first+len(src)
	switch t.Type {
	case onnx.Float:
		copy(Of[float32](t)[lo:hi], src)
	case onnx.Double:
		widen(Of[float64](t)[lo:hi], src)
	case onnx.Float16, onnx.BFloat16:
		onnx.PutFloats(t.Bytes()[2*lo:2*hi], t.Type, src)
	default:
		f, ok := formatOf(t.Type)
		if !ok {
			return false
		}
		for i, v := range src {
			t.Bytes()[lo+i] = f.encode(v, saturate)
		}
	}
	return true
}

// Float32 widens a number; a NaN keeps its sign and payload.
func (h Float16) Float32() float32 {
	sign, rest := uint32(h>>15)<<31, uint32(h&0x7fff)
	switch {
	case rest < 0x400: // zero and subnormal: units of 2⁻²⁴
		return math.Float32frombits(sign | math.Float32bits(float32(rest)*0x1p-24))
	case rest >= 0x7c00:
		return math.Float32frombits(sign | 0x7f800000 | rest&0x3ff<<13)
	}
	return math.Float32frombits(sign | rest<<13 + 112<<23)
}

// Float32 widens a number, exactly.
func (b BFloat16) Float32() float32 { return math.Float32frombits(uint32(b) << 16) }

// ToFloat16 rounds to the nearest number of the type, ties to even; what exceeds its range becomes infinite.
func ToFloat16(v float32) Float16 {
	var b [2]byte
	onnx.PutFloats(b[:], onnx.Float16, []float32{v})
	return Float16(binary.LittleEndian.Uint16(b[:]))
}

// ToBFloat16 rounds to the nearest number of the type, ties to even.
func ToBFloat16(v float32) BFloat16 {
	var b [2]byte
	onnx.PutFloats(b[:], onnx.BFloat16, []float32{v})
	return BFloat16(binary.LittleEndian.Uint16(b[:]))
}

// arithmetic is a type that Go converts.
type arithmetic interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

func widen[D, S arithmetic](dst []D, src []S) {
	for i, v := range src {
		dst[i] = D(v)
	}
}
