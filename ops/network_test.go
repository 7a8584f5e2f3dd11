package ops

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

func TestActivations(t *testing.T) {
	runExamples(t, []example{
		{"Relu-7", "", "f[3] -1 0 nan", "f[3] 0 0 nan"},
		{"Relu-14", "", "i8[3] -128 0 5", "i8[3] 0 0 5"},
		{"Relu-14", "", "u8[1] 3", "error: uint8"},
		{"HardSwish-13", "", "f[1] 1", "error: not supported"},
		{"LeakyRelu-16", "alpha=f0.5", "d[2] -2 2", "d[2] -1 2"},
		{"Elu-7", "alpha=f2", "d[2] -1 3", "d[2] -1.2642411176571153 3"},
		{"Selu-7", "", "f[2] -1 2", "f[2] -1.1113307 2.101402"},
		{"Celu-12", "alpha=f2", "f[2] -2 1", "f[2] -1.2642411 1"},
		{"Celu-12", "alpha=f0", "f[1] 1", "error: alpha"},
		{"Sigmoid-13", "", "bf[3] 0 100 -inf", "bf[3] 0.5 1 0"},
		{"HardSigmoid-7", "", "f[3] -3 0 1", "f[3] 0 0.5 0.7"},
		{"HardSigmoid-7", "alpha=f0.5 beta=f0.25", "f[2] 0.5 9", "f[2] 0.5 1"},
		{"HardSwish-14", "", "f[3] -4 1 4", "f[3] 0 0.6666667 4"},
		{"Tanh-7", "", "h[2] 0 inf", "h[2] 0 1"},
		{"Softplus-7", "", "d[2] 0 1000", "d[2] 0.6931471805599453 1000"},
		{"Softsign-7", "", "f[2] -3 1", "f[2] -0.75 0.5"},
		{"Gelu-20", "", "d[2] 1 -1", "d[2] 0.8413447460685429 -0.15865525393145707"},
		{"Gelu-20", "approximate=tanh", "f[1] 1", "f[1] 0.841192"},
		{"Gelu-20", "approximate=fast", "f[1] 1", "error: approximate"},
		{"Mish-18", "", "f[1] 1", "f[1] 0.8650984"},
		{"Swish-24", "alpha=f2", "f[1] 1", "f[1] 0.8807971"},
		{"Erf-9", "", "d[1] 0.5", "d[1] 0.5204998778130465"},
		{"ThresholdedRelu-10", "", "f[3] 1 1.5 nan", "f[3] 0 1.5 0"},
		{"Tanh-7", "", "i[1] 1", "error: int32"},
		{"PRelu-7", "", "f[1,2,1,2] -1 1 -2 -3; f[2,1,1] 2 3", "f[1,2,1,2] -2 1 -6 -9"},
		{"PRelu-9", "", "f[1,1,2,2] -1 1 -2 -3; f[1,1,2,2] 2 3 4 5", "f[1,1,2,2] -2 1 -8 -15"},
		{"PRelu-9", "", "i[2] -1 1; i[] 3", "i[2] -3 1"},
		{"PRelu-9", "", "f[2] -1 1; f[3,1] 1 2 3", "error: broadcast"},
		{"Clip-7", "min=f-1", "f[3] -2 0 9", "f[3] -1 0 9"},
		{"Clip-7", "", "f[1] 1; f[] 0", "error: attributes"},
		{"Clip-11", "", "f[3] -2 0 9; ; f[] 5", "f[3] -2 0 5"},
		{"Clip-13", "", "u8[3] 1 5 9; u8[] 2; u8[] 7", "u8[3] 2 5 7"},
		{"Clip-13", "", "l[2] 1 9; l[] 7; l[] 3", "l[2] 3 3"},
		{"Clip-13", "", "d[3] nan 1 -1; d[] 0", "d[3] nan 1 0"},
		{"Clip-13", "", "f[1] 1; f[2] 0 1", "error: scalar"},
		{"Clip-13", "", "f[1] 1; d[] 0", "error: input 1"},
		{"Softmax-7", "", "f[1,2,1] 1 1", "f[1,2,1] 0.5 0.5"},
		{"Softmax-11", "", "f[2,1,2] 0 0 0 0", "f[2,1,2] 0.5 0.5 0.5 0.5"},
		{"Softmax-11", "axis=0", "d[2,2] 0 0 0 0", "d[2,2] 0.25 0.25 0.25 0.25"},
		{"Softmax-13", "", "f[2,1,2] 0 0 0 inf", "f[2,1,2] 0.5 0.5 nan nan"},
		{"Softmax-13", "axis=0", "d[2,2] 0 0 0 0", "d[2,2] 0.5 0.5 0.5 0.5"},
		{"Softmax-13", "axis=2", "d[2,2] 0 0 0 0", "error: axis 2"},
		{"Softmax-13", "", "f[0,3]", "f[0,3]"},
		{"LogSoftmax-13", "", "d[2] 1000 1000", "d[2] -0.6931471805599453 -0.6931471805599453"},
		{"Hardmax-13", "axis=0", "h[2,2] 1 2 1 3", "h[2,2] 1 0 0 1"},
		{"Hardmax-11", "", "f[1,2,2] 1 5 5 2", "f[1,2,2] 0 1 0 0"},
	})
}

