package ops

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// castOp is Cast, CastLike and BitCast.
//
// What ONNX leaves open is done as ONNX Runtime does: a float beyond an integer type becomes, for int32 and int64, the least integer,
// otherwise the low bits of its int64; a float is written with 8 significant digits; a string is read up to where an integer
// ends. Bool to string is 1 or 0.
type castOp struct {
	to   onnx.DataType // Undefined: of input 1
	bits bool          // reinterpret
	conversion
}

// conversion says what becomes of numbers that the type has not.
type conversion struct {
	overflow bool // in types of 8 bits, become NaN or infinite instead of the largest
	round    string
}

func newCast(n *Node) (Op, error) {
	o := &castOp{
		to: onnx.DataType(n.Int("to", 0)), bits: n.OpType == "BitCast",
		conversion: conversion{overflow: !n.Bool("saturate", true), round: n.Text("round_mode", "up")},
	}
	if n.OpType != "CastLike" && o.to != onnx.String && tensor.Width(o.to) == 0 {
		return nil, fmt.Errorf("attribute to is %s, which is not supported", o.to)
	}
	if o.round != "up" && o.round != "down" && o.round != "nearest" {
		return nil, fmt.Errorf("attribute round_mode is %q, not up, down or nearest", o.round)
	}
	return o, nil
}

// typesCast are the types that Cast converts.
const typesCast = typesReal | typesString

// Infer implements Op.
func (o *castOp) Infer(in []Info) ([]Info, error) {
	out := Info{Type: o.to, Shape: in[0].Shape}
	if o.to == onnx.Undefined {
		out.Type = inputAt(in, 1).Type
	}
	if from := in[0].Type; o.bits {
		if from != onnx.Undefined && from.Bits() != out.Type.Bits() || from == onnx.String {
			return nil, fmt.Errorf("input 0: elements of type %s have not the size of %s", tensor.TypeName(from), tensor.TypeName(out.Type))
		}
	} else {
		if err := typesCast.check(in, 0); err != nil {
			return nil, err
		}
		if typesIndex.has(out.Type) && typesIndex.has(from) && in[0].Ints != nil && in[0].Value == nil {
			out = intsInfo(out.Type, out.Shape, in[0].Ints)
		}
	}
	return inferred(o, in, out)
}

// ChannelsLast implements ChannelsLaster.
func (o *castOp) ChannelsLast(in []Info) ([]bool, bool) {
	ok := make([]bool, len(in))
	ok[0] = in[0].Type == onnx.Float && o.to == onnx.Float
	return ok, false
}

// Run implements Op.
func (o *castOp) Run(c *Call) error {
	x, to := c.In[0], o.to
	if to == onnx.Undefined {
		to = c.In[1].Type
	}
	out, err := c.Out(0, to, x.Shape, x.Layout)
	if err != nil {
		return err
	}
	if o.bits {
		if to.Bits() != x.Type.Bits() || to.Bits() == 0 {
			return fmt.Errorf("%s has not elements of %d bits", x, to.Bits())
		}
		reinterpret(out, x)
		return nil
	}
	if to == x.Type {
		c.copyTo(out, x)
		return nil
	}
	return convert(out, x, o.conversion)
}

// reinterpret copies bits. Those of less than 8 bits are sign-extended in memory where the type is signed.
func reinterpret(dst, src *tensor.Tensor) {
	copy(dst.Bytes(), src.Bytes())
	if n := dst.Type.Bits(); n < 8 {
		d := dst.Bytes()
		for i, b := range d {
			if b &= 1<<n - 1; dst.Type == onnx.Int4 || dst.Type == onnx.Int2 {
				b = byte(int8(b<<(8-n)) >> (8 - n))
			}
			d[i] = b
		}
	}
}

