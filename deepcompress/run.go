package deepcompress

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/evaluate"
	"github.com/effml/effml/internal/atomicfile"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/onnx"
)

// Run compresses a model. The result of a run that missed a gate comes with a [*job.GateError]. After any other error,
// and when ctx ends, nothing is written.
func Run(ctx context.Context, c Config, ev job.Events) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &run{Config: c, events: ev, timer: job.Start(CompressSchema, c.Seed, c.Threads)}
	if ev == nil {
		r.events = job.Discard
	}
	err := mapped.Guard(func() error { return r.do(ctx) })
	r.close()
	if err != nil {
		return nil, explain(err)
	}
	r.timer.Fill(&r.result.Common)
	return &r.result, job.Missed(r.result.Gates)
}

// run is one run of the pipeline.
type run struct {
	Config
	events job.Events
	timer  *job.Timer
	result Result

	file      *modelfile.File
	model     *onnx.Model // of file, or a copy without what was stripped
	plan      *Plan
	decisions []decision
	first     []int
	sizes     *archive.Sizes
	out       *atomicfile.File // nil in a dry run
	planOut   *atomicfile.File // nil where no plan is asked for
	scratch   *os.File         // the archive of a dry run that is to be measured
	before    *evaluate.Answers
	baseline  *baseline // nil where none is named
}

func (r *run) do(ctx context.Context) (err error) {
	if r.plan, err = r.loadPlan(); err != nil {
		return err
	}
	if err := r.readBaseline(); err != nil {
		return err
	}
	if err := r.open(); err != nil {
		return err
	}
	if err := r.createOutputs(); err != nil {
		return err
	}
	if err := r.measureBefore(ctx); err != nil {
		return err
	}
	input := startHashing(ctx, r.file.Describe)
	defer input.stop()
	if err := r.decide(ctx); err != nil {
		return err
	}
	if err := r.write(ctx); err != nil {
		return err
	}
	if r.result.Input, err = input.wait(); err != nil {
		return err
	}
	if err := r.report(); err != nil {
		return err
	}
	return r.finish(ctx)
}

func (r *run) loadPlan() (*Plan, error) {
	r.result.Command, r.result.DryRun = r.Command, r.DryRun
	if r.PlanPath != "" {
		r.result.Plan = r.PlanPath
		return LoadPlan(r.PlanPath)
	}
	if r.Preset == "" {
		r.Preset = DefaultPreset
	}
	r.result.Preset = r.Preset
	return LoadPreset(r.Preset)
}

// open maps and checks the model.
func (r *run) open() (err error) {
	if r.file, err = openModel(r.Input); err != nil {
		return err
	}
	for _, f := range r.file.Files {
		for _, out := range []string{r.OutputPath(), r.EmitONNX, r.EmitPacked, r.PlanOut} {
			if out != "" && sameFile(out, f.Path) {
				return job.Usagef("deepcompress: %s belongs to the input; writing over it is refused", out)
			}
		}
	}
	r.model = r.file.Model
	if r.strip() {
		r.model = r.model.Clone()
		r.result.Stripped = stripMetadata(r.model)
	}
	return nil
}

func (r *run) strip() bool {
	if r.StripMetadata != nil {
		return *r.StripMetadata
	}
	return r.plan.StripMetadata
}

// createOutputs makes sure that there is a place for every output before the long work begins.
func (r *run) createOutputs() (err error) {
	if r.PlanOut != "" { // the one thing that a dry run writes, because it is asked for by name
		if r.planOut, err = atomicfile.Create(r.PlanOut, r.Force); err != nil {
			return err
		}
	}
	if r.DryRun {
		if r.Data != "" {
			r.scratch, err = os.CreateTemp("", "effml-dry-run-*.effml")
		}
		return err
	}
	if r.out, err = atomicfile.Create(r.OutputPath(), r.Force); err != nil {
		return err
	}
	for _, path := range []string{r.EmitONNX, r.EmitPacked} {
		if path == "" {
			continue
		}
		probe, err := atomicfile.Create(path, r.Force)
		if err != nil {
			return err
		}
		probe.Abort()
	}
	return nil
}

// close leaves nothing behind of what was not committed.
func (r *run) close() {
	for _, f := range []*atomicfile.File{r.out, r.planOut} {
		if f != nil {
			f.Abort()
		}
	}
	if r.scratch != nil {
		r.scratch.Close()
		os.Remove(r.scratch.Name())
	}
	if r.file != nil {
		r.file.Close()
	}
}

