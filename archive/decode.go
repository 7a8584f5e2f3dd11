package archive

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/effml/effml/huffman"
	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
)

// payload returns the bytes of a block.
func (r *Reader) payload(rec *record, b int) []byte {
	return r.data[rec.offsets[b]:rec.offsets[b+1]]
}

// blockBytes returns the decoded size of a block.
func blockBytes(rec *record, b int) int { return rec.unitsIn(b) * rec.elem.Width }

// decodeBlock decodes block b of a record that has values into dst, blockBytes
// long, and checks it.
func (r *Reader) decodeBlock(sc *scratch, index, b int, dst []byte) error {
	rec := r.own(index)
	var err error
	if rec.table < 0 {
		src := r.payload(rec, b)
		err = huffman.DecodeValues(dst, src, rec.elem)
	} else {
		var values []byte
		codes := grow(&sc.codes, rec.unitsIn(b))
		if err = r.decodeCodes(rec, b, codes); err == nil {
			spec := packSpec{Packed: r.tables[rec.table], dataType: rec.dataType}
			values, _, err = spec.values(sc, codes, int64(b)*int64(rec.block))
			copy(dst, values)
		}
	}
	if err != nil {
		return r.badBlock(index, b, err)
	}
	if got, want := checksum(dst), binary.LittleEndian.Uint32(r.sums[4*(rec.checksum+b):]); got != want {
		return r.badBlock(index, b, &sumError{got, want})
	}
	return nil
}

// decodeCodes fills codes with those of block b of a packed record.
func (r *Reader) decodeCodes(rec *record, b int, codes []int32) error {
	c, err := r.coder(rec.coders[b])
	if err != nil {
		return err
	}
	src := r.payload(rec, b)
	shape := blockShape(int64(b)*int64(rec.block), len(codes), rowLength(rec.dims))
	return c.Decode(codes, src, shape, huffman.Params{Min: rec.min, Max: rec.max})
}

// badBlock is the error of a block that does not decode.
func (r *Reader) badBlock(index, b int, err error) error {
	var v *VersionError
	if errors.As(err, &v) {
		return v
	}
	rec := r.own(index)
	return &CorruptError{
		Path: r.path, Offset: rec.offsets[b], Section: sectionNames[sectionBlocks], Tensor: r.name(index),
		Msg: fmt.Sprintf("block %d", b), Err: err,
	}
}

// name returns a tensor's name for messages, its number if the topology cannot tell.
func (r *Reader) name(i int) string {
	if refs, err := r.tensors(); err == nil {
		return refs[i].Name
	}
	if r.records[i].hasName {
		return r.records[i].name
	}
	return fmt.Sprintf("#%d", i)
}

// blockJob is a block on its way through inOrder.
type blockJob struct {
	index, b int
	dst      []byte
	err      error
}

// Size returns the decoded bytes of tensor i: of its raw layout, for strings of
// their list as AppendStrings makes it.
func (r *Reader) Size(i int) int64 { return r.records[i].size }

// Decode fills dst, Size(i) bytes, with the values of tensor i in the raw layout of
// ONNX. Blocks are decoded in parallel; a damaged one is a *CorruptError.
func (r *Reader) Decode(ctx context.Context, i int, dst []byte) error {
	rec := r.own(i)
	if int64(len(dst)) != rec.size {
		return fmt.Errorf("archive: %d bytes for tensor %q of %d bytes", len(dst), r.name(i), rec.size)
	}
	switch len(rec.lengths) {
	case 0:
		return nil
	case 1:
		var sc scratch
		return mapped.Guard(func() error { return r.decodeBlock(&sc, i, 0, dst) })
	}
	return inOrder(ctx, r.threads, func(_ context.Context, yield func(*blockJob) error) error {
		rest := dst
		for b := range rec.lengths {
			n := blockBytes(rec, b)
			if err := yield(&blockJob{index: i, b: b, dst: rest[:n]}); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	}, r.runBlock, func(*blockJob) error { return nil })
}

func (r *Reader) runBlock(sc *scratch, j *blockJob) error {
	return r.decodeBlock(sc, j.index, j.b, j.dst)
}

// Floats fills dst with the weights of tensor i, as many as it has, whatever
// floating-point type of 16 bits or more they are stored in.
func (r *Reader) Floats(ctx context.Context, i int, dst []float32) error {
	rec := &r.records[i]
	if n, _ := product(rec.dims); !packable(rec.dataType) || int64(len(dst)) != n {
		return fmt.Errorf("archive: %d floats for tensor %q, %v %v", len(dst), r.name(i), rec.dataType, rec.dims)
	}
	raw := make([]byte, rec.size)
	if err := r.Decode(ctx, i, raw); err != nil {
		return err
	}
	if rec.dataType == onnx.Float {
		for k := range dst {
			dst[k] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*k:]))
		}
		return nil
	}
	t := onnx.Tensor{DataType: rec.dataType, Dims: rec.dims}
	t.SetBytes(raw)
	return t.ReadFloats(dst, 0)
}

// stream is a tensor's payload that is decoded when it is written.
type stream struct {
	ctx   context.Context
	r     *Reader
	index int
}

func (s *stream) Size() int64 { return s.r.records[s.index].size }

// WriteTo decodes blocks ahead and writes them in order.
func (s *stream) WriteTo(w io.Writer) (int64, error) {
	rec := s.r.own(s.index)
	if len(rec.lengths) <= 1 {
		buf := make([]byte, rec.size)
		if err := s.r.Decode(s.ctx, s.index, buf); err != nil {
			return 0, err
		}
		n, err := w.Write(buf)
		return int64(n), err
	}
	written := int64(0)
	free := make(chan []byte, 4*s.r.threads+2) // as many as inOrder has jobs at a time
	err := inOrder(s.ctx, min(s.r.threads, len(rec.lengths)), func(_ context.Context, yield func(*blockJob) error) error {
		for b := range rec.lengths {
			var buf []byte
			select {
			case buf = <-free:
			default:
				buf = make([]byte, blockBytes(rec, 0))
			}
			if err := yield(&blockJob{index: s.index, b: b, dst: buf[:blockBytes(rec, b)]}); err != nil {
				return err
			}
		}
		return nil
	}, s.r.runBlock, func(j *blockJob) error {
		n, err := w.Write(j.dst)
		written += int64(n)
		s.r.release(rec, j.b)
		select {
		case free <- j.dst[:cap(j.dst)]:
		default:
		}
		return err
	})
	return written, err
}

// release lets the pages of a block leave memory.
func (r *Reader) release(rec *record, b int) {
	if r.file != nil {
		r.file.Release(r.payload(rec, b))
	}
}

// strings decodes a tensor of strings.
func (r *Reader) strings(ctx context.Context, i int) ([][]byte, error) {
	rec := &r.records[i]
	n, _ := product(rec.dims)
	if n == 0 {
		return nil, nil
	}
	raw := make([]byte, rec.size)
	if err := r.Decode(ctx, i, raw); err != nil {
		return nil, err
	}
	list, err := ParseStrings(raw)
	if err == nil && int64(len(list)) != n {
		err = fmt.Errorf("%d strings instead of %d", len(list), n)
	}
	if err != nil {
		return nil, r.badBlock(i, 0, err)
	}
	return list, nil
}
