package deepcompress

import (
	"bytes"
	"fmt"

	"gopkg.in/yaml.v3"
)

// resolvedPlan writes the plan that says for each floating-point tensor what was decided. Read back, it gives the same
// archive. Comments tell what cannot be said in a rule.
func resolvedPlan(p *Plan, strip bool, decisions []decision, first []int) ([]byte, error) {
	out := Plan{
		Version: PlanVersion, Description: "Resolved from " + p.source + ".", Effort: p.Effort, Coders: p.Coders,
		StripMetadata: strip, Rules: []Rule{},
	}
	type place struct{ name, graph string }
	names := map[string]int{}
	for i := range decisions {
		names[decisions[i].name]++
	}
	var comments []string
	seen := map[place]bool{}
	for i := range decisions {
		d := &decisions[i]
		at := place{d.name, d.ref.Path}
		if first[i] != i || !d.ref.DataType.IsFloat() || d.name == "" || seen[at] {
			continue
		}
		seen[at] = true
		r := d.resolved
		if names[d.name] > 1 {
			r.Graph = d.ref.Path
		}
		out.Rules = append(out.Rules, r)
		comments = append(comments, d.comment())
	}
	var root yaml.Node
	if err := root.Encode(out); err != nil {
		return nil, fmt.Errorf("deepcompress: write plan: %w", err)
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "rules" {
			for k, rule := range root.Content[i+1].Content {
				rule.Style = yaml.FlowStyle
				rule.LineComment = comments[k]
			}
		}
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&root); err != nil {
		return nil, fmt.Errorf("deepcompress: write plan: %w", err)
	}
	return b.Bytes(), nil
}

// comment says in a few words what the rule of d led to.
func (d *decision) comment() string {
	if d.packed == nil {
		return d.reason
	}
	st := d.packed.stats
	return fmt.Sprintf("%d levels, %.2f dB, about %.2f bits a weight", st.Levels, st.SQNR, st.Entropy)
}
