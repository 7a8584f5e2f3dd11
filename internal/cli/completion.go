package cli

import (
	"github.com/spf13/cobra"

	"github.com/effml/effml/internal/job"
)

func (a *app) newCompletion() *cobra.Command {
	shells := []string{"bash", "fish", "powershell", "zsh"}
	return &cobra.Command{
		Use:     "completion bash|fish|powershell|zsh",
		Short:   "Print the completion script of a shell",
		GroupID: groupOther,
		Example: `source <(effml completion bash)                                    # this shell
effml completion bash > /etc/bash_completion.d/effml                # for good
effml completion zsh > "${fpath[1]}/_effml"
effml completion fish > ~/.config/fish/completions/effml.fish
effml completion powershell | Out-String | Invoke-Expression`,
		Args:      exactly("the shell: bash, fish, powershell or zsh"),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.stdout)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			}
			return job.Usagef("completion: unknown shell %q%s", args[0], didYouMean(args[0], shells))
		},
	}
}
