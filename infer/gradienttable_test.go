package infer

import (
	"math"
	"math/rand/v2"

	"github.com/effml/effml/tensor"
)

// Values of inputs.
func positive(r *rand.Rand) float64 { return 0.3 + 2*r.Float64() }
func inside(r *rand.Rand) float64   { return 1.8*r.Float64() - 0.9 }
func beyond1(r *rand.Rand) float64  { return 1.1 + r.Float64() }

func unaryTrials() []gradientTrial { return trials("7", "3,4", "2,3,5", "1,2,3,4", "", "2,70,9") }

// pairs are shapes of two operands.
func pairs() []gradientTrial {
	return trials("3,4;3,4", "2,3,4;4", "1;5,2", ";3", "2,1,3;4,1", "2,3,4,5;1,3,1,1", "300;3,1")
}

var elementGradients = []gradientCase{
	{node: "y = Neg x", trials: unaryTrials()},
	{node: "y = Abs x", trials: unaryTrials()},
	{node: "y = Sqrt x", trials: unaryTrials(), value: positive},
	{node: "y = Reciprocal x", trials: unaryTrials(), value: positive},
	{node: "y = Exp x", trials: unaryTrials()},
	{node: "y = Log x", trials: unaryTrials(), value: positive},
	{node: "y = Sin x", trials: unaryTrials()},
	{node: "y = Cos x", trials: unaryTrials()},
	{node: "y = Tan x", trials: unaryTrials(), value: inside},
	{node: "y = Asin x", trials: unaryTrials(), value: inside},
	{node: "y = Acos x", trials: unaryTrials(), value: inside},
	{node: "y = Atan x", trials: unaryTrials()},
	{node: "y = Sinh x", trials: unaryTrials()},
	{node: "y = Cosh x", trials: unaryTrials()},
	{node: "y = Asinh x", trials: unaryTrials()},
	{node: "y = Acosh x", trials: unaryTrials(), value: beyond1, condition: 5},
	{node: "y = Atanh x", trials: unaryTrials(), value: inside, condition: 3},
	{node: "y = Floor x", trials: unaryTrials()},
	{node: "y = Ceil x", trials: unaryTrials()},
	{node: "y = Round x", trials: unaryTrials()},
	{node: "y = Sign x", trials: unaryTrials()},
	{node: "y = Add a, b", trials: pairs()},
	{node: "y = Sub a, b", trials: pairs()},
	{node: "y = Mul a, b", trials: pairs()},
	{name: "Mul of itself", node: "y = Mul a, a", trials: unaryTrials()},
	{node: "y = Div a, b", trials: pairs(), value: positive},
	{node: "y = Pow a, b", trials: pairs(), value: positive},
	{node: "y = Min a, b", trials: pairs()},
	{node: "y = Max a, b", trials: pairs()},
	{name: "Max of three", node: "y = Max a, b, c", trials: trials("3,4;4;3,1", "2;2;2", "1;3;1", "2,2,2;2,1;1", "4,4;4,4;")},
	{name: "Sum of three", node: "y = Sum a, b, c", trials: trials("3,4;4;3,1", "2;2;2", "1;3;1", "2,2,2;2,1;1", "4,4;4,4;")},
	{name: "Mean of three", node: "y = Mean a, b, c", trials: trials("3,4;4;3,1", "2;2;2", "1;3;1", "2,2,2;2,1;1", "4,4;4,4;")},
	{node: "y = PRelu x, s", trials: trials("3,4;3,4", "2,3,4;4", "2,3,4;3,1", "2,5;1", "2,3,4,5;3,1,1")},
	{node: "y = Where c, a, b", trials: []gradientTrial{
		trial("3;3", chosen("c", 3)), trial("2,3;3", chosen("c", 3)), trial("1;2,3", chosen("c", 2, 1)), trial(";", chosen("c", 4)), trial("2,1,4;3,1", chosen("c", 2, 3, 4)),
	}},
	{node: "y = Clip x, lo, hi", trials: []gradientTrial{
		trial("9", scalar("lo", -1), scalar("hi", 0.5)), trial("3,4", scalar("lo", 0), scalar("hi", 6)), trial("2,3,4", scalar("lo", -0.1), scalar("hi", 0.1)),
		trial("5,5", scalar("lo", -9), scalar("hi", 9)), trial("", scalar("lo", -1), scalar("hi", 1)),
	}},
}

