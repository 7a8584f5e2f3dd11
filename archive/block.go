package archive

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/effml/effml/huffman"
	"github.com/effml/effml/onnx"
)

// encoded is one block as it will stand in the file.
type encoded struct {
	payload   *[]byte // from the writer's pool; nil if the block was not coded so
	crc       uint32  // of the decoded values
	coder     byte    // packed only
	positions int     // bytes of payload that say where non-zeros are
	nonZero   int64
	method    string
}

func (e *encoded) length() int { return len(*e.payload) }

// scratch is what one worker needs to code or decode a packed block.
type scratch struct {
	codes  []int32
	floats []float32
	raw    []byte
	out    []byte
}

func grow[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n, max(n, min(2*n, blockUnits)))
	}
	return (*s)[:n]
}

// packSpec is everything that does not change from block to block of a packed tensor.
type packSpec struct {
	*Packed
	dataType onnx.DataType
	row      int64 // row length
	table    []byte
	coders   []huffman.Coder // to choose from when writing
}

// values decodes codes of weights first… into the raw layout of the tensor's type.
// The result lies in sc and is valid until its next use.
func (s *packSpec) values(sc *scratch, codes []int32, first int64) ([]byte, []float32, error) {
	floats := grow(&sc.floats, len(codes))
	if err := s.Values(floats, codes, first); err != nil {
		return nil, nil, err
	}
	raw := grow(&sc.raw, len(codes)*s.dataType.Bits()/8)
	onnx.PutFloats(raw, s.dataType, floats)
	return raw, floats, nil
}

// encode codes the weights first… with each of its coders and keeps the shortest; spare
// holds the others meanwhile.
func (s *packSpec) encode(sc *scratch, out, spare *[]byte, first int64, n int) (encoded, error) {
	e := encoded{payload: out}
	codes := grow(&sc.codes, n)
	if err := s.Codes(codes, first); err != nil {
		return e, err
	}
	raw, floats, err := s.values(sc, codes, first)
	if err != nil {
		return e, err
	}
	e.crc, e.nonZero = checksum(raw), countNonZero(floats)
	shape, params := blockShape(first, n, s.row), huffman.Params{Min: s.Min, Max: s.Max}
	var best huffman.Coder
	for _, c := range s.coders {
		b, err := c.Encode((*spare)[:0], codes, shape, params)
		if err != nil {
			return e, fmt.Errorf("coder %s: %w", c.Name(), err)
		}
		*spare = b
		if best == nil || len(b) < len(*out) {
			*out, *spare = *spare, *out
			best = c
		}
	}
	e.coder, e.method = best.ID(), best.Name()
	e.positions, err = positions(best, *out)
	return e, err
}

// positions returns how many bytes of a payload say where the non-zeros are.
func positions(c huffman.Coder, payload []byte) (int, error) {
	p, ok := c.(huffman.Parts)
	if !ok {
		return 0, nil
	}
	_, n, err := p.Parts(payload)
	return n, err
}

func countNonZero(floats []float32) int64 {
	n := int64(0)
	for _, f := range floats {
		if f != 0 {
			n++
		}
	}
	return n
}

// encodeValues codes raw, a block of the given type, without loss.
func encodeValues(out *[]byte, raw []byte, dt onnx.DataType, elem huffman.Elem, effort int) (encoded, error) {
	*out = huffman.AppendValues((*out)[:0], raw, elem, effort)
	e := encoded{payload: out, crc: checksum(raw), nonZero: nonZeroElements(raw, dt)}
	var err error
	e.method, err = huffman.DescribeValues(*out)
	return e, err
}

// nonZeroElements counts the elements other than ±0; −1 for types whose elements
// are no real numbers of whole bytes.
func nonZeroElements(raw []byte, dt onnx.DataType) int64 {
	mask := ^uint64(0)
	if dt.IsFloat() && dt.Bits() >= 8 && dt != onnx.Float8E8M0 {
		mask >>= 1 + 64 - dt.Bits()
	}
	n := int64(0)
	switch {
	case dt.Bits() == 8:
		for _, b := range raw {
			if b&byte(mask) != 0 {
				n++
			}
		}
	case dt.Bits() == 16:
		for ; len(raw) >= 2; raw = raw[2:] {
			if binary.LittleEndian.Uint16(raw)&uint16(mask) != 0 {
				n++
			}
		}
	case dt.Bits() == 32:
		for ; len(raw) >= 4; raw = raw[4:] {
			if binary.LittleEndian.Uint32(raw)&uint32(mask) != 0 {
				n++
			}
		}
	case dt.Bits() == 64 && dt != onnx.Complex64:
		for ; len(raw) >= 8; raw = raw[8:] {
			if binary.LittleEndian.Uint64(raw)&mask != 0 {
				n++
			}
		}
	default:
		return -1
	}
	return n
}

// hopeless reports whether coding raw without loss cannot take less than budget
// bytes: the entropy of a sample's values, which the entropy of all is never
// below by more than chance, says so.
func hopeless(raw []byte, width, budget int) bool {
	const most = 4096
	n := len(raw) / width
	if n == 0 {
		return true
	}
	k := min(n, most)
	sample := make([]uint64, k)
	for i := range sample {
		at := int(int64(i)*int64(n)/int64(k)) * width
		for j := range width {
			sample[i] |= uint64(raw[at+j]) << (8 * j)
		}
	}
	slices.Sort(sample)
	h := 0.0
	for i := 0; i < k; {
		j := i
		for j < k && sample[j] == sample[i] {
			j++
		}
		c := float64(j - i)
		h += c * math.Log2(float64(k)/c)
		i = j
	}
	return h/float64(k)*float64(n) >= 8*float64(budget)
}

// methodList joins what was said of the blocks, each once.
type methodList []string

func (m *methodList) add(s string) {
	for _, part := range strings.Split(s, ", ") {
		if part != "" && !slices.Contains(*m, part) {
			*m = append(*m, part)
		}
	}
}

func (m methodList) String() string { return strings.Join(m, ", ") }
