package quantize

import (
	"encoding/binary"
	"io"

	"github.com/effml/effml/internal/rewrite"
	"github.com/effml/effml/internal/weights"
	"github.com/effml/effml/onnx"
)

// Codes fills dst with the codes of weights first, first+1, ….
type Codes func(dst []int32, first int64) error

// form is how a tensor is computed from its codes, before the codes have values.
type form struct {
	codes   *onnx.Tensor // of int4, uint4, int8, uint8, int16, uint16 or int32
	tensors []*onnx.Tensor
	nodes   []*onnx.Node
	begin   []int32 // what a group adds to its codes; nil: nothing
	size    int     // of a group; 0: all weights
}

// replace puts the form where tensor t is; values gives its codes.
func (f *form) replace(m *onnx.Model, g *onnx.Graph, t *onnx.Tensor, values func(*form) error) error {
	if err := values(f); err != nil {
		return err
	}
	rewrite.Replace(m, g, t.Name, f.tensors, f.nodes)
	return nil
}

// put writes the code of weight i into raw, the codes' raw layout from weight first on. Four bits fill a byte from both halves, so bytes must be
// zero before.
func (f *form) put(raw []byte, i, first int, code int32) {
	if f.begin != nil {
		group := 0
		if f.size > 0 {
			group = i / f.size
		}
		code += f.begin[group]
	}
	switch at := i - first; f.codes.DataType {
	case onnx.Int4, onnx.Uint4:
		raw[at/2] |= byte(code) & 15 << (at % 2 * 4)
	case onnx.Int16, onnx.Uint16:
		binary.LittleEndian.PutUint16(raw[2*at:], uint16(code))
	case onnx.Int32:
		binary.LittleEndian.PutUint32(raw[4*at:], uint32(code))
	default:
		raw[at] = byte(code)
	}
}

// inMemory computes the codes of weights at once, in parallel. Chunks are of an even number of weights, so no two share a byte.
func inMemory(src Source, q Grouped) func(*form) error {
	return func(f *form) error {
		size, err := f.codes.ByteSize()
		if err != nil {
			return err
		}
		raw := make([]byte, size)
		f.codes.SetBytes(raw)
		return eachCode(src, q, func(i int, code int32) { f.put(raw, i, 0, code) })
	}
}

// streamed has the codes computed when they are written.
func streamed(codes Codes) func(*form) error {
	return func(f *form) error {
		size, err := f.codes.ByteSize()
		if err != nil {
			return err
		}
		f.codes.SetStream(&codeStream{f, codes, size})
		return nil
	}
}

// codeStream is the raw layout of a form's codes, as an onnx.Payload.
type codeStream struct {
	f     *form
	codes Codes
	size  int64
}

func (s *codeStream) Size() int64 { return s.size }

func (s *codeStream) WriteTo(w io.Writer) (written int64, err error) {
	n, err := s.f.codes.NumElements()
	if err != nil {
		return 0, err
	}
	codes, raw := make([]int32, weights.Chunk), make([]byte, 4*weights.Chunk)
	for first := int64(0); first < n; first += weights.Chunk {
		codes := codes[:min(weights.Chunk, n-first)]
		if err := s.codes(codes, first); err != nil {
			return written, err
		}
		raw := raw[:(len(codes)*s.f.codes.DataType.Bits()+7)/8]
		clear(raw)
		for i, c := range codes {
			s.f.put(raw, int(first)+i, int(first), c)
		}
		k, err := w.Write(raw)
		written += int64(k)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
