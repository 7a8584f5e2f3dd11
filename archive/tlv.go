package archive

import (
	"encoding/binary"
	"fmt"
)

// A field is an id, a critical bit, a length and a payload, docs/format.md §1.
// Readers skip an unknown field unless it is critical.

// appendField appends one field to dst.
func appendField(dst []byte, id uint64, critical bool, payload []byte) []byte {
	dst = binary.AppendUvarint(dst, fieldKey(id, critical))
	dst = binary.AppendUvarint(dst, uint64(len(payload)))
	return append(dst, payload...)
}

// appendUintField appends a field whose payload is one number.
func appendUintField(dst []byte, id uint64, critical bool, v uint64) []byte {
	return appendField(dst, id, critical, binary.AppendUvarint(nil, v))
}

func fieldKey(id uint64, critical bool) uint64 {
	if critical {
		return id<<1 | 1
	}
	return id << 1
}

// field is one field as it was read.
type field struct {
	id       uint64
	critical bool
	data     []byte
}

// cursor reads numbers and fields from a byte string. Its first error sticks;
// everything after it reads as zero or empty.
type cursor struct {
	data []byte
	pos  int
	last uint64 // id of the field before
	err  error
}

// errCursor is what a cursor reports; the caller adds where and whose it was.
type errCursor struct {
	pos int
	msg string
}

func (e *errCursor) Error() string { return fmt.Sprintf("%s (byte %d of it)", e.msg, e.pos) }

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = &errCursor{c.pos, fmt.Sprintf(format, args...)}
	}
}

func (c *cursor) rest() int {
	if c.err != nil {
		return 0
	}
	return len(c.data) - c.pos
}

// uvarint reads a number in its shortest form.
func (c *cursor) uvarint() uint64 {
	if c.err != nil {
		return 0
	}
	v, n := binary.Uvarint(c.data[c.pos:])
	if n <= 0 {
		c.fail("a number is cut off or too large")
		return 0
	}
	if n > 1 && c.data[c.pos+n-1] == 0 {
		c.fail("a number is not in its shortest form")
		return 0
	}
	c.pos += n
	return v
}

// count reads a number of things that take at least size bytes each.
func (c *cursor) count(size int) int {
	v := c.uvarint()
	if v > uint64(c.rest()/size) {
		c.fail("%d entries do not fit into %d bytes", v, c.rest())
		return 0
	}
	return int(v)
}

// int63 reads a number that fits into an int64.
func (c *cursor) int63() int64 {
	v := c.uvarint()
	if v > 1<<63-1 {
		c.fail("number %d is too large", v)
		return 0
	}
	return int64(v)
}

// zigzag reads a signed number that fits into an int32.
func (c *cursor) zigzag32() int32 {
	v := c.uvarint()
	if v > 1<<32-1 {
		c.fail("number %d is too large", v)
		return 0
	}
	return int32(uint32(v)>>1) ^ -int32(v&1)
}

func appendZigzag32(dst []byte, v int32) []byte {
	return binary.AppendUvarint(dst, uint64(uint32(v<<1)^uint32(v>>31)))
}

// zigzag64 reads a signed number.
func (c *cursor) zigzag64() int64 {
	v := c.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func appendZigzag64(dst []byte, v int64) []byte {
	return binary.AppendUvarint(dst, uint64(v<<1)^uint64(v>>63))
}

// bytes reads n bytes, a view.
func (c *cursor) bytes(n int) []byte {
	if n > c.rest() {
		c.fail("%d bytes are missing", n-c.rest())
		return nil
	}
	b := c.data[c.pos : c.pos+n : c.pos+n]
	c.pos += n
	return b
}

func (c *cursor) byte() byte {
	if b := c.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.bytes(4); len(b) == 4 {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// string reads a byte string with its length before it, a view.
func (c *cursor) string() []byte { return c.bytes(c.count(1)) }

// field reads the next field; ok is false at the end and after an error.
// Fields stand in ascending order of their ids.
func (c *cursor) field() (f field, ok bool) {
	if c.rest() == 0 {
		return field{}, false
	}
	key := c.uvarint()
	f = field{id: key >> 1, critical: key&1 != 0}
	if f.id <= c.last {
		c.fail("field %d stands after field %d", f.id, c.last)
	}
	c.last = f.id
	f.data = c.string()
	return f, c.err == nil
}

// end reports bytes that nobody read.
func (c *cursor) end() error {
	if c.rest() > 0 {
		c.fail("%d bytes too many", c.rest())
	}
	return c.err
}
