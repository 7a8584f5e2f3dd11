package infer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// TestMalformed loads and runs models that are wrong in one place each: an error that names the node, and no memory to speak of.
func TestMalformed(t *testing.T) {
	huge := tensor.From([]int64{1 << 40, 1 << 40}, 2)
	big := tensor.From([]int64{1 << 15, 1 << 15, 4}, 3)
	ints := func(v ...int64) *tensor.Tensor { return tensor.From(v, len(v)) }
	image := []*onnx.ValueInfo{val("x", 1, 3, 8, 8), val("open"), typed(onnx.Int64, "s", "k")}
	init := map[string]*tensor.Tensor{
		"huge": huge, "big": big, "w": floats([]int{4, 3, 3, 3}, 1), "w2": floats([]int{3, 2}, 1), "neg": ints(-5, 3), "one": ints(1), "v": floats([]int{3}, 1),
		"scales": floats([]int{4}, 1, 1, 1e6, 1e6), "zero": tensor.Scalar(int64(0)), "end": tensor.Scalar(int64(1 << 50)), "step": tensor.Scalar(int64(1)), "i9": ints(9), "f": tensor.Scalar(float32(1)),
		"many": ints(1<<20, 1<<20, 1, 1),
	}
	for _, c := range []struct {
		name string
		node *onnx.Node
		want string // beside the node's name
	}{
		{"weights of another rank", nd("y = Conv x, w2"), "Conv"},
		{"negative kernel", nd("y = MaxPool x", attr("kernel_shape", []int64{-1, 2})), "kernel_shape"},
		{"negative pads", nd("y = Conv x, w", attr("pads", []int64{-9, -9, -9, -9})), "pads"},
		{"pads that overflow", nd("y = Conv x, w", attr("pads", []int64{1 << 62, 1 << 62, 0, 0})), "pads"},
		{"stride of 0", nd("y = Conv x, w", attr("strides", []int64{0, 1})), "strides"},
		{"groups that do not divide", nd("y = Conv x, w", attr("group", 2)), ""},
		{"attribute of another type", nd("y = Conv x, w", attr("group", "two")), "group"},
		{"attribute missing", nd("y = Concat x, x"), "axis"},
		{"axis beyond the rank", nd("y = Concat x, x", attr("axis", 7)), "axis"},
		{"input missing", nd("y = MatMul x"), "inputs"},
		{"matrices that do not fit", nd("y = MatMul x, w2"), ""},
		{"types that clash", nd("y = Add x, s"), ""},
		{"shapes that do not broadcast", nd("y = Add x, v"), "broadcast"},
		{"reshape to other elements", nd("y = Reshape x, neg"), ""},
		{"giant expand", nd("y = Expand f, huge"), ""},
		{"large expand", nd("y = Expand f, big"), "limit"},
		{"giant tile", nd("y = Tile x, many"), "more elements than"},
		{"giant resize", nd("y = Resize x, , scales"), "more elements than"},
		{"giant range", nd("y = Range zero, end, step"), "too long"},
		{"giant constant", nd("y = ConstantOfShape huge"), ""},
		{"large constant", nd("y = ConstantOfShape big"), "limit"},
		{"index out of range", nd("y = Gather v, i9"), ""},
		{"split that does not add up", nd("y = Split v, i9", attr("num_outputs", 1)), ""},
		{"transpose of no permutation", nd("y = Transpose x", attr("perm", []int64{0, 0, 1, 2})), "perm"},
		{"squeeze of a dimension that is not 1", nd("y = Squeeze x, one"), ""},
		{"cast to no type", nd("y = Cast x", attr("to", 99)), "to"},
		{"einsum without equation", nd("y = Einsum x"), ""},
		{"einsum that is wrong", nd("y = Einsum x", attr("equation", "ij->k")), ""},
		{"depth to space of odd channels", nd("y = DepthToSpace x", attr("blocksize", 2)), ""},
		{"unknown operator", nd("y = Nonsense x"), "not supported"},
		{"opset of later", nd("y = Upsample x, scales"), "opset"},
		{"if without branches", nd("y = If c"), "then_branch"},
		{"loop without a body", nd("y = Loop s, , x"), "body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := graphOf(append(slices.Clone(image), typed(onnx.Bool, "c")), []*onnx.ValueInfo{val("y")}, init, c.node)
			for _, o := range []Options{{}, {NoFuse: true}} {
				err := loadAndRun(m, o)
				var model *job.ModelError
				if !errors.As(err, &model) || !strings.Contains(err.Error(), "n_y") || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v", err)
				}
			}
		})
	}
	cyclic := graphOf(image, []*onnx.ValueInfo{val("y")}, nil, nd("a = Add x, y"), nd("y = Neg a"))
	if err := loadAndRun(cyclic, Options{}); err == nil || !strings.Contains(err.Error(), "n_a") {
		t.Errorf("a cycle: %v", err)
	}
	dangling := graphOf(image, []*onnx.ValueInfo{val("y")}, nil, nd("z = Neg x"))
	if err := loadAndRun(dangling, Options{}); err == nil || !strings.Contains(err.Error(), `"y"`) {
		t.Errorf("an output that nobody computes: %v", err)
	}
}

func loadAndRun(m *onnx.Model, o Options) error {
	s, err := New(m, o)
	if err != nil {
		return err
	}
	defer s.Close()
	in := map[string]*tensor.Tensor{"x": floats([]int{1, 3, 8, 8}, 1), "open": floats([]int{2}, 1), "s": tensor.From([]int64{1, 2}, 2), "c": tensor.Scalar(true)}
	for _, v := range s.Inputs() {
		if in[v.Name] == nil {
			in[v.Name] = floats([]int{1}, 1)
		}
	}
	for name := range in {
		if !slices.ContainsFunc(s.Inputs(), func(v Value) bool { return v.Name == name }) {
			delete(in, name)
		}
	}
	_, err = s.Run(context.Background(), in)
	return err
}
