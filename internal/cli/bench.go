package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/effml/effml/evaluate"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/report"
)

func (a *app) newBench() *cobra.Command {
	c := evaluate.BenchConfig{Runs: 50, Warmup: 10, Seed: 1}
	var shapes []string
	var size int
	cmd := &cobra.Command{
		Use:     "bench MODEL|zoo:NAME",
		Short:   "Measure how fast a model runs on this machine",
		GroupID: groupRun,
		Example: `effml bench model.onnx
effml bench model.effml --threads 1 --ops          # and where the time goes
effml bench zoo:resnet18                           # a well-known network: effml zoo list
effml bench model.onnx --batch 32                  # where the model leaves the batch open
effml bench model.onnx --shape input=1x3x320x320   # where it leaves the size open
effml bench zoo:mobilenet_v2 --train --batch 32 --size 96   # whole steps of training`,
		Long: `Inputs are random numbers. Of the dimensions that the model leaves open the first is the batch and the
others are 1, unless --shape says it. Times are of whole runs; the median is what counts on a machine
that does other things as well.`,
		Args:              exactly("MODEL"),
		ValidArgsFunction: filesOf("onnx", "effml"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := a.resolve(cmd); err != nil {
				return err
			}
			c.Path, c.Command, c.Threads = args[0], a.command, a.settings.threads
			if c.Shapes, err = parseShapes(shapes); err != nil {
				return err
			}
			if c.Train && !cmd.Flags().Changed("runs") && !cmd.Flags().Changed("warmup") { // a step takes longer than a run
				c.Runs, c.Warmup = 20, 3
			}
			if size > 0 {
				c.Path += fmt.Sprintf(",size=%d", size)
				if !strings.HasPrefix(c.Path, "zoo:") {
					return job.Usagef("--size is for networks of the zoo; of a model that leaves the size open --shape says it")
				}
			}
			return perform(cmd, a, work[*evaluate.BenchResult]{
				inputs: []string{c.Path},
				run: func(ctx context.Context, ev job.Events) (*evaluate.BenchResult, error) {
					return evaluate.Bench(ctx, c, ev)
				},
				show: showBench,
			})
		},
	}
	f := cmd.Flags()
	f.IntVar(&c.Runs, "runs", c.Runs, "`number` of runs to measure")
	f.IntVar(&c.Warmup, "warmup", c.Warmup, "`number` of runs before them")
	f.IntVar(&c.Batch, "batch", 0, "`number` of samples in a run (default 1)")
	f.StringArrayVar(&shapes, "shape", nil, "shape of an input, as `NAME=1x3x224x224`; repeat it for others")
	f.IntVar(&size, "size", 0, "of zoo:NAME: height and width of the input in `pixels`")
	f.BoolVar(&c.Train, "train", false, "measure whole steps of training")
	f.BoolVar(&c.Recompute, "recompute", false, "with --train: compute values between layers again on the way back")
	f.BoolVar(&c.Ops, "ops", false, "also print the time of every operator")
	f.Uint64Var(&c.Seed, "seed", c.Seed, "seed of the inputs")
	a.addReport(cmd)
	a.addShared(cmd)
	return cmd
}

// parseShapes reads NAME=1x3x224x224; the name may contain an equals sign.
func parseShapes(words []string) (map[string][]int, error) {
	shapes := map[string][]int{}
	for _, word := range words {
		at := strings.LastIndexByte(word, '=')
		if at <= 0 {
			return nil, job.Usagef("shape %q: write NAME=1x3x224x224", word)
		}
		shape := []int{}
		for _, d := range strings.FieldsFunc(word[at+1:], func(r rune) bool { return r == 'x' || r == ',' || r == '×' }) {
			n, err := strconv.Atoi(d)
			if err != nil || n < 0 {
				return nil, job.Usagef("shape %q: %q is no dimension", word, d)
			}
			shape = append(shape, n)
		}
		shapes[word[:at]] = shape
	}
	return shapes, nil
}

