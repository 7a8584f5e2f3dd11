package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/effml/effml/huffman"
	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
)

// ReadOptions says how an archive is read. The zero value is useful.
type ReadOptions struct {
	// Threads is the number of blocks that are decoded at a time; 0 means
	// GOMAXPROCS.
	Threads int
	// MaxDecoded, if not 0, is the number of bytes that an archive may claim to
	// decode to. By default it is 1 GiB or 10,000 times the archive's own size,
	// whichever is more.
	MaxDecoded int64
}

// The default of ReadOptions.MaxDecoded.
const (
	alwaysDecoded   = 1 << 30
	maxDecodedRatio = 10_000
)

// Reader reads one archive. Its methods may be called from several goroutines.
type Reader struct {
	path     string
	data     []byte
	file     *mapped.File // nil if the data are the caller's
	threads  int
	version  int
	sections []entry
	dirSize  int
	records  []record
	tables   []*Packed
	rawTable []int64 // bytes of each table
	sums     []byte  // checksums of all blocks

	// The topology, decoded when it is first needed.
	topology func() ([]byte, error)
	tensors  func() ([]onnx.TensorRef, error) // places and names of the records
}

// Open maps the archive at path and reads its tables. The error is a
// *NotArchiveError, *VersionError, *CorruptError or *LimitError, or that of the file.
func Open(path string) (*Reader, error) { return ReadOptions{}.Open(path) }

// NewReader reads the archive in data, which must stay as it is.
func NewReader(data []byte) (*Reader, error) { return ReadOptions{}.NewReader(data) }

