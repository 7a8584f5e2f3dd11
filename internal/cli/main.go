package cli

import (
	"context"
	"errors"
	"io"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/job"
)

// app is one run of the program.
type app struct {
	stdout, stderr io.Writer
	command        string // the command line, quoted for a shell
	settings       settings
	running        bool // arguments were understood: errors from here on are no usage errors by default
}

// Main runs effml with args (without the program's name) until ctx ends and returns the exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	verbose := slices.Contains(args, "-v") || slices.Contains(args, "--verbose")
	return guard(stderr, verbose, func() int {
		a := &app{stdout: stdout, stderr: stderr, command: quoteCommand(append([]string{"effml"}, args...))}
		return a.run(ctx, args)
	})
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.newRoot()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	var cmd *cobra.Command
	_, err := isa.FromEnv()
	if err == nil {
		cmd, err = root.ExecuteContextC(ctx)
	}
	var usage *job.UsageError
	if err != nil && !a.running && !errors.As(err, &usage) {
		err = &job.UsageError{Err: err}
	}
	if a.running {
		cmd = nil // its arguments were fine
	}
	if err != nil {
		say(a.stderr, "%s", message(err, cmd))
	}
	return exitCode(err)
}

// guard turns a panic into a line that asks for a report. The stack is for those who asked for details.
func guard(stderr io.Writer, verbose bool, run func() int) (code int) {
	defer func() {
		if r := recover(); r != nil {
			b := job.Build()
			say(stderr, "effml: internal error: %v\n", r)
			say(stderr, "This is a bug in effml %s %s: please report it with the command line and, if you can, the file.\n", b.Version, b.Commit)
			if verbose {
				say(stderr, "%s", debug.Stack())
			} else {
				say(stderr, "-v shows where it happened.\n")
			}
			code = codeFailure
		}
	}()
	return run()
}
