package ops

import (
	"strings"
	"testing"
)

func TestReshaping(t *testing.T) {
	six := "f[2,3] 1 2 3 4 5 6"
	runExamples(t, []example{
		{"Reshape-13", "", six + "; l[2] 3 -1", "f[3,2] 1 2 3 4 5 6"},
		{"Reshape-13", "", six + "; l[3] 0 1 -1", "f[2,1,3] 1 2 3 4 5 6"},
		{"Reshape-13", "", "s[2] a b; l[2] 2 1", "s[2,1] a b"},
		{"Reshape-13", "", "f[] 7; l[0]", "f[] 7"},
		{"Reshape-14", "allowzero=1", "f[0,3]; l[2] 3 0", "f[3,0]"},
		{"Reshape-13", "", six + "; l[2] 4 -1", "error: does not reshape"},
		{"Reshape-13", "", six + "; l[2] -1 -1", "error: is none"},
		{"Reshape-13", "", six + "; l[3] 2 3 0", "error: has 0 at position 2"},
		{"Flatten-9", "", "f[1,2,3] 1 2 3 4 5 6", "f[1,6] 1 2 3 4 5 6"},
		{"Flatten-13", "axis=-1", "f[1,2,3] 1 2 3 4 5 6", "f[2,3] 1 2 3 4 5 6"},
		{"Flatten-13", "axis=0", six, "f[1,6] 1 2 3 4 5 6"},
		{"Flatten-13", "axis=3", six, "error: attribute axis is 3"},
		{"Squeeze-7", "axes=0,2", "i8[1,2,1] 5 6", "i8[2] 5 6"},
		{"Squeeze-13", "", "i8[1,2,1] 5 6", "i8[2] 5 6"},
		{"Squeeze-13", "", "i8[1,2,1] 5 6; l[1] -1", "i8[1,2] 5 6"},
		{"Squeeze-13", "", "i8[1,2,1] 5 6; l[1] 1", "error: is not 1"},
		{"Unsqueeze-7", "axes=0,2", "f[2] 1 2", "f[1,2,1] 1 2"},
		{"Unsqueeze-13", "", "f[2] 1 2; l[2] -1 0", "f[1,2,1] 1 2"},
		{"Unsqueeze-13", "", "f[2] 1 2; l[2] 0 -3", "error: twice"},
		{"Unsqueeze-7", "", "f[2] 1 2", "error: attribute axes is missing"},
		{"Identity-7", "", "f[1,2,1,2] 1 2 3 4", "f[1,2,1,2] 1 2 3 4"},
		{"Shape-7", "", six, "l[2] 2 3"},
		{"Shape-15", "start=-1", six, "l[1] 3"},
		{"Shape-15", "start=1 end=-9", six, "l[0]"},
		{"Size-7", "", six, "l[] 6"},
		{"Transpose-7", "", six, "f[3,2] 1 4 2 5 3 6"},
		{"Transpose-7", "perm=2,0,1", "s[1,2,2] a b c d", "s[2,1,2] a c b d"},
		{"Transpose-7", "perm=0,0", six, "error: no permutation"},
		{"Transpose-7", "perm=0,1,2", six, "error: rank 2"},
	})
}

