package archive

import (
	"context"
	"errors"
	"fmt"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
)

// eager is the size up to which Model decodes values at once, so that shapes and
// the like are at hand.
const eager = 4096

// Model returns the archive's model. The values of all but small tensors are
// decoded only when they are asked for or written, block by block, so that onnx.Save
// takes little memory; an error of theirs, such as a *CorruptError, appears then.
// Each call returns a model of its own. It must not outlive the reader.
func (r *Reader) Model() (*onnx.Model, error) { return r.ModelContext(context.Background()) }

// ModelContext is Model whose decoding ends when ctx does.
func (r *Reader) ModelContext(ctx context.Context) (*onnx.Model, error) {
	var m *onnx.Model
	err := mapped.Guard(func() (err error) {
		var slots []onnx.TensorRef
		if m, slots, err = r.skeleton(); err != nil {
			return err
		}
		for i, ref := range slots {
			if err := r.fill(ctx, i, ref.Tensor); err != nil {
				return err
			}
		}
		return r.applyLayout(slots)
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// skeleton decodes the topology; slots are its blank tensors, one a record.
func (r *Reader) skeleton() (*onnx.Model, []onnx.TensorRef, error) {
	data, err := r.topology()
	if err != nil {
		return nil, nil, err
	}
	m, err := onnx.Decode(data)
	if err != nil {
		return nil, nil, r.wrong(sectionTopology, err, "is no ONNX model")
	}
	var slots []onnx.TensorRef
	for _, ref := range m.Tensors() {
		if blank(ref.Tensor) {
			slots = append(slots, ref)
		}
	}
	if len(slots) != len(r.records) {
		return nil, nil, r.wrong(sectionTopology, nil, "has %d tensors for %d records", len(slots), len(r.records))
	}
	return m, slots, nil
}

// readTopology returns the protobuf of the first graph that has no name.
func (r *Reader) readTopology() ([]byte, error) {
	for _, e := range r.sections {
		if e.id != sectionTopology {
			continue
		}
		data, err := r.unpack(e)
		if err != nil {
			return nil, err
		}
		model, named, err := parseTopology(data)
		if err != nil {
			return nil, r.wrong(sectionTopology, err, "cannot be read")
		}
		if !named {
			return model, nil
		}
	}
	return nil, r.wrong(sectionTopology, nil, "every graph has a name")
}

// parseTopology reads the fields of a topology section, docs/format.md §4.
func parseTopology(data []byte) (model []byte, named bool, err error) {
	c := cursor{data: data}
	for f, ok := c.field(); ok; f, ok = c.field() {
		switch {
		case f.id == topologyName:
			named = true
		case f.id == topologyModel:
			model = f.data
		case f.critical && !named:
			return nil, false, &errFeature{fmt.Sprintf("topology field %d", f.id)}
		}
	}
	return model, named, c.err
}

// fill gives a blank tensor its type, shape and values.
func (r *Reader) fill(ctx context.Context, i int, t *onnx.Tensor) error {
	rec := &r.records[i]
	t.DataType, t.Dims, t.Storage = rec.dataType, rec.dims, rec.storage
	switch {
	case rec.dataType == onnx.String:
		list, err := r.strings(ctx, i)
		if err != nil {
			return err
		}
		t.SetStrings(list)
	case rec.size <= eager:
		raw := make([]byte, rec.size)
		if err := r.Decode(ctx, i, raw); err != nil {
			return err
		}
		t.SetBytes(raw)
	default:
		t.SetStream(&stream{ctx, r, i})
	}
	return nil
}

// applyLayout tells the external tensors where they lie.
func (r *Reader) applyLayout(slots []onnx.TensorRef) error {
	var list []*onnx.Tensor
	var sizes []int64
	for i, ref := range slots {
		if ref.Storage == onnx.StorageExternal && ref.External == nil {
			list = append(list, ref.Tensor)
			sizes = append(sizes, r.records[i].size)
		}
	}
	data, err := r.section(sectionLayout)
	if err != nil || len(list) == 0 {
		return err
	}
	if data == nil { // values without a place go into the model
		for _, t := range list {
			t.Storage = onnx.StorageRaw
		}
		return nil
	}
	l, err := parseLayout(data, sizes)
	if err != nil {
		return r.wrong(sectionLayout, err, "cannot be read")
	}
	for i, p := range l.places {
		list[i].External = p.external()
	}
	return nil
}

func (p *place) external() *onnx.ExternalData {
	x := &onnx.ExternalData{Location: p.location, Offset: p.offset, HasOffset: p.hasOffset, HasLength: p.hasLength}
	if p.hasLength {
		x.Length = p.size
	}
	return x
}

// readTensors returns the slots for those who want their names and places only.
func (r *Reader) readTensors() (slots []onnx.TensorRef, err error) {
	err = mapped.Guard(func() error {
		_, slots, err = r.skeleton()
		return err
	})
	return slots, err
}

// Index returns the number of the tensor with that name; where several graphs have
// one, of the first.
func (r *Reader) Index(name string) (int, error) {
	refs, err := r.tensors()
	if err != nil {
		return 0, err
	}
	for i, ref := range refs {
		if ref.Name == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("archive: %w %q", ErrNoTensor, name)
}

// ErrNoTensor is what Index returns, wrapped, for a name that no tensor has.
var ErrNoTensor = errors.New("there is no tensor")
