package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/effml/effml/huffman"
	"github.com/klauspost/compress/zstd"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is CRC-32C, docs/format.md §1.
func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Section is a part of an archive beside those that Write makes itself.
type Section struct {
	ID   uint64 // SectionPreprocessing, SectionClassNames or one from FirstPrivateSection on
	Data []byte
}

// entry describes a section in the directory, docs/format.md §2.3.
type entry struct {
	id       uint64
	critical bool
	offset   int64 // of the first byte in the file; not stored: sections stand back to back
	length   int64 // bytes in the file
	coding   byte
	decoded  int64 // bytes after decoding
	crc      uint32
}

func (e entry) name() string {
	if n := sectionNames[e.id]; n != "" {
		return n
	}
	return fmt.Sprintf("section %d", e.id)
}

// appendEntry appends the directory entry of a section.
func appendEntry(dst []byte, e entry) []byte {
	dst = binary.AppendUvarint(dst, fieldKey(e.id, e.critical))
	dst = binary.AppendUvarint(dst, uint64(e.length))
	dst = append(dst, e.coding)
	if e.coding != codingStored {
		dst = binary.AppendUvarint(dst, uint64(e.decoded))
	}
	return binary.LittleEndian.AppendUint32(dst, e.crc)
}

// parseDirectory reads the directory of a file whose sections take the bytes from
// headerSize up to end.
func parseDirectory(dir []byte, end int64) ([]entry, error) {
	c := cursor{data: dir}
	var list []entry
	offset := int64(headerSize)
	for c.rest() > 0 {
		key := c.uvarint()
		e := entry{id: key >> 1, critical: key&1 != 0, offset: offset}
		e.length = c.int63()
		e.coding = c.byte()
		e.decoded = e.length
		if e.coding != codingStored {
			e.decoded = c.int63()
		}
		e.crc = c.uint32()
		if c.err != nil {
			break
		}
		if e.length > end-offset {
			c.fail("section %d of %d bytes reaches beyond the last section's end", e.id, e.length)
			break
		}
		if n := len(list); n > 0 && (e.id < list[n-1].id || e.id == list[n-1].id && e.id != sectionTopology) {
			c.fail("section %d stands after section %d", e.id, list[n-1].id)
			break
		}
		offset += e.length
		list = append(list, e)
	}
	if c.err == nil && offset != end {
		c.fail("the sections end at byte %d, the directory begins at byte %d", offset, end)
	}
	return list, c.err
}

// packSection codes a section in the shortest way, docs/format.md §2.3. stride is
// the distance of related bytes for the mixing coder.
func packSection(id uint64, critical bool, data []byte, stride int) (entry, []byte) {
	e := entry{
		id: id, critical: critical, coding: codingStored,
		length: int64(len(data)), decoded: int64(len(data)), crc: checksum(data),
	}
	best, coding := data, byte(codingStored)
	switch n := len(data); {
	case n > maxMix:
		if packed, err := packZstd(data); err == nil && len(packed)+8 < len(best) {
			best, coding = packed, codingZstd
		}
	case n >= minMix:
		if packed := huffman.AppendMix(nil, data, stride); len(packed)+2 < len(best) {
			best, coding = packed, codingMix|byte(stride)<<4
		}
	}
	e.length, e.coding = int64(len(best)), coding
	return e, best
}

func packZstd(data []byte) ([]byte, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(maxWindow))
	if err != nil {
		return nil, err
	}
	out := enc.EncodeAll(data, nil)
	return out, enc.Close()
}

// errCoding reports a coding of a later version.
var errCoding = errors.New("unknown coding")

// unpackSection decodes a section and checks it. The result may be a view of src.
func unpackSection(e entry, src []byte) ([]byte, error) {
	out := src
	switch e.coding & 15 {
	case codingStored:
		if e.coding != codingStored {
			return nil, errCoding
		}
	case codingMix:
		if e.decoded > maxMix {
			return nil, fmt.Errorf("claims to decode to %d bytes; the mixing coder takes %d at most", e.decoded, maxMix)
		}
		out = make([]byte, e.decoded)
		if err := huffman.DecodeMix(out, src, int(e.coding>>4)); err != nil {
			return nil, err
		}
	case codingZstd:
		if e.coding != codingZstd {
			return nil, errCoding
		}
		var err error
		if out, err = unpackZstd(src, e.decoded); err != nil {
			return nil, err
		}
	default:
		return nil, errCoding
	}
	if got := checksum(out); got != e.crc {
		return nil, &sumError{got, e.crc}
	}
	return out, nil
}

// sumError says that a checksum is wrong.
type sumError struct{ got, want uint32 }

func (e *sumError) Error() string { return fmt.Sprintf("checksum %08x instead of %08x", e.got, e.want) }

// maxWindow bounds what the zstd decoder takes before it has seen data.
const maxWindow = 8 << 20

// unpackZstd decodes exactly size bytes; memory grows only with what comes out.
func unpackZstd(src []byte, size int64) ([]byte, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	if err := dec.Reset(bytes.NewReader(src)); err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(dec, size+1))
	if err != nil {
		return nil, err
	}
	if int64(len(out)) != size {
		return nil, fmt.Errorf("decodes to %d bytes or more instead of %d", len(out), size)
	}
	return out, nil
}