func TestMoving(t *testing.T) {
	six := "f[2,3] 1 2 3 4 5 6"
	runExamples(t, []example{
		{"Concat-7", "axis=1", "l[2,1] 1 2; l[2,2] 3 4 5 6", "l[2,3] 1 3 4 2 5 6"},
		{"Concat-11", "axis=-1", "s[1] a; s[0]; s[1] b", "s[2] a b"},
		{"Concat-11", "axis=1", "f[1,2,1,2] 1 2 3 4; f[1,1,1,2] 5 6", "f[1,3,1,2] 1 2 3 4 5 6"},
		{"Concat-11", "axis=3", "f[1,2,1,2] 1 2 3 4; f[1,2,1,1] 5 6", "f[1,2,1,3] 1 2 5 3 4 6"},
		{"Concat-7", "", "f[1] 1", "error: attribute axis is missing"},
		{"Concat-11", "axis=0", "f[1,2] 1 2; f[1,3] 1 2 3", "error: after"},
		{"Concat-11", "axis=0", "f[1] 1; l[1] 2", "error: input 1 is int64"},
		{"Split-7", "axis=1 split=1,2", six, "f[2,1] 1 4; f[2,2] 2 3 5 6"},
		{"Split-13", "axis=1", six + "; l[2] 3 0", "f[2,3] 1 2 3 4 5 6; f[2,0]"},
		{"Split-13", "axis=-1", "f[1,4,1,1] 1 2 3 4", "f[1,4,1,1] 1 2 3 4"},
		{"Split-7", "axis=1", "f[1,4,1,2] 1 2 3 4 5 6 7 8", "f[1,2,1,2] 1 2 3 4; f[1,2,1,2] 5 6 7 8"},
		{"Split-18", "num_outputs=2", "l[3] 1 2 3", "l[2] 1 2; l[1] 3"},
		{"Split-13", "", "l[3] 1 2 3", "l[3] 1 2 3"},
		{"Split-13", "", "l[3] 1 2 3; l[2] 1 1", "error: lengths"},
		{"Split-13", "", "l[3] 1 2 3; l[1] 2", "error: parts of [2]"},
		{"Slice-7", "starts=1,0 ends=2,-1", six, "f[1,2] 4 5"},
		{"Slice-10", "", six + "; l[1] 2; l[1] -9; l[1] 1; l[1] -2", "f[2,2] 3 1 6 4"},
		{"Slice-10", "", six + "; i[1] -1; i[1] 100", "f[1,3] 4 5 6"},
		{"Slice-10", "", "f[1,3,1,2] 1 2 3 4 5 6; l[2] 1 1; l[2] 3 2; l[2] 1 3", "f[1,2,1,1] 4 6"},
		{"Slice-10", "", six + "; l[1] 2; l[1] 1", "f[0,3]"},
		{"Slice-10", "", six + "; l[1] 0; l[1] 1; l[1] 0; l[1] 0", "error: step is 0"},
		{"Slice-10", "", six + "; l[2] 0 0; l[2] 1 1; l[2] 1 -1", "error: twice"},
		{"Slice-10", "", six + "; l[2] 0 0; l[1] 1", "error: 2 starts, 1 ends"},
		{"Pad-7", "pads=0,1,0,1 value=f9", "f[1,2] 1 2", "f[1,4] 9 1 2 9"},
		{"Pad-11", "", "l[2] 1 2; l[2] 1 -1; l[] 7", "l[2] 7 1"},
		{"Pad-11", "mode=reflect", "f[3] 1 2 3; l[2] 3 2", "f[8] 2 3 2 1 2 3 2 1"},
		{"Pad-11", "mode=edge", "s[2] a b; l[2] 1 2", "s[5] a a b b b"},
		{"Pad-19", "mode=wrap", "f[3] 1 2 3; l[2] 4 1", "f[8] 3 1 2 3 1 2 3 1"},
		{"Pad-18", "", "f[1,1,2,1] 1 2; l[2] 1 0;; l[1] -2", "f[1,1,3,1] 0 1 2"},
		{"Pad-18", "mode=edge", "f[1,2,2,1] 1 2 3 4; l[4] 1 0 0 1;; l[2] 2 3", "f[1,2,3,2] 1 1 1 1 2 2 3 3 3 3 4 4"},
		{"Pad-11", "mode=edge", "f[0]; l[2] 1 0", "error: no element to pad with"},
		{"Pad-11", "", "f[2] 1 2; l[2] -2 -1", "error: pads of -2 and -1"},
		{"Pad-11", "", "f[2] 1 2; l[1] 1", "error: 1 pads for 1 axes"},
		{"CenterCropPad-18", "axes=1,", "f[1,3] 1 2 3; l[1] 6", "f[1,6] 0 1 2 3 0 0"},
		{"CenterCropPad-18", "axes=-1,-2", "f[1,1,4,1] 1 2 3 4; l[2] 2 1", "f[1,1,1,2] 2 0"},
		{"CenterCropPad-18", "", "s[2] a b; l[2] 1 1", "error: 2 lengths for"},
		{"Expand-8", "", "f[2,1] 1 2; l[3] 2 1 2", "f[2,2,2] 1 1 2 2 1 1 2 2"},
		{"Expand-8", "", "s[2] a b; l[1] 1", "s[2] a b"},
		{"Expand-8", "", "f[2] 1 2; l[1] 3", "error: broadcast"},
		{"Tile-7", "", "i[2,2] 1 2 3 4; l[2] 1 2", "i[2,4] 1 2 1 2 3 4 3 4"},
		{"Tile-7", "", "s[2] a b; l[1] 0", "s[0]"},
		{"Tile-7", "", "f[2] 1 2; l[2] 1 1", "error: 2 repeats for rank 1"},
		{"Tile-7", "", "f[2] 1 2; l[1] -1", "error: negative"},
		{"Where-9", "", "b[2,1] 1 0; f[2] 1 2; f[] 9", "f[2,2] 1 2 9 9"},
		{"Where-9", "", "b[2] 1 0; s[2] a b; s[1] c", "s[2] a c"},
		{"Where-9", "", "b[3] 1 0 1; f[1,2,1,3] 1 2 3 4 5 6; f[] 0", "f[1,2,1,3] 1 0 3 4 0 6"},
	})
}

