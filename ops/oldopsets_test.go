package ops

import "testing"

// TestOldOpsets holds operators to the definitions that they had before opset 7.
func TestOldOpsets(t *testing.T) {
	square, block := "f[2,2] 1 2 3 4", "f[2,2,1,1] 1 2 3 4"
	runExamples(t, []example{
		{"Add-6", "broadcast=1 axis=0", square + "; f[2] 10 20", "f[2,2] 11 12 23 24"},
		{"Add-6", "broadcast=1 axis=1", square + "; f[2] 10 20", "f[2,2] 11 22 13 24"},
		{"Add-6", "broadcast=1", square + "; f[2] 10 20", "f[2,2] 11 22 13 24"},
		{"Add-6", "broadcast=1 axis=-1", square + "; f[2] 10 20", "f[2,2] 11 22 13 24"},
		{"Add-7", "broadcast=1 axis=0", square + "; f[2] 10 20", "f[2,2] 11 22 13 24"}, // the attributes are no more
		{"Sub-1", "broadcast=1 axis=1", "l[1,2,2] 1 2 3 4; l[2] 1 2", "l[1,2,2] 0 1 1 2"},
		{"Mul-6", "broadcast=1 axis=0", "h[2,2] 1 2 3 4; h[2] 2 4", "h[2,2] 2 4 12 16"},
		{"Div-6", "broadcast=1 axis=1", block + "; f[2,1] 1 2", "f[2,2,1,1] 1 1 3 2"},
		{"Pow-1", "broadcast=1 axis=0", square + "; f[] 2", "f[2,2] 1 4 9 16"},
		{"And-1", "broadcast=1 axis=0", "b[2,2] 1 1 1 1; b[2] 1 0", "b[2,2] 1 1 0 0"},
		{"Equal-1", "broadcast=1 axis=0", "i[2,2] 1 2 1 2; i[2] 1 2", "b[2,2] 1 0 0 1"},
		{"Greater-1", "broadcast=1 axis=0", square + "; f[2] 1 4", "b[2,2] 0 1 0 0"},
		{"Add-6", "broadcast=1 axis=1", square + "; f[2,1] 10 20", "error: does not fit into rank 2 from axis 1 on"},
		{"Add-6", "broadcast=1 axis=0", square + "; f[3] 1 2 3", "error: do not broadcast"},
		{"PRelu-6", "", "f[1,2,1,2] -1 2 -3 -4; f[2] 10 100", "f[1,2,1,2] -10 2 -300 -400"},
		{"PRelu-1", "", "f[1,2,1,2] -1 2 -3 -4; f[1] 10", "f[1,2,1,2] -10 2 -30 -40"},
		{"PRelu-6", "", "f[2] -1 2; f[1] 10", "f[2] -10 2"},
		{"PRelu-7", "", "f[1,2,1,2] -1 2 -3 -4; f[2] 10 100", "f[1,2,1,2] -10 2 -30 -400"},
		{"Gemm-6", "broadcast=1", square + "; f[2,1] 1 1; f[1] 5", "f[2,1] 8 12"},
		{"BatchNormalization-6", "is_test=1 epsilon=f0", "f[1,2] 3 5; f[2] 1 2; f[2] 0 1; f[2] 1 1; f[2] 4 4", "f[1,2] 1 5"},
		{"BatchNormalization-6", "", "f[1,2] 3 5; f[2] 1 2; f[2] 0 1; f[2] 1 1; f[2] 4 4", "error: without attribute is_test it is for training"},
		{"Dropout-1", "is_test=1", square, square},
		{"Dropout-6", "", square, "error: without attribute is_test"},
		{"Clip-1", "min=f2 max=f3", square, "f[2,2] 2 2 3 3"},
		{"Softmax-1", "", "f[1,2] 0 0", "f[1,2] 0.5 0.5"},
		{"Selu-5", "", square, "error: supported is opset 6 to"},                                                        // other defaults
		{"Cast-5", "", square, "error: supported is opset 6 to"},                                                        // to was text
		{"LSTM-6", "hidden_size=1", "f[1,1,1] 0; f[1,4,1] 0 0 0 0; f[1,4,1] 0 0 0 0", "error: supported is opset 7 to"}, // output_sequence
	})
}