func TestNormalisations(t *testing.T) {
	runExamples(t, []example{
		{"BatchNormalization-9", "epsilon=f0", "f[1,2,1,2] 1 2 3 4; f[2] 1 2; f[2] 0 10; f[2] 1 3; f[2] 1 4", "f[1,2,1,2] 0 1 10 11"},
		{"BatchNormalization-15", "epsilon=f0", "d[2,1] 1 2; d[1] 1; d[1] 0; d[1] 1; d[1] 4", "d[2,1] 0 0.5"},
		{"BatchNormalization-15", "epsilon=f0", "h[1,1,2] 1 3; f[1] 1; f[1] 0; f[1] 1; f[1] 4", "h[1,1,2] 0 1"},
		{
			"BatchNormalization-15", "epsilon=f0 training_mode=1 momentum=f0.5", "f[2,1,2] 1 3 1 3; f[1] 1; f[1] 0; f[1] 10; f[1] 5",
			"f[2,1,2] -1 1 -1 1; f[1] 6; f[1] 3",
		},
		{"BatchNormalization-9", "", "f[1,2] 1 2; f[2] 1 1; f[2] 0 0; f[2] 0 0; f[3] 1 1 1", "error: input 4"},
		{"BatchNormalization-7", "spatial=0", "f[1,1] 1; f[1] 1; f[1] 0; f[1] 0; f[1] 1", "error: spatial"},
		{"InstanceNormalization-7", "epsilon=f0", "f[1,2,2] 1 3 5 9; f[2] 1 2; f[2] 0 1", "f[1,2,2] -1 1 -1 3"},
		{"GroupNormalization-18", "epsilon=f0 num_groups=2", "f[1,4,1] 1 3 5 9; f[2] 1 2; f[2] 0 1", "f[1,4,1] -1 1 -1 3"},
		{"GroupNormalization-21", "epsilon=f0 num_groups=2", "d[1,4,1] 1 3 5 9; d[4] 1 2 3 4; d[4] 0 0 0 1", "d[1,4,1] -1 2 -3 5"},
		{"GroupNormalization-21", "num_groups=3", "f[1,4,1] 1 3 5 9; f[4] 1 2 3 4; f[4] 0 0 0 1", "error: 4 channels in 3 groups"},
		{"GroupNormalization-21", "", "f[1,1,1] 1; f[1] 1; f[1] 0", "error: num_groups"},
		{"LayerNormalization-17", "epsilon=f0", "f[2,2] 1 3 5 9; f[2] 1 2; f[2] 0 1", "f[2,2] -1 3 -1 3; f[2,1] 2 7; f[2,1] 1 0.5"},
		{"LayerNormalization-17", "epsilon=f0 axis=0", "d[1,2] 1 3; d[1,2] 1 2", "d[1,2] -1 2; d[1,1] 2; d[1,1] 1"},
		{"LayerNormalization-17", "epsilon=f0", "h[2,2] 1 3 5 9; h[2] 1 2; h[2] 0 1", "h[2,2] -1 3 -1 3; f[2,1] 2 7"},
		{"LayerNormalization-17", "epsilon=f0", "f[2,2] 1 3 5 9; f[2,1] 1 2; f[1] 1", "f[2,2] 0 2 -1 3"},
		{"LayerNormalization-17", "epsilon=f0", "d[2,2] 1 3 5 9; d[2,1] 1 2; d[] 1", "d[2,2] 0 2 -1 3"},
		{"LayerNormalization-17", "", "f[2,2] 1 3 5 9; f[3] 1 2 3", "error: broadcast"},
		{"RMSNormalization-23", "epsilon=f0", "f[1,2] 3 -3; f[2] 1 2", "f[1,2] 1 -2"},
		{"RMSNormalization-23", "epsilon=f0 axis=-2", "d[2,2] 3 -3 3 3; d[2,2] 1 2 3 4", "d[2,2] 1 -2 3 4"},
		{"LRN-7", "size=3 alpha=f3 beta=f1 bias=f1", "f[1,3,1,1] 1 2 3", "f[1,3,1,1] 0.16666667 0.13333333 0.21428572"},
		{"LRN-13", "size=2 alpha=f2 beta=f0.5 bias=f0", "d[1,2,1] 3 4", "d[1,2,1] 0.6 1"},
		{"LRN-13", "", "d[1,2,1] 3 4", "error: size"},
		{"MeanVarianceNormalization-13", "axes=1,", "d[2,2] 1 3 5 9", "d[2,2] -1 1 -1 1"},
		{"MeanVarianceNormalization-9", "", "f[2,1,1,1] 1 3", "f[2,1,1,1] -1 1"},
		{"LpNormalization-7", "axis=0 p=1", "f[2,2] 1 0 -3 0", "f[2,2] 0.25 0 -0.75 0"},
		{"LpNormalization-22", "", "bf[2] 3 4", "bf[2] 0.6 0.8"},
		{"LpNormalization-22", "p=3", "f[2] 3 4", "error: p"},
		{"Dropout-7", "", "f[2] 1 2", "f[2] 1 2; f[2] 1 1"},
		{"Dropout-10", "", "f[2] 1 2", "f[2] 1 2; b[2] 1 1"},
		{"Dropout-13", "", "h[2] 1 2; f[] 0.5; b[] 0", "h[2] 1 2"},
		{"Dropout-13", "", "f[2] 1 2; f[] 1; b[] 1", "error: ratio"},
		// The first numbers of the Mersenne twister with seed 0 are 0.549, 0.715, 0.603, 0.545, 0.424.
		{"Dropout-13", "seed=0", "d[5] 1 2 3 4 5; d[] 0.6; b[] 1", "d[5] 0 5 7.5 0 0; b[5] 0 1 1 0 0"},
	})
}

