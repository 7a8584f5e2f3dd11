package fit

import (
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/train"
)

// Fixed is a group of tensors that a training leaves as they are.
type Fixed struct {
	Why     string   `json:"why"`
	Tensors []string `json:"tensors" doc:"in the order of the model"`
	Numbers int64    `json:"numbers" doc:"elements of all of them"`
}

// fixed lists the float tensors of a model that no step changes, by the reason for that.
func fixed(m *onnx.Model, solver train.SolverConfig) (out []Fixed) {
	trained, running, read := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, t := range train.Weights(m.Graph, nil) {
		trained[t.Name] = true
	}
	for _, n := range m.Graph.Nodes {
		for i, name := range n.Inputs {
			read[name] = true
			running[name] = running[name] || n.OpType == "BatchNormalization" && i > 2
		}
	}
	for _, t := range m.Graph.Initializers {
		size, err := t.NumElements()
		why := ""
		switch {
		case err != nil || trained[t.Name] && !solver.Frozen(t.Name):
		case trained[t.Name]:
			why = "frozen by the recipe"
		case !slices.Contains([]onnx.DataType{onnx.Float, onnx.Double, onnx.Float16, onnx.BFloat16}, t.DataType) || running[t.Name]:
		case !read[t.Name]:
			why = "no layer reads it"
		case t.DataType != onnx.Float:
			why = "not float32"
		case size < 2:
			why = "a constant, one number"
		default:
			why = "a constant: a mask, or no weight of a layer"
		}
		if why == "" {
			continue
		}
		i := slices.IndexFunc(out, func(f Fixed) bool { return f.Why == why })
		if i < 0 {
			i, out = len(out), append(out, Fixed{Why: why})
		}
		out[i].Tensors, out[i].Numbers = append(out[i].Tensors, t.Name), out[i].Numbers+size
	}
	return out
}

// suit gives the images of a recipe the size that the model takes.
func (r *run) suit() {
	p := &r.recipe.Preprocess
	for _, in := range inputsOf(r.model) {
		if len(in.Shape) != 4 || p.Crop == 0 {
			continue
		}
		height, width := in.Shape[2], in.Shape[3]
		if in.Shape[3] == 1 || in.Shape[3] == 3 {
			height, width = in.Shape[1], in.Shape[2]
		}
		if height != width || height <= 0 || height == p.Crop {
			continue
		}
		old := p.Crop
		p.Crop, p.Resize = height, (p.Resize*height+old/2)/old
		r.note("images are cropped to %d pixels, which the model takes, in the place of the recipe's %d", height, old)
		return
	}
}