func (r *run) decide(ctx context.Context) error {
	p := planner{
		plan: r.plan, seed: r.Seed, threads: threads(r.Threads), file: r.file, events: r.events,
	}
	var err error
	if p.only, err = patterns(r.Only); err != nil {
		return err
	}
	if p.exclude, err = patterns(r.Exclude); err != nil {
		return err
	}
	if r.decisions, r.first, err = p.run(ctx, r.model); err != nil {
		return err
	}
	if r.Strict {
		return strictErrors(r.decisions, r.first)
	}
	return nil
}

// write encodes the model into the temporary file, or nowhere in a dry run.
func (r *run) write(ctx context.Context) error {
	packings := make(map[*onnx.Tensor]*packing, len(r.decisions))
	var total int64
	for i := range r.decisions {
		d := &r.decisions[i]
		packings[d.ref.Tensor] = d.packed
		total += d.bytes
	}
	o := archive.Options{
		Threads: r.Threads, Coders: r.plan.Coders, Effort: r.plan.Effort,
		Pack: func(ref onnx.TensorRef) (*archive.Packed, error) {
			if p := packings[ref.Tensor]; p != nil {
				return p.archive(), nil
			}
			return nil, nil
		},
		Provenance: map[string]string{"effml": job.Build().Version},
		Progress:   r.events.Advance,
		Release:    r.file.Release,
	}
	if r.Coder != "" { // before the plan's
		o.Coders = []string{r.Coder}
		for _, p := range packings {
			if p != nil {
				p.coder = ""
			}
		}
	}
	r.events.Stage("encode", total, "B")
	sum := sha256.New()
	file := bufio.NewWriterSize(r.sink(), 1<<20)
	w := io.MultiWriter(file, sum)
	var err error
	if r.sizes, err = archive.Write(ctx, w, r.model, o); err != nil {
		return err
	}
	if err := file.Flush(); err != nil || r.out == nil {
		return err
	}
	r.result.Output = &job.File{Path: r.OutputPath(), Bytes: r.sizes.Total, SHA256: hexSum(sum)}
	return nil
}

// sink is where the archive goes.
func (r *run) sink() io.Writer {
	switch {
	case r.out != nil:
		return r.out
	case r.scratch != nil:
		return r.scratch
	}
	return io.Discard
}

// finish verifies the archive, writes what else was asked for, and gives the files their names.
func (r *run) finish(ctx context.Context) error {
	var files []*atomicfile.File
	if r.planOut != nil {
		if err := r.writePlan(); err != nil {
			return err
		}
		files = append(files, r.planOut)
	}
	if r.out != nil {
		if err := r.verify(ctx); err != nil {
			return err
		}
	}
	if err := r.measureAfter(ctx); err != nil {
		return err
	}
	r.gates()
	if r.out != nil {
		if err := r.emit(ctx); err != nil {
			return err
		}
		files = append(files, r.out)
	}
	err := ctx.Err()
	if err == nil {
		err = atomicfile.CommitAll(files...)
	}
	if err != nil {
		r.withdraw()
	}
	return err
}

// verify decodes what was just written.
func (r *run) verify(ctx context.Context) error {
	if r.NoVerify {
		return nil
	}
	if err := verifyArchive(ctx, r.out.Name(), r.Threads, r.events); err != nil {
		return fmt.Errorf("deepcompress: the archive just written does not decode: %w", err)
	}
	r.result.Verified = true
	return nil
}

func (r *run) writePlan() error {
	doc, err := resolvedPlan(r.plan, r.strip(), r.decisions, r.first)
	if err != nil {
		return err
	}
	r.result.PlanOut = r.PlanOut
	_, err = r.planOut.Write(doc)
	return err
}

// emit writes the models that were asked for, from the archive itself.
func (r *run) emit(ctx context.Context) (err error) {
	if r.EmitONNX != "" {
		r.result.ONNX, err = restore(ctx, r.out.Name(), r.EmitONNX, DecompressConfig{Force: r.Force, Threads: r.Threads}, r.events)
	}
	if err == nil {
		err = r.emitPacked(ctx)
	}
	if err != nil {
		r.withdraw()
	}
	return err
}

// withdraw removes what emit wrote.
func (r *run) withdraw() {
	for _, f := range []*job.File{r.result.ONNX, r.result.Packed} {
		if f == nil {
			continue
		}
		os.Remove(f.Path)
		for _, data := range f.Files {
			os.Remove(data.Path)
		}
	}
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
