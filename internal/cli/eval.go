package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/effml/effml/evaluate"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/report"
)

func (a *app) newEval() *cobra.Command {
	var c evaluate.EvalConfig
	cmd := &cobra.Command{
		Use:     "eval MODEL --data SPEC",
		Short:   "Measure the accuracy of a classifier",
		GroupID: groupRun,
		Example: `effml eval model.onnx --data data/mnist
effml eval model.effml --data imagenet.yaml --per-class
effml eval model.onnx --data images --preprocess resize=256,crop=224,scale=1/127.5,mean=1
effml eval model.effml --data data/cifar10 --min-accuracy 91   # for CI: exit code 3 below it`,
		Long: `SPEC is a folder or file whose format is recognised (IDX, CIFAR-10, a folder of images a class or a
labels.tsv, .npz with x and y, CSV), or a YAML document that names it, its preprocessing and its parts.
y = (x · scale − mean) / std per channel, x in 0…255; resize is of the short side. What was assumed is
printed. The test part is used unless --part says otherwise.`,
		Args:              exactly("MODEL"),
		ValidArgsFunction: filesOf("onnx", "effml"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.resolve(cmd); err != nil {
				return err
			}
			c.Path, c.Command, c.Threads, c.Force = args[0], a.command, a.settings.threads, a.settings.force
			return perform(cmd, a, work[*evaluate.EvalResult]{
				inputs: []string{c.Path, c.Data}, outputs: []string{c.Predictions},
				run: func(ctx context.Context, ev job.Events) (*evaluate.EvalResult, error) {
					return evaluate.Eval(ctx, c, ev)
				},
				show: showEval,
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Part, "part", "", "`part` of the data: train, val or test (default test)")
	f.IntVar(&c.Batch, "batch", 0, "`number` of samples a run (default: what the model takes, or 16)")
	f.BoolVar(&c.Confusion, "confusion", false, "also print which classes were taken for which")
	f.BoolVar(&c.PerClass, "per-class", false, "also print the accuracy of each class")
	f.StringVar(&c.Predictions, "predictions", "", "write the answer to each sample into this CSV `file`")
	f.Float64Var(&c.MinAccuracy, "min-accuracy", 0, "gate: miss it (exit code 3) when top-1 is below this `percentage`")
	a.addData(cmd, &c.Data, &c.Preprocess, &c.SkipBad)
	a.addReport(cmd)
	a.addJUnit(cmd)
	a.addShared(cmd)
	complete(cmd, "part", []string{"train", "val", "test"})
	return cmd
}

// addData adds the flags that name data.
func (a *app) addData(cmd *cobra.Command, data, preprocess *string, skipBad *int) {
	f := cmd.Flags()
	f.StringVar(data, "data", "", "`SPEC` of the data: a folder, a file, or a YAML document that names them; see effml help data")
	f.StringVar(preprocess, "preprocess", "", "change these `keys` of the SPEC: resize=256,crop=224,channels=bgr,scale=1,mean=104:117:123,std=1,layout=nchw")
	f.IntVar(skipBad, "skip-bad", 0, "leave out up to this `number` of samples that cannot be read")
}

func showEval(r *evaluate.EvalResult) *report.Document {
	d := &report.Document{Title: title(r.Input, nil), Gates: r.Gates, Notes: r.Notes}
	d.Figures = []report.Figure{
		{Label: "top-1", Value: fmt.Sprintf("%.2f %%", r.Top1), Detail: fmt.Sprintf("of %s, part %s of %s", plural(r.Samples, "sample", "samples"), r.Part, r.Data)},
		{Label: "top-5", Value: fmt.Sprintf("%.2f %%", r.Top5)},
		{Label: "loss", Value: fmt.Sprintf("%.4g", float64(r.Loss)), Detail: "mean cross-entropy in nats"},
		{Label: "speed", Value: rate(r.ImagesPerS), Detail: "reading and preprocessing included"},
	}
	if r.Preprocess != "" {
		d.Figures = append(d.Figures, report.Figure{Label: "preprocess", Value: r.Preprocess})
	}
	if r.Skipped > 0 {
		d.Figures = append(d.Figures, report.Figure{Label: "skipped", Value: plural(r.Skipped, "sample", "samples"), Detail: "which could not be read"})
	}
	classes := report.Table{Title: "Classes", Head: []string{"CLASS", "SAMPLES", "TOP-1"}, Align: "lrr"}
	for _, c := range r.PerClass {
		classes.Rows = append(classes.Rows, []string{c.Class, report.Count(int64(c.Samples)), fmt.Sprintf("%.2f %%", c.Top1)})
	}
	confusion := report.Table{Title: "Confusion", Head: []string{"CLASS", "ANSWER", "SAMPLES"}, Align: "llr"}
	for _, c := range r.Confusion {
		confusion.Rows = append(confusion.Rows, []string{c.Class, c.Answer, report.Count(int64(c.Samples))})
	}
	d.Tables = append(d.Tables, classes, confusion)
	return d
}