func showBench(r *evaluate.BenchResult) *report.Document {
	d := &report.Document{Title: title(r.Input, nil)}
	if t := r.Train; t != nil {
		d.Figures = []report.Figure{
			{Label: "step", Value: milliseconds(r.MS.Median), Detail: fmt.Sprintf("median of %s, %s to %s, batch %d", plural(r.Runs, "step", "steps"), milliseconds(r.MS.Min), milliseconds(r.MS.Max), r.Batch)},
			{Label: "throughput", Value: rate(r.ImagesPerS), Detail: fmt.Sprintf("%.4g GFLOP/s of three times %s MACs", r.GFLOPS, report.Count(r.MACs))},
			{Label: "start", Value: milliseconds(r.LoadFirstMS), Detail: "from nothing to the end of the first step"},
			{Label: "memory", Value: report.Size(t.Memory.Total), Detail: fmt.Sprintf("predicted, %s for values between layers; %s of garbage a step", report.Size(t.Memory.Activations), report.Size(t.Garbage))},
			{Label: "weights", Value: report.Count(t.Parameters)},
		}
	} else {
		d.Figures = latencyFigures(r)
	}
	for _, in := range r.Inputs {
		d.Figures = append(d.Figures, report.Figure{Label: "input", Value: in.Name, Detail: in.Type + " " + in.Shape})
	}
	d.Tables = opTables(r)
	return d
}

func latencyFigures(r *evaluate.BenchResult) []report.Figure {
	return []report.Figure{
		{Label: "latency", Value: milliseconds(r.MS.Median), Detail: fmt.Sprintf("median of %s, %s to %s, batch %d", plural(r.Runs, "run", "runs"), milliseconds(r.MS.Min), milliseconds(r.MS.Max), r.Batch)},
		{Label: "throughput", Value: rate(r.ImagesPerS), Detail: fmt.Sprintf("%.4g GFLOP/s of %s MACs", r.GFLOPS, report.Count(r.MACs))},
		{Label: "start", Value: milliseconds(r.LoadFirstMS), Detail: fmt.Sprintf("from nothing to the first answer, of it %s to load", milliseconds(r.LoadMS))},
		{Label: "memory", Value: report.Size(r.Memory.Activations), Detail: fmt.Sprintf("for activations at their peak, %s for rearranged weights; %s changed on the way", report.Size(r.Memory.Packed), plural(r.Memory.Repacks, "layout", "layouts"))},
	}
}

// opTables says where the time of a run goes.
func opTables(r *evaluate.BenchResult) (tables []report.Table) {
	if len(r.Ops) > 0 {
		kinds := report.Table{Title: "Operators", Head: []string{"OP", "NODES", "MS", "SHARE", "GFLOP/S", "GB/S"}, Align: "lrrrrr"}
		for _, o := range r.Kinds {
			kinds.Rows = append(kinds.Rows, append([]string{o.Op, strconv.Itoa(o.Nodes)}, timing(o)...))
		}
		nodes := report.Table{Title: "Nodes", Head: []string{"NODE", "OP", "OUTPUT", "MS", "SHARE", "GFLOP/S", "GB/S"}, Align: "lllrrrr"}
		for _, o := range r.Ops {
			nodes.Rows = append(nodes.Rows, append([]string{o.Node, o.Op, o.Shape}, timing(o)...))
		}
		tables = append(tables, kinds, nodes)
	}
	return tables
}

func timing(o evaluate.OpTiming) []string {
	return []string{fmt.Sprintf("%.4f", o.MS), fmt.Sprintf("%.1f %%", o.Share), blankTiny(o.GFLOPS), blankTiny(o.GBPerS)}
}

func milliseconds(v float64) string { return fmt.Sprintf("%.4g ms", v) }

func blankTiny(v float64) string {
	if v < 0.05 {
		return ""
	}
	return fmt.Sprintf("%.1f", v)
}