// Open is like the function Open.
func (o ReadOptions) Open(path string) (*Reader, error) {
	f, err := mapped.Open(path)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	r := &Reader{path: path, data: f.Bytes(), file: f}
	if err := r.init(o); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// NewReader is like the function NewReader.
func (o ReadOptions) NewReader(data []byte) (*Reader, error) {
	r := &Reader{data: data}
	if err := r.init(o); err != nil {
		return nil, err
	}
	return r, nil
}

// Close removes the map. Nothing that the reader gave, the models of Model
// included, may be used afterwards.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// Version returns the format version of the file.
func (r *Reader) Version() int { return r.version }

// Len returns the number of tensor records.
func (r *Reader) Len() int { return len(r.records) }

func (r *Reader) init(o ReadOptions) error {
	r.topology, r.tensors = sync.OnceValues(r.readTopology), sync.OnceValues(r.readTensors)
	r.threads = o.Threads
	if r.threads <= 0 {
		r.threads = runtime.GOMAXPROCS(0)
	}
	return mapped.Guard(func() error {
		if err := r.readDirectory(); err != nil {
			return err
		}
		if err := r.checkSections(); err != nil {
			return err
		}
		limit := o.MaxDecoded
		if limit <= 0 {
			limit = max(alwaysDecoded, maxDecodedRatio*int64(len(r.data)))
		}
		decoded := int64(0)
		for _, e := range r.sections {
			if e.id != sectionBlocks {
				decoded = addUp(decoded, e.decoded)
			}
		}
		if decoded <= limit {
			if err := r.readRecords(); err != nil {
				return err
			}
		}
		for i := range r.records {
			decoded = addUp(decoded, r.records[i].size)
		}
		if decoded > limit {
			return &LimitError{r.path, decoded, int64(len(r.data)), limit}
		}
		return nil
	})
}

// addUp adds sizes; what is too large for an int64 stays at its greatest value.
func addUp(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// corrupt returns a *CorruptError of this file.
func (r *Reader) corrupt(section string, offset int64, err error, format string, args ...any) error {
	return &CorruptError{Path: r.path, Section: section, Offset: offset, Msg: fmt.Sprintf(format, args...), Err: err}
}

// readDirectory reads header, trailer and directory, docs/format.md §2.
func (r *Reader) readDirectory() error {
	size := len(r.data)
	switch {
	case size == 0:
		return &NotArchiveError{r.path, "the file is empty"}
	case string(r.data[:min(size, len(magic))]) != magic[:min(size, len(magic))]:
		return &NotArchiveError{r.path, "it does not begin with the bytes of one"}
	case size < headerSize:
		return r.corrupt("header", int64(size), nil, "the file ends here")
	}
	r.version = int(r.data[headerSize-1])
	if r.version > Version {
		return &VersionError{Path: r.path, Version: r.version}
	}
	if r.version == 0 {
		return r.corrupt("header", int64(headerSize-1), nil, "there is no version 0")
	}
	if size < headerSize+trailerSize || string(r.data[size-len(endMagic):]) != endMagic {
		return r.corrupt("trailer", int64(size), nil, "the file was cut off or something was appended to it")
	}
	trailer := r.data[size-trailerSize:]
	length := binary.LittleEndian.Uint32(trailer)
	if int64(length) > int64(size-headerSize-trailerSize) {
		return r.corrupt("trailer", int64(size-trailerSize), nil, "a directory of %d bytes does not fit", length)
	}
	end := size - trailerSize - int(length)
	dir := r.data[end : size-trailerSize]
	if got, want := directorySum(byte(r.version), dir), binary.LittleEndian.Uint32(trailer[4:]); got != want {
		return r.corrupt("directory", int64(end), nil, "checksum %08x instead of %08x", got, want)
	}
	var err error
	if r.sections, err = parseDirectory(dir, int64(end)); err != nil {
		return r.corrupt("directory", int64(end), err, "cannot be read")
	}
	r.dirSize = len(dir)
	return nil
}

// checkSections verifies that the file has the sections it needs, and none that
// only a later version knows.
func (r *Reader) checkSections() error {
	for _, e := range r.sections {
		if _, known := sectionNames[e.id]; !known && e.critical {
			return &VersionError{Path: r.path, Version: r.version, Feature: e.name()}
		}
		if e.id == sectionBlocks && e.coding != codingStored {
			return &VersionError{Path: r.path, Version: r.version, Feature: fmt.Sprintf("coding %d of blocks", e.coding)}
		}
		if e.id == sectionBlocks && e.crc != 0 {
			return r.corrupt("directory", -1, nil, "a checksum of all blocks")
		}
	}
	for _, id := range []uint64{sectionTopology, sectionRecords} {
		if _, ok := r.find(id); !ok {
			return r.corrupt("directory", -1, nil, "there is no section of %s", sectionNames[id])
		}
	}
	return nil
}

// find returns the first section of that id.
func (r *Reader) find(id uint64) (entry, bool) {
	for _, e := range r.sections {
		if e.id == id {
			return e, true
		}
	}
	return entry{}, false
}

// section decodes and checks a section; it has no bytes if the file lacks it.
func (r *Reader) section(id uint64) ([]byte, error) {
	e, ok := r.find(id)
	if !ok {
		return nil, nil
	}
	return r.unpack(e)
}

func (r *Reader) unpack(e entry) ([]byte, error) {
	data, err := unpackSection(e, r.data[e.offset:e.offset+e.length])
	if errors.Is(err, errCoding) {
		return nil, &VersionError{Path: r.path, Version: r.version, Feature: fmt.Sprintf("coding %d of section %s", e.coding, e.name())}
	}
	if err != nil {
		return nil, r.corrupt(e.name(), e.offset, err, "cannot be decoded")
	}
	return data, nil
}

// wrong turns what a parser of a section found into an error of this file.
func (r *Reader) wrong(id uint64, err error, format string, args ...any) error {
	var f *errFeature
	if errors.As(err, &f) {
		return &VersionError{Path: r.path, Version: r.version, Feature: f.what}
	}
	e, _ := r.find(id)
	return r.corrupt(e.name(), e.offset, err, format, args...)
}

// readRecords reads tables, records and checksums.
func (r *Reader) readRecords() error {
	data, err := r.section(sectionTables)
	if err != nil {
		return err
	}
	if err := r.readTables(data); err != nil {
		return err
	}
	if data, err = r.section(sectionRecords); err != nil {
		return err
	}
	c := cursor{data: data}
	r.records = make([]record, 0, c.count(1))
	blocks, _ := r.find(sectionBlocks)
	next, n := int64(headerSize), 0
	for i := range cap(r.records) {
		rec, err := parseRecord(c.string(), len(r.tables), r.records)
		if c.err != nil {
			break
		}
		if err == nil && rec.table >= 0 {
			err = r.tables[rec.table].check(rec.units)
		}
		if err != nil {
			return r.wrong(sectionRecords, err, "record %d", i)
		}
		rec.checksum = n
		rec.offsets = append(make([]int64, 0, len(rec.lengths)+1), next)
		for _, length := range rec.lengths {
			next += int64(length)
			rec.offsets = append(rec.offsets, next)
		}
		n += len(rec.lengths)
		r.records = append(r.records, rec)
	}
	if err := c.end(); err != nil {
		return r.wrong(sectionRecords, err, "cannot be read")
	}
	if next != int64(headerSize)+blocks.length {
		return r.wrong(sectionRecords, nil, "blocks of %d bytes in a section of %d", next-int64(headerSize), blocks.length)
	}
	if r.sums, err = r.section(sectionChecksums); err != nil {
		return err
	}
	if len(r.sums) != 4*n {
		return r.wrong(sectionChecksums, nil, "%d bytes for %d blocks", len(r.sums), n)
	}
	return nil
}

func (r *Reader) readTables(data []byte) error {
	if data == nil {
		return nil
	}
	list, err := ParseStrings(data)
	if err != nil {
		return r.wrong(sectionTables, err, "cannot be read")
	}
	for i, b := range list {
		t, err := parseTable(b)
		if err != nil {
			return r.wrong(sectionTables, err, "table %d", i)
		}
		r.tables = append(r.tables, t)
		r.rawTable = append(r.rawTable, int64(len(b)))
	}
	return nil
}

// Section returns the decoded bytes of the section with that id; ok is false if
// the archive has none.
func (r *Reader) Section(id uint64) (data []byte, ok bool, err error) {
	if _, ok := r.find(id); !ok {
		return nil, false, nil
	}
	err = mapped.Guard(func() error {
		b, err := r.section(id)
		data = append([]byte(nil), b...)
		return err
	})
	return data, err == nil, err
}

// Provenance returns what Options.Provenance stored; nil if nothing.
func (r *Reader) Provenance() (map[string]string, error) {
	data, ok, err := r.Section(sectionProvenance)
	if !ok {
		return nil, err
	}
	pairs, err := ParsePairs(data)
	if err != nil {
		return nil, r.wrong(sectionProvenance, err, "cannot be read")
	}
	return pairs, nil
}

// own returns the record that has the values of record i.
func (r *Reader) own(i int) *record {
	rec := &r.records[i]
	if rec.same >= 0 {
		rec = &r.records[rec.same]
	}
	return rec
}

// coder returns the coder of a block.
func (r *Reader) coder(id byte) (huffman.Coder, error) {
	c, err := huffman.ByID(id)
	if err != nil {
		return nil, &VersionError{Path: r.path, Version: r.version, Feature: fmt.Sprintf("coder %d", id)}
	}
	return c, nil
}