// chosen is a constant of truth values.
func chosen(name string, shape ...int) constantInput {
	n := 1
	for _, d := range shape {
		n *= d
	}
	v := make([]bool, n)
	for i := range v {
		v[i] = i*i%5 < 2
	}
	return constantInput{name, tensor.From(v, shape...)}
}

// scalar is a constant of rank 0.
func scalar(name string, x float64) constantInput { return constantInput{name, tensor.Scalar(x)} }

var arrayGradients = []gradientCase{
	{node: "y = Identity x", trials: unaryTrials()},
	{node: "y = Reshape x, s", trials: []gradientTrial{
		trial("6", fixed("s", 2, 3)), trial("2,3,4", fixed("s", 0, -1)), trial("1", fixed("s")), trial("4,4", fixed("s", 2, 2, 4)), trial("2,3", fixed("s", -1)),
	}},
	{node: "y = Flatten x", trials: []gradientTrial{
		trial("2,3,4"), trial("2,3,4", attr("axis", 2)), trial("2,3,4", attr("axis", 0)), trial("5", attr("axis", 1)), trial("2,3,4,5", attr("axis", -1)),
	}},
	{node: "y = Squeeze x, a", trials: []gradientTrial{
		trial("2,1", fixed("a", 1)), trial("1,2,1", fixed("a", 0, 2)), trial("1,2", fixed("a", -2)), trial("1", fixed("a", 0)), trial("3,1,4", fixed("a", 1)),
	}},
	{node: "y = Unsqueeze x, a", trials: []gradientTrial{
		trial("2", fixed("a", 1)), trial("2", fixed("a", 0, 2)), trial("2", fixed("a", -2)), trial("", fixed("a", 0)), trial("3,4", fixed("a", 1)),
	}},
	{node: "y = Transpose x", trials: []gradientTrial{
		trial("2,3"), trial("2,3,4"), trial("2,3,4", attr("perm", []int64{1, 2, 0})), trial("2,3,4,5", attr("perm", []int64{0, 2, 3, 1})), trial("5"),
		trial("2,3,4,5", attr("perm", []int64{3, 0, 2, 1})),
	}},
	{node: "y = Expand x, s", trials: []gradientTrial{
		trial("3", fixed("s", 2, 3)), trial("3,1", fixed("s", 3, 4)), trial("", fixed("s", 2, 2)), trial("2,1,2", fixed("s", 1, 3, 1)), trial("2,3", fixed("s", 1)),
	}},
	{node: "y = Tile x, s", trials: []gradientTrial{
		trial("3", fixed("s", 2)), trial("3,1", fixed("s", 1, 4)), trial("2,2", fixed("s", 3, 2)), trial("2,1,2", fixed("s", 1, 3, 1)), trial("2,3", fixed("s", 1, 1)),
	}},
	{node: "y = Concat a, b, c", trials: []gradientTrial{
		trial("2;3;1", attr("axis", 0)), trial("2,3;2,1;2,2", attr("axis", 1)), trial("2,3;1,3;4,3", attr("axis", -2)), trial("2,3,2,2;2,1,2,2;2,2,2,2", attr("axis", 1)),
		trial("1,1;1,1;1,1", attr("axis", -1)),
	}},
	{node: "y, y1 = Split x", trials: []gradientTrial{
		trial("4"), trial("2,6", attr("axis", 1)), trial("4,3", attr("axis", -2)), trial("2,4,2,2", attr("axis", 1)), trial("2,2", attr("axis", -1)),
	}, opset: 13},
	{name: "Split, one part used", node: "y, z = Split x, s", trials: []gradientTrial{
		trial("5", fixed("s", 2, 3)), trial("2,6", attr("axis", 1), fixed("s", 1, 5)), trial("4,3", attr("axis", -2), fixed("s", 3, 1)),
		trial("2,4,2,2", attr("axis", 1), fixed("s", 2, 2)), trial("2,2", attr("axis", -1), fixed("s", 1, 1)),
	}},
	{node: "y = Slice x, s, e, a, t", trials: []gradientTrial{
		trial("9", fixed("s", 2), fixed("e", 7), fixed("a", 0), fixed("t", 1)),
		trial("9", fixed("s", 1), fixed("e", 8), fixed("a", 0), fixed("t", 3)),
		trial("4,9", fixed("s", -1), fixed("e", math.MinInt64), fixed("a", 1), fixed("t", -2)),
		trial("4,5,6", fixed("s", 1, 2), fixed("e", 3, 100), fixed("a", 2, 0), fixed("t", 1, 1)),
		trial("4,5,6", fixed("s", 1, 3, 0), fixed("e", 3, 0, 6), fixed("a", 2, 1, 0), fixed("t", 1, -1, 2)),
		trial("4,3", fixed("s", 0), fixed("e", 4), fixed("a", 0), fixed("t", 1)),
	}},
	{name: "Slice of images", node: "y = Slice x, s, e, a, t", trials: []gradientTrial{
		trial("2,3,6,8", fixed("s", 0, 0), fixed("e", 6, 8), fixed("a", 2, 3), fixed("t", 2, 2)), trial("2,3,6,8", fixed("s", 1), fixed("e", 3), fixed("a", 1), fixed("t", 1)),
		trial("2,3,5,7", fixed("s", 1, 2), fixed("e", 5, 7), fixed("a", 2, 3), fixed("t", 2, 3)), trial("2,3,5,7", fixed("s", -1), fixed("e", -9), fixed("a", 2), fixed("t", -1)),
		trial("1,1,5,1", fixed("s", 2), fixed("e", 3), fixed("a", 2), fixed("t", 1)),
	}},
	{node: "y = Pad x, p, v", trials: []gradientTrial{
		trial("4;", fixed("p", 1, 2)), trial("2,3;", fixed("p", 0, 1, 2, 0)), trial("4,4;1", fixed("p", -1, 0, -1, 2)), trial("2,3,2,2;", fixed("p", 0, 0, 1, 1, 0, 0, 1, 1)),
		trial("2,3;", fixed("p", 0, 0, 0, 0)),
	}},
	{name: "Pad, other modes", node: "y = Pad x, p", trials: []gradientTrial{
		trial("4", fixed("p", 1, 2), attr("mode", "edge")), trial("2,3", fixed("p", 0, 1, 2, 0), attr("mode", "edge")), trial("4,4", fixed("p", 2, 1, 1, 2), attr("mode", "reflect")),
		trial("2,3,3,3", fixed("p", 0, 0, 1, 1, 0, 0, 2, 1), attr("mode", "reflect")), trial("4,3", fixed("p", 2, 1, 5, -1), attr("mode", "wrap")),
	}, opset: 19},
	{node: "y = CenterCropPad x, s", trials: []gradientTrial{
		trial("5", fixed("s", 3)), trial("5,4", fixed("s", 8, 1)), trial("5,4", fixed("s", 2, 7)), trial("5,4", fixed("s", 7), attr("axes", []int64{1})), trial("3", fixed("s", 3)),
	}},
	{node: "y = Gather x, i", trials: []gradientTrial{
		trial("5", fixed("i", 0, 3, 3, -1)), trial("5,3", fixedAs("i", []int{2, 2}, 1, 1, 0, 4)), trial("2,4,3", fixed("i", 3, 0, 3), attr("axis", 1)),
		trial("2,4", fixedAs("i", nil, 2), attr("axis", -1)), trial("3,2,2", fixed("i", 2)), trial("9", manyIndices("i", 40000, 9)), trial("700,33", manyIndices("i", 900, 700)),
	}},
	{node: "y = GatherElements x, i", trials: []gradientTrial{
		trial("5", fixed("i", 0, 3, 3, -1)), trial("3,2", fixedAs("i", []int{2, 2}, 1, 1, 0, 2)), trial("3,2", fixedAs("i", []int{3, 1}, 1, 1, 0), attr("axis", 1)),
		trial("2,2", fixedAs("i", []int{2, 2}, 0, 0, 0, 0), attr("axis", -1)), trial("1", fixed("i", 0)),
	}},
	{node: "y = GatherND x, i", trials: []gradientTrial{
		trial("5", fixedAs("i", []int{3, 1}, 0, 3, 3)), trial("3,2", fixedAs("i", []int{2, 2}, 1, 1, 0, 1)), trial("3,2", fixedAs("i", []int{3, 1}, 1, 1, 0)),
		trial("2,2,3", fixedAs("i", []int{1, 2, 2}, 0, 0, 0, 0)), trial("1", fixedAs("i", []int{1}, 0)),
	}},
	{node: "y = ScatterElements x, i, u", trials: []gradientTrial{
		trial("5;2", fixed("i", 0, 3)), trial("3,2;2,2", fixedAs("i", []int{2, 2}, 1, 1, 0, 2)), trial("3,2;3,1", fixedAs("i", []int{3, 1}, 1, 1, 0), attr("axis", 1)),
		trial("2,2;2,2", fixedAs("i", []int{2, 2}, 0, 0, 0, 0), attr("axis", -1), attr("reduction", "add")), trial("1;1", fixed("i", 0)),
	}},
	{node: "y = ScatterND x, i, u", trials: []gradientTrial{
		trial("5;2", fixedAs("i", []int{2, 1}, 0, 3)), trial("3,2;2", fixedAs("i", []int{2, 2}, 1, 1, 0, 1)), trial("3,2;2,2", fixedAs("i", []int{2, 1}, 1, 0)),
		trial("2,2;2,2", fixedAs("i", []int{2, 1}, 0, 0), attr("reduction", "add")), trial("1;1", fixedAs("i", []int{1, 1}, 0)),
	}},
	{node: "y, z = TopK x, k", trials: []gradientTrial{
		trial("9", fixed("k", 3)), trial("4,5", fixed("k", 2)), trial("4,5", fixed("k", 2), attr("axis", 0)), trial("2,3,4", fixed("k", 1), attr("largest", 0)), trial("3", fixed("k", 3)),
	}},
	{node: "y = CumSum x, a", trials: []gradientTrial{
		trial("5", fixedAs("a", nil, 0)), trial("2,3", fixedAs("a", nil, 1), attr("exclusive", 1)), trial("2,3", fixedAs("a", nil, -2), attr("reverse", 1)),
		trial("2,3,4", fixedAs("a", nil, 1), attr("exclusive", 1), attr("reverse", 1)), trial("1", fixedAs("a", nil, 0)),
	}},
	{node: "y = Trilu x, k", trials: []gradientTrial{
		trial("4,4", fixedAs("k", nil, 0)), trial("3,5", fixedAs("k", nil, 1)), trial("2,3,3", fixedAs("k", nil, -1), attr("upper", 0)), trial("2,2", fixedAs("k", nil, 5)),
		trial("5,3", fixedAs("k", nil, 1), attr("upper", 0)),
	}},
	{node: "y = ReverseSequence x, n", trials: []gradientTrial{
		trial("4,2", fixed("n", 3, 4)), trial("2,4", fixed("n", 3, 1), attr("batch_axis", 0), attr("time_axis", 1)), trial("4,1,3", fixed("n", 2)), trial("1,1", fixed("n", 1)), trial("5,2,2", fixed("n", 5, 5)),
	}},
	{node: "y = DepthToSpace x", trials: []gradientTrial{
		trial("1,4,2,3", attr("blocksize", 2)), trial("2,8,2,2", attr("blocksize", 2), attr("mode", "CRD")), trial("1,9,1,2", attr("blocksize", 3)),
		trial("2,3,2,2", attr("blocksize", 1)), trial("1,16,3,1", attr("blocksize", 2), attr("mode", "CRD")),
	}},
	{node: "y = SpaceToDepth x", trials: []gradientTrial{
		trial("1,4,2,4", attr("blocksize", 2)), trial("2,3,2,2", attr("blocksize", 2)), trial("1,1,3,6", attr("blocksize", 3)), trial("2,3,2,2", attr("blocksize", 1)), trial("2,2,4,4", attr("blocksize", 4)),
	}},
}

