package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/job"
)

// versionSchema is the schema of `version --json`.
const versionSchema = "effml.version/v1"

// versionResult says which build runs on what.
type versionResult struct {
	Schema string `json:"schema"`
	job.BuildInfo
	CPU  isa.CPU  `json:"cpu"`
	ISA  string   `json:"isa" doc:"instruction set chosen: generic, avx2 or avx512"`
	ISAs []string `json:"isas" doc:"instruction sets that EFFML_ISA can force here"`
}

func (a *app) newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit, processor and the instruction set in use",
		GroupID: groupOther,
		Example: "effml version --json",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			set, err := isa.FromEnv()
			if err != nil {
				return &job.UsageError{Err: err}
			}
			v := versionResult{
				Schema: versionSchema, BuildInfo: job.Build(), CPU: isa.Processor(),
				ISA: set.String(), ISAs: isa.Names()[:isa.Best()+1],
			}
			if asJSON {
				text, err := encodeJSON(v)
				if err != nil {
					return err
				}
				_, err = a.stdout.Write(text)
				return err
			}
			commit := v.Commit
			if commit == "" {
				commit = "unknown"
			} else if v.Modified {
				commit += " (modified)"
			}
			_, err = fmt.Fprintf(a.stdout, "effml %s\ncommit %s\nbuilt with %s for %s/%s\n%s\ninstruction set %s (%s=%s forces one)\n",
				v.Version, commit, v.Go, v.OS, v.Arch, v.CPU.Brand, v.ISA, isa.Env, strings.Join(v.ISAs, "|"))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object, with the processor's features")
	return cmd
}
