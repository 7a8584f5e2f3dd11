package evaluate

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
)

// blockElements is the number of elements that are looked at at a time.
const blockElements = 1 << 15

// reader yields the values of a tensor in raw layout without holding them all. It must be closed.
type reader struct {
	*io.PipeReader
	done chan struct{}
}

// errClosed ends a writer whose reader has seen enough.
var errClosed = errors.New("closed")

func newReader(t *onnx.Tensor) *reader {
	pr, pw := io.Pipe()
	r := &reader{pr, make(chan struct{})}
	go func() {
		defer close(r.done)
		err := mapped.Guard(func() error {
			_, err := t.WriteValues(pw)
			return err
		})
		pw.CloseWithError(err) // io.EOF where err is nil
	}()
	return r
}

// close ends the writer too: after it, nothing reads the tensor.
func (r *reader) close() {
	r.CloseWithError(errClosed)
	<-r.done
}

// numeric reports whether elements of the type have a value that toFloats knows.
func numeric(dt onnx.DataType) bool {
	switch dt {
	case onnx.Float, onnx.Double, onnx.Float16, onnx.BFloat16, onnx.Int8, onnx.Uint8, onnx.Int16, onnx.Uint16, onnx.Int32, onnx.Uint32,
		onnx.Int64, onnx.Uint64, onnx.Bool:
		return true
	}
	return false
}

// toFloats converts len(dst) elements of raw; 64-bit integers beyond 2⁵³ are rounded.
func toFloats(dst []float64, raw []byte, dt onnx.DataType) {
	le := binary.LittleEndian
	for i := range dst {
		switch dt {
		case onnx.Float:
			dst[i] = float64(math.Float32frombits(le.Uint32(raw[4*i:])))
		case onnx.Double:
			dst[i] = math.Float64frombits(le.Uint64(raw[8*i:]))
		case onnx.BFloat16:
			dst[i] = float64(math.Float32frombits(uint32(le.Uint16(raw[2*i:])) << 16))
		case onnx.Int8:
			dst[i] = float64(int8(raw[i]))
		case onnx.Uint8, onnx.Bool:
			dst[i] = float64(raw[i])
		case onnx.Int16:
			dst[i] = float64(int16(le.Uint16(raw[2*i:])))
		case onnx.Uint16:
			dst[i] = float64(le.Uint16(raw[2*i:]))
		case onnx.Int32:
			dst[i] = float64(int32(le.Uint32(raw[4*i:])))
		case onnx.Uint32:
			dst[i] = float64(le.Uint32(raw[4*i:]))
		case onnx.Int64:
			dst[i] = float64(int64(le.Uint64(raw[8*i:])))
		case onnx.Uint64:
			dst[i] = float64(le.Uint64(raw[8*i:]))
		}
	}
	if dt == onnx.Float16 {
		halves(dst, raw)
	}
}

func halves(dst []float64, raw []byte) {
	t := onnx.Tensor{DataType: onnx.Float16, Dims: []int64{int64(len(dst))}}
	t.SetBytes(raw[:2*len(dst)])
	floats := make([]float32, len(dst))
	if err := t.ReadFloats(floats, 0); err != nil {
		panic(err) // type and size are right by construction
	}
	for i, f := range floats {
		dst[i] = float64(f)
	}
}

// scanner hands the elements of a numeric tensor to fn, block by block.
func scan(ctx context.Context, t *onnx.Tensor, elements int64, fn func(v []float64)) error {
	r := newReader(t)
	defer r.close()
	width := t.DataType.Bits() / 8
	raw, values := make([]byte, blockElements*width), make([]float64, blockElements)
	for elements > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := int(min(elements, blockElements))
		if _, err := io.ReadFull(r, raw[:n*width]); err != nil {
			return err
		}
		toFloats(values[:n], raw, t.DataType)
		fn(values[:n])
		elements -= int64(n)
	}
	return nil
}