func TestImages(t *testing.T) {
	six := "f[1,1,2,3] 1 2 3 4 5 6"
	runExamples(t, []example{
		{"MaxPool-8", "kernel_shape=2,2", six, "f[1,1,1,2] 5 6; l[1,1,1,2] 4 5"},
		{"MaxPool-8", "kernel_shape=2,2 storage_order=1", "f[1,2,2,2] 4 3 2 1 1 2 3 4", "f[1,2,1,1] 4 4; l[1,2,1,1] 0 7"},
		{"MaxPool-12", "kernel_shape=2,1", "u8[1,1,2,2] 1 255 3 4", "u8[1,1,1,2] 3 255"},
		{"MaxPool-12", "kernel_shape=2,", "i8[1,1,3] -1 -2 -128", "i8[1,1,2] -1 -2"},
		{"MaxPool-12", "kernel_shape=2,2", "f[1,1,2,2] 1 nan 2 3", "f[1,1,1,1] nan"},
		{"MaxPool-12", "kernel_shape=2,2", "d[1,1,2,2] 1 nan 2 3", "d[1,1,1,1] nan"},
		{"AveragePool-7", "kernel_shape=2,2 pads=0,0,0,1", six, "f[1,1,1,3] 3 4 4.5"},
		{"AveragePool-7", "kernel_shape=2,2 pads=0,0,0,1 count_include_pad=1", six, "f[1,1,1,3] 3 4 2.25"},
		{"LpPool-11", "kernel_shape=1,2", "d[1,1,1,2] 3 4", "d[1,1,1,1] 5"},
		{"LpPool-11", "kernel_shape=1,2 p=0", "d[1,1,1,2] 3 4", "error: p"},
		{"MaxPool-12", "", six, "error: kernel_shape"},
		{"MaxPool-12", "kernel_shape=2,2 pads=0,0,0,-1", six, "error: pads"},
		{"MaxPool-12", "kernel_shape=2,2 strides=0,1", six, "error: strides"},
		{"MaxPool-12", "kernel_shape=3,2", six, "error: does not fit"},
		{"MaxPool-12", "kernel_shape=2,2,2", six, "error: 3 dimensions"},
		{"MaxPool-12", "kernel_shape=2,2 dilations=1,1073741824", six, "error: does not fit"},
		{"AveragePool-7", "kernel_shape=2,2", "i[1,1,2,2] 1 2 3 4", "error: int32"},
		{"GlobalAveragePool-7", "", "f[1,2,2] 1 2 3 5", "f[1,2,1] 1.5 4"},
		{"GlobalMaxPool-7", "", "d[1,2,1,2] 1 2 3 5", "d[1,2,1,1] 2 5"},
		{"GlobalLpPool-7", "", "f[1,1,1,2] 3 4", "f[1,1,1,1] 5"},
		{"GlobalLpPool-7", "p=1", "f[1,2,1,2] 3 -4 1 1", "f[1,2,1,1] 7 2"},
		{"Conv-7", "", "f[1,2,2,2] 1 2 3 4 5 6 7 8; f[1,1,1,1] 1", "error: 2 input channels"},
		{"Conv-7", "group=3", "f[1,2,1,1] 1 2; f[3,1,1,1] 1 1 1", "error: 2 input channels in 3 groups"},
		{"Conv-7", "group=2", "f[1,2,1,1] 1 2; f[3,1,1,1] 1 1 1", "error: 3 output channels in 2 groups"},
		{"Conv-7", "group=0", "f[1,2,1,1] 1 2; f[2,1,1,1] 1 1", "error: group"},
		{"Conv-7", "", "f[1,1,2,2] 1 2 3 4; f[1,1,3,1] 1 1 1", "error: does not fit"},
		{"Conv-7", "kernel_shape=2,2", "f[1,1,2,2] 1 2 3 4; f[1,1,1,1] 1", "error: kernel"},
		{"Conv-7", "", "f[1,1,2] 1 2; f[1,1,1,1] 1", "error: rank"},
		{"Conv-7", "pads=0,0,-1,0", "f[1,1,2,2] 1 2 3 4; f[1,1,1,1] 1", "error: pads"},
		{"Conv-7", "", "f[1,1,1,1] 1; f[1,1,1,1] 1; f[2] 1 1", "error: bias"},
		{"Conv-7", "auto_pad=BOTH", "f[1,1,1,1] 1; f[1,1,1,1] 1", "error: auto_pad"},
		{"Conv-7", "", "f[0,1,1,1]; f[2,1,1,1] 1 2", "f[0,2,1,1]"},
		{"ConvTranspose-7", "pads=2,2,2,2", "f[1,1,1,1] 1; f[1,1,3,3] 1 2 3 4 5 6 7 8 9", "error: leaves nothing"},
		{"ConvTranspose-7", "output_shape=3,3 strides=2,2", "f[1,1,2,2] 1 2 3 4; f[1,1,2,2] 1 1 1 1", "f[1,1,3,3] 1 2 2 3 4 4 3 4 4"},
		{"ConvTranspose-7", "output_shape=1073741825,3", "f[1,1,2,2] 1 2 3 4; f[1,1,2,2] 1 1 1 1", "error: output_shape"},
		{"ConvTranspose-7", "", "f[1,2,1,1] 1 2; f[1,1,1,1] 1", "error: 2 input channels"},
		{"DepthToSpace-7", "blocksize=2", "f[1,4,1,1] 1 2 3 4", "f[1,1,2,2] 1 2 3 4"},
		{"DepthToSpace-11", "blocksize=2 mode=CRD", "i8[1,8,1,1] 1 2 3 4 5 6 7 8", "i8[1,2,2,2] 1 2 3 4 5 6 7 8"},
		{"DepthToSpace-11", "blocksize=2", "l[1,8,1,1] 1 2 3 4 5 6 7 8", "l[1,2,2,2] 1 3 5 7 2 4 6 8"},
		{"DepthToSpace-11", "blocksize=2", "f[1,2,1,1] 1 2", "error: multiple"},
		{"SpaceToDepth-7", "blocksize=2", "h[1,1,2,2] 1 2 3 4", "h[1,4,1,1] 1 2 3 4"},
		{"SpaceToDepth-7", "blocksize=2", "h[1,1,2,3] 1 2 3 4 5 6", "error: multiple"},
		{"SpaceToDepth-7", "", "h[1,1,2,2] 1 2 3 4", "error: blocksize"},
		{"Upsample-7", "", six, "error: scales"},
		{"Upsample-9", "mode=linear", "f[1,1,1,2] 1 3; f[4] 1 1 1 2", "f[1,1,1,4] 1 2 3 3"},
		{"Resize-10", "", "i[1,1,1,2] 1 3; f[4] 1 1 2 2", "i[1,1,2,4] 1 1 3 3 1 1 3 3"},
		{"Resize-11", "coordinate_transformation_mode=align_corners mode=linear", "d[1,1,1,2] 1 3; ; ; l[4] 1 1 1 3", "d[1,1,1,3] 1 2 3"},
		{"Resize-13", "mode=linear", "u8[1,1,1,2] 1 4; ; f[4] 1 1 1 2", "u8[1,1,1,4] 1 1 3 4"},
		{"Resize-13", "mode=linear", "f[2,1,1,1] 1 3; ; f[4] 2 1 1 1", "f[4,1,1,1] 1 1.5 2.5 3"},
		{"Resize-18", "axes=3, keep_aspect_ratio_policy=not_larger", "f[1,1,1,2] 1 3; ; ; l[1] 4", "f[1,1,1,4] 1 1 3 3"},
		{"Resize-18", "axes=3,3", "f[1,1,1,2] 1 3; ; ; l[2] 4 4", "error: twice"},
		{"Resize-13", "", "f[1,1,1,2] 1 3; ; f[4] 1 1 1 2; l[4] 1 1 1 4", "error: both"},
		{"Resize-13", "", "f[1,1,1,2] 1 3; ; f[4] 1 1 1 0", "error: scale 0"},
		{"Resize-13", "", "f[1,1,1,2] 1 3; ; f[4] 1 1 1 1e20", "error: scale 1e+20"},
		{"Resize-13", "", "f[1,1,1,2] 1 3; ; f[4] 1 1 1 1e9", "error: over the limit"},
		{"Resize-13", "", "f[1,1,1,2] 1 3; ; ; l[4] 1 1 1 -1", "error: size -1"},
		{"Resize-13", "mode=cubic", "s[1,1,1,2] a b; ; f[4] 1 1 1 2", "error: string"},
		{"GridSample-16", "mode=bilinear align_corners=1", "f[1,1,1,3] 1 2 3; f[1,1,2,2] -0.5 0 3 0", "f[1,1,1,2] 1.5 0"},
		{"GridSample-20", "padding_mode=border", "d[1,1,2] 1 2; d[1,3,1] -9 nan 9", "d[1,1,3] 1 1 2"},
		{"GridSample-20", "", "d[1,1,2] 1 2; d[1,3,2] 0 0 0 0 0 0", "error: grid"},
		{"RoiAlign-16", "output_height=1 output_width=2 sampling_ratio=1", "f[1,1,2,2] 1 2 3 4; f[1,4] 0 0 2 2; l[1] 0", "f[1,1,1,2] 2 3"},
		{"RoiAlign-10", "", "f[1,1,2,2] 1 2 3 4; f[1,4] 0 0 2 2; l[1] 1", "error: image 1 of 1"},
		{"RoiAlign-10", "", "f[1,1,2,2] 1 2 3 4; f[1,4] 0 0 1e30 2; l[1] 0", "error: region"},
		{"AffineGrid-20", "align_corners=1", "f[1,2,3] 1 0 0 0 1 0; l[4] 1 1 1 2", "f[1,1,2,2] -1 -1 1 -1"},
		{"Col2Im-18", "", "f[1,2,2] 1 2 3 4; l[1] 3; l[1] 2", "f[1,1,3] 1 5 4"},
		{"Col2Im-18", "", "f[1,2,3] 1 2 3 4 5 6; l[1] 3; l[1] 2", "error: 3 columns"},
		{"Einsum-12", "equation=...ij,...jk->...ik", "f[1,2] 1 2; f[2,1] 3 4", "f[1,1] 11"},
		{"Einsum-12", "equation=...i,...i->...", "f[2,2] 1 2 3 4; f[1,2] 1 1", "f[2] 3 7"},
		{"Einsum-12", "equation=i...->...", "i[2,3] 1 2 3 4 5 6", "i[3] 5 7 9"},
		{"Einsum-12", "equation=i->ii", "f[2] 1 2", "error: index"},
		{"Einsum-12", "equation=ab", "f[2] 1 2", "error: rank 1"},
		{"Einsum-12", "equation=a,a", "f[2] 1 2; f[3] 1 2 3", "error: extent 3"},
		{"Einsum-12", "equation=a?", "f[2] 1 2", "error: understood"},
		{"Gemm-13", "", "f[1,2] 1 2; f[3,1] 1 2 3", "error: 2 columns"},
		{"Gemm-9", "", "f[1,1] 1; f[1,1] 1", "error: 3 inputs"},
		{"Gemm-13", "", "f[1,1] 1; f[1,1] 1; f[2,1] 1 1", "error: broadcast"},
		{"Gemm-13", "", "u[1,1] 3; u[1,1] 4; u[1] 5", "u[1,1] 17"},
		{"MatMul-13", "", "f[] 1; f[1] 1", "error: scalar"},
		{"MatMul-13", "", "f[2,1,1] 1 1; f[3,1,1] 1 1 1", "error: broadcast"},
	})
}

