package archive

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/effml/effml/internal/mapped"
	"golang.org/x/sync/errgroup"
)

// Damage is one part of an archive that is not as it was written.
type Damage struct {
	Tensor string // empty for what is not a tensor's
	Block  int    // of the tensor; −1 for what is not a tensor's
	Offset int64  // in the file; −1 if it cannot be told
	Err    error
}

func (d Damage) Error() string { return d.Err.Error() }

// Verify decodes everything and checks every checksum, the file's too. It returns
// the damage found, in the order of the file; the error is for what kept it
// from looking. progress, if not nil, is called with decoded bytes, from one
// goroutine. threads is as in ReadOptions; 0 means the reader's.
//
// (Damage to the tables is found by Open, which returns it as an error.)
func (r *Reader) Verify(ctx context.Context, threads int, progress func(bytes int64)) ([]Damage, error) {
	if threads <= 0 {
		threads = r.threads
	}
	var blocks, rest []Damage
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return mapped.Guard(func() (err error) {
			rest, err = r.verifySections(ctx)
			return err
		})
	})
	g.Go(func() error {
		return inOrder(ctx, threads, r.allBlocks, func(sc *scratch, j *blockJob) error {
			buf := grow(&sc.out, blockBytes(&r.records[j.index], j.b))
			j.err = r.decodeBlock(sc, j.index, j.b, buf)
			return nil
		}, func(j *blockJob) error {
			rec := &r.records[j.index]
			if j.err != nil {
				blocks = append(blocks, Damage{r.name(j.index), j.b, rec.offsets[j.b], j.err})
			}
			r.release(rec, j.b)
			if progress != nil {
				progress(int64(blockBytes(rec, j.b)))
			}
			return nil
		})
	})
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("archive: verify: %w", err)
	}
	return append(blocks, rest...), nil
}

// allBlocks yields every block of the file in order.
func (r *Reader) allBlocks(_ context.Context, yield func(*blockJob) error) error {
	for i := range r.records {
		for b := range r.records[i].lengths {
			if err := yield(&blockJob{index: i, b: b}); err != nil {
				return err
			}
		}
	}
	return nil
}

// verifySections checks what is not a block: the model that the topology gives,
// all other sections, and the sum over the file.
func (r *Reader) verifySections(ctx context.Context) ([]Damage, error) {
	var list []Damage
	add := func(offset int64, err error) {
		var c *CorruptError
		if errors.As(err, &c) && offset < 0 {
			offset = c.Offset
		}
		list = append(list, Damage{Block: -1, Offset: offset, Err: err})
	}
	_, slots, err := r.skeleton()
	if err != nil {
		add(-1, err)
	}
	for _, e := range r.sections {
		if _, known := sectionNames[e.id]; !known || e.id == sectionBlocks || e.id == sectionTopology {
			continue
		}
		if _, err := r.unpack(e); err != nil {
			add(e.offset, err)
		}
	}
	if slots != nil {
		if err := r.verifyModel(ctx); err != nil {
			add(-1, err)
		}
	}
	const step = 1 << 22
	sum := uint32(0)
	end := len(r.data) - 4 - len(endMagic)
	for at := 0; at < end; at += step {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sum = crc32.Update(sum, castagnoli, r.data[at:min(at+step, end)])
	}
	if want := binary.LittleEndian.Uint32(r.data[end:]); sum != want {
		add(-1, r.corrupt("", -1, nil, "checksum of the file is %08x instead of %08x", sum, want))
	}
	return list, nil
}

// verifyModel reports what keeps the model from being put together although its
// topology and its blocks are whole; errors of blocks are found elsewhere.
func (r *Reader) verifyModel(ctx context.Context) error {
	_, err := r.ModelContext(ctx)
	var c *CorruptError
	if errors.As(err, &c) && c.Section == sectionNames[sectionBlocks] {
		return nil
	}
	return err
}
