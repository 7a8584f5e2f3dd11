package onnx

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/effml/effml/internal/mapped"
)

// Tensor is TensorProto. Its values are reached by Bytes, Strings and ReadFloats, and replaced by SetBytes, SetStrings and
// SetStream. They lie in row-major order. Methods that read may be called from several goroutines.
type Tensor struct {
	message
	Name      string
	DataType  DataType
	Dims      []int64 // a scalar has none
	DocString string
	Metadata  []*StringEntry
	Segment   *Segment
	Storage   Storage       // the field that holds, and on writing will hold, the values
	External  *ExternalData // where the values lie when Storage is StorageExternal

	values values
	other  *tensorFields // what the file said where one tensor has values in more than one field; else nil
}

// values are a tensor's values, in one of four forms.
type values struct {
	wire   []byte // as in the field from: raw bytes, or the contents of a packed repeated field
	from   Storage
	raw    []byte   // in raw layout, to be put into the field's form when written
	stream Payload  // likewise, made when written
	text   [][]byte // string_data

	source *mapped.File // the external file that wire is a part of; nil if it is not loaded
	at     int64        // where in it
}

// Payload is tensor values in raw layout that are made when they are needed. WriteTo may run more than once and
// must write the same Size bytes each time.
type Payload interface {
	Size() int64
	WriteTo(w io.Writer) (int64, error)
}

// ExternalData says where a tensor's values lie outside the model file: Length bytes at Offset of the file
// Location, a slash-separated path relative to the model's folder. Without HasOffset they begin at 0, without HasLength
// they are as long as the shape asks.
type ExternalData struct {
	Location             string
	Offset, Length       int64
	HasOffset, HasLength bool
	Checksum             string // SHA-1 of the whole file, as text

	entries []*StringEntry // as read, with unknown keys and the original order
}

// A ValuesError says that a tensor's values are not what its type and shape ask for.
type ValuesError struct {
	Tensor string
	Msg    string
}

func (e *ValuesError) Error() string { return fmt.Sprintf("onnx: tensor %q: %s", e.Tensor, e.Msg) }

func (t *Tensor) errorf(format string, args ...any) error {
	return &ValuesError{Tensor: t.Name, Msg: fmt.Sprintf(format, args...)}
}

// NumElements returns the product of Dims (1 for a scalar), or of a Segment its length. It is an error if a dimension is
// negative or the product exceeds an int64.
func (t *Tensor) NumElements() (int64, error) {
	n, empty := uint64(1), false
	for _, d := range t.Dims {
		if d < 0 {
			return 0, t.errorf("dimension %d is negative", d)
		}
		empty = empty || d == 0
	}
	if empty {
		return 0, nil
	}
	for _, d := range t.Dims {
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt64 {
			return 0, t.errorf("shape %v has more elements than can be counted", t.Dims)
		}
		n = lo
	}
	if s := t.Segment; s != nil {
		if s.Begin < 0 || s.End < s.Begin || s.End > int64(n) {
			return 0, t.errorf("segment [%d, %d) is not within %d elements", s.Begin, s.End, n)
		}
		return s.End - s.Begin, nil
	}
	return int64(n), nil
}

// ByteSize returns the bytes of the raw layout: elements one after another, little-endian; those of less than 8 bits fill
// bytes from the lowest bit up, with zero bits at the end. Strings and unknown types have none, which is an error.
func (t *Tensor) ByteSize() (int64, error) {
	n, err := t.NumElements()
	if err != nil {
		return 0, err
	}
	b := t.DataType.Bits()
	if b == 0 {
		return 0, t.errorf("elements of type %s have no size", t.DataType)
	}
	hi, lo := bits.Mul64(uint64(n), uint64(b))
	if hi != 0 || lo > math.MaxInt64-7 {
		return 0, t.errorf("shape %v of %s has more bytes than can be counted", t.Dims, t.DataType)
	}
	return int64(lo+7) / 8, nil
}

