package npy

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/effml/effml/tensor"
)

// Archive is an NPZ file whose arrays are read when they are asked for. It is safe for concurrent use.
type Archive struct {
	data  []byte
	files map[string]*zip.File
	names []string
}

// OpenArchive reads the directory of an NPZ file.
func OpenArchive(data []byte) (*Archive, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	a := &Archive{data: data, files: map[string]*zip.File{}}
	for _, f := range z.File {
		name, ok := strings.CutSuffix(f.Name, ".npy")
		if !ok {
			continue
		}
		if a.files[name] != nil {
			return nil, fmt.Errorf("npy: array %q twice", name)
		}
		a.files[name] = f
		a.names = append(a.names, name)
	}
	return a, nil
}

// Names returns the arrays' names in the order of the file.
func (a *Archive) Names() []string { return slices.Clone(a.names) }

// Header says what an array is without reading its elements.
func (a *Archive) Header(name string) (*Header, error) {
	h, _, err := a.read(name, true)
	return h, err
}

// Read returns an array. One that is stored without compression is a view of the file as with [Decode], and its checksum is
// not compared; that of a compressed one is.
func (a *Archive) Read(name string) (*tensor.Tensor, error) {
	_, t, err := a.read(name, false)
	return t, err
}

func (a *Archive) read(name string, only bool) (*Header, *tensor.Tensor, error) {
	f := a.files[name]
	if f == nil {
		return nil, nil, fmt.Errorf("npy: no array %q; there are %s", name, strings.Join(a.names, ", "))
	}
	h, t, err := a.decode(f, only)
	if err != nil {
		return nil, nil, fmt.Errorf("array %q: %w", name, err)
	}
	return h, t, nil
}

func (a *Archive) decode(f *zip.File, only bool) (*Header, *tensor.Tensor, error) {
	if f.Flags&1 != 0 {
		return nil, nil, errors.New("npy: encrypted")
	}
	start, err := f.DataOffset()
	if err != nil {
		return nil, nil, fmt.Errorf("npy: %w", err)
	}
	if start < 0 || start > int64(len(a.data)) || f.CompressedSize64 > uint64(int64(len(a.data))-start) {
		return nil, nil, errors.New("npy: the array lies outside of the file")
	}
	packed := a.data[start:][:f.CompressedSize64]
	if f.Method == zip.Store {
		h, err := ParseHeader(packed)
		if err != nil || only {
			return h, nil, err
		}
		t, err := Decode(packed)
		return h, t, err
	}
	r, err := f.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("npy: %w", err)
	}
	defer r.Close() //nolint:errcheck // read only
	return inflate(r, len(packed), only)
}

// maxRatio is more than deflate can gain: 258 bytes take at least two bits.
const maxRatio = 1032

// inflate reads an NPY file of unknown length that was compressed to packed bytes.
func inflate(from io.Reader, packed int, only bool) (*Header, *tensor.Tensor, error) {
	r := bufio.NewReaderSize(from, maxHeader+12)
	head, err := r.Peek(maxHeader + 12)
	if err != nil && !errors.Is(err, io.EOF) && len(head) == 0 {
		return nil, nil, corrupt(err)
	}
	h, err := ParseHeader(head)
	if err != nil || only {
		return h, nil, err
	}
	size, err := h.size()
	if err != nil {
		return nil, nil, err
	}
	if size/maxRatio > packed {
		return nil, nil, fmt.Errorf("npy: %d compressed bytes cannot hold the %d of %s", packed, size, tensor.Describe(h.Type, h.Shape))
	}
	raw := tensor.Buffer(size)
	if _, err := r.Discard(h.start); err != nil {
		return nil, nil, corrupt(err)
	}
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, nil, corrupt(err)
	}
	if _, err := r.ReadByte(); err != nil && !errors.Is(err, io.EOF) { // the end, where the checksum is compared
		return nil, nil, corrupt(err)
	}
	t, err := h.tensor(raw)
	return h, t, err
}

func corrupt(err error) error {
	var damaged flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("npy: the compressed data ends too early")
	case errors.As(err, &damaged), errors.Is(err, zip.ErrChecksum):
		return fmt.Errorf("npy: damaged: %w", err)
	}
	return fmt.Errorf("npy: %w", err)
}

// Named is an array of an NPZ file.
type Named struct {
	Name   string
	Tensor *tensor.Tensor
}

// WriteArchive writes an NPZ file without compression, as numpy.savez does. The same arrays give the same bytes.
func WriteArchive(w io.Writer, arrays []Named) error {
	z := zip.NewWriter(w)
	for _, a := range arrays {
		f, err := z.CreateHeader(&zip.FileHeader{Name: a.Name + ".npy", Method: zip.Store})
		if err != nil {
			return fmt.Errorf("npy: array %q: %w", a.Name, err)
		}
		if err := Write(f, a.Tensor); err != nil {
			return fmt.Errorf("array %q: %w", a.Name, err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("npy: %w", err)
	}
	return nil
}
