package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/internal/atomicfile"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/report"
	"github.com/effml/effml/onnx"
)

// The exit codes. `effml help exit-codes` explains them.
const (
	codeOK          = 0
	codeFailure     = 1
	codeUsage       = 2
	codeGate        = 3
	codeModel       = 4
	codeData        = 5
	codeResume      = 7
	codeVerify      = 8
	codeDeadline    = 124
	codeInterrupted = 130
)

// exitCode is the only place that maps errors to exit codes. Order matters: a usage error may wrap a missing file.
func exitCode(err error) int {
	switch {
	case err == nil:
		return codeOK
	case is[*job.UsageError](err), is[*atomicfile.ExistsError](err):
		return codeUsage
	case errors.Is(err, context.DeadlineExceeded):
		return codeDeadline
	case errors.Is(err, context.Canceled):
		return codeInterrupted
	case is[*job.GateError](err):
		return codeGate
	case is[*job.ResumeError](err):
		return codeResume
	case is[*job.VerifyError](err), is[*archive.CorruptError](err), is[*archive.VersionError](err),
		is[*archive.NotArchiveError](err), is[*archive.LimitError](err):
		return codeVerify
	case is[*job.ModelError](err), is[*onnx.FormatError](err), is[*onnx.ExternalError](err), is[*onnx.ValuesError](err):
		return codeModel
	case is[*job.DataError](err):
		return codeData
	}
	return codeFailure
}

func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// message words err for a user: what happened, and what to do where that is known. Cmd is the command whose
// arguments were not understood, or nil.
func message(err error, cmd *cobra.Command) string {
	var stopped *job.StoppedError
	switch {
	case errors.As(err, &stopped):
		return "effml: " + report.Clean(stopped.Left) + "\n"
	case exitCode(err) == codeDeadline:
		return "effml: the time that --deadline allows is over; nothing was written\n"
	case exitCode(err) == codeInterrupted:
		return "effml: interrupted; nothing was written\n"
	}
	var b strings.Builder
	for i, line := range strings.Split(err.Error(), "\n") {
		if i == 0 {
			b.WriteString("effml: ")
		} else {
			b.WriteString("  ")
		}
		b.WriteString(report.Clean(line) + "\n")
	}
	switch {
	case errors.Is(err, fs.ErrExist) && !strings.Contains(b.String(), "--force"):
		b.WriteString("  --force replaces it, -o names another file\n")
	case cmd != nil:
		fmt.Fprintf(&b, "  `%s --help` lists what there is\n", cmd.CommandPath())
	}
	return b.String()
}

// didYouMean ends a message about an unknown word.
func didYouMean(word string, known []string) string {
	if s := job.Suggest(word, known); s != "" {
		return fmt.Sprintf("; did you mean %q?", s)
	}
	return ""
}