// TestNetworkShapes infers shapes of which some dimensions have names.
func TestNetworkShapes(t *testing.T) {
	shape := func(s string) Shape {
		if s == "*" {
			return nil
		}
		out := Shape{}
		for _, d := range strings.Split(s, ",") {
			n, err := tensorCount(d)
			switch {
			case err == nil:
				out = append(out, Known(n))
			case d == "?":
				out = append(out, Unknown)
			default:
				out = append(out, Dim{N: -1, Name: d})
			}
		}
		return out
	}
	for _, c := range []struct{ name, attributes, in, want string }{
		{"Conv-11", "pads=1,1,1,1", "N,3,H,W 8,3,3,3", "[N,8,H,W]"},
		{"Conv-11", "pads=1,1,1,1 strides=2,1", "N,3,H,W 8,3,3,3", "[N,8,?,W]"},
		{"Conv-11", "auto_pad=SAME_LOWER", "N,3,H,9 8,3,4,2", "[N,8,H,9]"},
		{"Conv-11", "kernel_shape=3,3 auto_pad=VALID", "N,3,9,W *", "[N,?,7,?]"},
		{"Conv-11", "", "* 8,3,1,1", "[*]"},
		{"ConvTranspose-11", "strides=2,2 group=2", "N,4,H,3 4,3,2,2", "[N,6,?,6]"},
		{"MaxPool-12", "kernel_shape=3,3 pads=1,1,1,1", "N,C,H,W", "[N,C,H,W]"},
		{"GlobalAveragePool-7", "", "N,C,H,W", "[N,C,1,1]"},
		{"MatMul-13", "", "B,H,T,64 B,H,64,S", "[B,H,T,S]"},
		{"MatMul-13", "", "B,T,64 64,10", "[B,T,10]"},
		{"MatMul-13", "", "N,4 4", "[N]"},
		{"Gemm-13", "transB=1", "N,K 10,5", "[N,10]"},
		{"DepthToSpace-13", "blocksize=2", "N,16,H,3", "[N,4,?,6]"},
		{"Softmax-13", "", "N,C", "[N,C]"},
		{"Einsum-12", "equation=bij,bjk->bik", "B,3,J B,J,K", "[B,3,K]"},
		{"BatchNormalization-15", "", "N,C,H 4 4 4 4", "[N,C,H]"},
	} {
		var in []Info
		for _, s := range strings.Fields(c.in) {
			in = append(in, Info{Type: onnx.Float, Shape: shape(s)})
		}
		n := example{name: c.name, attributes: c.attributes}.node(len(in), 1)
		op, err := New(n)
		if err != nil {
			t.Fatal(err)
		}
		out, err := op.Infer(in)
		if err != nil || out[0].Shape.String() != c.want {
			t.Errorf("%s(%s) of %s: %v %v, want %s", c.name, c.attributes, c.in, out, err, c.want)
		}
	}
}

