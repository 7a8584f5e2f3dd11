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
effml verify model.effml --against model.onnx   # and compare with the original`,
		Long: `Exit code 8 says that the archive is damaged, or that a tensor differs from the original although it
was stored without loss. With --against, the error of each tensor that was quantised is measured.`,
		Args:              exactly("IN.effml"),
		ValidArgsFunction: filesOf("effml"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.resolve(cmd); err != nil {
				return err
			}
			c.Input, c.Command, c.Threads = args[0], a.command, a.settings.threads
			return perform(cmd, a, work[*deepcompress.VerifyResult]{
				inputs: []string{c.Input, c.Against},
				run: func(ctx context.Context, ev job.Events) (*deepcompress.VerifyResult, error) {
					return deepcompress.Verify(ctx, c, ev)
				},
				show: showVerify,
			})
		},
	}
	cmd.Flags().StringVar(&c.Against, "against", "", "compare with the model it was made from, this `file`")
	cmd.Flags().Var(sizeValue{&c.MaxDecoded}, "max-decoded", "refuse an archive whose tensors take more (default: 1 GiB or 10,000 times the archive, whichever is more)")
	a.addShared(cmd)
	return cmd
}

func showVerify(r *deepcompress.VerifyResult) *report.Document {
	d := &report.Document{Title: title(r.Input, nil)}
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
	return d
}
