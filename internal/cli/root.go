package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/effml/effml/internal/job"
)

// Groups of commands in the help.
const (
	groupCompress = "compress"
	groupInspect  = "inspect"
	groupRun      = "run"
	groupTrain    = "train"
	groupOther    = "other"
)

// newRoot makes the tree of commands.
func (a *app) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "effml",
		Short: "Make a trained network really smaller: one command from ONNX to a compact file, and back",
		Example: `effml compress model.onnx               # writes model.effml
effml decompress model.effml -o m.onnx  # and back to plain ONNX
effml inspect model.effml               # where the bytes went`,
		Args:              a.noSuchCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		PersistentPreRun:  func(*cobra.Command, []string) { a.running = true },
	}
	root.AddGroup(
		&cobra.Group{ID: groupCompress, Title: "Compress"},
		&cobra.Group{ID: groupInspect, Title: "Inspect"},
		&cobra.Group{ID: groupRun, Title: "Run"},
		&cobra.Group{ID: groupTrain, Title: "Train"},
		&cobra.Group{ID: groupOther, Title: "Other"},
	)
	root.AddCommand(a.newCompress(), a.newDecompress(), a.newVerify(), a.newInspect(), a.newDiff(), a.newRun(), a.newEval(), a.newBench(), a.newTrain(), a.newZoo(),
		a.newConfig(), a.newSchema(), a.newCompletion(), a.newVersion())
	root.AddCommand(topics()...)
	root.SetHelpCommand(a.newHelp())
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { say(a.stdout, "%s", helpText(cmd)) })
	root.SetFlagErrorFunc(flagError)
	return root
}

// noSuchCommand is the Args of commands that only have sub-commands: any argument is a mistyped one.
func (a *app) noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	return job.Usagef("unknown command %q for %s%s", args[0], cmd.CommandPath(), didYouMean(args[0], known))
}

// flagError adds a suggestion to the parser's words about an unknown flag.
func flagError(cmd *cobra.Command, err error) error {
	name, found := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !found {
		return &job.UsageError{Err: err}
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if s := job.Suggest(name, known); s != "" {
		return job.Usagef("unknown flag --%s; did you mean --%s?", name, s)
	}
	return job.Usagef("unknown flag --%s", name)
}

// exactly is the Args of commands that take the named arguments and no others.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return job.Usagef("%s: %s is missing", cmd.CommandPath(), names[len(args)])
		}
		if len(args) > len(names) {
			return job.Usagef("%s: %q is one argument too many", cmd.CommandPath(), args[len(names)])
		}
		return nil
	}
}

// filesOf completes arguments to files with one of the extensions.
func filesOf(extensions ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return extensions, cobra.ShellCompDirectiveFilterFileExt
	}
}
