package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/effml/effml/internal/job"
)

func (a *app) newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND|TOPIC]",
		Short:   "Explain a command or a topic",
		GroupID: groupOther,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) == 0 {
				return found.Help()
			}
			var known []string
			for _, c := range cmd.Root().Commands() {
				known = append(known, c.Name())
			}
			name := strings.Join(args, " ")
			return job.Usagef("help: there is no command or topic %q%s", name, didYouMean(name, known))
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			if found, _, err := cmd.Root().Find(args); err == nil {
				for _, c := range found.Commands() {
					names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// helpText puts examples first: they answer most questions.
func helpText(cmd *cobra.Command) string {
	if cmd.IsAdditionalHelpTopicCommand() {
		return cmd.Long
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", cmd.Short)
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", indent(cmd.Example))
	}
	if cmd.Long != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(cmd.Long))
	}
	use := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		use = cmd.CommandPath() + " COMMAND"
	}
	fmt.Fprintf(&b, "\nUsage:\n  %s\n", use)
	writeCommands(&b, cmd)
	writeFlags(&b, cmd)
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n`%s COMMAND --help` explains a command.\n", cmd.CommandPath())
	}
	return b.String()
}

func writeCommands(b *strings.Builder, cmd *cobra.Command) {
	width := 0
	for _, c := range cmd.Commands() {
		width = max(width, len(c.Name()))
	}
	list := func(title string, in func(*cobra.Command) bool) {
		for _, c := range cmd.Commands() {
			if !in(c) || c.Hidden {
				continue
			}
			if title != "" {
				fmt.Fprintf(b, "\n%s:\n", title)
				title = ""
			}
			fmt.Fprintf(b, "  %-*s  %s\n", width, c.Name(), c.Short)
		}
	}
	for _, g := range cmd.Groups() {
		list(g.Title, func(c *cobra.Command) bool { return c.GroupID == g.ID })
	}
	list("Commands", func(c *cobra.Command) bool { return c.GroupID == "" && c.IsAvailableCommand() })
	list("Topics (effml help TOPIC)", (*cobra.Command).IsAdditionalHelpTopicCommand)
}

// writeFlags lists a command's own flags before those that all commands share.
func writeFlags(b *strings.Builder, cmd *cobra.Command) {
	own, common := pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	own.SortFlags, common.SortFlags = false, false // they are declared in the order a reader wants
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if _, shared := f.Annotations[sharedFlag]; shared || f.Name == "help" {
			common.AddFlag(f)
		} else {
			own.AddFlag(f)
		}
	})
	columns := 100
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		columns = min(w, 120)
	}
	if own.HasAvailableFlags() {
		fmt.Fprintf(b, "\nFlags:\n%s", own.FlagUsagesWrapped(columns))
	}
	if common.HasAvailableFlags() {
		title := "Flags of all commands like this"
		if !own.HasAvailableFlags() {
			title = "Flags"
		}
		fmt.Fprintf(b, "\n%s:\n%s", title, common.FlagUsagesWrapped(columns))
	}
}

func indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }
