package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/effml/effml/internal/job"
)

// configFile is a configuration file: scalars and lists of scalars under the names of flags.
type configFile struct {
	path   string
	values map[string]any
	lines  map[string]int
}

func (c *configFile) where(key string) string { return fmt.Sprintf("%s line %d", c.path, c.lines[key]) }

// readConfig reads a configuration file and reports all that is wrong with it. It walks the YAML nodes instead of
// decoding into a struct: the keys are the flags, which are declared once, and each message gets its line.
func readConfig(path string, root *cobra.Command) (*configFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, job.Usagef("config: %w", err)
	}
	c := &configFile{path: path, values: map[string]any{}, lines: map[string]int{}}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return c, nil // an empty file sets nothing
	case err != nil:
		return nil, job.Usagef("config %s: %w", path, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, job.Usagef("config %s: more than one YAML document", path)
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return nil, job.Usagef("config %s: line %d: want keys and values", path, doc.Content[0].Line)
	}
	var problems []error
	known := configKeys(root)
	names := slices.Sorted(maps.Keys(known))
	for i := 0; i+1 < len(doc.Content[0].Content); i += 2 {
		key, value := doc.Content[0].Content[i], doc.Content[0].Content[i+1]
		complain := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("config %s: line %d: %s", path, key.Line, fmt.Sprintf(format, args...)))
		}
		switch at, twice := c.lines[key.Value]; {
		case known[key.Value] == nil:
			complain("unknown key %q%s", key.Value, didYouMean(key.Value, names))
			continue
		case twice:
			complain("%s was set in line %d", key.Value, at)
			continue
		}
		c.lines[key.Value] = key.Line
		v, err := configValue(value)
		if err != nil {
			complain("%s: %v", key.Value, err)
		} else if v != nil {
			c.values[key.Value] = v
		}
	}
	if len(problems) > 0 {
		return nil, &job.UsageError{Err: errors.Join(problems...)}
	}
	return c, nil
}

// configValue returns a scalar as its text, a list as []any of texts, and null as nil.
func configValue(n *yaml.Node) (any, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil, nil
	case n.Kind == yaml.ScalarNode:
		return n.Value, nil
	case n.Kind == yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, e := range n.Content {
			if e.Kind != yaml.ScalarNode {
				return nil, fmt.Errorf("line %d: want a list of plain values", e.Line)
			}
			list[i] = e.Value
		}
		return list, nil
	}
	return nil, errors.New("want a value or a list of values")
}
