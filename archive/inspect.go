package archive

import (
	"github.com/effml/effml/huffman"
	"github.com/effml/effml/internal/mapped"
)

// Sizes says where the bytes went, without decoding any values; of the tensors
// NonZero is −1.
func (r *Reader) Sizes() (*Sizes, error) {
	refs, err := r.tensors()
	if err != nil {
		return nil, err
	}
	s := &Sizes{Tensors: make([]TensorSize, 0, len(refs))}
	tableBytes := make([]int64, len(refs))
	charged := map[int]bool{}
	err = mapped.Guard(func() error {
		for i, ref := range refs {
			rec := &r.records[i]
			t := newTensorSize(ref, i)
			t.DataType, t.Shape, t.NonZero = rec.dataType, rec.dims, -1
			t.Weights, _ = product(rec.dims)
			method, err := r.account(t, i)
			if err != nil {
				return err
			}
			t.describe(rec, method, func(j int) *TensorSize { return &s.Tensors[j] })
			s.Tensors = append(s.Tensors, *t)
			if rec.table >= 0 && !charged[rec.table] {
				charged[rec.table] = true
				tableBytes[i] = r.rawTable[rec.table]
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.addUp(r.sections, r.dirSize, tableBytes)
	return s, nil
}

// account adds up the blocks of tensor i and says how they are coded.
func (r *Reader) account(t *TensorSize, i int) (string, error) {
	rec := &r.records[i]
	var methods methodList
	for b, length := range rec.lengths {
		src := r.payload(rec, b)
		t.Checksums += 4
		if rec.table < 0 {
			m, err := huffman.DescribeValues(src)
			if err != nil {
				return "", r.badBlock(i, b, err)
			}
			methods.add(m)
			t.Raw += int64(length)
			continue
		}
		c, err := r.coder(rec.coders[b])
		if err != nil {
			return "", err
		}
		n, err := positions(c, src)
		if err != nil {
			return "", r.badBlock(i, b, err)
		}
		methods.add(c.Name())
		t.Codes += int64(length - n)
		t.Positions += int64(n)
	}
	return methods.String(), nil
}