// convert fills dst with the elements of src, which has as many, as numbers of dst's type.
func convert(dst, src *tensor.Tensor, how conversion) error {
	if !typesCast.has(src.Type) || !typesCast.has(dst.Type) {
		return fmt.Errorf("%s does not convert to %s", tensor.TypeName(src.Type), tensor.TypeName(dst.Type))
	}
	switch {
	case src.Type == onnx.String:
		return parseStrings(dst, src.Strings(), how)
	case dst.Type == onnx.String:
		return formatStrings(dst.Strings(), src)
	case dst.Type == onnx.Float:
		src.Floats(elements[float32](dst), 0)
		return nil
	case src.Type == onnx.Float && dst.SetFloats(0, elements[float32](src), !how.overflow):
		return nil
	}
	b := blocks64{}
	for first := 0; first < src.Len(); first += len(b.floats) {
		n := min(len(b.floats), src.Len()-first)
		if src.Type.IsFloat() {
			b.load(src, first, n)
			if err := b.storeFloats(dst, first, n, how); err != nil {
				return err
			}
			continue
		}
		num, err := numericOf(src.Type)
		if err != nil {
			return err
		}
		num.loadInts(b.ints[:n], src, first)
		if dst.Type.IsFloat() {
			num.loadFloats(b.floats[:n], src, first)
			err = b.storeFloats(dst, first, n, how)
		} else {
			err = b.storeInts(dst, first, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// blocks64 is a block of elements on their way between types.
type blocks64 struct {
	floats [512]float64
	ints   [512]int64
	narrow [512]float32
}

// load reads floating-point numbers of any type.
func (b *blocks64) load(src *tensor.Tensor, first, n int) {
	if src.Type == onnx.Double {
		copy(b.floats[:n], tensor.Of[float64](src)[first:])
		return
	}
	src.Floats(b.narrow[:n], first)
	for i, v := range b.narrow[:n] {
		b.floats[i] = float64(v)
	}
}

// storeFloats stores floats in any type.
func (b *blocks64) storeFloats(dst *tensor.Tensor, first, n int, how conversion) error {
	switch {
	case dst.Type == onnx.Double:
		copy(tensor.Of[float64](dst)[first:], b.floats[:n])
	case dst.Type == onnx.Bool:
		d := elements[bool](dst)[first:]
		for i, v := range b.floats[:n] {
			d[i] = v != 0
		}
	case dst.Type == onnx.Float8E8M0:
		d := dst.Bytes()[first:]
		for i, v := range b.floats[:n] {
			d[i] = encodeE8M0(float32(v), how)
		}
	case dst.Type.IsFloat():
		for i, v := range b.floats[:n] {
			b.narrow[i] = float32(v)
		}
		dst.SetFloats(first, b.narrow[:n], !how.overflow)
	default:
		for i, v := range b.floats[:n] {
			b.ints[i] = truncated(v, dst.Type)
		}
		return b.storeInts(dst, first, n)
	}
	return nil
}

// truncated rounds towards zero. What is beyond int64, and beyond int32 on the way there, and NaN become the least integer.
func truncated(v float64, to onnx.DataType) int64 {
	switch {
	case to == onnx.Int32 && !(v > math.MinInt32-1 && v < math.MaxInt32+1):
		return math.MinInt32
	case v > -0x1p63 && v < 0x1p63:
		return int64(v)
	case to == onnx.Uint64 && v >= 0x1p63 && v < 0x1p64:
		return int64(uint64(v))
	}
	return math.MinInt64
}

// storeInts stores the low bits of integers.
func (b *blocks64) storeInts(dst *tensor.Tensor, first, n int) error {
	switch bits := dst.Type.Bits(); {
	case dst.Type == onnx.Bool:
		d := elements[bool](dst)[first:]
		for i, v := range b.ints[:n] {
			d[i] = v != 0
		}
		return nil
	case dst.Type == onnx.Int4 || dst.Type == onnx.Int2:
		for i, v := range b.ints[:n] {
			b.ints[i] = v << (64 - bits) >> (64 - bits)
		}
	case dst.Type == onnx.Uint4 || dst.Type == onnx.Uint2:
		for i := range n {
			b.ints[i] &= 1<<bits - 1
		}
	}
	num, err := numericOf(dst.Type)
	if err == nil {
		num.storeInts(dst, first, b.ints[:n])
	}
	return err
}

// encodeE8M0 returns the code of the power of two that v is rounded to (Open Compute Project, Microscaling Formats v1.0, section
// 5.4.1): the sign is ignored and zero becomes the least. Half way between two is rounded up by "nearest".
func encodeE8M0(v float32, how conversion) uint8 {
	u := math.Float32bits(v)
	exp, fraction := u>>23&0xff, u&0x7fffff
	if exp == 0xff {
		return 0xff
	}
	up := fraction != 0 && how.round == "up"
	if how.round == "nearest" {
		up = fraction > 0x400000 || fraction == 0x400000 && exp > 0
	}
	if up && (exp < 0xfe || how.overflow) {
		exp++
	}
	return uint8(exp)
}

// formatStrings writes numbers.
func formatStrings(dst []string, src *tensor.Tensor) error {
	var b blocks64
	for i := range dst {
		switch {
		case src.Type.IsFloat():
			b.load(src, i, 1)
			dst[i] = formatFloat(b.floats[0], src.Type)
		default:
			num, err := numericOf(src.Type)
			if err != nil {
				return err
			}
			num.loadInts(b.ints[:1], src, i)
			if dst[i] = strconv.FormatInt(b.ints[0], 10); src.Type == onnx.Uint64 {
				dst[i] = strconv.FormatUint(uint64(b.ints[0]), 10)
			}
		}
	}
	return nil
}

// formatFloat writes the fewest digits that give the number back, plainly from 1e-4 to as many digits as the type is good for. (ONNX's
// test data has them; ONNX Runtime writes eight digits, of float64 too.)
func formatFloat(v float64, of onnx.DataType) string {
	bits, plain := 32, 1e8
	if of == onnx.Double {
		bits, plain = 64, 1e16
	}
	size := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 0):
		return strings.TrimPrefix(strings.ToUpper(strconv.FormatFloat(v, 'g', -1, 64)), "+")
	}
	if size == 0 || size >= 1e-4 && size < plain {
		return strconv.FormatFloat(v, 'f', -1, bits)
	}
	return strconv.FormatFloat(v, 'e', -1, bits)
}

// parseStrings reads numbers.
func parseStrings(dst *tensor.Tensor, src []string, how conversion) error {
	var b blocks64
	for i, s := range src {
		var err error
		s = strings.TrimSpace(s)
		if dst.Type.IsFloat() {
			b.floats[0], err = strconv.ParseFloat(s, 64)
			if dst.Type == onnx.Float { // rounded once
				var v float64
				v, err = strconv.ParseFloat(s, 32)
				b.floats[0] = v
				elements[float32](dst)[i] = float32(v)
			} else if err == nil {
				err = b.storeFloats(dst, i, 1, how)
			}
		} else if b.ints[0], err = parseInteger(s, dst.Type); err == nil {
			err = b.storeInts(dst, i, 1)
		}
		if err != nil {
			return fmt.Errorf("string %q at position %d is no %s", s, i, tensor.TypeName(dst.Type))
		}
	}
	return nil
}

// parseInteger reads the digits that a string begins with.
func parseInteger(s string, to onnx.DataType) (int64, error) {
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[0] == '-' || s[0] == '+')) {
		end++
	}
	if to == onnx.Uint64 && !strings.HasPrefix(s, "-") {
		v, err := strconv.ParseUint(strings.TrimPrefix(s[:end], "+"), 10, 64)
		return int64(v), err
	}
	return strconv.ParseInt(s[:end], 10, 64)
}

// Gradient converts back. Codes that become numbers count as what they stand for.
func (o *castOp) Gradient(g *Gradient) error {
	if o.bits {
		return errors.New("bits are not differentiable")
	}
	dy, _ := g.Of(0)
	if x := g.In(0); typesFloat.has(x.Type) {
		dy = g.Cast(dy, x)
	}
	g.Set(0, dy)
	return nil
}
