package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/effml/effml/evaluate"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/report"
)

func (a *app) newInspect() *cobra.Command {
	var c evaluate.InspectConfig
	var shapes []string
	var nodes bool
	cmd := &cobra.Command{
		Use:     "inspect FILE.onnx|FILE.effml",
		Short:   "Show what is in a model and where its bytes are",
		GroupID: groupInspect,
		Example: `effml inspect model.onnx
effml inspect model.onnx --nodes                          # what every node gives, computes and moves
effml inspect model.onnx --shape data=1x3x320x320         # MACs at that size, where the model leaves it open
effml inspect model.effml --report where.html
effml inspect zoo:mobilenet_v2,width=0.5,size=96          # a well-known network: effml zoo list
effml inspect model.onnx --json - | jq '.operators'`,
		Long: `MACs are multiplications with an addition in convolutions, matrix products, recurrent layers and attention,
for one sample where the model leaves the batch open. Where they cannot be told for a node, --nodes says why.`,
		Args:              exactly("FILE.onnx|FILE.effml"),
		ValidArgsFunction: filesOf("onnx", "effml"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := a.resolve(cmd); err != nil {
				return err
			}
			if c.Shapes, err = parseShapes(shapes); err != nil {
				return err
			}
			c.Path, c.Command, c.Threads = args[0], a.command, a.settings.threads
			c.Histogram = a.settings.report != "" && !c.NoStats
			return perform(cmd, a, work[*evaluate.InspectResult]{
				inputs: []string{c.Path},
				run: func(ctx context.Context, ev job.Events) (*evaluate.InspectResult, error) {
					return evaluate.Inspect(ctx, c, ev)
				},
				show: func(r *evaluate.InspectResult) *report.Document { return showInspect(r, nodes) },
			})
		},
	}
	cmd.Flags().StringArrayVar(&shapes, "shape", nil, "shape of an input, as `NAME=1x3x224x224`; repeat it for others")
	cmd.Flags().BoolVar(&nodes, "nodes", false, "also list the nodes, with shapes and MACs")
	cmd.Flags().BoolVar(&c.NoStats, "no-stats", false, "do not read the tensors' values: faster, no distribution")
	a.addReport(cmd)
	a.addShared(cmd)
	return cmd
}