func TestIndexing(t *testing.T) {
	six := "f[2,3] 1 2 3 4 5 6"
	runExamples(t, []example{
		{"Gather-11", "axis=1", six + "; l[2] -1 0", "f[2,2] 3 1 6 4"},
		{"Gather-7", "", six + "; i[1,1] 1", "f[1,1,3] 4 5 6"},
		{"Gather-13", "", "s[2] a b; l[] 1", "s[] b"},
		{"Gather-13", "axis=1", "f[1,3,1,2] 1 2 3 4 5 6; l[2] 2 0", "f[1,2,1,2] 5 6 1 2"},
		{"Gather-13", "", six + "; l[1] 2", "error: index 2 at position 0 is outside of 2"},
		{"GatherElements-11", "axis=1", six + "; l[2,2] 0 -1 1 1", "f[2,2] 1 3 5 5"},
		{"GatherElements-11", "", six + "; l[2] 0 0", "error: indices of shape"},
		{"GatherND-11", "", six + "; l[2,2] 0 1 1 -1", "f[2] 2 6"},
		{"GatherND-12", "batch_dims=1", six + "; l[2,1] 2 0", "f[2] 3 4"},
		{"GatherND-12", "", six + "; l[1,1] 1", "f[1,3] 4 5 6"},
		{"GatherND-12", "", six + "; l[1,2] 1 3", "error: outside of 3"},
		{"ScatterElements-11", "axis=1", six + "; l[1,2] 0 -1; f[1,2] 8 9", "f[2,3] 8 2 9 4 5 6"},
		{"ScatterElements-18", "reduction=add", "l[3] 1 2 3; l[2] 1 1; l[2] 10 20", "l[3] 1 32 3"},
		{"ScatterElements-18", "reduction=max", "h[2] 1 5; l[2] 0 1; h[2] 3 4", "h[2] 3 5"},
		{"Scatter-9", "", "f[2] 1 2; l[1] 1; f[1] 9", "f[2] 1 9"},
		{"ScatterElements-11", "", "f[2] 1 2; l[1] 2; f[1] 9", "error: index 2"},
		{"ScatterND-11", "", six + "; l[1,1] 1; f[1,3] 7 8 9", "f[2,3] 1 2 3 7 8 9"},
		{"ScatterND-18", "reduction=mul", six + "; l[2,2] 0 0 0 0; f[2] 3 5", "f[2,3] 15 2 3 4 5 6"},
		{"ScatterND-18", "reduction=sub", six + "; l[1,1] 1; f[1,3] 7 8 9", "error: attribute reduction"},
		{"ScatterND-11", "", six + "; l[1,1] 1; f[1,2] 7 8", "error: updates of shape"},
		{"OneHot-9", "", "l[2] 1 -1; l[] 3; f[2] 0 5", "f[2,3] 0 5 0 0 0 5"},
		{"OneHot-11", "axis=0", "f[2] 1 7; f[1] 2; s[2] n y", "s[2,2] n n y n"},
		{"OneHot-11", "", "l[1] 1; l[] 0; f[2] 0 5", "error: depth is 0"},
		{"NonZero-9", "", "f[2,2] 0 nan -0 1", "l[2,2] 0 1 1 1"},
		{"NonZero-9", "", "b[3] 1 0 1", "l[1,2] 0 2"},
		{"Compress-9", "axis=1", six + "; b[2] 0 1", "f[2,1] 2 5"},
		{"Compress-9", "", six + "; b[5] 0 1 0 0 1", "f[2] 2 5"},
		{"Compress-9", "axis=0", six + "; b[3] 0 0 1", "error: condition of 3"},
		{"TopK-11", "", "f[5] 2 nan 9 2 -1; l[1] 3", "f[3] nan 9 2; l[3] 1 2 0"},
		{"TopK-11", "largest=0 axis=0", "l[3,2] 3 1 2 1 1 1; l[1] 2", "l[2,2] 1 1 2 1; l[2,2] 2 0 1 1"},
		{"TopK-7", "k=1", "f[2,2] 1 2 4 3", "f[2,1] 2 4; l[2,1] 1 0"},
		{"TopK-11", "sorted=0", "f[4] 1 4 2 3; l[1] 2", "f[2] 4 3; l[2] 1 3"},
		{"TopK-11", "", "f[2] 1 2; l[1] 3", "error: k is 3 for 2"},
		{"Unique-11", "", "f[5] 2 1 1 3 2", "f[3] 1 2 3; l[3] 1 0 3; l[5] 1 0 0 2 1; l[3] 2 2 1"},
		{"Unique-11", "sorted=0", "s[3] b a b", "s[2] b a; l[2] 0 1; l[3] 0 1 0; l[2] 2 1"},
		{"Unique-11", "axis=0", "l[3,2] 1 2 0 5 1 2", "l[2,2] 0 5 1 2; l[2] 1 0; l[3] 1 0 1; l[2] 1 2"},
		{"Trilu-14", "", "f[2,3] 1 2 3 4 5 6", "f[2,3] 1 2 3 0 5 6"},
		{"Trilu-14", "upper=0", "l[3,2] 1 2 3 4 5 6; l[] -1", "l[3,2] 0 0 3 0 5 6"},
		{"Trilu-14", "", "f[2,2] 1 2 3 4; l[] 2", "f[2,2] 0 0 0 0"},
		{"Trilu-14", "upper=0", "b[1,2] 1 1; l[] 9", "b[1,2] 1 1"},
		{"EyeLike-9", "k=1 dtype=7", "f[2,3] 0 0 0 0 0 0", "l[2,3] 0 1 0 0 0 1"},
		{"EyeLike-9", "k=-1", "b[2,2] 0 0 0 0", "b[2,2] 0 0 1 0"},
		{"ReverseSequence-10", "", "f[3,2] 1 2 3 4 5 6; l[2] 3 2", "f[3,2] 5 4 3 2 1 6"},
		{"ReverseSequence-10", "batch_axis=0 time_axis=1", "s[1,3] a b c; l[1] 2", "s[1,3] b a c"},
		{"TensorScatter-24", "", "f[1,3,1] 1 2 3; f[1,1,1] 9; l[1] 2", "f[1,3,1] 1 2 9"},
		{"TensorScatter-24", "mode=circular", "f[1,3,1] 1 2 3; f[1,2,1] 8 9; l[1] 2", "f[1,3,1] 9 2 8"},
		{"TensorScatter-24", "", "f[1,3,1] 1 2 3; f[1,2,1] 8 9; l[1] 2", "error: position 3"},
	})
}

