package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/effml/effml/evaluate"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/report"
)

func (a *app) newDiff() *cobra.Command {
	var c evaluate.DiffConfig
	var markdown bool
	cmd := &cobra.Command{
		Use:     "diff A B",
		Short:   "Compare two models: graph, tensors and bytes",
		GroupID: groupInspect,
		Example: `effml diff model.onnx model.effml
effml diff old.onnx new.onnx --md >> comment.md   # for a pull request
effml diff a.onnx b.onnx --data data/mnist        # and at which node they begin to differ
effml diff a.onnx b.onnx --random 8 --tolerance 1e-5`,
		Long: `A and B are .onnx or .effml files. Noise is measured with A as the signal. Differences are the result,
not a failure: the exit code is 0 whatever they are, and "equal" in --json tells.

With --data both run over samples, and the values of all nodes are compared: the first node in the order of
A that differs by more than --tolerance of its range, and the worst one. Nodes are matched by the name of
what they compute, those left over by operator and place.`,
		Args:              exactly("A", "B"),
		ValidArgsFunction: filesOf("onnx", "effml"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.resolve(cmd); err != nil {
				return err
			}
			c.A, c.B, c.Command, c.Threads = args[0], args[1], a.command, a.settings.threads
			return perform(cmd, a, work[*evaluate.DiffResult]{
				inputs: []string{c.A, c.B, c.Data},
				run: func(ctx context.Context, ev job.Events) (*evaluate.DiffResult, error) {
					return evaluate.Diff(ctx, c, ev)
				},
				show: showDiff, markdown: markdown,
			})
		},
	}
	a.addData(cmd, &c.Data, &c.Preprocess, &c.SkipBad)
	addRandom(cmd, &c.Samples)
	cmd.Flags().IntVar(&c.Limit, "samples", 64, "stop after this `number` of samples; 0 is all")
	cmd.Flags().Float64Var(&c.Tolerance, "tolerance", evaluate.NodeTolerance, "`fraction` of their range by which values of nodes may differ and count as equal")
	cmd.Flags().BoolVar(&markdown, "md", false, "print Markdown")
	a.addReport(cmd)
	a.addShared(cmd)
	return cmd
}

func showDiff(r *evaluate.DiffResult) *report.Document {
	s := r.Summary
	d := &report.Document{Title: r.A.Path + " → " + r.B.Path, Sides: [2]string{"in A", "in B"}}
	verdict := "different"
	if r.Equal {
		verdict = "equal"
	}
	graph := "differs"
	if r.Graph.Equal {
		graph = "equal"
	}
	d.Figures = []report.Figure{
		{Label: "models", Value: verdict, Detail: fmt.Sprintf("graph %s; tensors: %d equal, %d changed, %d added, %d removed", graph, s.Equal, s.Changed, s.Added, s.Removed)},
		{Label: "bytes", Value: ratioOf(r.A.Bytes, r.B.Bytes), Detail: report.SizeExact(r.A.Bytes) + " → " + report.SizeExact(r.B.Bytes)},
		{Label: "parameters", Value: change(r.A.Parameters, r.B.Parameters), Detail: "not zero: " + change(r.A.NonZero, r.B.NonZero)},
	}
	if s.Changed > 0 {
		d.Figures = append(d.Figures, report.Figure{Label: "error", Value: decibels(s.SQNR), Detail: fmt.Sprintf("signal-to-noise ratio over all weights; largest difference %.3g", float64(s.MaxError))})
	}
	changes := report.Table{Title: "Graph", Head: []string{"NAME", "WHAT", "A", "B"}, Align: "llll"}
	for _, part := range []struct {
		name string
		list []evaluate.Change
	}{{"node", r.Graph.Nodes}, {"input", r.Graph.Inputs}, {"output", r.Graph.Outputs}, {"opset", r.Graph.Opsets}, {"metadata", r.Graph.Metadata}} {
		for _, c := range part.list {
			changes.Rows = append(changes.Rows, []string{c.Name, part.name + " " + c.Kind, report.Shorten(c.A, 60), report.Shorten(c.B, 60)})
		}
	}
	tensors := report.Table{
		Title: "Tensors that differ", Head: []string{"TENSOR", "STATUS", "A", "B", "CHANGED", "MAX ERROR", "SQNR dB", "ZEROS A", "ZEROS B", "BYTES A", "BYTES B"},
		Align: "llllrrrrrrr",
	}
	for _, t := range r.Tensors {
		name := t.Name
		if t.Graph != "" {
			name = t.Graph + "/" + name
		}
		d.Bars = append(d.Bars, report.Bar{Name: name, Before: t.BytesA, After: t.BytesB})
		if t.Status != "equal" {
			tensors.Rows = append(tensors.Rows, diffRow(name, t))
		}
	}
	d.Tables = []report.Table{changes, tensors}
	addOutputs(d, r.Outputs)
	addNodes(d, r.Nodes)
	return d
}

func diffRow(name string, t evaluate.TensorDiff) []string {
	side := func(dataType string, shape []int64) string {
		if dataType == "" {
			return ""
		}
		return typedShape(dataType, shape)
	}
	largest := ""
	if t.MaxError != nil {
		largest = fmt.Sprintf("%.3g", float64(*t.MaxError))
	}
	return []string{
		name, t.Status, side(t.TypeA, t.ShapeA), side(t.TypeB, t.ShapeB), blankZero(t.Changed), largest, optional(t.SQNR),
		fmt.Sprintf("%.1f %%", t.ZerosA), fmt.Sprintf("%.1f %%", t.ZerosB), report.Count(t.BytesA), report.Count(t.BytesB),
	}
}

// change words two counts: one number where they are equal.
func change(a, b int64) string {
	if a == b {
		return report.Count(a)
	}
	return report.Count(a) + " → " + report.Count(b)
}
