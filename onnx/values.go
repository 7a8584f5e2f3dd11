package onnx

import "io"

// WriteValues writes what Bytes returns to w. Values that are made when they are written are not held in memory as a whole.
func (t *Tensor) WriteValues(w io.Writer) (int64, error) {
	if s := t.values.stream; s != nil {
		size, err := t.ByteSize()
		if err != nil {
			return 0, err
		}
		if s.Size() != size {
			return 0, t.errorf("a stream of %d bytes where %v of %s takes %d", s.Size(), t.Dims, t.DataType, size)
		}
		return s.WriteTo(w)
	}
	raw, err := t.Bytes()
	if err != nil {
		return 0, err
	}
	n, err := w.Write(raw)
	return int64(n), err
}
