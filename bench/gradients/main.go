// Command gradients trains a model for some steps on one batch, prints the loss of each, and writes the gradients of the first step and all tensors
// after the last. bench/acceptance/gradients.py compares them with PyTorch's; attention.py looks at the losses.
//
//	gradients [-steps 10] [-rate 0.01] [-momentum 0.9] [-decay 0] [-threads 2] MODEL.onnx BATCH.npz OUT.npz
//
// BATCH.npz has arrays x float32[N, C, H, W] and labels int64[N]. OUT.npz gets gradient/NAME and value/NAME.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"slices"

	"github.com/effml/effml/internal/npy"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
	"github.com/effml/effml/train"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// repeated is a stream of one batch.
type repeated struct{ fields map[string]*tensor.Tensor }

func (r repeated) PerEpoch() int                { return 1 }
func (r repeated) Fingerprint() (string, error) { return "one batch", nil }

func (r repeated) Batches(_ context.Context, _, first int) iter.Seq2[*train.Batch, error] {
	return func(yield func(*train.Batch, error) bool) {
		if first == 0 {
			yield(&train.Batch{Fields: r.fields, Samples: r.fields["labels"].Len()}, nil)
		}
	}
}

func run() error {
	steps := flag.Int("steps", 10, "number of steps")
	rate := flag.Float64("rate", 0.01, "learning rate")
	momentum := flag.Float64("momentum", 0.9, "momentum")
	decay := flag.Float64("decay", 0, "weight decay")
	threads := flag.Int("threads", 2, "number of threads")
	flag.Parse()
	if flag.NArg() != 3 {
		flag.Usage()
		os.Exit(2)
	}
	f, err := onnx.Open(flag.Arg(0))
	if err != nil {
		return err
	}
	defer f.Close()
	fields, err := batch(flag.Arg(1), f.Model.Graph.Inputs[0].Name)
	if err != nil {
		return err
	}
	var out []npy.Named
	loss := func(f *train.Formula, v *train.Values) (string, error) {
		logits, _ := v.Logits("")
		info, _ := v.Info(logits)
		return f.CrossEntropy(logits, "labels", info.Shape[1].N, 0), nil
	}
	hook := func(g *train.Gradients) error {
		fmt.Println(g.Loss)
		for _, name := range g.Names() {
			if g.Step == 0 {
				out = append(out, npy.Named{Name: "gradient/" + name, Tensor: tensor.From(slices.Clone(g.Gradient(name)), len(g.Gradient(name)))})
			}
		}
		return nil
	}
	task := &train.Task{
		Models: []train.Model{{Model: f.Model}}, Streams: map[string]train.Stream{"batch": repeated{fields}},
		Phases: []train.Phase{{
			Stream: "batch", Passes: []train.Pass{{Loss: loss}}, Hook: hook, Solver: train.SolverConfig{Momentum: *momentum, Decay: *decay}, Schedule: train.Schedule{Rate: *rate},
		}},
	}
	result, err := train.Run(context.Background(), train.Config{Steps: *steps, Threads: *threads, Last: true}, task, nil)
	if err != nil {
		return err
	}
	for _, t := range result.Models[""].Graph.Initializers {
		v, err := tensor.FromONNX(t)
		if err != nil {
			return err
		}
		out = append(out, npy.Named{Name: "value/" + t.Name, Tensor: v})
	}
	to, err := os.Create(flag.Arg(2))
	if err != nil {
		return err
	}
	return errors.Join(npy.WriteArchive(to, out), to.Close())
}

// batch reads the fields of a batch.
func batch(path, input string) (map[string]*tensor.Tensor, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	a, err := npy.OpenArchive(data)
	if err != nil {
		return nil, err
	}
	x, err := a.Read("x")
	if err != nil {
		return nil, err
	}
	labels, err := a.Read("labels")
	return map[string]*tensor.Tensor{input: x, "labels": labels}, err
}