// tensorCount parses a decimal number.
func tensorCount(s string) (n int, err error) {
	for _, r := range s {
		if r < '0' || r > '9' {
			return 0, strings.NewReader("").UnreadByte()
		}
		n = n*10 + int(r-'0')
	}
	return n, nil
}

func TestNetworkCost(t *testing.T) {
	for _, c := range []struct {
		name, attributes string
		in               [][]int
		want             int64
	}{
		{"Conv-11", "group=2", [][]int{{2, 4, 5, 5}, {6, 2, 3, 3}}, 2 * 6 * 3 * 3 * 2 * 9},
		{"ConvTranspose-11", "", [][]int{{2, 4, 5, 5}, {4, 6, 3, 3}}, 2 * 4 * 5 * 5 * 6 * 9},
		{"MatMul-13", "", [][]int{{7, 3, 4}, {4, 5}}, 7 * 3 * 4 * 5},
		{"Gemm-13", "transA=1", [][]int{{3, 4}, {3, 5}}, 3 * 4 * 5},
		{"Einsum-12", "equation=bij,bjk->bik", [][]int{{2, 3, 4}, {2, 4, 5}}, 2 * 3 * 4 * 5},
	} {
		var in []Info
		for _, s := range c.in {
			in = append(in, Info{Type: onnx.Float, Shape: MakeShape(s...)})
		}
		op, err := New(example{name: c.name, attributes: c.attributes}.node(len(in), 1))
		if err != nil {
			t.Fatal(err)
		}
		out, err := op.Infer(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := op.(Coster).Cost(in, out).MACs; got != c.want {
			t.Errorf("%s: %d MACs, want %d", c.name, got, c.want)
		}
	}
}

// bases are nodes that run, to be spoilt: attributes and shapes of the inputs.
var bases = []example{
	{"AffineGrid-20", "", "f[1,2,3];l[4] 1 1 2 2", ""},
	{"AveragePool-19", "kernel_shape=2,2 pads=1,0,0,1 strides=1,2 ceil_mode=1", "f[1,3,4,4]", ""},
	{"BatchNormalization-15", "", "f[2,3,2];f[3];f[3];f[3];f[3]", ""},
	{"Celu-12", "alpha=f2", "f[3]", ""},
	{"Clip-13", "", "f[3];f[];f[]", ""},
	{"Col2Im-18", "pads=0,0 strides=1,", "f[1,2,2];l[1] 3;l[1] 2", ""},
	{"Conv-11", "kernel_shape=3,2 pads=1,1,1,0 strides=2,1 dilations=1,1 group=2", "f[2,4,5,5];f[4,2,3,2];f[4]", ""},
	{"ConvTranspose-11", "strides=2,2 output_padding=1,0 group=2", "f[1,4,3,3];f[4,2,2,2];f[4]", ""},
	{"DepthToSpace-13", "blocksize=2 mode=CRD", "f[1,4,2,3]", ""},
	{"Dropout-13", "seed=1", "f[5];f[] 0.5;b[]", ""},
	{"Einsum-12", "equation=ij,jk", "f[2,3];f[3,2]", ""},
	{"Gemm-13", "transA=1 alpha=f2", "f[3,2];f[3,4];f[4]", ""},
	{"GlobalMaxPool-7", "", "f[1,2,3,3]", ""},
	{"GridSample-20", "mode=cubic padding_mode=reflection", "f[1,2,3,3];f[1,2,2,2]", ""},
	{"GroupNormalization-21", "num_groups=2", "f[1,4,2];f[4];f[4]", ""},
	{"InstanceNormalization-7", "", "f[1,2,3];f[2];f[2]", ""},
	{"LRN-13", "size=3", "f[1,4,2]", ""},
	{"LayerNormalization-17", "axis=1", "f[2,3];f[3];f[3]", ""},
	{"LpNormalization-7", "axis=0", "f[2,2]", ""},
	{"MatMul-13", "", "f[2,1,2,3];f[2,3,2]", ""},
	{"MaxPool-12", "kernel_shape=2,2 storage_order=1 dilations=2,1", "f[1,2,4,4]", ""},
	{"MeanVarianceNormalization-13", "axes=0,1", "f[2,2]", ""},
	{"PRelu-16", "", "f[2,3];f[3]", ""},
	{"Resize-19", "mode=cubic antialias=1 axes=2,3", "f[1,1,4,4];;;l[2] 2 7", ""},
	{"Resize-19", "coordinate_transformation_mode=tf_crop_and_resize mode=linear", "f[2,3];f[4] 0 0.5 1 1.5;f[2] 1 2", ""},
	{"RoiAlign-16", "output_height=2 mode=max", "f[1,2,3,3];f[1,4] 0 0 2 2;l[1] 0", ""},
	{"Softmax-13", "axis=0", "f[2,3]", ""},
	{"SpaceToDepth-13", "blocksize=2", "f[1,1,4,2]", ""},
}

// TestNetworkMalformed spoils nodes that run, in one to three places: none may panic or pass the limit of memory, and what is inferred of
// those that run must be what they compute.
func TestNetworkMalformed(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 60
	}
	cpu := kernel.NewCPU(kernel.Options{Threads: 1})
	defer cpu.Close()
	for i, b := range bases {
		r := rand.New(rand.NewPCG(9, uint64(i)))
		ran := 0
		for round := range rounds {
			n, in := spoilt(r, b, round > 0)
			ok, err := robust(r, cpu, n, in)
			if err != "" {
				t.Errorf("%s(%s), round %d, inputs %v: %s", b.name, b.attributes, round, describeAll(in), err)
				break
			}
			if ok {
				ran++
			} else if round == 0 {
				t.Errorf("%s(%s): the node does not run", b.name, b.attributes)
			}
		}
		if ran < 2 {
			t.Errorf("%s: %d nodes ran", b.name, ran)
		}
	}
}