// manyIndices is a constant of n indices below most.
func manyIndices(name string, n, most int) constantInput {
	v := make([]int64, n)
	for i := range v {
		v[i] = int64(i * i * 7 % most)
	}
	return fixed(name, v...)
}

// reductionTrials are axes and shapes.
func reductionTrials() []gradientTrial {
	return []gradientTrial{
		trial("5", fixed("a", 0)), trial("3,4", fixed("a", 1)), trial("2,3,4", fixed("a", 0, 2), attr("keepdims", 0)), trial("2,3,4,5", fixed("a", 2, 3)),
		trial("2,3,4", fixed("a", -2), attr("keepdims", 0)), trial("3,2", fixed("a")), trial("2,2", fixed("a"), attr("noop_with_empty_axes", 1)),
	}
}

var networkGradients = []gradientCase{
	{node: "y = ReduceSum x, a", trials: reductionTrials()},
	{node: "y = ReduceMean x, a", trials: reductionTrials()},
	{node: "y = ReduceMax x, a", trials: reductionTrials()},
	{node: "y = ReduceMin x, a", trials: reductionTrials()},
	{node: "y = ReduceProd x, a", trials: reductionTrials()},
	{node: "y = ReduceL1 x, a", trials: reductionTrials()},
	{node: "y = ReduceL2 x, a", trials: reductionTrials()},
	{node: "y = ReduceSumSquare x, a", trials: reductionTrials()},
	{node: "y = ReduceLogSum x, a", trials: reductionTrials(), value: positive},
	{node: "y = ReduceLogSumExp x, a", trials: reductionTrials()},
	{node: "y = Softmax x", trials: softmaxTrials()},
	{node: "y = LogSoftmax x", trials: softmaxTrials()},
	{name: "Softmax, opset 11", node: "y = Softmax x", trials: softmaxTrials(), opset: 11},
	{node: "y = LpNormalization x", trials: []gradientTrial{
		trial("5"), trial("2,3", attr("p", 1)), trial("2,3,4", attr("axis", 1)), trial("2,3,4", attr("axis", 0), attr("p", 1)), trial("2,2,2,2", attr("axis", 2)),
	}},
	{node: "y = MeanVarianceNormalization x", trials: []gradientTrial{
		trial("2,3,4,5"), trial("1,2,3,3"), trial("4,5", attr("axes", []int64{1})), trial("4,5", attr("axes", []int64{0, 1})), trial("2,3,7", attr("axes", []int64{2})),
	}},
	{node: "y = LRN x", trials: []gradientTrial{
		trial("2,5,3", attr("size", 3), attr("alpha", 0.5)), trial("1,7,2,2", attr("size", 5), attr("alpha", 0.3), attr("beta", 0.6), attr("bias", 2.0)), trial("2,4", attr("size", 2), attr("alpha", 1.0)),
		trial("2,4,3,3", attr("size", 1)), trial("1,3,2", attr("size", 4), attr("alpha", 0.7)),
	}},
	{node: "y = Gemm a, b, c", trials: []gradientTrial{
		trial("2,3;3,4;4"), trial("3,2;3,4;2,4", attr("transA", 1), attr("alpha", 0.5)), trial("2,3;4,3;2,1", attr("transB", 1), attr("beta", 0.25)),
		trial("3,2;4,3;", attr("transA", 1), attr("transB", 1), attr("alpha", 2.0)), trial("1,70;70,9;1,9"),
	}},
	{node: "y = MatMul a, b", trials: trials("2,3;3,4", "5,2,3;3,4", "5,2,3;5,3,4", "2,1,2,3;4,3,2", "3;3", "3;3,2", "2,3;3", "4,3;2,3,2", "2,2,3;3", "1,2,3;4,3,2", "3;2,3,4")},
	{node: "y = Einsum a, b", trials: []gradientTrial{
		trial("2,3;3,4", equation("ij,jk->ik")), trial("2,5,3,4;2,6,3,4", equation("bqhd,bkhd->bhqk")), trial("2,3,5,6;2,6,3,4", equation("bhqk,bkhd->bqhd")),
		trial("3;4", equation("i,j->ij")), trial("2,3;2,4", equation("ij,ik->j")), trial("1,2,3;4,3,2", equation("...ij,...jk->...ik")), trial("5,2,3;3,4", equation("...i,ij->...j")),
	}},
	{name: "Einsum of one and three", node: "y = Einsum a, b, c", trials: []gradientTrial{
		trial("2,3;3,4;4,2", equation("ij,jk,kl->il")), trial("2;3;4", equation("i,j,k->")), trial("2,3;3;2", equation("ij,j,i->ij")), trial("2,3;3,4;4,5", equation("ab,bc,cd")), trial("2,2;2,2;2,2", equation("ij,ij,ij->i")),
	}},
	{name: "Resize, nearest", node: "y = Resize x, _, s", trials: resizeTrials("nearest")},
	{name: "Resize, linear", node: "y = Resize x, _, s", trials: resizeTrials("linear")},
	{name: "Resize, cubic", node: "y = Resize x, _, s", trials: resizeTrials("cubic")},
	{name: "Resize, antialias", node: "y = Resize x, _, s", trials: []gradientTrial{
		trial("1,2,6,8", attr("mode", "linear"), attr("antialias", 1), scales(1, 1, 0.5, 0.3)), trial("9", attr("mode", "cubic"), attr("antialias", 1), scales(0.4)),
		trial("1,2,6,8", attr("mode", "linear"), attr("antialias", 1), scales(1, 1, 2, 0.5)), trial("8,2", attr("mode", "cubic"), attr("exclude_outside", 1), scales(0.5, 2)),
		trial("5,5", attr("mode", "linear"), attr("antialias", 1), scales(0.7, 0.7)),
	}},
	{name: "Resize of a region, to sizes", node: "y = Resize x, r, _, s", trials: []gradientTrial{
		trial("1,1,4,5", attr("mode", "linear"), attr("coordinate_transformation_mode", "tf_crop_and_resize"), region(0, 0, 0.2, -0.3, 1, 1, 0.9, 1.2), fixed("s", 1, 1, 6, 7)),
		trial("4,5", attr("mode", "nearest"), attr("coordinate_transformation_mode", "tf_crop_and_resize"), region(0.1, 0.2, 0.9, 1.3), fixed("s", 3, 9)),
		trial("4,5", attr("mode", "linear"), region(), fixed("s", 3, 9)), trial("1,2,4,5", attr("mode", "linear"), attr("axes", []int64{2, 3}), region(), fixed("s", 8, 10), attr("keep_aspect_ratio_policy", "not_larger")),
		trial("1,2,4,5", attr("mode", "cubic"), attr("axes", []int64{3, 2}), region(), fixed("s", 8, 2)),
	}},
	{node: "y = Upsample x, s", opset: 9, trials: []gradientTrial{
		trial("1,2,3,3", attr("mode", "linear"), scales(1, 1, 2, 2)), trial("1,2,3,3", attr("mode", "nearest"), scales(1, 1, 2, 3)), trial("4", scales(1.5)), trial("2,3", scales(1, 2)), trial("2,2,2", attr("mode", "linear"), scales(1, 1, 3)),
	}},
	{node: "y = Dropout x, r, t", trials: []gradientTrial{
		trial("50", number32("r", 0.5), truth("t", true), attr("seed", 3)), trial("3,4", number32("r", 0.25), truth("t", true), attr("seed", 4)), trial("3,4", number32("r", 0.25), truth("t", false)),
		trial("2,3,4", number32("r", 0), truth("t", true)), trial("2,3,4,5", number32("r", 0.125), truth("t", true), attr("seed", 5)),
	}},
}

