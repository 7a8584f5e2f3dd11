package archive

import (
	"fmt"

	"github.com/effml/effml/internal/mapped"
)

// PackedTensor gives the codes of one tensor, block by block, for those who compute
// with them instead of with the weights.
type PackedTensor struct {
	r     *Reader
	index int
}

// Packed returns the codes of tensor i; nil if it is coded without loss.
func (r *Reader) Packed(i int) *PackedTensor {
	if r.own(i).table < 0 {
		return nil
	}
	return &PackedTensor{r, i}
}

// Quantiser returns what makes values of codes. Its Codes is nil, and its slices
// must not be changed.
func (p *PackedTensor) Quantiser() Packed {
	rec := p.r.own(p.index)
	q := *p.r.tables[rec.table]
	q.Min, q.Max = rec.min, rec.max
	return q
}

// Len returns the number of weights.
func (p *PackedTensor) Len() int64 { return p.r.own(p.index).units }

// Blocks returns the number of blocks.
func (p *PackedTensor) Blocks() int { return len(p.r.own(p.index).lengths) }

// Block returns the first weight of block b, and how many it holds.
func (p *PackedTensor) Block(b int) (first int64, n int) {
	rec := p.r.own(p.index)
	return int64(b) * int64(rec.block), rec.unitsIn(b)
}

// Codes fills codes, one for each weight of block b, and checks them: the values
// that they stand for are those that were written.
func (p *PackedTensor) Codes(codes []int32, b int) error {
	rec := p.r.own(p.index)
	if len(codes) != rec.unitsIn(b) {
		return fmt.Errorf("archive: %d codes for a block of %d", len(codes), rec.unitsIn(b))
	}
	var sc scratch
	sc.codes = codes
	return mapped.Guard(func() error {
		return p.r.decodeBlock(&sc, p.index, b, grow(&sc.out, blockBytes(rec, b)))
	})
}
