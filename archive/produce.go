package archive

import (
	"context"
	"fmt"

	"github.com/effml/effml/huffman"
	"github.com/effml/effml/onnx"
)

// produce makes the jobs of all tensors.
func (w *writer) produce(ctx context.Context, firsts []int, yield func(*job) error) error {
	for i, ref := range w.slots {
		t, err := w.prepare(i, firsts[i])
		if err != nil {
			return fmt.Errorf("tensor %q: %w", ref.Name, err)
		}
		if err := t.submit(ctx, yield); err != nil {
			return err
		}
	}
	return nil
}

// submit makes the jobs of one tensor.
func (t *tensor) submit(ctx context.Context, yield func(*job) error) error {
	if t.blocks == 0 {
		return yield(&job{t: t, block: -1})
	}
	pack := t.pack
	for b := range t.blocks {
		if pack != nil && b == t.head {
			select {
			case packed := <-t.decided:
				if !packed {
					pack = nil
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := yield(&job{t: t, block: b, pack: pack}); err != nil {
			return err
		}
	}
	return nil
}

// prepare decides how a tensor is coded.
func (w *writer) prepare(index, first int) (*tensor, error) {
	ref := w.slots[index]
	t := &tensor{index: index, rec: newRecord()}
	t.rec.dataType, t.rec.dims, t.rec.storage = ref.DataType, ref.Dims, ref.Storage
	if first != index {
		t.rec.same = first
		return t, t.rec.sizeUp()
	}
	var err error
	if t.raw, err = valuesOf(ref.Tensor); err != nil {
		return nil, err
	}
	if ref.DataType == onnx.String {
		t.rec.bytes = int64(len(t.raw))
	}
	if err := t.rec.sizeUp(); err != nil {
		return nil, err
	}
	if w.o.Pack != nil && packable(ref.DataType) && t.rec.units > 0 {
		p, err := w.o.Pack(ref)
		if err != nil {
			return nil, err
		}
		if err := t.packBy(p, w.coders); err != nil {
			return nil, err
		}
	}
	t.blocks = int((t.rec.units + int64(t.rec.block) - 1) / int64(t.rec.block))
	t.head = min(headBlocks, t.blocks)
	return t, nil
}

// packBy has the tensor packed as p says.
func (t *tensor) packBy(p *Packed, coders []huffman.Coder) error {
	if p == nil {
		return nil
	}
	if err := p.check(t.rec.units); err != nil {
		return err
	}
	if p.Coders != nil {
		var err error
		if coders, err = codersNamed(p.Coders); err != nil {
			return err
		}
	}
	row := rowLength(t.rec.dims)
	t.rec.block = packedBlock(t.rec.units, row)
	t.pack = &packSpec{Packed: p, dataType: t.rec.dataType, row: row, table: encodeTable(p), coders: coders}
	t.decided = make(chan bool, 1)
	return nil
}

// code codes one block.
func (w *writer) code(sc *scratch, j *job) error {
	if j.block < 0 {
		return nil
	}
	if err := w.codeBlock(sc, j); err != nil {
		return fmt.Errorf("tensor %q, block %d: %w", w.slots[j.t.index].Name, j.block, err)
	}
	return nil
}

func (w *writer) codeBlock(sc *scratch, j *job) (err error) {
	t, r := j.t, &j.t.rec
	first, n := int64(j.block)*int64(r.block), r.unitsIn(j.block)
	width := int64(r.elem.Width)
	raw := t.raw[first*width : (first+int64(n))*width]
	if j.pack != nil {
		spare := w.buffer()
		j.packed, err = j.pack.encode(sc, w.buffer(), spare, first, n)
		w.pool.Put(spare)
		if err != nil || j.block >= t.head {
			return err
		}
		if hopeless(raw, r.elem.Width, j.packed.length()+len(j.pack.table)) {
			return nil
		}
	}
	j.plain, err = encodeValues(w.buffer(), raw, r.dataType, r.elem, w.o.Effort)
	return err
}

func (w *writer) buffer() *[]byte { return w.pool.Get().(*[]byte) }
