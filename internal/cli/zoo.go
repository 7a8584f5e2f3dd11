package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/report"
	"github.com/effml/effml/zoo"
)

func (a *app) newZoo() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "zoo",
		Short:   "Well-known networks, untrained",
		GroupID: groupOther,
		Example: `effml zoo list
effml zoo make mobilenet_v2,width=0.5,size=96 -o small.onnx
effml bench zoo:resnet18                             # without a file`,
		Long: `Wherever a command takes a MODEL, zoo:NAME is one. Behind the name there may be, separated by commas:

  classes=10       length of the output
  size=96          height and width of the input
  input=1x49x10    its channels, height and width
  width=0.5        factor of the numbers of channels, for MobileNets
  seed=1           of the weights, which are drawn as the source of the network does`,
		Args: a.noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.newZooList(), a.newZooMake())
	return cmd
}

func (a *app) newZooList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the networks",
		Example: `effml zoo list
effml zoo list --json -`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.resolve(cmd); err != nil {
				return err
			}
			return perform(cmd, a, work[*zoo.ListResult]{
				run:  func(context.Context, job.Events) (*zoo.ListResult, error) { return zoo.List(a.command), nil },
				show: showZoo,
			})
		},
	}
	a.addShared(cmd)
	return cmd
}

func (a *app) newZooMake() *cobra.Command {
	var c zoo.MakeConfig
	cmd := &cobra.Command{
		Use:   "make NAME[,KEY=VALUE…]",
		Short: "Write a network as an ONNX model",
		Example: `effml zoo make resnet20                      # writes resnet20.onnx
effml zoo make mobilenet_v2,width=0.5,size=96,classes=10,seed=2 -o m.onnx`,
		Long: "`effml help zoo` tells the keys.",
		Args: exactly("NAME"),
		ValidArgsFunction: func(*cobra.Command, []string, string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			for _, n := range zoo.Networks() {
				names = append(names, cobra.CompletionWithDesc(n.Name, n.Source))
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.resolve(cmd); err != nil {
				return err
			}
			c.Spec, c.Command, c.Force = args[0], a.command, a.settings.force
			return perform(cmd, a, work[*zoo.MakeResult]{
				outputs: []string{c.OutputPath()},
				run: func(ctx context.Context, ev job.Events) (*zoo.MakeResult, error) {
					return zoo.Make(ctx, c, ev)
				},
				show: func(r *zoo.MakeResult) *report.Document {
					return &report.Document{Title: r.Network + " → " + r.Output.Path, Figures: []report.Figure{
						{Label: "file", Value: report.Size(r.Output.Bytes), Detail: report.Count(r.Output.Bytes) + " bytes"},
						{Label: "input", Value: "input", Detail: fmt.Sprintf("float [N,%d,%d,%d]", r.Input[0], r.Input[1], r.Input[2])},
						{Label: "output", Value: "logits", Detail: fmt.Sprintf("float [N,%d]", r.Classes)},
					}}
				},
			})
		},
	}
	cmd.Flags().StringVarP(&c.Output, "output", "o", "", "write the model to this `file` (default: NAME.onnx)")
	a.addShared(cmd)
	return cmd
}

func showZoo(r *zoo.ListResult) *report.Document {
	t := report.Table{Head: []string{"NAME", "INPUT", "CLASSES", "PARAMETERS", "MACS", "WIDTH", "SOURCE"}, Align: "llrrrll"}
	for _, n := range r.Networks {
		width := ""
		if n.Scalable {
			width = "any"
		}
		t.Rows = append(t.Rows, []string{
			n.Name, fmt.Sprintf("%d×%d×%d", n.Input[0], n.Input[1], n.Input[2]), report.Count(int64(n.Classes)), report.Count(n.Parameters), report.Count(n.MACs), width, n.Source,
		})
	}
	return &report.Document{Title: "Networks, for zoo:NAME", Tables: []report.Table{t}}
}