// spoilt makes the node of an example and its inputs, with changes.
func spoilt(r *rand.Rand, b example, change bool) (*Node, []*tensor.Tensor) {
	var in []*tensor.Tensor
	for _, s := range strings.Split(b.in, ";") {
		head, rest, _ := strings.Cut(s, "]")
		if head == "" {
			in = append(in, nil)
			continue
		}
		if t, err := literal(s); err == nil && rest != "" {
			in = append(in, t)
			continue
		}
		kind, dims, _ := strings.Cut(head, "[")
		var shape []int
		for _, d := range strings.FieldsFunc(dims, func(r rune) bool { return r == ',' }) {
			n, _ := tensorCount(d)
			shape = append(shape, n)
		}
		if kind == "b" {
			in = append(in, randomTensor(r, onnx.Bool, shape))
		} else {
			in = append(in, small(r, onnx.Float, shape...))
		}
	}
	outputs, changes := 1, 0
	if change {
		outputs, changes = 1+r.IntN(2), 1+r.IntN(3)
	}
	n := b.node(len(in), outputs)
	for range changes {
		number := []int64{0, 1, 2, 3, -1, -2, 5, 1 << 29, 1 << 40, math.MaxInt64, math.MinInt64}[r.IntN(11)]
		switch k := r.IntN(len(in)); r.IntN(5) {
		case 0:
			if len(n.Attributes) > 0 {
				a := n.Attributes[r.IntN(len(n.Attributes))]
				a.I = number
				if len(a.Ints) > 0 {
					a.Ints = slices.Clone(a.Ints)
					a.Ints[r.IntN(len(a.Ints))] = number
				}
			}
		case 1:
			in[k] = randomTensor(r, onnx.Float, randomShape(r))
		case 2:
			if t := in[k]; t != nil && len(t.Shape) > 0 {
				shape := slices.Clone(t.Shape)
				shape[r.IntN(len(shape))] = r.IntN(5)
				in[k] = randomTensor(r, t.Type, shape)
			}
		case 3:
			dt := []onnx.DataType{onnx.Double, onnx.Int64, onnx.Float16, onnx.Uint8, onnx.String}[r.IntN(5)]
			if in[k] != nil {
				in[k] = randomTensor(r, dt, in[k].Shape)
			}
		case 4:
			n.Opset = 7 + r.Int64N(22)
		}
	}
	for i, t := range in {
		if t == nil {
			n.Inputs[i] = ""
		}
	}
	return n, in
}

