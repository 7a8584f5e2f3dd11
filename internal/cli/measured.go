package cli

import (
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/effml/effml/evaluate"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/report"
)

// percentValue is a flag for a number whose absence means something else than 0.
type percentValue struct{ to **float64 }

func (p percentValue) Type() string { return "float64" }

func (p percentValue) String() string {
	if p.to == nil || *p.to == nil {
		return ""
	}
	return strconv.FormatFloat(**p.to, 'g', -1, 64)
}

func (p percentValue) Set(text string) error {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("%q is not a number", text)
	}
	*p.to = &v
	return nil
}

// addLimits adds the gates on what two models answer.
func addLimits(cmd *cobra.Command, l *evaluate.Limits) {
	f := cmd.Flags()
	f.Var(percentValue{&l.MaxAccuracyDrop}, "max-accuracy-drop", "gate: miss it (exit code 3) when top-1 falls by more percentage `points`; needs --data with labels")
	f.Var(percentValue{&l.MinAccuracy}, "min-accuracy", "gate: miss it (exit code 3) when top-1 is below this `percentage` afterwards; needs --data with labels")
	f.Var(percentValue{&l.MinAgreement}, "min-agreement", "gate: miss it (exit code 3) when both give the same answer to less than this `percentage` of the samples of --data")
}

// addRandom adds what stands in for data.
func addRandom(cmd *cobra.Command, s *evaluate.Samples) {
	cmd.Flags().IntVar(&s.Random, "random", 0, "in the place of --data: this `number` of samples of normally distributed numbers")
}

// accuracyFigures words what two models answered.
func accuracyFigures(a *evaluate.Accuracy, g *evaluate.Agreement, d *evaluate.DataUsed) (list []report.Figure) {
	if g == nil || d == nil {
		return nil
	}
	on := "random numbers"
	if d.Path != "" {
		on = fmt.Sprintf("part %s of %s", d.Part, d.Path)
	}
	if a != nil {
		list = append(list,
			report.Figure{Label: "top-1", Value: fmt.Sprintf("%.2f %% → %.2f %%", a.Before, a.After), Detail: fmt.Sprintf("of %s, %s", plural(a.Samples, "sample", "samples"), on)},
			report.Figure{Label: "top-5", Value: fmt.Sprintf("%.2f %% → %.2f %%", float64(a.Top5.Before), float64(a.Top5.After))},
			report.Figure{Label: "loss", Value: fmt.Sprintf("%.4g → %.4g", float64(a.Loss.Before), float64(a.Loss.After)), Detail: "mean cross-entropy in nats"})
	}
	list = append(list, report.Figure{Label: "agreement", Value: fmt.Sprintf("%.2f %%", g.Percent), Detail: fmt.Sprintf("of %s get the same answer from both; %s", plural(g.Samples, "sample", "samples"), on)})
	if d.Skipped > 0 {
		list = append(list, report.Figure{Label: "skipped", Value: plural(d.Skipped, "sample", "samples"), Detail: "which could not be read"})
	}
	return list
}

// addOutputs shows how outputs differ.
func addOutputs(d *report.Document, r *evaluate.OutputsResult) {
	if r == nil {
		return
	}
	d.Figures = append(d.Figures, accuracyFigures(r.Accuracy, r.Agreement, &r.Data)...)
	d.Notes = append(d.Notes, r.Notes...)
	t := report.Table{Title: fmt.Sprintf("Outputs over %s", plural(r.Data.Samples, "sample", "samples")), Head: []string{"OUTPUT", "MAX ERROR", "OF ITS RANGE", "PROBLEM"}, Align: "lrrl"}
	for _, o := range r.Outputs {
		t.Rows = append(t.Rows, []string{o.Name, scientific(o.MaxError), scientific(o.Relative), o.Problem})
	}
	d.Tables = append(d.Tables, t)
}

// addNodes shows where models begin to differ.
func addNodes(d *report.Document, r *evaluate.NodesResult) {
	if r == nil {
		return
	}
	first := "none"
	if n := r.First; n != nil {
		first = fmt.Sprintf("%s, %s", nodeTitle(n), nodeError(n))
	}
	detail := fmt.Sprintf("%d of %s differ by more than %g of their range", r.Differ, plural(len(r.Nodes), "node", "nodes"), r.Tolerance)
	if r.Unmatched > 0 {
		detail += fmt.Sprintf("; %d have no counterpart", r.Unmatched)
	}
	d.Figures = append(d.Figures, report.Figure{Label: "first difference", Value: first, Detail: detail})
	if n := r.Worst; n != nil {
		d.Figures = append(d.Figures, report.Figure{Label: "worst", Value: fmt.Sprintf("%s, %s", nodeTitle(n), nodeError(n))})
	}
	t := report.Table{Title: "Nodes that differ", Head: []string{"NODE", "OP", "VALUE", "MAX ERROR", "OF ITS RANGE", "PROBLEM"}, Align: "lllrrl"}
	for _, n := range r.Nodes {
		if n.Problem != "" || float64(n.Relative) > r.Tolerance {
			t.Rows = append(t.Rows, []string{n.Node, n.Op, n.Name, scientific(n.MaxError), scientific(n.Relative), n.Problem})
		}
	}
	d.Tables = append(d.Tables, t)
}

func nodeTitle(n *evaluate.NodeDiff) string {
	if n.Node == "" {
		return n.Op + " → " + n.Name
	}
	return n.Op + " " + n.Node
}

func nodeError(n *evaluate.NodeDiff) string {
	if n.Problem != "" {
		return n.Problem
	}
	return fmt.Sprintf("error %s, %s of its range", scientific(n.MaxError), scientific(n.Relative))
}

// scientific words an error.
func scientific(v job.Float) string {
	if math.IsInf(float64(v), 0) {
		return "∞"
	}
	return fmt.Sprintf("%.3g", float64(v))
}
