package infer

import (
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// between puts operators between two convolutions, where images are channels-last: h is the result of the first, g what the second takes.
func between(name string, nodes []*onnx.Node, shapes []string, constants ...any) gradientCase {
	c := gradientCase{name: "convolutions, " + name + " between", node: "h = Conv x, w", more: append(nodes, nd("y = Conv g, v")), condition: 4}
	for _, s := range shapes {
		c.trials = append(c.trials, trial(s, constants...))
	}
	return c
}

// Shapes of x, w and v.
var betweenShapes = []string{"2,3,6,8;4,3,1,1;5,4,1,1", "1,2,8,6;4,2,1,1;3,4,1,1", "2,3,6,6;4,3,1,1;20,4,1,1", "3,1,10,6;4,1,1,1;1,4,1,1", "1,20,6,8;4,20,1,1;5,4,1,1"}

// withChannels are betweenShapes where n channels arrive.
func withChannels(n string) []string {
	return []string{"2,3,6,8;4,3,1,1;5," + n + ",1,1", "1,2,8,6;4,2,1,1;3," + n + ",1,1", "2,3,6,6;4,3,1,1;20," + n + ",1,1", "3,1,10,6;4,1,1,1;1," + n + ",1,1", "1,20,6,8;4,20,1,1;5," + n + ",1,1"}
}

var programGradients = []gradientCase{
	between("Slice", []*onnx.Node{nd("g = Slice h, s, e, a, t")}, betweenShapes, fixed("s", 0, 1), fixed("e", 6, 5), fixed("a", 2, 3), fixed("t", 2, 2)),
	between("Pad", []*onnx.Node{nd("g = Pad h, p")}, betweenShapes, fixed("p", 0, 0, 1, 2, 0, 0, 0, -1)),
	between("Pad, reflect", []*onnx.Node{nd("g = Pad h, p", attr("mode", "reflect"))}, betweenShapes, fixed("p", 0, 0, 1, 2, 0, 0, 3, 0)),
	between("Concat", []*onnx.Node{nd("r = Relu h"), nd("g = Concat r, h, r", attr("axis", 1))}, withChannels("12")),
	between("Split", []*onnx.Node{nd("p, q = Split h, n", attr("axis", 1)), nd("g = Concat q, p", attr("axis", 1))}, betweenShapes, fixed("n", 1, 3)),
	between("a shuffle", []*onnx.Node{nd("p = Reshape h, s"), nd("q = Transpose p", attr("perm", []int64{0, 2, 1, 3, 4})), nd("z = Shape h"), nd("g = Reshape q, z")}, betweenShapes, fixed("s", 0, 2, 2, 0, -1)),
	between("Resize", []*onnx.Node{nd("g = Resize h, _, s", attr("mode", "linear"))}, betweenShapes, scales(1, 1, 2, 1.5)),
	between("Resize, nearest", []*onnx.Node{nd("g = Resize h, _, s")}, betweenShapes, scales(1, 1, 1.5, 2)),
	between("MaxPool", []*onnx.Node{nd("g = MaxPool h", attr("kernel_shape", []int64{3, 3}), attr("strides", []int64{2, 2}))}, betweenShapes),
	between("AveragePool", []*onnx.Node{nd("g = AveragePool h", attr("kernel_shape", []int64{2, 3}), attr("pads", []int64{1, 1, 0, 1}))}, betweenShapes),
	between("squeeze and excitation", []*onnx.Node{nd("p = GlobalAveragePool h"), nd("q = Sigmoid p"), nd("g = Mul h, q")}, betweenShapes),
	between("means", []*onnx.Node{nd("p = ReduceMean h, a"), nd("g = Sub h, p")}, betweenShapes, fixed("a", 2, 3)),
	between("a residue", []*onnx.Node{nd("p = Clip h, lo, hi"), nd("q = Add p, h"), nd("g = HardSwish q")}, betweenShapes, scalar("lo", 0), scalar("hi", 6)),
	between("DepthToSpace", []*onnx.Node{nd("g = DepthToSpace h", attr("blocksize", 2))}, withChannels("1")),
	between("SpaceToDepth", []*onnx.Node{nd("g = SpaceToDepth h", attr("blocksize", 2))}, withChannels("16")),
	between("Gather", []*onnx.Node{nd("g = Gather h, i", attr("axis", 1))}, withChannels("3"), fixed("i", 2, 0, 2)),
	between("Softmax", []*onnx.Node{nd("g = Softmax h", attr("axis", 1))}, betweenShapes),
	between("LRN", []*onnx.Node{nd("g = LRN h", attr("size", 3), attr("alpha", 0.3))}, betweenShapes),
	between("PRelu", []*onnx.Node{nd("g = PRelu h, u")}, []string{"2,3,6,8;4,3,1,1;4,1,1;5,4,1,1", "1,2,8,6;4,2,1,1;1;3,4,1,1", "2,3,6,6;4,3,1,1;4,1,1;20,4,1,1", "3,1,10,6;4,1,1,1;4,10,6;1,4,1,1", "1,20,6,8;4,20,1,1;4,1,1;5,4,1,1"}),
	between("Dropout", []*onnx.Node{nd("g = Dropout h, r, t", attr("seed", 7))}, betweenShapes, number32("r", 0.5), truth("t", true)),
	between("tokens", []*onnx.Node{
		nd("p = Reshape h, s"), nd("q = Transpose p", attr("perm", []int64{0, 2, 1})), nd("a = MatMul q, p"), nd("b = Softmax a"), nd("c = MatMul b, q"),
		nd("d = LayerNormalization c, one", attr("epsilon", 0.1)), nd("e = Transpose d", attr("perm", []int64{0, 2, 1})), nd("z = Shape h"), nd("g = Reshape e, z"),
	}, betweenShapes, fixed("s", 0, 0, -1), ones("one")),
}

// ones is a constant of four ones.
func ones(name string) constantInput {
	return constantInput{name, tensor.From([]float64{1, 1, 1, 1}, 4)}
}
