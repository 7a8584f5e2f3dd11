package archive

import (
	"bytes"
	"fmt"

	"github.com/effml/effml/onnx"
)

// skeleton returns the model's protobuf with the slots blank, docs/format.md §4,
// and the places of external values that are not told there. m stays as it is.
func skeleton(m *onnx.Model) ([]byte, *layout, error) {
	m = m.Clone()
	slots, err := slotsOf(m)
	if err != nil {
		return nil, nil, err
	}
	var l layout
	for _, ref := range slots {
		t := ref.Tensor
		if t.Storage == onnx.StorageExternal {
			if err := l.add(t); err != nil {
				return nil, nil, err
			}
		}
		t.DataType, t.Dims, t.Storage = onnx.Undefined, nil, onnx.StorageNone
		t.SetBytes(nil)
	}
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		return nil, nil, fmt.Errorf("topology: %w", err)
	}
	return b.Bytes(), &l, nil
}

// add takes note of where an external tensor lies, and clears it in the tensor,
// unless there is more to tell than place and length.
func (l *layout) add(t *onnx.Tensor) error {
	x := t.External
	size, err := t.ByteSize()
	if err != nil {
		return err
	}
	if x == nil || x.HasLength && x.Length != size || !x.HasOffset && x.Offset != 0 {
		return nil
	}
	plain := onnx.ExternalData{Location: x.Location, Offset: x.Offset, Length: x.Length, HasOffset: x.HasOffset, HasLength: x.HasLength}
	same, err := sameEntries(x, &plain)
	if err != nil || !same {
		return err
	}
	l.places = append(l.places, place{location: x.Location, offset: x.Offset, hasOffset: x.HasOffset, hasLength: x.HasLength, size: size})
	t.External = nil
	return nil
}

// sameEntries reports whether two places are written alike.
func sameEntries(a, b *onnx.ExternalData) (bool, error) {
	var out [2]bytes.Buffer
	for i, x := range []*onnx.ExternalData{a, b} {
		t := &onnx.Tensor{Storage: onnx.StorageExternal, External: x}
		m := onnx.Model{Graph: &onnx.Graph{Initializers: []*onnx.Tensor{t}}}
		if _, err := m.WriteTo(&out[i]); err != nil {
			return false, fmt.Errorf("external data: %w", err)
		}
	}
	return bytes.Equal(out[0].Bytes(), out[1].Bytes()), nil
}
