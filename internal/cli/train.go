package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/effml/effml/configs"
	"github.com/effml/effml/fit"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/report"
	"github.com/effml/effml/train"
)

func (a *app) newTrain() *cobra.Command {
	c := fit.Config{Seed: 1}
	cmd := &cobra.Command{
		Use:     "train [MODEL|zoo:NAME] --data SPEC [--recipe F|NAME]",
		Short:   "Train a network, or go on training any ONNX model",
		GroupID: groupTrain,
		Example: `effml train --recipe mnist-lenet-300-100 --data data/mnist              # writes lenet_300_100.onnx
effml train model.onnx --data data/cifar10 --epochs 3 --lr 0.01         # go on with a trained model
effml train model.onnx --data photos --classes 7 --recipe imagenet-finetune  # new classes: a new last layer
effml train small.onnx --data photos --distill large.onnx --no-labels   # learn another model's answers
effml train zoo:resnet20 --data data/cifar10 --dry-run                  # what it will take
effml train zoo:resnet20 --data data/cifar10 --resume                   # go on after an interruption
effml train --recipe my.yaml --data data.yaml --tensorboard runs/1 --report curves.html`,
		Long: trainHelp(),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return job.Usagef("%s: %q is one argument too many", cmd.CommandPath(), args[1])
			}
			return nil
		},
		ValidArgsFunction: filesOf("onnx", "effml"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.resolve(cmd); err != nil {
				return err
			}
			c.Command, c.Threads, c.Force = a.command, a.settings.threads, a.settings.force
			if len(args) > 0 {
				c.Model = args[0]
			}
			return perform(cmd, a, work[*fit.Result]{
				inputs: []string{c.Model, c.Data, c.Distill}, outputs: []string{c.OutputPath(c.Model)},
				run: func(ctx context.Context, ev job.Events) (*fit.Result, error) {
					return fit.Run(ctx, c, ev)
				},
				show: showTrain,
			})
		},
	}
	a.addTrainFlags(cmd, &c)
	return cmd
}

func trainHelp() string {
	return `Trains weights by gradients. The graph stays as it is: a mask, a codebook or a quantiser that stands
before a weight keeps what it is there for. A recipe says how (` + "`effml schema recipe`" + ` lists its keys); those that
effml carries are
  ` + strings.Join(configs.Recipes(), "\n  ") + `
Without --recipe a zoo network is trained by scratch, a model by finetune. Flags replace what the recipe says.

The data's part train is trained on. A part of it is held out for validation where the data has no part val, as
the recipe says; with it the best epoch is chosen. The part test is evaluated once, at the end.

Checkpoints, metrics.jsonl and metrics.csv go to a folder beside the output. Ctrl-C writes a checkpoint; --resume
goes on from there, and the weights at the end are the same to the bit as without the interruption. They do not
depend on the number of threads either.`
}

// addTrainFlags adds what replaces the recipe, and where everything goes.
func (a *app) addTrainFlags(cmd *cobra.Command, c *fit.Config) {
	f := cmd.Flags()
	f.StringVar(&c.Recipe, "recipe", "", "how to train: a YAML `file`, or the name of a recipe")
	a.addData(cmd, &c.Data, &c.Preprocess, &c.SkipBad)
	f.StringVarP(&c.Output, "output", "o", "", "write the model to this `file` (default: NAME.onnx, or MODEL.trained.onnx)")
	f.IntVar(&c.Classes, "classes", 0, "give the network a new last layer for this `number` of classes")
	f.IntVar(&c.Epochs, "epochs", 0, "`number` of passes over the training data")
	f.IntVar(&c.Steps, "steps", 0, "in the place of epochs: `number` of changes of the weights")
	f.IntVar(&c.Batch, "batch", 0, "`number` of samples that are computed together")
	f.IntVar(&c.Accumulate, "accumulate", 0, "`number` of batches whose gradients are averaged for one step: a large batch in little memory")
	f.Float64Var(&c.Rate, "lr", 0, "learning `rate`, of one-cycle the largest")
	f.Uint64Var(&c.Seed, "seed", c.Seed, "of random weights, the order of the samples and augmentation")
	f.StringVar(&c.Distill, "distill", "", "learn the answers of this trained `model`, beside the labels where there are any")
	f.BoolVar(&c.NoLabels, "no-labels", false, "with --distill: do not train on labels")
	f.BoolVar(&c.Recompute, "recompute", false, "less memory for about a third more time: compute values between layers again on the way back")
	f.Var(sizeValue{&c.MaxMemory}, "max-memory", "refuse a training that takes more than this `size` (default: what the machine has available)")
	f.StringVar(&c.Checkpoint, "checkpoint", "", "`folder` for checkpoints and metrics (default: the output's name with .train)")
	f.IntVar(&c.Every, "checkpoint-every", 0, "`steps` between two checkpoints (default: one an epoch)")
	f.IntVar(&c.Keep, "keep", 1, "`number` of checkpoints to keep, beside the best")
	f.BoolVar(&c.Resume, "resume", false, "go on from the last checkpoint")
	f.StringVar(&c.TensorBoard, "tensorboard", "", "also write an event file of TensorBoard into this `folder`")
	f.Float64Var(&c.MinAccuracy, "min-accuracy", 0, "gate: miss it (exit code 3) when top-1 on the test data is below this `percentage`")
	f.BoolVar(&c.DryRun, "dry-run", false, "do a few steps to predict time and memory; write nothing")
	a.addReport(cmd)
	a.addJUnit(cmd)
	a.addShared(cmd)
	complete(cmd, "recipe", configs.Recipes())
}

