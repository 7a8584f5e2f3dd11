package archive

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/effml/effml/onnx"
)

// put appends bytes to the file.
func (w *writer) put(b []byte) error {
	w.sum = crc32.Update(w.sum, castagnoli, b)
	w.written += int64(len(b))
	_, err := w.out.Write(b)
	return err
}

// take handles a job that is done.
func (w *writer) take(j *job) error {
	t := j.t
	if t.stat == nil {
		w.begin(t)
	}
	if j.pack != nil && j.block < t.head {
		if t.held = append(t.held, j); len(t.held) < t.head {
			return nil
		}
		if err := w.decide(t); err != nil {
			return err
		}
	} else if j.block >= 0 {
		e := &j.plain
		if j.pack != nil {
			e = &j.packed
		}
		if err := w.block(t, e, j.pack != nil); err != nil {
			return err
		}
	}
	if t.done == t.blocks {
		w.end(t)
	}
	return nil
}

// decide chooses the form of a tensor by its head blocks and writes these.
func (w *writer) decide(t *tensor) error {
	plain, packed := 0, len(t.pack.table)
	isPacked := false
	for _, j := range t.held {
		packed += j.packed.length()
		if j.plain.payload == nil {
			isPacked = true
			continue
		}
		plain += j.plain.length()
	}
	isPacked = isPacked || packed < plain
	t.decided <- isPacked
	if isPacked {
		w.addTable(t)
	}
	for _, j := range t.held {
		e, other := &j.plain, &j.packed
		if isPacked {
			e, other = other, e
		}
		if other.payload != nil {
			w.pool.Put(other.payload)
		}
		if err := w.block(t, e, isPacked); err != nil {
			return err
		}
	}
	t.held = nil
	return nil
}

// addTable gives the tensor's record a table, one that exists if it is the same.
func (w *writer) addTable(t *tensor) {
	key := string(t.pack.table)
	n, ok := w.tableOf[key]
	if !ok {
		n = len(w.tables)
		w.tables = append(w.tables, t.pack.table)
		w.tableOf[key] = n
		w.tableBytes[t.index] = int64(len(key))
	}
	t.rec.table, t.rec.min, t.rec.max = n, t.pack.Min, t.pack.Max
}

// block writes one block and gives its buffer back.
func (w *writer) block(t *tensor, e *encoded, isPacked bool) error {
	if err := w.put(*e.payload); err != nil {
		return err
	}
	n := int64(e.length())
	w.pool.Put(e.payload)
	r, s := &t.rec, t.stat
	r.lengths = append(r.lengths, int(n))
	if isPacked {
		r.coders = append(r.coders, e.coder)
		s.Codes += n - int64(e.positions)
		s.Positions += int64(e.positions)
	} else {
		s.Raw += n
	}
	t.method.add(e.method)
	w.checksums = binary.LittleEndian.AppendUint32(w.checksums, e.crc)
	s.Checksums += 4
	if s.NonZero >= 0 {
		s.NonZero = max(s.NonZero+e.nonZero, min(e.nonZero, 0))
	}
	w.progress(int64(r.unitsIn(t.done)) * int64(r.elem.Width))
	t.done++
	return nil
}

func (w *writer) progress(n int64) {
	if w.o.Progress != nil && n > 0 {
		w.o.Progress(n)
	}
}

// begin makes the tensor's entry in the result.
func (w *writer) begin(t *tensor) {
	t.stat = newTensorSize(w.slots[t.index], t.index)
	if t.blocks == 0 && t.rec.same < 0 {
		t.stat.NonZero = 0
	}
}

// newTensorSize returns the entry of a tensor before anything is known of its bytes.
func newTensorSize(ref onnx.TensorRef, index int) *TensorSize {
	weights, _ := ref.NumElements() // slots have a number that fits
	return &TensorSize{
		Index: index, Name: ref.Name, Path: ref.Path, Shape: ref.Dims, DataType: ref.DataType, Role: ref.Role, Weights: weights,
	}
}

// end completes the tensor's record and its entry in the result.
func (w *writer) end(t *tensor) {
	s := t.stat
	s.describe(&t.rec, t.method.String(), func(i int) *TensorSize { return &w.sizes.Tensors[i] })
	if t.rec.same >= 0 {
		s.NonZero = w.sizes.Tensors[t.rec.same].NonZero
		w.progress(t.rec.size)
	}
	w.sizes.Tensors = append(w.sizes.Tensors, *s)
	w.records[t.index] = t.rec
	if w.o.Release != nil {
		w.o.Release(w.slots[t.index].Tensor)
	}
	t.raw = nil
}
