package archive

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/effml/effml/huffman"
	"github.com/effml/effml/onnx"
)

// record tells all about one tensor but its values, docs/format.md §5.
type record struct {
	name     string // only if it differs from the name in the topology
	hasName  bool
	dataType onnx.DataType
	dims     []int64
	storage  onnx.Storage
	bytes    int64 // serialised length of strings
	block    int   // units a block
	lengths  []int // bytes of each block
	coders   []byte
	table    int // of the quantiser; −1: values are coded without loss
	min, max int32
	same     int // the earlier record whose values these are; −1: its own

	// Derived.
	elem     huffman.Elem
	size     int64   // decoded bytes
	units    int64   // what blocks are counted in
	offsets  []int64 // of each block in the file, and where the last one ends
	checksum int     // index of the first block's checksum
}

func newRecord() record {
	return record{dataType: onnx.Float, storage: onnx.StorageRaw, block: blockUnits, table: -1, same: -1}
}

// append appends the record's fields.
func (r *record) append(dst []byte) []byte {
	if r.hasName {
		dst = appendField(dst, recordName, false, []byte(r.name))
	}
	if r.dataType != onnx.Float {
		dst = appendUintField(dst, recordType, true, uint64(r.dataType))
	}
	if len(r.dims) > 0 {
		dst = appendUints(dst, recordDims, r.dims)
	}
	if r.storage != onnx.StorageRaw {
		dst = appendUintField(dst, recordStorage, false, uint64(r.storage))
	}
	if r.bytes > 0 && r.same < 0 {
		dst = appendUintField(dst, recordBytes, true, uint64(r.bytes))
	}
	if r.same >= 0 {
		return appendUintField(dst, recordSame, true, uint64(r.same))
	}
	if r.block != blockUnits {
		dst = appendUintField(dst, recordBlock, true, uint64(r.block))
	}
	if len(r.lengths) > 0 {
		dst = appendUints(dst, recordLengths, r.lengths)
	}
	if r.table >= 0 {
		dst = appendField(dst, recordCoders, true, shortCoders(r.coders))
		q := binary.AppendUvarint(nil, uint64(r.table))
		q = appendZigzag32(q, r.min)
		q = appendZigzag32(q, r.max)
		dst = appendField(dst, recordTable, true, q)
	}
	return dst
}

// appendUints appends a field of numbers.
func appendUints[T int | int64](dst []byte, id uint64, list []T) []byte {
	var p []byte
	for _, v := range list {
		p = binary.AppendUvarint(p, uint64(v))
	}
	return appendField(dst, id, true, p)
}

// shortCoders returns one byte if all blocks have the same coder.
func shortCoders(coders []byte) []byte {
	for _, c := range coders {
		if c != coders[0] {
			return coders
		}
	}
	return coders[:min(1, len(coders))]
}

// errFeature reports a critical field of a later version.
type errFeature struct{ what string }

func (e *errFeature) Error() string { return "unknown " + e.what }

// parseRecord reads one record. tables is the number of tables, earlier the
// records before this one.
func parseRecord(data []byte, tables int, earlier []record) (record, error) {
	r := newRecord()
	c := cursor{data: data}
	for f, ok := c.field(); ok; f, ok = c.field() {
		if err := r.field(f, len(earlier)); err != nil {
			return r, err
		}
	}
	if c.err != nil {
		return r, c.err
	}
	return r, r.check(tables, earlier)
}

// field takes one field in.
func (r *record) field(f field, index int) error {
	c := cursor{data: f.data}
	switch f.id {
	case recordName:
		r.name, r.hasName = string(c.bytes(len(f.data))), true
	case recordType:
		v := c.uvarint()
		r.dataType = onnx.DataType(v)
		if v > math.MaxInt32 {
			c.fail("data type %d is too large", v)
		}
	case recordDims:
		for c.rest() > 0 {
			r.dims = append(r.dims, c.int63())
		}
	case recordStorage:
		v := c.uvarint()
		r.storage = onnx.Storage(v)
		if v > uint64(onnx.StorageExternal) {
			r.storage = onnx.StorageRaw // a later version's place: the raw one holds everything but strings
		}
	case recordBytes:
		r.bytes = c.int63()
	case recordBlock:
		v := c.uvarint()
		if r.block = int(v); v < 1 || v > maxBlockUnits {
			c.fail("blocks of %d units", v)
		}
	case recordLengths:
		r.lengths = make([]int, 0, len(f.data))
		for c.rest() > 0 {
			v := c.uvarint()
			if v > math.MaxInt32 {
				c.fail("a block of %d bytes", v)
			}
			r.lengths = append(r.lengths, int(v))
		}
	case recordCoders:
		r.coders = c.bytes(len(f.data))
	case recordTable:
		v := c.uvarint()
		r.min, r.max = c.zigzag32(), c.zigzag32()
		if r.table = int(v); v > math.MaxInt32 || r.min > r.max {
			c.fail("table %d, symbols %d to %d", v, r.min, r.max)
		}
	case recordSame:
		v := c.uvarint()
		if r.same = int(v); v >= uint64(index) {
			c.fail("record %d has the values of record %d", index, v)
		}
	default:
		if f.critical {
			return &errFeature{fmt.Sprintf("record field %d", f.id)}
		}
		return nil
	}
	return c.end()
}