func showInspect(r *evaluate.InspectResult, nodes bool) *report.Document {
	d := &report.Document{Title: title(r.Input, nil), Sides: [2]string{"bytes", ""}}
	m := r.Model
	if r.Input != nil {
		d.Figures = append(d.Figures, report.Figure{Label: "file", Value: report.Size(r.Input.Bytes), Detail: fmt.Sprintf("%s bytes, %s", report.Count(r.Input.Bytes), kind(r))})
	}
	var opsets []string
	for _, o := range m.Opsets {
		domain := o.Domain
		if domain == "" {
			domain = "ai.onnx"
		}
		opsets = append(opsets, fmt.Sprintf("%s %d", domain, o.Version))
	}
	d.Figures = append(d.Figures,
		report.Figure{Label: "model", Value: m.Graph, Detail: strings.TrimSpace(fmt.Sprintf("IR %d, %s, by %s %s", m.IRVersion, strings.Join(opsets, ", "), orUnknown(m.Producer), m.ProducerVersion))},
		report.Figure{Label: "graph", Value: plural(m.Nodes, "node", "nodes"), Detail: graphDetail(m)},
		report.Figure{Label: "inputs", Value: plural(len(m.Inputs), "input", "inputs"), Detail: values(m.Inputs)},
		report.Figure{Label: "outputs", Value: plural(len(m.Outputs), "output", "outputs"), Detail: values(m.Outputs)},
		report.Figure{Label: "parameters", Value: report.Count(r.Parameters), Detail: fmt.Sprintf("%s in %s; everything else takes %s", report.Size(r.TensorBytes), plural(len(r.Tensors), "tensor", "tensors"), report.Size(r.GraphBytes))},
	)
	d.Figures = append(d.Figures, macsFigure(r))
	if r.Archive != nil {
		showArchive(d, r)
	}
	ops := report.Table{Title: "Operators", Head: []string{"OPERATOR", "NODES", "MACS", "SHARE", "MOVED", "PARAMETERS", "BYTES"}, Align: "lrrrrrr"}
	for _, o := range r.Operators {
		ops.Rows = append(ops.Rows, []string{o.Op, report.Count(int64(o.Count)), blankZero(o.MACs), shareOf(o.MACs, r.MACs), blankZero(o.Moved), blankZero(o.Parameters), blankZero(o.Bytes)})
	}
	d.Tables = append(d.Tables, ops)
	if nodes {
		d.Tables = append(d.Tables, nodeTable(r))
	}
	if len(r.DataTypes) > 1 {
		types := report.Table{Title: "Data types", Head: []string{"TYPE", "TENSORS", "ELEMENTS", "BYTES"}, Align: "lrrr"}
		for _, t := range r.DataTypes {
			types.Rows = append(types.Rows, []string{t.Type, report.Count(int64(t.Tensors)), report.Count(t.Elements), report.Count(t.Bytes)})
		}
		d.Tables = append(d.Tables, types)
	}
	d.Tables = append(d.Tables, inspectTensors(d, r))
	problems := report.Table{Title: "Problems", Head: []string{"NODE", "TENSOR", "WHAT"}, Align: "lll"}
	for _, p := range r.Problems {
		problems.Rows = append(problems.Rows, []string{p.Node, p.Tensor, p.Message})
	}
	d.Tables = append(d.Tables, problems)
	return d
}

// macsFigure says what a run computes, and at which inputs.
func macsFigure(r *evaluate.InspectResult) report.Figure {
	f := report.Figure{Label: "MACs", Value: report.Count(r.MACs), Detail: report.Size(r.MovedBytes) + " moved"}
	if len(r.MACsAt) > 0 {
		f.Detail += "; at " + values(r.MACsAt)
	}
	if r.MACsUnknown > 0 && r.MACs == 0 {
		f.Value = "unknown"
	}
	if r.MACsUnknown > 0 {
		i := slices.IndexFunc(r.Nodes, func(n evaluate.NodeInfo) bool { return n.Unknown != "" })
		n := r.Nodes[i]
		f.Detail += fmt.Sprintf("; unknown for %s, the first %q (%s): %s", plural(r.MACsUnknown, "node", "nodes"), n.Node, n.Op, n.Unknown)
	}
	return f
}

func nodeTable(r *evaluate.InspectResult) report.Table {
	t := report.Table{Title: "Nodes", Head: []string{"NODE", "OP", "OUTPUT", "MACS", "SHARE", "PARAMETERS", "MOVED", "UNKNOWN"}, Align: "lllrrrrl"}
	for _, n := range r.Nodes {
		var outputs []string
		for _, o := range n.Outputs {
			outputs = append(outputs, o.Type+o.Shape)
		}
		t.Rows = append(t.Rows, []string{
			n.Node, n.Op, strings.Join(outputs, " "), blankZero(n.MACs), shareOf(n.MACs, r.MACs), blankZero(n.Parameters), blankZero(n.Moved), n.Unknown,
		})
	}
	return t
}

// shareOf writes a part of a whole as a percentage, nothing where there is none.
func shareOf(part, whole int64) string {
	if part == 0 || whole == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}

