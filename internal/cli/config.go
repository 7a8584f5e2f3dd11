package cli

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"github.com/effml/effml/internal/job"
)

func (a *app) newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Show settings and where they come from",
		GroupID: groupOther,
		Args:    a.noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.newConfigShow())
	return cmd
}

func (a *app) newConfigShow() *cobra.Command {
	var effective, origin bool
	var file string
	cmd := &cobra.Command{
		Use:   "show [COMMAND]",
		Short: "Print the settings that a command would run with, as YAML that --config takes",
		Example: `effml config show --effective --origin
EFFML_PRESET=small effml config show compress --origin
effml config show compress --config ci.yaml --effective > resolved.yaml`,
		Long: `Without COMMAND the settings of all commands are shown: a key means the same everywhere.
Without --effective only those are that the environment or the file sets.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return job.Usagef("config show: %q is one argument too many", args[1])
			}
			shown, err := a.settingsOf(cmd.Root(), args)
			if err != nil {
				return err
			}
			shown.SetOut(a.stdout)
			if file != "" {
				if err := shown.Flags().Set("config", file); err != nil {
					return err
				}
			}
			if err := a.resolve(shown); err != nil {
				return err
			}
			text, err := a.settingsYAML(shown, effective, origin)
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&effective, "effective", false, "all settings, defaults too")
	f.BoolVar(&origin, "origin", false, "say where each value comes from")
	f.StringVar(&file, "config", "", "read settings from this YAML `file`")
	return cmd
}

// settingsOf returns the command whose settings are shown; without a name, a stand-in that has those of all.
func (a *app) settingsOf(root *cobra.Command, name []string) (*cobra.Command, error) {
	var known []string
	for _, c := range root.Commands() {
		if c.Flags().Lookup("config") == nil {
			continue
		}
		if len(name) == 1 && c.Name() == name[0] {
			return c, nil
		}
		known = append(known, c.Name())
	}
	if len(name) == 1 {
		return nil, job.Usagef("config show: %q is no command with settings%s", name[0], didYouMean(name[0], known))
	}
	all := &cobra.Command{Use: "all"}
	root.AddCommand(all) // a root is what tells a file's keys
	keys := configKeys(root)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		f := *keys[k]
		f.Shorthand = ""
		all.Flags().AddFlag(&f)
	}
	all.Flags().String("config", "", "")
	return all, nil
}

// settingsYAML writes flags as a YAML document. Comments tell origins, so that the document stays a --config file.
func (a *app) settingsYAML(cmd *cobra.Command, effective, origin bool) ([]byte, error) {
	doc := yaml.Node{Kind: yaml.MappingNode}
	var problem error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		from := a.settings.origins[f.Name]
		if slices.Contains(notInConfig, f.Name) || from == "" && !effective {
			return
		}
		key, value := yaml.Node{Kind: yaml.ScalarNode, Value: f.Name}, yaml.Node{}
		if err := value.Encode(flagValue(f)); err != nil {
			problem = fmt.Errorf("config show: %s: %w", f.Name, err)
		}
		if origin {
			if from == "" {
				from = "default"
			}
			value.LineComment = from
		}
		doc.Content = append(doc.Content, &key, &value)
	})
	if problem != nil {
		return nil, problem
	}
	if len(doc.Content) == 0 {
		return []byte("# nothing is set\n"), nil
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("config show: %w", err)
	}
	return b.Bytes(), nil
}

// flagValue returns a value that YAML writes as its type: a number as a number, and null for a flag without a value
// whose default depends on others.
func flagValue(f *pflag.Flag) any {
	if s, ok := f.Value.(pflag.SliceValue); ok {
		return s.GetSlice()
	}
	text := f.Value.String()
	if !f.Changed {
		text = f.DefValue
	}
	if f.Value.Type() == "string" || f.Value.Type() == "duration" {
		return text
	}
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return text
	}
	return v
}
