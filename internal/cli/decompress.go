package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/effml/effml/deepcompress"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/report"
)

func (a *app) newDecompress() *cobra.Command {
	var c deepcompress.DecompressConfig
	cmd := &cobra.Command{
		Use:     "decompress IN.effml",
		Short:   "Make a plain ONNX model of an archive",
		GroupID: groupCompress,
		Example: `effml decompress model.effml              # writes model.onnx
effml decompress model.effml -o out.onnx`,
		Long: `Every checksum is compared on the way: a damaged archive is never turned into a model (exit code 8).
External data is written beside the model as the original had it.`,
		Args:              exactly("IN.effml"),
		ValidArgsFunction: filesOf("effml"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.resolve(cmd); err != nil {
				return err
			}
			c.Input, c.Command, c.Threads, c.Force = args[0], a.command, a.settings.threads, a.settings.force
			return perform(cmd, a, work[*deepcompress.DecompressResult]{
				inputs: []string{c.Input}, outputs: []string{c.OutputPath()},
				run: func(ctx context.Context, ev job.Events) (*deepcompress.DecompressResult, error) {
					return deepcompress.Decompress(ctx, c, ev)
				},
				show: showDecompress,
			})
		},
	}
	f := cmd.Flags()
	f.StringVarP(&c.Output, "output", "o", "", "write the model to this `file` (default: IN.onnx)")
	f.BoolVar(&c.Inline, "inline", false, "put external data into the model file where it fits (2 GB)")
	f.Var(sizeValue{&c.MaxDecoded}, "max-decoded", "refuse an archive whose tensors take more (default: 1 GiB or 10,000 times the archive, whichever is more)")
	a.addShared(cmd)
	return cmd
}

func showDecompress(r *deepcompress.DecompressResult) *report.Document {
	d := &report.Document{Title: title(r.Input, r.Output)}
	if r.Input != nil && r.Output != nil {
		d.Figures = append(d.Figures, report.Figure{
			Label: "file", Value: ratioOf(r.Output.Bytes, r.Input.Bytes) + " larger",
			Detail: report.SizeExact(r.Input.Bytes) + " → " + report.SizeExact(r.Output.Bytes),
		})
	}
	d.Figures = append(d.Figures, report.Figure{
		Label: "tensors", Value: report.Count(int64(r.Tensors)),
		Detail: fmt.Sprintf("%s elements, all checksums agree", report.Count(r.Weights)),
	})
	if r.Output != nil && len(r.Output.Files) > 1 {
		t := report.Table{Title: "Files", Head: []string{"FILE", "BYTES"}, Align: "lr"}
		for _, f := range r.Output.Files {
			t.Rows = append(t.Rows, []string{f.Path, report.Count(f.Bytes)})
		}
		d.Tables = append(d.Tables, t)
	}
	return d
}