// resizeTrials are ways to resize in a mode.
func resizeTrials(mode string) []gradientTrial {
	m := attr("mode", mode)
	as := func(s string) any { return attr("coordinate_transformation_mode", s) }
	return []gradientTrial{
		trial("1,2,3,4", m, scales(1, 1, 2, 2)), trial("2,3,5,4", m, scales(1, 1, 0.6, 1.5), as("asymmetric")), trial("1,1,4,4", m, scales(1, 1, 3, 1), as("align_corners")),
		trial("4,6", m, scales(0.5, 1.7)), trial("2,3,4", m, scales(1, 1, 2.5), as("pytorch_half_pixel")), trial("2,70,5,3", m, scales(1, 1, 2, 3), as("half_pixel")),
	}
}

// region is the constant r.
func region(v ...float32) constantInput { return constantInput{"r", tensor.From(v, len(v))} }

func scales(v ...float32) constantInput { return constantInput{"s", tensor.From(v, len(v))} }

func equation(s string) any { return attr("equation", s) }

func number32(name string, x float32) constantInput { return constantInput{name, tensor.Scalar(x)} }

func truth(name string, v bool) constantInput { return constantInput{name, tensor.Scalar(v)} }

func softmaxTrials() []gradientTrial {
	return []gradientTrial{
		trial("5"), trial("3,4"), trial("2,3,4", attr("axis", 1)), trial("2,3,70", attr("axis", 0)), trial("2,3,4,5", attr("axis", 1)), trial("40,300"),
	}
}