// Bytes returns the values in raw layout, ByteSize bytes. They are a view, not to be written to, of raw_data, of external
// data and of packed float_data and double_data; of the other fields they are decoded, and a stream is run, at
// each call. It is an error (a *ValuesError) if the stored values do not have the type or the size that the tensor
// declares, and for strings.
func (t *Tensor) Bytes() ([]byte, error) {
	size, err := t.ByteSize()
	if err != nil {
		return nil, err
	}
	raw, err := t.rawBytes(size)
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) != size {
		return nil, t.errorf("%d bytes of values where %v of %s takes %d", len(raw), t.Dims, t.DataType, size)
	}
	return raw, nil
}

// rawBytes returns the values in raw layout; the result may have another length than size.
func (t *Tensor) rawBytes(size int64) ([]byte, error) {
	v := &t.values
	switch {
	case v.raw != nil:
		return v.raw, nil
	case v.stream != nil:
		if v.stream.Size() != size {
			return nil, t.errorf("a stream of %d bytes where %v of %s takes %d", v.stream.Size(), t.Dims, t.DataType, size)
		}
		var b bytes.Buffer
		b.Grow(int(size))
		_, err := v.stream.WriteTo(&b)
		return b.Bytes(), err
	}
	switch v.from {
	case StorageNone, StorageRaw:
		return v.wire, nil
	case StorageExternal:
		if v.source == nil {
			return nil, t.errorf("values are in the file %q, which is not loaded", t.External.location())
		}
		return v.wire, nil
	}
	if v.from != t.DataType.TypedStorage() {
		return nil, t.errorf("values of type %s are stored in %s", t.DataType, v.from)
	}
	return decodeTyped(t, v.wire, size)
}

// Size returns the bytes that the values take where they are: in raw layout when they were set, else as stored.
// Unlike ByteSize it never fails and says nothing about what the shape asks for.
func (t *Tensor) Size() int64 {
	if t.values.stream != nil {
		return t.values.stream.Size()
	}
	n := int64(len(t.values.raw) + len(t.values.wire))
	for _, s := range t.values.text {
		n += int64(len(s))
	}
	return n
}

// SetBytes replaces the values by raw, which is in raw layout, is kept, and must not change afterwards. Storage
// stays, so that raw is put into the form of that field on writing; StorageNone becomes StorageRaw, unless raw is empty.
func (t *Tensor) SetBytes(raw []byte) {
	t.values = values{raw: raw}
	t.other = nil
	if raw == nil {
		t.values.raw = []byte{}
	}
	if len(raw) > 0 {
		t.defaultStorage(StorageRaw)
	}
}

// SetStream is SetBytes with values that are made only when they are written.
func (t *Tensor) SetStream(p Payload) {
	t.values = values{stream: p}
	t.other = nil
	if p.Size() > 0 {
		t.defaultStorage(StorageRaw)
	}
}

// Strings returns the elements of a tensor of strings: views, not to be written to.
func (t *Tensor) Strings() ([][]byte, error) {
	n, err := t.NumElements()
	switch {
	case err != nil:
		return nil, err
	case t.DataType != String:
		return nil, t.errorf("elements of type %s are no strings", t.DataType)
	case t.Storage != StorageString && t.Storage != StorageNone:
		return nil, t.errorf("strings are stored in %s", t.Storage)
	case int64(len(t.values.text)) != n:
		return nil, t.errorf("%d strings where shape %v has %d", len(t.values.text), t.Dims, n)
	}
	return t.values.text, nil
}

// SetStrings replaces the values of a tensor of strings.
func (t *Tensor) SetStrings(s [][]byte) {
	t.values = values{text: s}
	t.other = nil
	if len(s) > 0 {
		t.Storage = StorageString
	}
}

func (t *Tensor) defaultStorage(s Storage) {
	if t.Storage == StorageNone {
		t.Storage = s
	}
}

// location is the file's name for messages; an ExternalData may be missing.
func (e *ExternalData) location() string {
	if e == nil {
		return ""
	}
	return e.Location
}
