package train

import (
	"context"
	"fmt"
	"slices"

	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/rewrite"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// Recalibrate estimates the running means and variances of batch normalisation anew, as is needed after weights have been removed or replaced, and returns
// a model with them: the means over the first batches of s (0: of a whole epoch) of what each batch has, the variance of a batch being the estimate of that of
// all data. The forward pass normalises by the batch. (What PyTorch computes with a momentum of None, and OFA's set_running_statistics up to the
// factor n/(n − 1).) Fields of s are the inputs by name. M is not changed; without batch normalisation it is returned.
func Recalibrate(ctx context.Context, cpu *kernel.CPU, m *onnx.Model, s Stream, batches int) (*onnx.Model, error) {
	model, states, err := statistics(m)
	if err != nil || len(states) == 0 {
		return m, err
	}
	session, err := infer.New(model, infer.Options{CPU: cpu})
	if err != nil {
		return nil, err
	}
	defer session.Close()
	sums, n := make([][]float64, len(states)), 0
	runner := session.NewRunner()
	for b, err := range s.Batches(ctx, 0, 0) {
		if err != nil {
			return nil, err
		}
		var in []*tensor.Tensor
		for _, v := range session.Inputs() {
			f := b.Fields[v.Name]
			if f == nil {
				return nil, job.Usagef("train: there is no field for input %q", v.Name)
			}
			in = append(in, f)
		}
		out, err := runner.Run(ctx, in)
		if err != nil {
			return nil, err
		}
		for i, t := range out {
			if sums[i] == nil {
				sums[i] = make([]float64, t.Len())
			}
			for k, v := range tensor.Of[float32](t) {
				sums[i][k] += float64(v)
			}
		}
		if n++; n == batches {
			break
		}
	}
	if n == 0 {
		return nil, &job.DataError{Err: fmt.Errorf("train: there is no batch to estimate statistics from")}
	}
	return withStatistics(m, states, sums, n), nil
}

// statistics returns the model that computes the running states of m for a batch, and which these are in the order of its outputs.
func statistics(m *onnx.Model) (*onnx.Model, []state, error) {
	kind := mode{origins: newOrigins(func(name string) *tensor.Tensor {
		t, err := rewrite.Initializer(m.Graph, name)
		if err != nil {
			return nil
		}
		v, _ := tensor.FromONNX(t)
		return v
	})}
	g := *m.Graph
	g.Nodes, g.Outputs, g.Inputs = nil, nil, nil
	for _, n := range m.Graph.Nodes {
		kind.add(n)
		if normalises(n) {
			var err error
			if n, err = kind.batchStatistics(n); err != nil {
				return nil, nil, &job.ModelError{Err: err}
			}
			n.Attributes = slices.DeleteFunc(n.Attributes, func(a *onnx.Attribute) bool { return a.Name == "momentum" })
			n.Attributes = append(n.Attributes, &onnx.Attribute{Name: "momentum", Type: onnx.AttributeFloat}) // nothing of what was
		}
		g.Nodes = append(g.Nodes, n)
	}
	for _, s := range kind.states {
		g.Outputs = append(g.Outputs, &onnx.ValueInfo{Name: s.next, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float}}})
	}
	for _, v := range m.Graph.Inputs { // any batch will do
		if v.Type != nil && v.Type.Tensor != nil {
			v = &onnx.ValueInfo{Name: v.Name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: v.Type.Tensor.ElemType}}}
		}
		g.Inputs = append(g.Inputs, v)
	}
	out := *m
	out.Graph = &g
	out.OpsetImports = []*onnx.OperatorSet{{Version: rewrite.Opset(m)}, {Domain: ops.Domain, Version: 1}}
	return &out, kind.states, nil
}

// withStatistics returns m with the means of n batches in the place of running states, each float32 of a vector or part of one.
func withStatistics(m *onnx.Model, states []state, sums [][]float64, n int) *onnx.Model {
	out, g := *m, *m.Graph
	out.Graph, g.Initializers = &g, slices.Clone(g.Initializers)
	for k, s := range states {
		i := slices.IndexFunc(g.Initializers, func(t *onnx.Tensor) bool { return t.Name == s.tensor })
		old, err := tensor.FromONNX(g.Initializers[i])
		if err != nil {
			continue // it has been read before
		}
		v, mean := old.Clone(), make([]float32, len(sums[k]))
		for c, sum := range sums[k] {
			mean[c] = float32(sum / float64(n))
		}
		s.replace(v, mean)
		g.Initializers[i] = v.ToONNX(s.tensor)
	}
	return &out
}