func showTrain(r *fit.Result) *report.Document {
	d := &report.Document{Title: title(r.Input, r.Output), Gates: r.Gates, Notes: r.Notes}
	add := func(label, value, format string, args ...any) {
		d.Figures = append(d.Figures, report.Figure{Label: label, Value: value, Detail: fmt.Sprintf(format, args...)})
	}
	if r.Top1 != nil {
		add("top-1", fmt.Sprintf("%.2f %%", *r.Top1), "of %s, part %s of %s", plural(r.Samples, "sample", "samples"), r.Part, r.Data)
		add("top-5", fmt.Sprintf("%.2f %%", *r.Top5), "")
		add("loss", fmt.Sprintf("%.4g", float64(*r.Loss)), "mean cross-entropy in nats")
	}
	add("network", report.Count(r.Parameters)+" weights", "that change; %s", plural(r.Classes, "class", "classes"))
	if p := r.Plan; p != nil {
		add("plan", plural(p.Steps, "step", "steps"), "%s of %s", plural(p.Epochs, "epoch", "epochs"), plural(r.Train, "sample", "samples"))
		add("time", time.Duration(p.Seconds*float64(time.Second)).Round(time.Second).String(), "%s a step, the median of a few; evaluations not counted", milliseconds(p.StepMS))
		for _, f := range p.Fixed {
			add("not trained", report.Count(f.Numbers)+" numbers", "%s: %s", f.Why, names(f.Tensors))
		}
	} else {
		add("trained", plural(r.Steps, "step", "steps"), "%s of %s, %s held out", plural(r.Epochs, "epoch", "epochs"), plural(r.Train, "sample", "samples"), report.Count(int64(r.Val)))
	}
	add("speed", rate(r.ImagesPerS), "evaluations not counted")
	if r.Memory.Total > 0 { // nothing was left to do where a finished training is resumed
		add("memory", report.Size(r.Memory.Total), "predicted: %s for values between layers, %s for weights, %s for gradients and solver", report.Size(r.Memory.Activations), report.Size(r.Memory.Weights), report.Size(r.Memory.Solver))
	}
	if r.Preprocess != "" {
		add("preprocess", r.Preprocess, "stored with the model")
	}
	if f := r.Files; f != nil {
		add("metrics", f.Table, "%s", f.Lines)
		if f.TensorBoard != "" {
			add("tensorboard", f.TensorBoard, "")
		}
	}
	d.Curves = trainCurves(r.Result.Metrics)
	d.Tables = append(d.Tables, epochTable(r.Result.Metrics))
	return d
}

// names lists a few, and how many there are besides.
func names(all []string) string {
	const most = 3
	text := strings.Join(all[:min(most, len(all))], ", ")
	if n := len(all) - most; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

func epochTable(rows []train.Metrics) report.Table {
	t := report.Table{Title: "Epochs", Head: []string{"EPOCH", "LOSS", "TOP-1", "VAL LOSS", "VAL TOP-1", "IMAGES/S", ""}, Align: "rrrrrrl", HTML: len(rows) > 40}
	for _, m := range rows {
		row := []string{fmt.Sprint(m.Epoch), fmt.Sprintf("%.4f", float64(m.Loss)), "", "", "", report.Count(int64(m.SamplesPerS)), ""}
		if m.Top1 != nil {
			row[2] = fmt.Sprintf("%.2f %%", *m.Top1)
		}
		if m.Val != nil {
			row[3], row[4] = fmt.Sprintf("%.4f", float64(m.Val.Loss)), fmt.Sprintf("%.2f %%", m.Val.Top1)
		}
		if m.Best {
			row[6] = "best so far"
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// trainCurves draws what was measured over the epochs.
func trainCurves(rows []train.Metrics) []report.Curves {
	var loss, valLoss, top1, valTop1, rates report.Series
	loss.Name, valLoss.Name, top1.Name, valTop1.Name, rates.Name = "training", "validation", "training", "validation", "learning rate"
	for _, m := range rows {
		x := float64(m.Epoch)
		loss.Add(x, float64(m.Loss))
		rates.Add(x, m.Rate)
		if m.Top1 != nil {
			top1.Add(x, *m.Top1)
		}
		if m.Val != nil {
			valLoss.Add(x, float64(m.Val.Loss))
			valTop1.Add(x, m.Val.Top1)
		}
	}
	return []report.Curves{
		{Title: "Loss", X: "epoch", Series: []report.Series{loss, valLoss}},
		{Title: "Top-1 in percent", X: "epoch", Series: []report.Series{top1, valTop1}},
		{Title: "Learning rate", X: "epoch", Series: []report.Series{rates}},
	}
}