// robust infers and runs a node in several ways, and reports whether it ran.
func robust(r *rand.Rand, cpu *kernel.CPU, n *Node, in []*tensor.Tensor) (ran bool, problem string) {
	defer func() {
		if p := recover(); p != nil {
			text := ""
			for _, a := range n.Attributes {
				text += a.Name + "=" + list([]int{int(a.I)}) + " "
			}
			problem = "panic: " + text + strings.TrimSpace(strings.Join(strings.Fields(toText(p)), " "))
		}
	}()
	if n.Opset > newest {
		return false, ""
	}
	op, err := New(n)
	if err != nil {
		return false, ""
	}
	some := describeAll(in)
	for i := range some {
		if len(some[i].Shape) > 0 && r.IntN(2) == 0 {
			some[i].Shape[r.IntN(len(some[i].Shape))] = Dim{N: -1, Name: "N"}
		}
	}
	constants := describeValues(in)
	var guesses [][]Info
	for _, info := range [][]Info{constants, describeAll(in), some} {
		out, err := op.Infer(info)
		if err != nil {
			return false, ""
		}
		guesses = append(guesses, out)
		if l, ok := op.(ChannelsLaster); ok {
			l.ChannelsLast(info)
		}
		if c, ok := op.(Coster); ok {
			c.Cost(info, out)
		}
	}
	if p, ok := op.(Packer); ok {
		constants[0].Value = nil
		packed, dropped, err := p.Pack(cpu, constants)
		if err == nil && packed != nil {
			c := callOf(cpu, packed, n, in)
			for _, i := range dropped {
				c.In[i] = nil
			}
			_ = packed.Run(c)
		}
	}
	c := callOf(cpu, op, n, in)
	if err := op.Run(c); err != nil {
		return false, ""
	}
	for _, out := range guesses {
		if err := (trial{want: c.Outs}).inferred(out); err != nil {
			return false, err.Error()
		}
	}
	return true, ""
}

