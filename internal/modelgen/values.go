package modelgen

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/effml/effml/onnx"
)

// values makes n elements in raw layout.
func (b *builder) values(dt onnx.DataType, n int) []byte {
	raw := make([]byte, (n*dt.Bits()+7)/8)
	switch dt {
	case onnx.Float, onnx.Double, onnx.Float16, onnx.BFloat16:
		onnx.PutFloats(raw, dt, b.floats(n))
	case onnx.Complex64:
		onnx.PutFloats(raw, onnx.Float, b.floats(2*n))
	case onnx.Complex128:
		onnx.PutFloats(raw, onnx.Double, b.floats(2*n))
	case onnx.Bool:
		for i := range raw {
			raw[i] = byte(b.rand.IntN(2))
		}
	default:
		b.integers(raw, dt.Bits())
		// Bits after the last element are zero.
		if rest := n * dt.Bits() % 8; rest != 0 {
			raw[len(raw)-1] &= 1<<rest - 1
		}
	}
	return raw
}

// floats draws weights of one of the kinds that real and odd models have.
func (b *builder) floats(n int) []float32 {
	w := make([]float32, n)
	kind := b.rand.IntN(7)
	constant := float32(b.rand.NormFloat64())
	for i := range w {
		v := float32(b.rand.NormFloat64() * 0.05)
		switch kind {
		case 0: // Laplace, as trained weights are
			v = float32(math.Copysign(b.rand.ExpFloat64()*0.02, b.rand.Float64()-0.5))
		case 1: // pruned
			if b.rand.IntN(10) > 0 {
				v = 0
			}
		case 2:
			v = float32(b.rand.IntN(16)-8) * 0.0123
		case 3:
			v = constant
		case 4: // whatever bits
			v = math.Float32frombits(b.rand.Uint32())
		case 5:
			if b.rand.IntN(20) == 0 {
				special := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1e-45}
				v = float32(special[b.rand.IntN(len(special))])
			}
		}
		w[i] = v
	}
	return w
}

// integers fills raw with elements that are any bits, small, constant or ascending.
func (b *builder) integers(raw []byte, bits int) {
	kind, width := b.rand.IntN(4), max(1, bits/8)
	for i := 0; i+width <= len(raw); i += width {
		x := b.rand.Uint64()
		switch kind {
		case 0:
			x = uint64(b.rand.IntN(21) - 10)
		case 1:
			x = 77
		case 2:
			x = uint64(i / width)
		}
		var e [8]byte
		binary.LittleEndian.PutUint64(e[:], x)
		copy(raw[i:i+width], e[:])
	}
}

func (b *builder) strings(n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		switch b.rand.IntN(4) {
		case 0:
			list[i] = []byte{}
		case 1:
			list[i] = []byte("größer 大きい " + strings.Repeat("é", b.rand.IntN(9)))
		default:
			list[i] = fmt.Appendf(nil, "class_%d", b.rand.IntN(1000))
		}
	}
	return list
}
