package archive

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/effml/effml/huffman"
	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
	"golang.org/x/sync/errgroup"
)

// Write writes the model as an archive. It streams: values are read, coded and
// written block by block, a few blocks a thread being in memory at a time. The
// model is not changed. On an error w has received a part of a file that no
// reader accepts.
//
// Values of external data must be loaded. A tensor whose values do not fit its
// shape, or whose type is unknown, is kept as it is, without being packed.
func Write(ctx context.Context, w io.Writer, m *onnx.Model, o Options) (*Sizes, error) {
	s, err := write(ctx, w, m, o)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return s, nil
}

func write(ctx context.Context, w io.Writer, m *onnx.Model, o Options) (*Sizes, error) {
	wr, err := newWriter(w, m, o)
	if err != nil {
		return nil, err
	}
	firsts, err := ties(ctx, wr.slots, o.Release)
	if err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	var s side
	g.Go(func() error { return mapped.Guard(func() error { return s.make(m) }) })
	g.Go(func() error {
		if err := wr.put(append([]byte(magic), Version)); err != nil {
			return err
		}
		return inOrder(ctx, wr.threads, func(ctx context.Context, yield func(*job) error) error {
			return wr.produce(ctx, firsts, yield)
		}, wr.code, wr.take)
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := wr.finish(&s); err != nil {
		return nil, err
	}
	return &wr.sizes, nil
}

// writer is one run of Write: produce makes jobs, code does them, take writes their
// results in the order they were made in.
type writer struct {
	o       Options
	threads int
	coders  []huffman.Coder
	slots   []onnx.TensorRef
	pool    sync.Pool // of *[]byte

	// Of take, and after it of finish.
	out        *bufio.Writer
	sum        uint32 // of the file so far
	written    int64
	records    []record
	tables     [][]byte
	tableOf    map[string]int
	checksums  []byte
	sizes      Sizes
	tableBytes []int64 // of each slot, before the section is coded
	entries    []entry
}

// tensor is a slot on its way through the pipeline.
type tensor struct {
	index   int
	rec     record
	raw     []byte
	pack    *packSpec // nil: without loss
	blocks  int       // none for tensors whose values stand elsewhere
	head    int       // blocks that are coded both ways before the form is decided
	decided chan bool // whether it is packed, for produce

	// Of take.
	held   []*job // the head's, until the form is decided
	done   int    // blocks written
	stat   *TensorSize
	method methodList
}

// headBlocks is the number of blocks that decide whether packing pays. It bounds
// what is held in memory meanwhile; tensors of more blocks are judged by these.
const headBlocks = 8

// job is one block of a tensor, or block −1 of one without blocks.
type job struct {
	t      *tensor
	block  int
	pack   *packSpec // nil: without loss
	plain  encoded   // without loss; no payload where packing is known to be better
	packed encoded   // no payload if pack is nil
}

func codersNamed(names []string) ([]huffman.Coder, error) {
	list := make([]huffman.Coder, len(names))
	for i, name := range names {
		var err error
		if list[i], err = huffman.ByName(name); err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no coder is allowed")
	}
	return list, nil
}

func newWriter(w io.Writer, m *onnx.Model, o Options) (*writer, error) {
	wr := &writer{
		o: o, threads: o.Threads, coders: huffman.Coders(), tableOf: map[string]int{},
		out: bufio.NewWriterSize(w, 1<<18), pool: sync.Pool{New: func() any { return new([]byte) }},
	}
	if wr.threads <= 0 {
		wr.threads = runtime.GOMAXPROCS(0)
	}
	if o.Coders != nil {
		var err error
		if wr.coders, err = codersNamed(o.Coders); err != nil {
			return nil, err
		}
	}
	if err := checkExtra(o.Extra); err != nil {
		return nil, err
	}
	err := mapped.Guard(func() (err error) {
		wr.slots, err = slotsOf(m)
		return err
	})
	wr.records, wr.tableBytes = make([]record, len(wr.slots)), make([]int64, len(wr.slots))
	return wr, err
}

func checkExtra(extra []Section) error {
	seen := map[uint64]bool{}
	for _, s := range extra {
		if s.ID != SectionPreprocessing && s.ID != SectionClassNames && s.ID < FirstPrivateSection || s.ID >= 1<<62 || seen[s.ID] {
			return fmt.Errorf("section %d cannot be added", s.ID)
		}
		seen[s.ID] = true
	}
	return nil
}
