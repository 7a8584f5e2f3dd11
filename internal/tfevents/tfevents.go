// Package tfevents writes event files of TensorBoard: scalars over steps.
//
// A file is a row of records: the length of the data as uint64, a masked CRC-32C of these 8 bytes, the data, a masked CRC-32C of the data, all
// little-endian. The data is a protocol buffer, tensorflow.Event: 1 wall_time double, 2 step int64, 3 file_version string, 5 summary, whose
// field 1 is repeated Value: 1 tag string, 2 simple_value float. (TensorFlow: lib/io/record_writer.cc, core/util/event.proto, core/framework/summary.proto.)
package tfevents

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Scalar is a number with a name; TensorBoard groups names by what stands before the first slash.
type Scalar struct {
	Tag   string
	Value float64
}

// Writer writes one event file.
type Writer struct {
	file *os.File
	out  *bufio.Writer
	now  func() time.Time
}

// Create begins a new event file in a folder, which it makes where there is none. Files of earlier runs stay: TensorBoard reads all of a folder as one.
func Create(folder string) (*Writer, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("tensorboard: %w", err)
	}
	f, err := os.CreateTemp(folder, fmt.Sprintf("events.out.tfevents.%d.*.effml", time.Now().Unix()))
	if err != nil {
		return nil, fmt.Errorf("tensorboard: %w", err)
	}
	w := &Writer{file: f, out: bufio.NewWriter(f), now: time.Now}
	version := protowire.AppendString(protowire.AppendTag(nil, 3, protowire.BytesType), "brain.Event:2")
	if err := w.event(0, version); err != nil {
		_ = f.Close() // the first error counts
		return nil, err
	}
	return w, nil
}

// Path is where the file is.
func (w *Writer) Path() string { return filepath.ToSlash(w.file.Name()) }

// Scalars adds numbers of a step.
func (w *Writer) Scalars(step int64, list ...Scalar) error {
	var summary []byte
	for _, s := range list {
		value := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), s.Tag)
		value = protowire.AppendFixed32(protowire.AppendTag(value, 2, protowire.Fixed32Type), math.Float32bits(float32(s.Value)))
		summary = protowire.AppendBytes(protowire.AppendTag(summary, 1, protowire.BytesType), value)
	}
	return w.event(step, protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), summary))
}

// event writes a record of what happened at a step.
func (w *Writer) event(step int64, what []byte) error {
	data := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), math.Float64bits(float64(w.now().UnixNano())/1e9))
	data = protowire.AppendVarint(protowire.AppendTag(data, 2, protowire.VarintType), uint64(step))
	data = append(data, what...)
	record := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	record = binary.LittleEndian.AppendUint32(record, masked(record))
	record = append(record, data...)
	record = binary.LittleEndian.AppendUint32(record, masked(data))
	_, err := w.out.Write(record)
	return w.named(err)
}

// masked is a checksum that is no checksum of data that holds checksums (record_writer.cc: masked_crc32c).
func masked(data []byte) uint32 {
	c := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return (c>>15 | c<<17) + 0xa282ead8
}

// Flush makes what was written visible to readers.
func (w *Writer) Flush() error { return w.named(w.out.Flush()) }

// Close flushes and closes the file.
func (w *Writer) Close() error {
	err := w.out.Flush()
	if closing := w.file.Close(); err == nil {
		err = closing
	}
	return w.named(err)
}

func (w *Writer) named(err error) error {
	if err != nil {
		return fmt.Errorf("tensorboard: %w", err)
	}
	return nil
}
