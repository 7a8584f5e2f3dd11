package deepcompress

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/evaluate"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/mapped"
)

// Verify decodes a whole archive, and compares it with a model where one is named. Tensors that were stored without loss must be
// equal bit by bit; of the others the error is reported. Damage and mismatches are in the result, which then comes with a
// [*job.VerifyError].
func Verify(ctx context.Context, c VerifyConfig, ev job.Events) (*VerifyResult, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if ev == nil {
		ev = job.Discard
	}
	timer := job.Start(VerifySchema, 0, c.Threads)
	result := &VerifyResult{Damage: []Damage{}}
	result.Command = c.Command
	if err := mapped.Guard(func() error { return verify(ctx, c, ev, result) }); err != nil {
		return nil, explain(err)
	}
	timer.Fill(&result.Common)
	return result, result.err(c)
}

func verify(ctx context.Context, c VerifyConfig, ev job.Events, result *VerifyResult) (err error) {
	if result.Input, err = job.HashFile(ctx, c.Input); err != nil {
		return err
	}
	r, err := archive.ReadOptions{Threads: c.Threads, MaxDecoded: c.MaxDecoded}.Open(c.Input)
	var corrupt *archive.CorruptError
	if errors.As(err, &corrupt) { // the tables: nothing can be decoded
		result.Damage = append(result.Damage, Damage{Tensor: corrupt.Tensor, Block: -1, Offset: corrupt.Offset, Error: corrupt.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	result.Format = r.Version()
	damage, err := verifyAll(ctx, r, c.Threads, ev)
	if err != nil {
		return err
	}
	for _, d := range damage {
		result.Damage = append(result.Damage, Damage{Tensor: d.Tensor, Block: d.Block, Offset: d.Offset, Error: d.Err.Error()})
	}
	sizes, err := r.Sizes()
	if err != nil {
		if len(damage) > 0 {
			return nil // known already
		}
		return err
	}
	for i := range sizes.Tensors {
		result.Tensors++
		if r.Packed(i) != nil {
			result.Packed++
		} else {
			result.Lossless++
		}
	}
	if c.Against != "" && len(damage) == 0 {
		if err := result.compare(ctx, c, ev); err != nil {
			return err
		}
	}
	if (c.Data != "" || c.Random > 0) && len(damage) == 0 && result.Against.Mismatched == 0 {
		if result.Outputs, err = evaluate.Outputs(ctx, c.Against, c.Input, c.Samples, c.Limits, c.Threads, ev); err != nil {
			return err
		}
		result.Gates = c.Limits.Gates(result.Outputs.Accuracy, result.Outputs.Agreement)
	}
	result.OK = result.outputsHold(c) && len(result.Damage) == 0 && (result.Against == nil || result.Against.Mismatched == 0)
	return nil
}

// outputsHold reports whether the outputs are those of the model where they must be: of an archive in which nothing was lost.
func (r *VerifyResult) outputsHold(c VerifyConfig) bool {
	return r.Outputs == nil || r.Packed > 0 || r.Outputs.Within(cmp.Or(c.Tolerance, DefaultTolerance))
}

// compare fills in how the archive differs from the model that it was made from.
func (r *VerifyResult) compare(ctx context.Context, c VerifyConfig, ev job.Events) error {
	d, err := evaluate.Diff(ctx, evaluate.DiffConfig{A: c.Against, B: c.Input, Threads: c.Threads}, ev)
	if err != nil {
		return err
	}
	r.Against = &Comparison{Model: d.A.File, Tensors: []TensorMatch{}}
	if !d.Graph.Equal {
		r.Against.mismatch("", fmt.Sprintf("the graphs differ: %d nodes, %d inputs, %d outputs, %d operator sets",
			len(d.Graph.Nodes), len(d.Graph.Inputs), len(d.Graph.Outputs), len(d.Graph.Opsets)))
	}
	for _, t := range d.Tensors {
		m := TensorMatch{Name: t.Name, Status: "equal", SQNR: t.SQNR}
		switch {
		case t.Status == "equal":
			r.Against.Equal++
		case t.Status == "values" && t.MaxError != nil && t.PackedB:
			r.Against.Lossy++
			m.Status, m.MaxError = "lossy", float64(*t.MaxError)
		case t.Status == "values":
			r.Against.mismatch(t.Name, fmt.Sprintf("%d values differ, although it is stored without loss", t.Changed))
			continue
		default:
			r.Against.mismatch(t.Name, map[string]string{
				"shape": "the shapes differ", "type": "the data types differ", "added": "the model lacks it", "removed": "the archive lacks it",
			}[t.Status])
			continue
		}
		r.Against.Tensors = append(r.Against.Tensors, m)
	}
	return nil
}

func (c *Comparison) mismatch(name, problem string) {
	c.Mismatched++
	c.Tensors = append(c.Tensors, TensorMatch{Name: name, Status: "mismatched", Problem: problem})
}

// err is what the command ends with.
func (r *VerifyResult) err(c VerifyConfig) error {
	switch {
	case len(r.Damage) > 0:
		first := r.Damage[0].Error
		if n := len(r.Damage); n > 1 {
			first = fmt.Sprintf("%s (and %d more places)", first, n-1)
		}
		return &job.VerifyError{Err: fmt.Errorf("%s is damaged: %s", c.Input, first)}
	case r.Against != nil && r.Against.Mismatched > 0:
		return &job.VerifyError{Err: fmt.Errorf("%s does not hold the model %s: %d mismatches", c.Input, c.Against, r.Against.Mismatched)}
	case !r.outputsHold(c):
		return &job.VerifyError{Err: fmt.Errorf("%s holds the model %s without loss, but their outputs differ by more than %g of their range", c.Input, c.Against, cmp.Or(c.Tolerance, DefaultTolerance))}
	}
	return job.Missed(r.Gates)
}