func toText(p any) string {
	if err, ok := p.(error); ok {
		return err.Error()
	}
	s, _ := p.(string)
	return s
}

func callOf(cpu *kernel.CPU, op Op, n *Node, in []*tensor.Tensor) *Call {
	c := &Call{CPU: cpu, In: slices.Clone(in), Limit: 1 << 20, Outs: make([]*tensor.Tensor, len(n.Outputs))}
	c.Wanted = slices.Repeat([]bool{true}, len(c.Outs))
	if s, ok := op.(Scratcher); ok {
		c.Scratch = make([]float32, min(s.Scratch(cpu, describeAll(in)), 1<<20))
	}
	return c
}

// TestNetworkAllocations runs operators again and again with the memory of the first run: they must ask for none.
func TestNetworkAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector pools drop what they hold")
	}
	cpu := newTestCPU(t)
	r := rand.New(rand.NewPCG(11, 12))
	run := func(e example, op Op, c *Call) {
		once := func() {
			if err := op.Run(c); err != nil {
				t.Fatal(err)
			}
		}
		once()
		if n := testing.AllocsPerRun(50, once); n >= 1 {
			t.Errorf("%s of %s: %v allocations a run", e.name, e.in, n)
		}
	}
	for _, e := range []example{
		{"Conv-11", "pads=1,1,1,1", "2,4,8,8 8,4,3,3 8", ""},
		{"Conv-11", "pads=1,1,1,1 group=4", "2,4,8,8 4,1,3,3 4", ""},
		{"ConvTranspose-11", "pads=1,1,1,1", "1,4,12,12 4,6,3,3 6", ""},
		{"Conv-11", "", "2,4,9 8,4,3 8", ""},
		{"ConvTranspose-11", "strides=2,2", "1,4,5,5 4,6,2,2 6", ""},
		{"Gemm-13", "transB=1", "5,16 8,16 8", ""},
		{"Gemm-13", "transB=1", "1,16 8,16 8", ""},
		{"MatMul-13", "", "2,3,16 16,8", ""},
		{"MatMul-13", "", "2,3,3,16 2,3,16,3", ""},
		{"BatchNormalization-15", "", "2,4,3,3 4 4 4 4", ""},
		{"LayerNormalization-17", "", "3,8 8 8", ""},
		{"Relu-14", "", "4,4", ""},
		{"PRelu-16", "", "1,4,3,3 4,1,1", ""},
		{"Softmax-13", "", "4,8", ""},
		{"MaxPool-12", "kernel_shape=2,2", "1,4,6,6", ""},
		{"AveragePool-11", "kernel_shape=2,", "1,4,6", ""},
		{"GlobalAveragePool-7", "", "1,4,6,6", ""},
		{"LRN-13", "size=3", "1,4,6,6", ""},
		{"DepthToSpace-13", "blocksize=2", "1,4,6,6", ""},
		{"Attention-23", "q_num_heads=4 kv_num_heads=2 is_causal=1", "2,5,16 2,5,8 2,5,8 5,5", ""},
		{"Attention-23", "", "2,3,5,4 2,3,5,4 2,3,5,4 5,8 2,3,3,4 2,3,3,4", ""},
		{"QuantizeLinear-13", "axis=1", "2,4,3 4", ""},
		{"DynamicQuantizeLinear-11", "", "4,5", ""},
		{"NonMaxSuppression-11", "", "1,3,4 1,2,3", ""},
	} {
		var in []*tensor.Tensor
		for _, s := range strings.Fields(e.in) {
			var shape []int
			for _, d := range strings.Split(s, ",") {
				n, _ := tensorCount(d)
				shape = append(shape, n)
			}
			in = append(in, small(r, onnx.Float, shape...))
		}
		op, err := New(e.node(len(in), 1))
		if err != nil {
			t.Fatal(err)
		}
		run(e, op, callOf(cpu, op, e.node(len(in), 1), in))
		c := callOf(cpu, op, e.node(len(in), 1), in)
		if p, ok := op.(Packer); ok {
			info := describeValues(in)
			info[0].Value = nil
			packed, dropped, err := p.Pack(cpu, info)
			if err != nil {
				t.Fatal(err)
			}
			if packed != nil {
				op = packed
				c = callOf(cpu, op, e.node(len(in), 1), in)
				for _, i := range dropped {
					c.In[i] = nil
				}
			}
		}
		run(e, op, c)
	}
}

// describeValues describes tensors as constants.
func describeValues(ts []*tensor.Tensor) []Info {
	out := describeAll(ts)
	for i, t := range ts {
		out[i].Value = t
	}
	return out
}