func TestMaking(t *testing.T) {
	runExamples(t, []example{
		{"Constant-12", "value_int=5", "", "l[] 5"},
		{"Constant-12", "value_ints=5,6", "", "l[2] 5 6"},
		{"Constant-12", "value_float=f2.5", "", "f[] 2.5"},
		{"Constant-12", "value_string=abc", "", "s[] abc"},
		{"Constant-12", "", "", "error: no attribute"},
		{"ConstantOfShape-9", "", "l[2] 1 2", "f[1,2] 0 0"},
		{"ConstantOfShape-9", "", "l[0]", "f[] 0"},
		{"ConstantOfShape-9", "", "l[1] -1", "error: negative"},
		{"Range-11", "", "f[] 1; f[] 2; f[] 0.4", "f[3] 1 1.4 1.8"},
		{"Range-11", "", "l[] 5; l[] 0; l[] -2", "l[3] 5 3 1"},
		{"Range-11", "", "i16[] 0; i16[] -1; i16[] 1", "i16[0]"},
		{"Range-27", "", "h[] 0; h[] 2; h[] 1", "h[2] 0 1"},
		{"Range-11", "", "l[] 0; l[] 5; l[] 0", "error: delta is 0"},
		{"Range-11", "", "f[] 0; f[] 5; f[] 0", "error: no end"},
		{"Range-11", "", "l[] -9223372036854775808; l[] 9223372036854775807; l[] 1", "error: too long"},
		{"Cast-9", "to=6", "f[5] 1.9 -1.9 nan 3e9 -0", "i[5] 1 -1 -2147483648 -2147483648 0"},
		{"Cast-9", "to=2", "l[3] 300 -1 5", "u8[3] 44 255 5"},
		{"Cast-9", "to=9", "f[3] 0 0.1 nan", "b[3] 0 1 1"},
		{"Cast-9", "to=1", "b[2] 1 0", "f[2] 1 0"},
		{"Cast-9", "to=8", "f[5] 0.1 1e8 nan -inf 3", "s[5] 0.1 1e+08 NaN -INF 3"},
		{"Cast-9", "to=8", "f[5] 0.60484552 1e-5 -0 99999999 0.00025", "s[5] 0.6048455 1e-05 -0 1e+08 0.00025"},
		{"Cast-9", "to=8", "d[3] 0.60484552 123456789.123 1e16", "s[3] 0.60484552 123456789.123 1e+16"},
		{"Cast-9", "to=8", "h[2] 0.1 5", "s[2] 0.099975586 5"},
		{"Cast-9", "to=8", "ul[1] 18446744073709551615", "s[1] 18446744073709551615"},
		{"Cast-9", "to=1", "s[3] 1.5 -INF nan", "f[3] 1.5 -inf nan"},
		{"Cast-9", "to=7", "s[2] -12 3.9", "l[2] -12 3"},
		{"Cast-9", "to=7", "s[1] x", "error: position 0"},
		{"Cast-9", "to=10", "f[3] 65520 65519 1e-8", "h[3] inf 65504 0"},
		{"Cast-19", "to=17", "f[4] 1000 -inf 0.3 nan", "e4m3[4] 448 -448 0.3125 nan"},
		{"Cast-19", "to=17 saturate=0", "f[2] 1000 448", "e4m3[2] nan 448"},
		{"Cast-19", "to=19 saturate=0", "f[2] 1e9 1", "e5m2[2] inf 1"},
		{"Cast-21", "to=22", "f[3] 9 -3.7 -9", "i4[3] -7 -3 7"},
		{"Cast-21", "to=1", "i4[2] -8 7", "f[2] -8 7"},
		{"Cast-23", "to=23", "f[3] 5.1 0.2 -0.3", "e2m1[3] 6 0 -0.5"},
		{"Cast-24", "to=24", "f[3] 3 4 0.4", "e8m0[3] 4 4 0.5"},
		{"Cast-24", "to=24 round_mode=down", "f[3] 3 4 0.4", "e8m0[3] 2 4 0.25"},
		{"Cast-24", "to=24 round_mode=best", "f[1] 3", "error: round_mode"},
		{"Cast-9", "to=77", "f[1] 3", "error: attribute to"},
		{"CastLike-15", "", "f[2] 1.5 2; l[1] 0", "l[2] 1 2"},
		{"BitCast-26", "to=6", "f[2] 1 -0", "i[2] 1065353216 -2147483648"},
		{"BitCast-26", "to=22", "u4[2] 15 7", "i4[2] -1 7"},
		{"BitCast-26", "to=7", "f[2] 1 0", "error: have not the size"},
	})
}

