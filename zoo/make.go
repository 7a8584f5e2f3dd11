package zoo

import (
	"context"
	"fmt"
	"io"

	"github.com/effml/effml/internal/atomicfile"
	"github.com/effml/effml/internal/job"
)

// Names and versions of the results' forms.
const (
	ListSchema = "effml.zoo-list/v1"
	MakeSchema = "effml.zoo-make/v1"
)

// ListResult is what List says.
type ListResult struct {
	job.Common
	Networks []Network `json:"networks"`
}

// List describes all networks.
func List(command string) *ListResult {
	timer := job.Start(ListSchema, 0, 1)
	r := &ListResult{Common: job.Common{Command: command}, Networks: Networks()}
	timer.Fill(&r.Common)
	return r
}

// MakeConfig says what Make writes.
type MakeConfig struct {
	Spec    string // see [Parse]
	Output  string // the file; NAME.onnx where it is empty
	Force   bool   // overwrite it
	Command string // the command line, copied into the result
}

// OutputPath returns Output, or the path that follows from Spec where it is empty.
func (c MakeConfig) OutputPath() string {
	if c.Output != "" {
		return c.Output
	}
	s, _ := Parse(c.Spec) // Make reports what is wrong with it
	return s.Name + ".onnx"
}

// MakeResult describes the model that was written.
type MakeResult struct {
	job.Common
	Network string `json:"network" doc:"name of the network"`
	Input   [3]int `json:"input" doc:"channels, height and width"`
	Classes int    `json:"classes"`
}

// Make writes a network with its initial weights as an ONNX file. Errors: a [*job.UsageError] where there is no such network, or a file already.
func Make(ctx context.Context, c MakeConfig, ev job.Events) (*MakeResult, error) {
	s, err := Parse(c.Spec)
	if err != nil {
		return nil, err
	}
	if ev == nil {
		ev = job.Discard
	}
	timer := job.Start(MakeSchema, s.Seed, 1)
	f, err := atomicfile.Create(c.OutputPath(), c.Force)
	if err != nil {
		return nil, err
	}
	defer f.Abort()
	m, err := s.Model()
	if err != nil {
		return nil, err
	}
	size, err := m.WriteTo(io.Discard)
	if err != nil {
		return nil, err
	}
	ev.Stage("write", size, "B")
	hash := job.NewHash(c.OutputPath())
	if _, err := m.WriteTo(io.MultiWriter(f, hash, progress{ctx, ev})); err != nil {
		return nil, fmt.Errorf("zoo: write %s: %w", c.OutputPath(), err)
	}
	if err := f.Commit(); err != nil {
		return nil, err
	}
	r := &MakeResult{Common: job.Common{Command: c.Command, Output: job.Describe(hash)}, Network: s.Name, Input: s.Options.Input, Classes: s.Options.Classes}
	timer.Fill(&r.Common)
	return r, nil
}

// progress tells how much was written, and ends the writing when the context ends.
type progress struct {
	ctx    context.Context
	events job.Events
}

func (p progress) Write(b []byte) (int, error) {
	p.events.Advance(int64(len(b)))
	return len(b), p.ctx.Err()
}
