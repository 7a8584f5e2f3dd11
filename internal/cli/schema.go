package cli

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/deepcompress"
	"github.com/effml/effml/evaluate"
	"github.com/effml/effml/fit"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/zoo"
)

func (a *app) newSchema() *cobra.Command {
	return &cobra.Command{
		Use:     "schema [NAME]",
		Short:   "Print the JSON Schema of a result or a document; without NAME, list them",
		GroupID: groupOther,
		Example: `effml schema                        # the names
effml schema effml.compress/v1       # what compress --json writes
effml schema compress-config         # what compress --config reads
effml schema plan                    # what compress --plan reads
effml schema recipe                  # what train --recipe reads
effml schema data                    # what --data reads`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return job.Usagef("schema: %q is one argument too many", args[1])
			}
			all := schemas(cmd.Root())
			names := slices.Sorted(maps.Keys(all))
			if len(args) == 0 {
				_, err := fmt.Fprintln(a.stdout, strings.Join(names, "\n"))
				return err
			}
			describe, found := all[args[0]]
			if !found { // compress for effml.compress/v1
				describe, found = all["effml."+args[0]+"/v1"]
			}
			if !found {
				return job.Usagef("schema: there is no %q%s", args[0], didYouMean(args[0], names))
			}
			schema := describe()
			schema["$schema"], schema["title"] = "https://json-schema.org/draft/2020-12/schema", args[0]
			text, err := encodeJSON(schema)
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return slices.Sorted(maps.Keys(schemas(cmd.Root()))), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// schemas returns what makes each schema: of results by their Go types, of documents by types or by flags.
func schemas(root *cobra.Command) map[string]func() map[string]any {
	result := func(t reflect.Type) func() map[string]any {
		return func() map[string]any { return schemaOf(t, "json") }
	}
	all := map[string]func() map[string]any{
		deepcompress.CompressSchema:   result(reflect.TypeFor[deepcompress.Result]()),
		deepcompress.DecompressSchema: result(reflect.TypeFor[deepcompress.DecompressResult]()),
		deepcompress.VerifySchema:     result(reflect.TypeFor[deepcompress.VerifyResult]()),
		evaluate.InspectSchema:        result(reflect.TypeFor[evaluate.InspectResult]()),
		evaluate.DiffSchema:           result(reflect.TypeFor[evaluate.DiffResult]()),
		evaluate.BenchSchema:          result(reflect.TypeFor[evaluate.BenchResult]()),
		evaluate.EvalSchema:           result(reflect.TypeFor[evaluate.EvalResult]()),
		evaluate.RunSchema:            result(reflect.TypeFor[evaluate.RunResult]()),
		fit.Schema:                    result(reflect.TypeFor[fit.Result]()),
		zoo.ListSchema:                result(reflect.TypeFor[zoo.ListResult]()),
		zoo.MakeSchema:                result(reflect.TypeFor[zoo.MakeResult]()),
		versionSchema:                 result(reflect.TypeFor[versionResult]()),
		"recipe":                      func() map[string]any { return schemaOf(reflect.TypeFor[fit.Recipe](), "yaml") },
		"plan":                        func() map[string]any { return schemaOf(reflect.TypeFor[deepcompress.Plan](), "yaml") },
		"data":                        func() map[string]any { return schemaOf(reflect.TypeFor[dataset.Spec](), "yaml") },
	}
	for _, c := range root.Commands() {
		if c.Flags().Lookup("config") != nil {
			all[c.Name()+"-config"] = func() map[string]any { return configSchema(c) }
		}
	}
	return all
}

// configSchema describes a command's --config file: its keys are the command's flags.
func configSchema(cmd *cobra.Command) map[string]any {
	properties := map[string]any{}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if slices.Contains(notInConfig, f.Name) {
			return
		}
		_, usage := pflag.UnquoteUsage(f)
		p := map[string]any{"description": usage}
		switch f.Value.Type() {
		case "bool":
			p["type"] = "boolean"
		case "int", "uint64":
			p["type"] = "integer"
		case "float64":
			p["type"] = "number"
		case "stringArray":
			p["type"], p["items"] = "array", map[string]any{"type": "string"}
		case sizeValue{}.Type():
			p["type"] = []string{"integer", "string"}
		default:
			p["type"] = "string"
		}
		properties[f.Name] = p
	})
	return map[string]any{"type": "object", "properties": properties}
}
