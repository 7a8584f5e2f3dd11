package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/effml/effml/evaluate"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/report"
)

func (a *app) newRun() *cobra.Command {
	var c evaluate.RunConfig
	var inputs []string
	cmd := &cobra.Command{
		Use:     "run MODEL --input [NAME=]FILE.npy",
		Short:   "Compute a model's outputs for given inputs",
		GroupID: groupRun,
		Example: `effml run model.onnx --input x.npy                          # a model with one input
effml run model.effml --input data=x.npy --input len=n.npy  # several
effml run model.onnx --input all.npz -o out.npz             # by the names in the file
effml run model.onnx --input hundred.npy -o out.npz         # 100x1x3x224x224 for an input 1x3x224x224: 100 runs`,
		Args:              exactly("MODEL"),
		ValidArgsFunction: filesOf("onnx", "effml"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.resolve(cmd); err != nil {
				return err
			}
			c.Path, c.Command, c.Threads, c.Force = args[0], a.command, a.settings.threads, a.settings.force
			c.Inputs = map[string]string{}
			files := []string{c.Path}
			for _, word := range inputs {
				name, file := "", word
				if at := strings.LastIndexByte(word, '='); at >= 0 {
					name, file = word[:at], word[at+1:]
				}
				if c.Inputs[name] != "" {
					return job.Usagef("run: input %q is given twice", name)
				}
				c.Inputs[name] = file
				files = append(files, file)
			}
			return perform(cmd, a, work[*evaluate.RunResult]{
				inputs: files, outputs: []string{c.Output},
				run: func(ctx context.Context, ev job.Events) (*evaluate.RunResult, error) {
					return evaluate.Run(ctx, c, ev)
				},
				show: showRun,
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&inputs, "input", nil, "value of an input, as `[NAME=]FILE` of NumPy's .npy, or .npz for several; repeat it")
	f.StringVarP(&c.Output, "output", "o", "", "write the outputs into this .npz `file`")
	a.addShared(cmd)
	return cmd
}

func showRun(r *evaluate.RunResult) *report.Document {
	d := &report.Document{Title: title(r.Input, r.Output), Notes: r.Notes}
	detail := "once, without warming up"
	if r.Samples > 0 {
		detail = "mean of " + plural(r.Samples, "sample", "samples")
	}
	d.Figures = []report.Figure{{Label: "run", Value: milliseconds(r.MS), Detail: detail}}
	t := report.Table{Title: "Outputs", Head: []string{"OUTPUT", "TYPE", "SHAPE", "MIN", "MAX", "MEAN", "NAN", "FIRST"}, Align: "lllrrrrl"}
	for _, o := range r.Outputs {
		first := make([]string, len(o.First))
		for i, v := range o.First {
			first[i] = fmt.Sprintf("%.4g", v)
		}
		t.Rows = append(t.Rows, []string{
			o.Name, o.Type, o.Shape, fmt.Sprintf("%.4g", float64(o.Min)), fmt.Sprintf("%.4g", float64(o.Max)), fmt.Sprintf("%.4g", float64(o.Mean)), blankZero(int64(o.NaN)), strings.Join(first, " "),
		})
	}
	d.Tables = append(d.Tables, t)
	return d
}
