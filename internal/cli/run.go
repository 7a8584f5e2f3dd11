package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/effml/effml/internal/atomicfile"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/report"
)

// result is what a library call returns: a pointer to a struct that embeds [job.Common], or nil.
type result interface {
	comparable
	Base() *job.Common
}

// work is one call of the library and how its result is shown.
type work[R result] struct {
	inputs, outputs []string // files the call reads and writes, to keep the CLI's own outputs off them
	run             func(context.Context, job.Events) (R, error)
	show            func(R) *report.Document
	markdown        bool // print Markdown instead of text
}

// perform runs w under the deadline and writes its result wherever the settings say. A result that comes with an
// error (a gate was missed, a file is damaged) is written like any other.
func perform[R result](cmd *cobra.Command, a *app, w work[R]) error {
	if err := a.checkOutputs(w.inputs, w.outputs); err != nil {
		return err
	}
	ctx := cmd.Context()
	if a.settings.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.settings.deadline)
		defer cancel()
	}
	events := a.newProgress()
	start := time.Now()
	res, err := w.run(ctx, events)
	notes := events.finish()
	var none R
	if res == none {
		a.printNotes(notes)
		if err != nil && ctx.Err() != nil { // whatever failed, it failed because time was up
			err = errors.Join(ctx.Err(), err)
		}
		return err
	}
	res.Base().Command = a.command
	doc := w.show(res)
	if a.settings.json != "-" { // they stand below the table
		notes = slices.DeleteFunc(notes, func(n string) bool { return slices.Contains(doc.Notes, n) })
	}
	a.printNotes(notes)
	doc.Command = a.command
	doc.Facts = facts(res.Base())
	if writeErr := a.writeResult(cmd, res, doc, w.markdown, time.Since(start)); writeErr != nil {
		return errors.Join(writeErr, err)
	}
	return err
}

func (a *app) printNotes(notes []string) {
	for _, n := range notes {
		if !a.settings.quiet {
			say(a.stderr, "effml: %s\n", report.Clean(n))
		}
	}
}

// checkOutputs refuses outputs that would fail after the work is done, or replace what it reads.
func (a *app) checkOutputs(inputs, outputs []string) error {
	names := append(append([]string{}, inputs...), outputs...)
	s := a.settings
	for _, path := range []string{s.json, s.report, s.junit} {
		if path == "" || path == "-" {
			continue
		}
		for _, other := range names {
			if sameFile(path, other) {
				return job.Usagef("%s is named twice: each file needs a name of its own", path)
			}
		}
		names = append(names, path)
		f, err := atomicfile.Create(path, s.force)
		if err != nil {
			return err
		}
		f.Abort()
	}
	return nil
}

// sameFile says whether two paths are one file, or would be.
func sameFile(a, b string) bool {
	absA, errA := filepath.Abs(a)
	absB, errB := filepath.Abs(b)
	if errA == nil && errB == nil && absA == absB {
		return true
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// writeResult writes the result to stdout and to the files of --json, --report and --junit.
func (a *app) writeResult(cmd *cobra.Command, res any, doc *report.Document, markdown bool, took time.Duration) error {
	s := a.settings
	common := res.(interface{ Base() *job.Common }).Base()
	object, err := encodeJSON(res)
	if err != nil {
		return err
	}
	switch {
	case s.json == "-":
		_, err = a.stdout.Write(object)
	case s.quiet:
	case markdown:
		err = doc.Markdown(a.stdout)
	default:
		err = doc.Text(a.stdout, report.TextOptions{Color: a.color(), FullNames: s.verbose})
	}
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	write := func(path string, draw func(io.Writer) error) {
		if path != "" && path != "-" && err == nil {
			err = a.writeFile(path, draw)
		}
	}
	write(s.json, func(w io.Writer) error { _, err := w.Write(object); return err })
	write(s.report, doc.HTML)
	write(s.junit, func(w io.Writer) error {
		subject := doc.Title
		if common.Input != nil {
			subject = common.Input.Path
		}
		return report.JUnit(w, cmd.CommandPath(), subject, took.Seconds(), doc.Gates)
	})
	if err == nil {
		a.stepSummary(doc)
	}
	return err
}

func (a *app) writeFile(path string, draw func(io.Writer) error) error {
	f, err := atomicfile.Create(path, a.settings.force)
	if err != nil {
		return err
	}
	defer f.Abort()
	if err := draw(f); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.Commit()
}

// encodeJSON returns v as one JSON object that ends with a line end.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return b.Bytes(), nil
}

// stepSummary adds the result to the summary page of a GitHub step. A page that cannot be written is no reason to
// fail a job that is done.
func (a *app) stepSummary(doc *report.Document) {
	path := os.Getenv("GITHUB_STEP_SUMMARY")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		err = doc.Markdown(f)
		err = errors.Join(err, f.Close())
	}
	if err != nil && !a.settings.quiet {
		say(a.stderr, "effml: GITHUB_STEP_SUMMARY: %v\n", err)
	}
}

// color says whether stdout may get colours: https://no-color.org
func (a *app) color() bool {
	return !a.settings.noColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(a.stdout)
}

// facts is the small print of every result.
func facts(c *job.Common) []report.Fact {
	f := []report.Fact{{Name: "effml", Value: c.Version}}
	if c.Seed != 0 {
		f = append(f, report.Fact{Name: "seed", Value: fmt.Sprint(c.Seed)})
	}
	return append(f,
		report.Fact{Name: "threads", Value: fmt.Sprint(c.Threads)},
		report.Fact{Name: "isa", Value: c.ISA},
		report.Fact{Name: "time", Value: fmt.Sprintf("%.2f s (%.2f s of processor time)", c.WallS, c.CPUS)},
		report.Fact{Name: "memory", Value: report.Size(c.PeakRSSBytes)},
	)
}
