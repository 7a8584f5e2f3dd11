package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/effml/effml/configs"
	"github.com/effml/effml/deepcompress"
	"github.com/effml/effml/huffman"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/report"
)

const compressHelp = `The archive holds everything of the model: graph, attributes, metadata and all tensors. ` + "`effml decompress`" + `
makes a plain ONNX model of it again. Nothing is retrained and no data is needed: levels are chosen for
each tensor so that its signal-to-noise ratio stays above the floor that the preset names.

With --data the model, and then what the archive decodes to, are run once over the test part of the data:
accuracy before and after, where there are labels, and how often both give the same answer. Gates on these
(exit code 3, after the result is written) are for CI. A dry run measures too. The preprocessing and the
names of the classes are stored in the archive, so that ` + "`effml eval`" + ` needs no flags, unless
--strip-metadata=false, as in lossless, leaves the metadata and with it every byte of the model as it is.

Presets:
  lossless  bit-exact
  fast      weights only, one pass
  balanced  the default
  small     fewest bytes; look at the accuracy before you use it
  paper     k-means and Huffman codes, as in the Deep Compression paper

Biases, BatchNorm statistics, integers, shapes, scalars and quantisation parameters always keep every bit.
The table says for each tensor what was done, and why not where nothing was done.`

func (a *app) newCompress() *cobra.Command {
	c := deepcompress.Config{Seed: 1}
	var strip bool
	cmd := &cobra.Command{
		Use:     "compress MODEL.onnx",
		Short:   "Make a model smaller: ONNX to .effml",
		GroupID: groupCompress,
		Example: `effml compress model.onnx                          # balanced: writes model.effml
effml compress model.onnx --preset lossless        # every bit survives
effml compress model.onnx --data data/mnist        # and the accuracy before and after
effml compress model.onnx --max-size 2MB --json -  # for CI: exit code 3 when it is larger
effml compress model.onnx --data data/mnist --max-accuracy-drop 0.5 --min-agreement 99
effml compress model.onnx --data data/mnist --json new.json --baseline old.json
effml compress model.onnx --plan-out plan.yaml --dry-run && $EDITOR plan.yaml
effml compress model.onnx --plan plan.yaml --report report.html`,
		Long:              compressHelp,
		Args:              exactly("MODEL.onnx"),
		ValidArgsFunction: filesOf("onnx"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.resolve(cmd); err != nil {
				return err
			}
			c.Input, c.Command, c.Threads, c.Force = args[0], a.command, a.settings.threads, a.settings.force
			c.Histograms = a.settings.report != ""
			switch from := a.settings.origins; { // a plan or preset on the command line replaces one from elsewhere
			case from["plan"] == "flag" && from["preset"] != "flag":
				c.Preset = ""
			case from["preset"] == "flag" && from["plan"] != "flag":
				c.PlanPath = ""
			}
			if cmd.Flags().Changed("strip-metadata") {
				c.StripMetadata = &strip
			}
			return perform(cmd, a, work[*deepcompress.Result]{
				inputs: []string{c.Input, c.PlanPath, c.Data, c.Baseline}, outputs: []string{c.OutputPath(), c.EmitONNX, c.EmitPacked, c.PlanOut},
				run: func(ctx context.Context, ev job.Events) (*deepcompress.Result, error) {
					return deepcompress.Run(ctx, c, ev)
				},
				show: showCompress,
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&strip, "strip-metadata", true, "drop doc strings and exporter traces (default: except in lossless)")
	f.Lookup("strip-metadata").DefValue = "" // it depends on the preset
	a.addCompressFlags(cmd, &c)
	return cmd
}

// addCompressFlags adds what the archive is to be, and where everything goes.
func (a *app) addCompressFlags(cmd *cobra.Command, c *deepcompress.Config) {
	f := cmd.Flags()
	f.StringVarP(&c.Output, "output", "o", "", "write the archive to this `file` (default: MODEL.effml)")
	f.StringVar(&c.Preset, "preset", "", "`name` of a preset")
	f.Lookup("preset").DefValue = deepcompress.DefaultPreset // empty tells apart whether one was named: a plan replaces it
	f.StringVar(&c.PlanPath, "plan", "", "read what to do with each tensor from this YAML `file`")
	f.StringVar(&c.PlanOut, "plan-out", "", "write the plan, one rule a tensor, to this `file`; edit it for --plan")
	f.StringArrayVar(&c.Only, "only", nil, "lose precision only in tensors whose name, or whose node's name, matches this `glob`")
	f.StringArrayVar(&c.Exclude, "exclude", nil, "keep every bit of tensors whose name, or whose node's name, matches this `glob`")
	f.StringVar(&c.Coder, "coder", "", "use this `coder` for all quantised tensors instead of the best one for each")
	f.StringVar(&c.EmitONNX, "emit-onnx", "", "also write the plain ONNX model that the archive decodes to, to this `file`")
	f.StringVar(&c.EmitPacked, "emit-onnx-packed", "", "also write a small ONNX model that stock runtimes load, weights behind DequantizeLinear or Gather, to this `file`")
	a.addCompressGates(cmd, c)
	f.BoolVar(&c.Strict, "strict", false, "fail when a weight cannot be compressed as planned")
	f.BoolVar(&c.DryRun, "dry-run", false, "do everything but write: prints the sizes and the time it takes")
	f.BoolVar(&c.NoVerify, "no-verify", false, "do not decode the archive after writing it")
	f.Uint64Var(&c.Seed, "seed", c.Seed, "seed of random initialisation")
	a.addReport(cmd)
	a.addJUnit(cmd)
	a.addShared(cmd)
	complete(cmd, "preset", configs.Presets())
	complete(cmd, "coder", coderNames())
}

// addCompressGates adds what is measured and the limits on it.
func (a *app) addCompressGates(cmd *cobra.Command, c *deepcompress.Config) {
	f := cmd.Flags()
	f.Var(sizeValue{&c.MaxSize}, "max-size", "gate: miss it (exit code 3) when the archive is larger, 6MB say")
	f.Float64Var(&c.MinRatio, "min-ratio", 0, "gate: miss it (exit code 3) when input/output bytes is below this `ratio`")
	a.addData(cmd, &c.Data, &c.Preprocess, &c.SkipBad)
	addLimits(cmd, &c.Limits)
	f.StringVar(&c.Baseline, "baseline", "", "gate: miss it (exit code 3) when the archive is larger, or less accurate, than the JSON result in this `file` says")
}

// complete offers fixed values for a flag.
func complete(cmd *cobra.Command, flag string, values []string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag does not exist: a mistake in this package
	}
}

func coderNames() (names []string) {
	for _, c := range huffman.Coders() {
		names = append(names, c.Name())
	}
	return names
}

func showCompress(r *deepcompress.Result) *report.Document {
	d := &report.Document{
		Gates: r.Gates, Notes: r.Notes, Sides: [2]string{"in the model", "in the archive"},
		Parts: []report.Part{
			{Name: "codes", Bytes: r.Bytes.Codes},
			{Name: "positions", Bytes: r.Bytes.Positions},
			{Name: "lossless tensors", Bytes: r.Bytes.Raw},
			{Name: "codebooks", Bytes: r.Bytes.Codebooks},
			{Name: "graph", Bytes: r.Bytes.Topology},
			{Name: "header", Bytes: r.Bytes.Header},
			{Name: "checksums", Bytes: r.Bytes.Checksums},
		},
	}
	d.Title = title(r.Input, r.Output)
	if r.DryRun {
		d.Title = title(r.Input, nil) + ": dry run, nothing was written"
	}
	in := int64(0)
	if r.Input != nil {
		in = r.Input.Bytes
	}
	d.Figures = []report.Figure{
		{Label: "file", Value: report.Ratio(r.Ratio.File) + " smaller", Detail: report.SizeExact(in) + " → " + report.SizeExact(r.Bytes.Total)},
		{Label: "weights", Value: report.Ratio(r.Ratio.Weights), Detail: fmt.Sprintf("4 bytes × %s weights / the file; %s of them are stored as codes", report.Count(r.Floats.Count), report.Count(r.Floats.Packed))},
		{Label: "error", Value: decibels(r.Floats.SQNR), Detail: "signal-to-quantisation-noise ratio over all weights"},
	}
	d.Figures = append(d.Figures, accuracyFigures(r.Accuracy, r.Agreement, r.Data)...)
	if r.DryRun {
		d.Figures = append(d.Figures, report.Figure{Label: "time", Value: fmt.Sprintf("%.2f s", r.WallS), Detail: "for everything but writing"})
	} else {
		checked := "no"
		if r.Verified {
			checked = "yes"
		}
		d.Figures = append(d.Figures, report.Figure{Label: "verified", Value: checked, Detail: "the written archive was decoded and its checksums compared"})
	}
	for _, f := range []struct {
		label string
		*job.File
	}{{"onnx", r.ONNX}, {"packed", r.Packed}} {
		if f.File != nil {
			d.Figures = append(d.Figures, report.Figure{Label: f.label, Value: ratioOf(in, f.Bytes) + " smaller", Detail: report.SizeExact(f.Bytes) + " in " + f.Path})
		}
	}
	table := report.Table{
		Head:  []string{"TENSOR", "SHAPE", "BYTES", "STORED", "RATIO", "BITS/W", "SQNR dB", "DONE", "CODER", "WHY NOT"},
		Align: "llrrrrrlll",
	}
	for _, t := range r.Tensors {
		name := t.Name
		if t.Graph != "" {
			name = t.Graph + "/" + name
		}
		table.Rows = append(table.Rows, []string{
			name, typedShape(t.Type, t.Shape), report.Count(t.Before), report.Count(t.Bytes), ratioOf(t.Before, t.Bytes),
			fmt.Sprintf("%.2f", t.BitsPerWeight), optional(t.SQNR), done(t), t.Coder, t.Reason,
		})
		d.Bars = append(d.Bars, report.Bar{Name: name, Before: t.Before, After: t.Bytes})
		if h := t.Histogram; h != nil {
			d.Histograms = append(d.Histograms, report.Histogram{Name: name, Min: h.Min, Max: h.Max, Before: h.Before, After: h.After})
		}
	}
	d.Tables = []report.Table{table}
	return d
}

// done words what happened to a tensor.
func done(t deepcompress.Tensor) string {
	s := t.Action
	if t.Levels > 0 {
		s += fmt.Sprintf(" %d levels", t.Levels)
	}
	if t.Kept < 1 && strings.HasPrefix(t.Action, "pruned") {
		s += fmt.Sprintf(", %.1f %% kept", 100*t.Kept)
	}
	return s
}

// title is "from → to" with the folders left out where they are the same.
func title(in, out *job.File) string {
	if in == nil {
		return "effml"
	}
	if out == nil {
		return in.Path
	}
	if filepath.Dir(in.Path) == filepath.Dir(out.Path) {
		return in.Path + " → " + filepath.Base(out.Path)
	}
	return in.Path + " → " + out.Path
}
