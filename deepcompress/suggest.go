package deepcompress

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/effml/effml/configs"
)

// unknownField is how yaml.v3 reports a key that the document does not have.
var unknownField = regexp.MustCompile(`^line (\d+): field (.+) not found in type \w+\.(\w+)$`)

// explainYAML turns the decoder's words into a plan's: keys instead of Go fields and types, with a suggestion.
func explainYAML(err error) error {
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	keys := map[string][]string{"Plan": yamlKeys[Plan](), "Rule": yamlKeys[Rule](), "PruneRule": yamlKeys[PruneRule]()}
	lines := make([]string, len(te.Errors))
	for i, e := range te.Errors {
		lines[i] = e
		if m := unknownField.FindStringSubmatch(e); m != nil {
			lines[i] = fmt.Sprintf("line %s: unknown key %q%s", m[1], m[2], suggest(m[2], keys[m[3]]))
		}
	}
	return errors.New(strings.Join(lines, "; "))
}

func yamlKeys[T any]() (keys []string) {
	for f := range reflect.TypeFor[T]().Fields() {
		if key, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); key != "" && key != "-" {
			keys = append(keys, key)
		}
	}
	return keys
}

// suggest returns "; did you mean X?" for the known word nearest to word, or all known words where none is near.
func suggest(word string, known []string) string {
	best, bestDistance := "", 2+len(word)/4
	for _, k := range known {
		if d := editDistance(strings.ToLower(word), k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; there are " + strings.Join(known, ", ")
}

// editDistance is V. I. Levenshtein's, in two rows.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func checkPreset(name string) error {
	if name == "" {
		return nil
	}
	if name == "max" {
		return errors.New("preset max retrains, and retraining is not part of compress without --data; take small, or paper")
	}
	names := configs.Presets()
	for _, n := range names {
		if n == name {
			return nil
		}
	}
	return fmt.Errorf("preset %q is unknown%s", name, suggest(name, names))
}