// TestGiants gives operators shapes that no memory holds.
func TestGiants(t *testing.T) {
	const huge = "4611686018427387904"
	for _, e := range []example{
		{"Expand-8", "", "f[1] 1; l[2] " + huge + " 4", ""},
		{"Expand-8", "", "f[1] 1; l[1] 100000000000", ""},
		{"Tile-7", "", "f[2] 1 2; l[1] " + huge, ""},
		{"Tile-7", "", "f[2] 1 2; l[1] 100000000000", ""},
		{"ConstantOfShape-9", "", "l[2] " + huge + " " + huge, ""},
		{"ConstantOfShape-9", "", "l[2] 100000 1000000", ""},
		{"Range-11", "", "l[] 0; l[] 100000000000; l[] 1", ""},
		{"Range-11", "", "f[] 0; f[] 1e12; f[] 1", ""},
		{"Pad-11", "", "f[1] 1; l[2] 100000000000 0", ""},
		{"Pad-11", "mode=edge", "f[1] 1; l[2] 9223372036854775807 9223372036854775807", ""},
		{"OneHot-11", "", "l[1] 0; l[] 100000000000; f[2] 0 1", ""},
	} {
		in, err := literals(e.in)
		if err != nil {
			t.Fatal(err)
		}
		op, err := New(e.node(len(in), 1))
		if err != nil {
			t.Fatal(err)
		}
		err = trial{cpu: newTestCPU(t), op: op, in: in, want: in[:1]}.compute(op, nil, nil)
		if err == nil || !strings.Contains(err.Error(), "over the limit") && !strings.Contains(err.Error(), "memory can hold") && !strings.Contains(err.Error(), "pads of") {
			t.Errorf("%s of %s: %v", e.name, e.in, err)
		}
	}
}
