package ops

import (
	"fmt"
	"math"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// quantizeLinear is QuantizeLinear: y = saturate(round(x / scale) + zero point), halves to even, in the integer types; the quotient
// rounded to the type where that is a floating-point one. NaN becomes the least integer.
//
// The quotient is computed in float32, as in ONNX Runtime whatever the type of the scale (whose precision the standard asks for),
// and rounded to the precision that the attribute asks for.
type quantizeLinear struct {
	scaling
	to, precision onnx.DataType // Undefined: of the zero point, float32
	saturate      bool
	states        *states[quantTask]
}

func newQuantizeLinear(n *Node) (Op, error) {
	s, err := newScaling(n)
	o := &quantizeLinear{
		scaling: s, saturate: n.Bool("saturate", true), states: new(states[quantTask]),
		to: onnx.DataType(n.Int("output_dtype", 0)), precision: onnx.DataType(n.Int("precision", 0)),
	}
	switch o.precision {
	case onnx.Undefined, onnx.Float, onnx.Float16, onnx.BFloat16:
	default:
		return nil, fmt.Errorf("attribute precision is %s, no type to divide in", o.precision)
	}
	if o.to != onnx.Undefined && !isCode(o.to) {
		return nil, fmt.Errorf("attribute output_dtype is %s, no type to quantise to", o.to)
	}
	return o, err
}

// isCode reports whether a type is one that numbers are quantised to.
func isCode(dt onnx.DataType) bool {
	if _, ok := codeRange(dt); ok {
		return true
	}
	switch dt {
	case onnx.Float8E4M3FN, onnx.Float8E4M3FNUZ, onnx.Float8E5M2, onnx.Float8E5M2FNUZ, onnx.Float4E2M1:
		return true
	}
	return false
}

// codeRange returns the least and the largest integer of a type that numbers are quantised to.
func codeRange(dt onnx.DataType) (r [2]float32, ok bool) {
	switch dt {
	case onnx.Int8, onnx.Int16, onnx.Int4, onnx.Int2:
		half := float32(math.Ldexp(1, dt.Bits()-1))
		return [2]float32{-half, half - 1}, true
	case onnx.Uint8, onnx.Uint16, onnx.Uint4, onnx.Uint2:
		return [2]float32{0, float32(math.Ldexp(1, dt.Bits()) - 1)}, true
	}
	return r, false
}

// result returns the type of the codes.
func (o *quantizeLinear) result(zero onnx.DataType) (onnx.DataType, error) {
	switch {
	case zero == onnx.Undefined && o.to == onnx.Undefined:
		return onnx.Uint8, nil
	case zero == onnx.Undefined:
		return o.to, nil
	case o.to != onnx.Undefined && o.to != zero:
		return 0, fmt.Errorf("zero point is of type %s and attribute output_dtype says %s", zero, o.to)
	case !isCode(zero):
		return 0, fmt.Errorf("zero point is of type %s, no type to quantise to", zero)
	}
	return zero, nil
}

func (o *quantizeLinear) Infer(in []Info) ([]Info, error) {
	switch in[0].Type {
	case onnx.Undefined, onnx.Float, onnx.Float16, onnx.BFloat16, onnx.Int32:
	default:
		return nil, fmt.Errorf("input 0 is of type %s, which cannot be quantised", in[0].Type)
	}
	var zero onnx.DataType
	if len(in) > 2 {
		if zero = in[2].Type; zero == onnx.Undefined && !in[2].Missing() {
			return []Info{{Shape: in[0].Shape}}, nil
		}
	}
	dt, err := o.result(zero)
	return []Info{{Type: dt, Shape: in[0].Shape}}, err
}

// ChannelsLast takes the layout of input 0 for scales that are not blocked.
func (o *quantizeLinear) ChannelsLast(in []Info) ([]bool, bool) { return o.layouts(in) }

func (o *quantizeLinear) Run(c *Call) error {
	x, scale := c.In[0], c.In[1]
	zero, zeroType := c.input(2), onnx.Undefined
	if zero != nil {
		zeroType = zero.Type
	}
	dt, err := o.result(zeroType)
	if err != nil {
		return err
	}
	q := o.states.get()
	defer o.states.put(q)
	if err := q.parameters(scale, zero); err != nil {
		return err
	}
	if q.spread, err = o.of(x, scale.Shape); err != nil {
		return err
	}
	q.x, q.saturate, q.precision = x, o.saturate, o.precision
	if q.precision == onnx.Float {
		q.precision = onnx.Undefined
	}
	round16(q.scale, q.precision)
	if q.y, err = c.Out(0, dt, x.Shape, x.Layout); err != nil {
		return err
	}
	q.do = (*quantTask).quantise
	q.run(c.CPU)
	return nil
}

// quantTask quantises or dequantises a tensor. Pieces are a fixed number of elements.
type quantTask struct {
	x, y        *tensor.Tensor
	scale, zero []float32
	ends        [2]float32 // of the numbers of x, for DynamicQuantizeLinear
	spread      spread
	precision   onnx.DataType
	saturate    bool
	do          func(q *quantTask, first, n, k, step int, buf []float32)
	buffers     [][]float32 // one a worker
}

// elements of a piece, and of what is computed at once.
const (
	quantPiece = 1 << 14
	quantChunk = 1 << 10
)

func (q *quantTask) run(cpu *kernel.CPU) {
	for len(q.buffers) < cpu.Threads() {
		q.buffers = append(q.buffers, make([]float32, quantChunk))
	}
	cpu.Parallel((q.x.Len()+quantPiece-1)/quantPiece, q)
	q.x, q.y = nil, nil
}

// Piece implements kernel.Task.
func (q *quantTask) Piece(i, worker int) {
	end := min((i+1)*quantPiece, q.x.Len())
	for first := i * quantPiece; first < end; {
		n, k, step := q.spread.run(first)
		n = min(n, end-first, quantChunk)
		q.do(q, first, n, k, step, q.buffers[worker][:n])
		first += n
	}
}

// round16 rounds values to a type of 16 bits; other types leave them.
func round16(v []float32, dt onnx.DataType) {
	switch dt {
	case onnx.Float16:
		for i := range v {
			v[i] = tensor.ToFloat16(v[i]).Float32()
		}
	case onnx.BFloat16:
		for i := range v {
			v[i] = tensor.ToBFloat16(v[i]).Float32()
		}
	}
}

// quantise computes n elements from first on, whose scales are k, k + step, …
func (q *quantTask) quantise(first, n, k, step int, buf []float32) {
	x := buf
	if q.x.Type == onnx.Float && q.precision == onnx.Undefined {
		x = tensor.Of[float32](q.x)[first : first+n]
	} else {
		q.x.Floats(buf, first)
		round16(buf, q.precision)
	}
	if step == 0 {
		s := q.scale[k]
		for i := range buf {
			buf[i] = x[i] / s
		}
	} else {
		s := q.scale[k : k+n]
		for i := range buf {
			buf[i] = x[i] / s[i]
		}
	}
	round16(buf, q.precision)
	switch q.y.Type {
	case onnx.Int8:
		roundCodes(tensor.Of[int8](q.y)[first:first+n], buf, q.zero[k:], step)
	case onnx.Uint8:
		roundCodes(tensor.Of[uint8](q.y)[first:first+n], buf, q.zero[k:], step)
	case onnx.Int16:
		roundCodes(tensor.Of[int16](q.y)[first:first+n], buf, q.zero[k:], step)
	case onnx.Uint16:
		roundCodes(tensor.Of[uint16](q.y)[first:first+n], buf, q.zero[k:], step)
	case onnx.Int4:
		roundCodes(tensor.Of[tensor.Int4](q.y)[first:first+n], buf, q.zero[k:], step)
	case onnx.Uint4:
		roundCodes(tensor.Of[tensor.Uint4](q.y)[first:first+n], buf, q.zero[k:], step)
	case onnx.Int2:
		roundCodes(tensor.Of[tensor.Int2](q.y)[first:first+n], buf, q.zero[k:], step)
	case onnx.Uint2:
		roundCodes(tensor.Of[tensor.Uint2](q.y)[first:first+n], buf, q.zero[k:], step)
	default: // a zero point of another value than zero is odd here, but it has a meaning
		for i := range buf {
			buf[i] += q.zero[k+i*step]
		}
		q.y.SetFloats(first, buf, q.saturate)
	}
}

// code is an integer that a number is quantised to.
type code interface {
	~int8 | ~uint8 | ~int16 | ~uint16
	tensor.Element
}

// magic is the number 1.5·2²³: added to a number of less than 22 bits it leaves the integer nearest to it in the lowest bits.
const magic = 3 << 22

// roundCodes stores saturate(round(v) + zero), halves to even; zero points are zero[0], zero[step], …
func roundCodes[T code](dst []T, v, zero []float32, step int) {
	r, _ := codeRange(tensor.TypeOf[T]())
	dst = dst[:len(v)]
	if step == 0 {
		z := zero[0]
		lo, hi, shift := r[0]-z, r[1]-z, int32(z)
		for i, x := range v {
			dst[i] = T(roundWithin(x, lo, hi) + shift)
		}
		return
	}
	for i, x := range v {
		z := zero[i*step]
		dst[i] = T(roundWithin(x, r[0]-z, r[1]-z) + int32(z))
	}
}

// roundWithin returns the integer of lo to hi nearest to x, halves to even; lo of NaN. The bounds are integers below 2²⁰.
func roundWithin(x, lo, hi float32) int32 {
	if !(x > lo) { // NaN, too
		x = lo
	}
	if x > hi {
		x = hi
	}
	return int32(math.Float32bits(float32(x+magic))) - int32(magicBits)
}

// magicBits are those of magic.
const magicBits = 0x4b400000
