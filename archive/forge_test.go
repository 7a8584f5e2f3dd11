package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/effml/effml/onnx"
)

// pack writes a model into memory.
func pack(t testing.TB, m *onnx.Model, o Options) ([]byte, *Sizes) {
	t.Helper()
	var b bytes.Buffer
	s, err := Write(context.Background(), &b, m, o)
	if err != nil {
		t.Fatal(err)
	}
	checkSizes(t, s, int64(b.Len()))
	return b.Bytes(), s
}

// open reads an archive that must be good.
func open(t testing.TB, data []byte) *Reader {
	t.Helper()
	r, err := NewReader(data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// encodeModel returns a model's protobuf.
func encodeModel(t testing.TB, m *onnx.Model) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// initializers makes a model of nothing but tensors.
func initializers(list ...*onnx.Tensor) *onnx.Model {
	return &onnx.Model{IRVersion: 9, Graph: &onnx.Graph{Name: "g", Initializers: list}}
}

// floatTensor makes a tensor of the given type from weights.
func floatTensor(name string, dt onnx.DataType, weights []float32, dims ...int64) *onnx.Tensor {
	raw := make([]byte, len(weights)*dt.Bits()/8)
	onnx.PutFloats(raw, dt, weights)
	t := &onnx.Tensor{Name: name, DataType: dt, Dims: dims}
	t.SetBytes(raw)
	return t
}

// laplace draws weights as trained ones are distributed.
func laplace(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(0.05 * r.ExpFloat64() * float64(1-2*r.IntN(2)))
	}
	return w
}

// gridPack packs weights on a grid of the given step; every zeroAbove-th group of
// small weights becomes zero by rounding anyway.
func gridPack(weights []float32, step float32) *Packed {
	p := &Packed{Step: []float32{step}}
	for _, w := range weights {
		c := int32(math.RoundToEven(float64(w / step)))
		p.Min, p.Max = min(p.Min, c), max(p.Max, c)
	}
	p.Codes = func(codes []int32, first int64) error {
		for i := range codes {
			codes[i] = int32(math.RoundToEven(float64(weights[first+int64(i)] / step)))
		}
		return nil
	}
	return p
}

// forged is an archive taken apart, to be changed and put together again with
// checksums that are right.
type forged struct {
	version  byte
	sections []forgedSection
}

type forgedSection struct {
	entry
	data []byte // decoded, unless raw
	raw  bool   // data stand in the file as they are, whatever the entry says
}

func takeApart(t testing.TB, data []byte) *forged {
	t.Helper()
	r := open(t, data)
	f := &forged{version: byte(r.version)}
	for _, e := range r.sections {
		s := forgedSection{entry: e}
		var err error
		if e.id == sectionBlocks {
			s.data, s.raw = data[e.offset:e.offset+e.length], true
		} else if s.data, err = r.unpack(e); err != nil {
			t.Fatal(err)
		}
		s.data = bytes.Clone(s.data)
		f.sections = append(f.sections, s)
	}
	return f
}

func (f *forged) find(id uint64) *forgedSection {
	for i := range f.sections {
		if f.sections[i].id == id {
			return &f.sections[i]
		}
	}
	return nil
}

// bytes puts the archive together; sections that were decoded are stored.
func (f *forged) bytes() []byte {
	out := append([]byte(magic), f.version)
	var dir []byte
	for _, s := range f.sections {
		e := s.entry
		e.length = int64(len(s.data))
		if !s.raw {
			e.coding, e.crc = codingStored, checksum(s.data)
		}
		dir = appendEntry(dir, e)
		out = append(out, s.data...)
	}
	return seal(append(out, dir...), f.version, dir)
}

// seal appends a trailer.
func seal(out []byte, version byte, dir []byte) []byte {
	out = binary.LittleEndian.AppendUint32(out, uint32(len(dir)))
	out = binary.LittleEndian.AppendUint32(out, directorySum(version, dir))
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
	return append(out, endMagic...)
}

// records returns the records of an archive, to be changed and set again.
func (f *forged) records(t testing.TB) []record {
	t.Helper()
	r, err := NewReader(f.bytes())
	if err != nil {
		t.Fatal(err)
	}
	return r.records
}

func (f *forged) setRecords(list []record) { f.find(sectionRecords).data = appendRecords(nil, list) }
