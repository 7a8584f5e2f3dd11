package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/effml/effml/internal/job"
)

// settings are the flags that all commands on models share.
type settings struct {
	config              string
	deadline            time.Duration
	json, report, junit string
	quiet, verbose      bool
	noColor, noProgress bool
	force               bool
	threads             int
	origins             map[string]string // flag name → where its value came from; defaults are absent
}

const (
	sharedFlag = "shared" // annotation of flags that all commands on models have
	envPrefix  = "EFFML"
)

// addShared gives cmd the shared flags.
func (a *app) addShared(cmd *cobra.Command) {
	s, fs := &a.settings, pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.StringVar(&s.config, "config", "", "read settings from this YAML `file`; its keys are flag names")
	fs.StringVar(&s.json, "json", "", "write the result as JSON to this `file`, or to stdout with -")
	fs.IntVar(&s.threads, "threads", 0, "number of threads; 0 is all processors")
	fs.DurationVar(&s.deadline, "deadline", 0, "give up after this time, 30m say (exit code 124)")
	fs.BoolVar(&s.force, "force", false, "replace files that exist")
	fs.BoolVarP(&s.quiet, "quiet", "q", false, "print nothing but errors")
	fs.BoolVarP(&s.verbose, "verbose", "v", false, "print stages with their times, and names in full")
	fs.BoolVar(&s.noColor, "no-color", false, "no colours (also NO_COLOR)")
	fs.BoolVar(&s.noProgress, "no-progress", false, "no progress")
	fs.VisitAll(func(f *pflag.Flag) { f.Annotations = map[string][]string{sharedFlag: nil} })
	cmd.Flags().AddFlagSet(fs)
	cmd.Flags().SortFlags = false
}

// addReport and addJUnit are for the commands that have something to show or gates to report.
func (a *app) addReport(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.settings.report, "report", "", "write a self-contained HTML page to this `file`")
}

func (a *app) addJUnit(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.settings.junit, "junit", "", "write gates as JUnit XML to this `file`")
}

// resolve gives the flags that the command line left alone their values from the environment (EFFML_MAX_SIZE for
// --max-size) or from the file that --config names, in this order, and records where each value came from.
func (a *app) resolve(cmd *cobra.Command) error {
	fs := cmd.Flags()
	v := viper.New()
	v.SetEnvPrefix(envPrefix)
	v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	v.AutomaticEnv()
	if err := v.BindPFlags(fs); err != nil {
		return fmt.Errorf("cli: %w", err)
	}
	var file *configFile
	if path := v.GetString("config"); path != "" {
		var err error
		if file, err = readConfig(path, cmd.Root()); err != nil {
			return err
		}
		if err := v.MergeConfigMap(file.values); err != nil {
			return fmt.Errorf("cli: %w", err)
		}
	}
	a.settings.origins = map[string]string{}
	var problems []string
	fs.VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Name == "help":
		case f.Changed:
			a.settings.origins[f.Name] = "flag"
		case v.IsSet(f.Name):
			origin := envName(f.Name)
			if os.Getenv(origin) == "" {
				origin = file.where(f.Name)
			}
			a.settings.origins[f.Name] = origin
			if err := setFlag(fs, f, v.Get(f.Name)); err != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", origin, err))
			}
		}
	})
	if len(problems) > 0 {
		return job.Usagef("%s", strings.Join(problems, "\n"))
	}
	return nil
}

func envName(flag string) string {
	return envPrefix + "_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// setFlag sets a flag to what the environment or a file says: a scalar, or for a flag that can be repeated a list or
// a text with commas.
func setFlag(fs *pflag.FlagSet, f *pflag.Flag, value any) error {
	slice, takesList := f.Value.(pflag.SliceValue)
	list, isList := value.([]any)
	switch {
	case isList && !takesList:
		return fmt.Errorf("--%s takes one value, not a list", f.Name)
	case !takesList:
		return fs.Set(f.Name, fmt.Sprint(value))
	}
	texts := strings.Split(fmt.Sprint(value), ",")
	if isList {
		texts = make([]string, len(list))
		for i, e := range list {
			texts[i] = fmt.Sprint(e)
		}
	}
	f.Changed = true
	return slice.Replace(texts)
}

// notInConfig are flags that make no sense in a file.
var notInConfig = []string{"config", "help"}

// configKeys returns the flags of all commands on models by name: the keys that a configuration file may have. One
// file serves a project, so a command ignores the keys that only other commands know.
func configKeys(root *cobra.Command) map[string]*pflag.Flag {
	keys := map[string]*pflag.Flag{}
	for _, c := range root.Commands() {
		if c.Flags().Lookup("config") == nil {
			continue
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !slices.Contains(notInConfig, f.Name) {
				keys[f.Name] = f
			}
		})
	}
	return keys
}