// showArchive adds where the bytes of an archive went.
func showArchive(d *report.Document, r *evaluate.InspectResult) {
	b := r.Archive.Bytes
	for _, p := range [][2]string{
		{"codes", "codes"},
		{"positions", "positions"},
		{"raw", "lossless tensors"},
		{"codebooks", "codebooks"},
		{"topology", "graph"},
		{"header", "header"},
		{"checksums", "checksums"},
	} {
		d.Parts = append(d.Parts, report.Part{Name: p[1], Bytes: b[p[0]]})
	}
	d.Sides = [2]string{"decoded", "in the archive"}
	t := report.Table{Title: "Coverage by coder", Head: []string{"CODER", "TENSORS", "ELEMENTS", "COVERAGE", "STORED"}, Align: "lrrrr"}
	for _, c := range r.Archive.Coders {
		t.Rows = append(t.Rows, []string{c.Name, report.Count(int64(c.Tensors)), report.Count(c.Elements), fmt.Sprintf("%.1f %%", c.Coverage), report.Count(c.Bytes)})
	}
	d.Tables = append(d.Tables, t)
}

func inspectTensors(d *report.Document, r *evaluate.InspectResult) report.Table {
	t := report.Table{Title: "Tensors", Head: []string{"TENSOR", "OP", "SHAPE", "BYTES"}, Align: "lllr"}
	if r.Archive != nil {
		t.Head, t.Align = append(t.Head, "STORED", "RATIO", "FORM", "CODER"), t.Align+"rrll"
	} else {
		t.Head, t.Align = append(t.Head, "STORAGE"), t.Align+"l"
	}
	t.Head, t.Align = append(t.Head, "MIN", "MAX", "SIGMA", "ZEROS"), t.Align+"rrrr"
	largestFirst := slices.Clone(r.Tensors)
	slices.SortStableFunc(largestFirst, func(a, b evaluate.TensorInfo) int {
		return cmp.Or(cmp.Compare(b.Stored, a.Stored), cmp.Compare(b.Bytes, a.Bytes))
	})
	for _, x := range largestFirst {
		name := x.Name
		if x.Graph != "" {
			name = x.Graph + "/" + name
		}
		row := []string{name, x.Op, typedShape(x.Type, x.Shape), report.Count(x.Bytes)}
		if r.Archive != nil {
			row = append(row, report.Count(x.Stored), ratioOf(x.Bytes, x.Stored), x.Form, x.Method)
		} else {
			row = append(row, x.Storage)
		}
		if s := x.Stats; s != nil {
			row = append(row, fmt.Sprintf("%.3g", s.Min), fmt.Sprintf("%.3g", s.Max), fmt.Sprintf("%.3g", s.Sigma), fmt.Sprintf("%.1f %%", s.Zeros))
			if len(s.Histogram) > 0 {
				d.Histograms = append(d.Histograms, report.Histogram{Name: name, Min: s.Min, Max: s.Max, Before: s.Histogram})
			}
		} else {
			row = append(row, "", "", "", "")
		}
		t.Rows = append(t.Rows, row)
		d.Bars = append(d.Bars, report.Bar{Name: name, Before: x.Bytes, After: x.Stored})
	}
	return t
}

func kind(r *evaluate.InspectResult) string {
	if r.Archive != nil {
		return fmt.Sprintf("archive of format %d", r.Archive.Format)
	}
	return "ONNX"
}

func graphDetail(m evaluate.ModelInfo) string {
	var parts []string
	if m.SubGraphs > 0 {
		parts = append(parts, plural(m.SubGraphs, "sub-graph", "sub-graphs"))
	}
	if m.Functions > 0 {
		parts = append(parts, plural(m.Functions, "function", "functions"))
	}
	return strings.Join(parts, ", ")
}

// values words inputs or outputs: name type shape.
func values(vs []evaluate.Value) string {
	words := make([]string, 0, len(vs))
	for i, v := range vs {
		if i == 6 {
			words = append(words, fmt.Sprintf("… and %d more", len(vs)-i))
			break
		}
		words = append(words, strings.TrimSpace(v.Name+" "+v.Type+" "+v.Shape))
	}
	return strings.Join(words, ", ")
}

func orUnknown(s string) string {
	if s == "" {
		return "an unknown producer"
	}
	return s
}
