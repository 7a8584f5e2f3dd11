package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/effml/effml/deepcompress"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/report"
)

func (a *app) newVerify() *cobra.Command {
	var c deepcompress.VerifyConfig
	cmd := &cobra.Command{
		Use:     "verify IN.effml",
		Short:   "Decode everything in an archive and say what is damaged",
		GroupID: groupCompress,
		Example: `effml verify model.effml
effml verify model.effml --against model.onnx                # and compare with the original
effml verify model.effml --against model.onnx --data data/mnist --max-accuracy-drop 0.5
effml verify model.effml --against model.onnx --random 100   # the outputs, without data`,
		Long: `Exit code 8 says that the archive is damaged, or that a tensor differs from the original although it
was stored without loss. With --against, the error of each tensor that was quantised is measured.

With --data both models run over the test part: largest error of the outputs, how often both give the same
answer, and the accuracy of both where there are labels. Of an archive in which nothing was lost the outputs
may differ by no more than --tolerance of their range, else the exit code is 8; of others the difference is
reported and the gates apply (exit code 3).`,
		Args:              exactly("IN.effml"),
		ValidArgsFunction: filesOf("effml"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.resolve(cmd); err != nil {
				return err
			}
			c.Input, c.Command, c.Threads = args[0], a.command, a.settings.threads
			return perform(cmd, a, work[*deepcompress.VerifyResult]{
				inputs: []string{c.Input, c.Against, c.Data},
				run: func(ctx context.Context, ev job.Events) (*deepcompress.VerifyResult, error) {
					return deepcompress.Verify(ctx, c, ev)
				},
				show: showVerify,
			})
		},
	}
	cmd.Flags().StringVar(&c.Against, "against", "", "compare with the model it was made from, this `file`")
	a.addData(cmd, &c.Data, &c.Preprocess, &c.SkipBad)
	addRandom(cmd, &c.Samples)
	cmd.Flags().Float64Var(&c.Tolerance, "tolerance", deepcompress.DefaultTolerance, "`fraction` of their range that the outputs may differ where nothing was lost")
	addLimits(cmd, &c.Limits)
	cmd.Flags().Var(sizeValue{&c.MaxDecoded}, "max-decoded", "refuse an archive whose tensors take more (default: 1 GiB or 10,000 times the archive, whichever is more)")
	a.addReport(cmd)
	a.addJUnit(cmd)
	a.addShared(cmd)
	return cmd
}

func showVerify(r *deepcompress.VerifyResult) *report.Document {
	d := &report.Document{Title: title(r.Input, nil), Gates: r.Gates}
	state := "OK"
	if !r.OK {
		state = "FAILED"
	}
	d.Figures = []report.Figure{
		{Label: "verify", Value: state, Detail: fmt.Sprintf("%s decoded: %d stored as codes, %d without loss", plural(r.Tensors, "tensor", "tensors"), r.Packed, r.Lossless)},
	}
	damage := report.Table{Title: "Damage", Head: []string{"TENSOR", "BLOCK", "BYTE", "WHAT"}, Align: "lrrl"}
	for _, x := range r.Damage {
		damage.Rows = append(damage.Rows, []string{x.Tensor, blankNegative(int64(x.Block)), blankNegative(x.Offset), x.Error})
	}
	d.Tables = append(d.Tables, damage)
	if c := r.Against; c != nil {
		d.Figures = append(d.Figures, report.Figure{
			Label: "against", Value: fmt.Sprintf("%d equal, %d lossy, %d mismatched", c.Equal, c.Lossy, c.Mismatched), Detail: c.Model.Path,
		})
		t := report.Table{Title: "Tensors that differ", Head: []string{"TENSOR", "STATUS", "MAX ERROR", "SQNR dB", "PROBLEM"}, Align: "llrrl"}
		for _, m := range c.Tensors {
			if m.Status != "equal" {
				t.Rows = append(t.Rows, []string{m.Name, m.Status, fmt.Sprintf("%.3g", m.MaxError), optional(m.SQNR), m.Problem})
			}
		}
		d.Tables = append(d.Tables, t)
	}
	addOutputs(d, r.Outputs)
	return d
}
