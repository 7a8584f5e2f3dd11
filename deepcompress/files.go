package deepcompress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/onnx"
)

// anySize lifts the limit on what an archive may claim to decode to, for archives that were made here.
const anySize = 1 << 60

// openModel maps a model and refuses an invalid one, and an archive.
func openModel(path string) (*modelfile.File, error) {
	f, err := modelfile.Open(path)
	if err != nil {
		return nil, err
	}
	if f.Archive != nil {
		f.Close()
		return nil, job.Usagef("deepcompress: %s is an archive already; effml decompress makes a model of it", path)
	}
	if err := modelfile.Checked(path, f.Model); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// explain gives err the type that tells the exit code.
func explain(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return modelfile.Explain(err)
}

// hashing computes the SHA-256 of files beside other work.
type hashing struct {
	cancel context.CancelFunc
	group  errgroup.Group
	file   *job.File
}

// startHashing describes a file by hash. It must be stopped.
func startHashing(ctx context.Context, describe func(context.Context) (*job.File, error)) *hashing {
	h := &hashing{}
	ctx, h.cancel = context.WithCancel(ctx)
	h.group.Go(func() (err error) {
		h.file, err = describe(ctx)
		return err
	})
	return h
}

func (h *hashing) wait() (*job.File, error) {
	err := h.group.Wait()
	return h.file, err
}

// stop ends the work where it is not done.
func (h *hashing) stop() {
	h.cancel()
	_ = h.group.Wait() // whoever needs the result has waited for it
}

// verifyArchive decodes everything in the archive at path.
func verifyArchive(ctx context.Context, path string, threads int, ev job.Events) error {
	r, err := archive.ReadOptions{Threads: threads, MaxDecoded: anySize}.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	damage, err := verifyAll(ctx, r, threads, ev)
	if err != nil {
		return err
	}
	if len(damage) > 0 {
		return damage[0].Err
	}
	return nil
}

func verifyAll(ctx context.Context, r *archive.Reader, threads int, ev job.Events) ([]archive.Damage, error) {
	sizes, err := r.Sizes()
	if err != nil {
		return nil, err
	}
	var total int64
	for i, t := range sizes.Tensors {
		if t.Form == "packed" || t.Form == "lossless" { // what is tied to another one is not decoded twice
			total += r.Size(i)
		}
	}
	ev.Stage("verify", total, "B")
	return r.Verify(ctx, threads, ev.Advance)
}

// restore writes the model that the archive at path holds, and returns what it wrote.
func restore(ctx context.Context, path, output string, c DecompressConfig, ev job.Events) (*job.File, error) {
	r, err := archive.ReadOptions{Threads: c.Threads, MaxDecoded: anySize}.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return save(ctx, r, output, c, ev)
}

func save(ctx context.Context, r *archive.Reader, output string, c DecompressConfig, ev job.Events) (*job.File, error) {
	m, err := r.ModelContext(ctx)
	if err != nil {
		return nil, err
	}
	return saveModel(ctx, m, output, c, ev)
}

// saveModel writes a model, of which c says how, and describes what it wrote.
func saveModel(ctx context.Context, m *onnx.Model, output string, c DecompressConfig, ev job.Events) (*job.File, error) {
	var total int64
	for _, ref := range m.Tensors() {
		total += ref.Size()
	}
	hashes := map[string]*job.Hash{}
	o := onnx.SaveOptions{
		Overwrite: c.Force,
		Tee: func(path string) io.Writer {
			hashes[path] = job.NewHash(path)
			return hashes[path]
		},
		// A new name for a new model: the data of the original may lie in the same folder.
		DataName: filepath.Base(output) + ".data",
		Progress: func(n int64) error {
			ev.Advance(n)
			return ctx.Err()
		},
	}
	if c.Inline {
		o.External = onnx.Inline
	}
	ev.Stage("write", total, "B")
	files, err := onnx.Save(output, m, o)
	if err != nil {
		return nil, fmt.Errorf("deepcompress: write %s: %w", output, err)
	}
	written := make([]*job.Hash, 0, len(files))
	for _, path := range files {
		written = append(written, hashes[path])
	}
	return job.Describe(written...), nil
}
