package evaluate

import (
	"context"
	"slices"
	"time"

	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// countSamples returns how many samples the inputs hold, 0 where they are the inputs of one run: samples lie along a first dimension
// that the model does not declare.
func countSamples(inputs map[string]*tensor.Tensor, wanted []infer.Value) (int, error) {
	n := 0
	for i, v := range wanted {
		t, first := inputs[v.Name], 0
		if v.Shape != nil && len(t.Shape) == len(v.Shape)+1 {
			if first = t.Shape[0]; first == 0 {
				return 0, job.Usagef("evaluate: input %q is %s: it holds no sample for the model's %s", v.Name, t, v.Shape)
			}
			if t.Type == onnx.String {
				return 0, job.Usagef("evaluate: input %q is %s: strings run one sample a call", v.Name, t)
			}
		}
		if i > 0 && first != n {
			return 0, job.Usagef("evaluate: input %q is %s and input %q is %s: with samples every input has a further first dimension of the same length",
				wanted[i-1].Name, inputs[wanted[i-1].Name], v.Name, t)
		}
		n = first
	}
	return n, nil
}

// runSamples runs the model once, or with n > 0 once for each sample, whose outputs then lie behind each other. It returns the mean
// time of a run as well.
func runSamples(ctx context.Context, s *session, inputs map[string]*tensor.Tensor, n int) (map[string]*tensor.Tensor, time.Duration, error) {
	var in []*tensor.Tensor
	for _, v := range s.Inputs() {
		in = append(in, inputs[v.Name])
	}
	runner, results, took := s.NewRunner(), make([]*tensor.Tensor, len(s.Outputs())), time.Duration(0)
	for i := range max(n, 1) {
		sample := in
		if n > 0 {
			sample = sampleOf(in, i)
		}
		start := time.Now()
		out, err := runner.Run(ctx, sample)
		if err != nil {
			return nil, 0, err
		}
		took += time.Since(start)
		if n == 0 {
			copy(results, out) // nothing runs after it
		} else if err := stack(results, out, i, n); err != nil {
			return nil, 0, err
		}
	}
	named := map[string]*tensor.Tensor{}
	for i, v := range s.Outputs() {
		named[v.Name] = results[i]
	}
	return named, took / time.Duration(max(n, 1)), nil
}

// sampleOf returns views of sample i of each input.
func sampleOf(in []*tensor.Tensor, i int) (views []*tensor.Tensor) {
	for _, t := range in {
		size := len(t.Bytes()) / t.Shape[0]
		views = append(views, tensor.Over(t.Bytes()[i*size:(i+1)*size], t.Type, t.Shape[1:], t.Layout))
	}
	return views
}

// stack copies the outputs of sample i of n to their place in the results, which the first sample makes.
func stack(results, out []*tensor.Tensor, i, n int) (err error) {
	for k, t := range out {
		if i == 0 {
			if results[k], err = tensor.New(t.Type, append([]int{n}, t.Shape...)...); err != nil {
				return err
			}
		}
		r := results[k]
		if r.Type != t.Type || !slices.Equal(r.Shape[1:], t.Shape) || t.Type == onnx.String {
			return job.Usagef("evaluate: output %d of sample %d is %s, which does not stack: run such samples one a call", k, i, t)
		}
		copy(r.Bytes()[i*len(t.Bytes()):], t.Bytes())
	}
	return nil
}