// sizeUp fills in what follows from type, shape and number of bytes.
func (r *record) sizeUp() error {
	var ok bool
	if r.elem, ok = elemOf(r.dataType); !ok {
		return &errFeature{fmt.Sprintf("data type %d", r.dataType)}
	}
	elements, ok := product(r.dims)
	if !ok {
		return fmt.Errorf("shape %v has too many elements", r.dims)
	}
	switch {
	case r.dataType == onnx.String && r.same >= 0: // the other record tells
	case r.dataType == onnx.String:
		if r.size = r.bytes; elements > r.bytes {
			return fmt.Errorf("%d strings in %d bytes", elements, r.bytes)
		}
	case r.bytes != 0:
		return fmt.Errorf("type %v has a length in bytes", r.dataType)
	case r.dataType == onnx.Undefined && len(r.dims) == 0:
	default:
		if r.size, ok = byteSize(r.dataType, r.dims); !ok {
			return fmt.Errorf("shape %v of type %v", r.dims, r.dataType)
		}
	}
	r.units = r.size / int64(r.elem.Width)
	return nil
}

// check verifies that the fields agree.
func (r *record) check(tables int, earlier []record) error {
	if err := r.sizeUp(); err != nil {
		return err
	}
	if r.same >= 0 {
		return r.checkSame(earlier)
	}
	blocks := (r.units + int64(r.block) - 1) / int64(r.block)
	if int64(len(r.lengths)) != blocks {
		return fmt.Errorf("%d blocks instead of %d", len(r.lengths), blocks)
	}
	if r.table < 0 {
		if len(r.coders) > 0 {
			return fmt.Errorf("coders without a table")
		}
		return nil
	}
	return r.checkPacked(tables)
}

// checkSame verifies a record that has the values of another.
func (r *record) checkSame(earlier []record) error {
	o := &earlier[r.same]
	if o.same >= 0 {
		return fmt.Errorf("has the values of record %d, which has those of another", r.same)
	}
	if r.dataType == onnx.String {
		r.size = o.size
	}
	if o.dataType != r.dataType || o.size != r.size {
		return fmt.Errorf("%v of %d bytes cannot have the values of record %d, %v of %d bytes", r.dataType, r.size, r.same, o.dataType, o.size)
	}
	if len(r.lengths) > 0 || r.table >= 0 || len(r.coders) > 0 {
		return fmt.Errorf("has blocks beside the values of record %d", r.same)
	}
	r.units, r.block = o.units, o.block
	return nil
}

// checkPacked verifies a record whose weights are packed.
func (r *record) checkPacked(tables int) error {
	switch {
	case !packable(r.dataType):
		return fmt.Errorf("type %v is packed", r.dataType)
	case r.table >= tables:
		return fmt.Errorf("table %d of %d", r.table, tables)
	case len(r.coders) == 1 && len(r.lengths) > 1:
		all := make([]byte, len(r.lengths))
		for i := range all {
			all[i] = r.coders[0]
		}
		r.coders = all
	case len(r.coders) != len(r.lengths):
		return fmt.Errorf("%d coders for %d blocks", len(r.coders), len(r.lengths))
	}
	return nil
}

// packable reports whether weights of the type can be packed.
func packable(dt onnx.DataType) bool {
	return dt == onnx.Float || dt == onnx.Float16 || dt == onnx.BFloat16 || dt == onnx.Double
}

// unitsIn returns how many units block b holds.
func (r *record) unitsIn(b int) int {
	return int(min(int64(r.block), r.units-int64(b)*int64(r.block)))
}

// appendRecords appends all records.
func appendRecords(dst []byte, list []record) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	var buf []byte
	for i := range list {
		buf = list[i].append(buf[:0])
		dst = binary.AppendUvarint(dst, uint64(len(buf)))
		dst = append(dst, buf...)
	}
	return dst
}
