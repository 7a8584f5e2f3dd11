package deepcompress

import (
	"context"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/mapped"
)

// Decompress restores the ONNX model of an archive. External data of the original goes to a file beside the output, named
// after it with ".data" appended. Tensors are decoded while they are written, in parallel and in bounded memory.
func Decompress(ctx context.Context, c DecompressConfig, ev job.Events) (*DecompressResult, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if ev == nil {
		ev = job.Discard
	}
	timer := job.Start(DecompressSchema, 0, c.Threads)
	result := &DecompressResult{}
	if err := mapped.Guard(func() error { return decompress(ctx, c, ev, result) }); err != nil {
		return nil, explain(err)
	}
	timer.Fill(&result.Common)
	return result, nil
}

func decompress(ctx context.Context, c DecompressConfig, ev job.Events, result *DecompressResult) (err error) {
	result.Command = c.Command
	// Whatever ends early stops the hashing; once the model is written, nothing does.
	input := startHashing(context.WithoutCancel(ctx), func(ctx context.Context) (*job.File, error) { return job.HashFile(ctx, c.Input) })
	defer input.stop()
	r, err := archive.ReadOptions{Threads: c.Threads, MaxDecoded: c.MaxDecoded}.Open(c.Input)
	if err != nil {
		return err
	}
	defer r.Close()
	sizes, err := r.Sizes()
	if err != nil {
		return err
	}
	if result.Provenance, err = r.Provenance(); err != nil {
		return err
	}
	result.Format, result.Tensors = r.Version(), len(sizes.Tensors)
	for _, t := range sizes.Tensors {
		result.Weights += t.Weights
	}
	if result.Output, err = save(ctx, r, c.OutputPath(), c, ev); err != nil {
		return err
	}
	result.Input, err = input.wait()
	return err
}
