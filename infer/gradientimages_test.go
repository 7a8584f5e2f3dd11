package infer

// trialsOf makes trials of shapes that have attributes in common.
func trialsOf(attrs []any, shapes ...string) []gradientTrial {
	var out []gradientTrial
	for _, s := range shapes {
		out = append(out, trial(s, attrs...))
	}
	return out
}

func list(name string, v ...int64) any { return attr(name, v) }

// images are shapes of images and weights.
func images() []gradientTrial {
	return []gradientTrial{
		trial("2,3,6,7;4,3,3,3;4", list("pads", 1, 1, 1, 1)),
		trial("2,4,7,6;6,2,3,2;6", attr("group", 2), list("strides", 2, 3), list("pads", 1, 0, 0, 1)),
		trial("1,6,8,8;6,1,3,3;6", attr("group", 6), list("strides", 2, 2), list("pads", 1, 1, 1, 1)),
		trial("2,6,8,5;6,1,5,3;6", attr("group", 6), list("pads", 2, 1, 2, 1)),
		trial("3,5,4,4;7,5,1,1;7"),
		trial("3,5,5,4;7,5,1,1;7", list("strides", 2, 2)),
		trial("2,3,9;4,3,3;4", list("dilations", 2), list("pads", 2, 1)),
		trial("2,3,9,10;4,3,3,3;4", list("dilations", 2, 3), list("strides", 2, 1), list("pads", 2, 3, 0, 1)),
		trial("1,2,4,5,3;3,2,2,3,2;3", list("strides", 2, 1, 1)),
		trial("2,20,14,14;18,20,3,3;18", attr("auto_pad", "SAME_UPPER")),
		trial("2,3,11,11;4,3,7,7;4", list("strides", 2, 2), list("pads", 3, 3, 3, 3)),
		trial("2,3,5,5;4,3,1,1;4", list("pads", 1, 1, 1, 1)),
	}
}

func poolTrials() []gradientTrial {
	return []gradientTrial{
		trial("2,3,6,7", list("kernel_shape", 2, 2), list("strides", 2, 2)),
		trial("1,20,7,9", list("kernel_shape", 3, 3), list("strides", 2, 2), list("pads", 1, 1, 1, 1)),
		trial("2,3,8,5", list("kernel_shape", 3, 2), list("strides", 2, 2), attr("ceil_mode", 1)),
		trial("2,3,9", list("kernel_shape", 3), list("pads", 1, 1)),
		trial("2,1,4,5,6", list("kernel_shape", 2, 2, 3), list("strides", 1, 2, 2)),
		trial("2,2,6,6", list("kernel_shape", 3, 3), attr("auto_pad", "SAME_UPPER"), list("strides", 2, 2)),
	}
}

func activationTrials() []gradientTrial { return trials("7", "3,40", "2,3,5", "2,3,4,5", "1,2,70,9") }

var normTrials = []string{"2,3,4,5;3;3;3;3", "4,3;3;3;3;3", "3,5,2;5;5;5;5", "2,20,6,7;20;20;20;20", "2,1,3,3;1;1;1;1"}

var imageGradients = []gradientCase{
	{node: "y = Conv x, w, b", trials: images()},
	{node: "y = ConvTranspose x, w, b", trials: []gradientTrial{
		trial("2,3,6,7;3,4,3,3;4", list("pads", 1, 1, 1, 1)),
		trial("2,4,4,3;4,3,3,2;6", attr("group", 2), list("strides", 2, 3), list("pads", 1, 0, 0, 1), list("output_padding", 1, 2)),
		trial("1,6,4,4;6,1,3,3;6", attr("group", 6), list("strides", 2, 2), list("pads", 1, 1, 1, 1)),
		trial("3,5,4,4;5,7,1,1;7"),
		trial("2,5,4,4;5,7,2,2;7", list("strides", 2, 2)),
		trial("2,3,5;3,4,3;4", list("dilations", 2), list("strides", 3)),
		trial("1,2,3,2,3;2,3,2,3,2;3", list("strides", 2, 1, 1)),
	}},
	{node: "y = Relu x", trials: activationTrials()},
	{node: "y = LeakyRelu x", trials: trialsOf([]any{attr("alpha", 0.2)}, "7", "3,40", "2,3,5", "2,3,4,5", "1,2,70,9")},
	{name: "LeakyRelu, negative", node: "y = LeakyRelu x", trials: trialsOf([]any{attr("alpha", -0.2)}, "7", "3,40", "2,3,5", "2,3,4,5", "1")},
	{node: "y = Elu x", trials: trialsOf([]any{attr("alpha", 1.5)}, "7", "3,40", "2,3,5", "2,3,4,5", "1")},
	{node: "y = Selu x", trials: activationTrials()},
	{node: "y = Celu x", trials: trialsOf([]any{attr("alpha", 0.75)}, "7", "3,40", "2,3,5", "2,3,4,5", "1")},
	{node: "y = Sigmoid x", trials: activationTrials()},
	{node: "y = HardSigmoid x", trials: activationTrials()},
	{node: "y = HardSwish x", trials: activationTrials()},
	{node: "y = Tanh x", trials: activationTrials(), condition: 3},
	{node: "y = Softplus x", trials: activationTrials()},
	{node: "y = Softsign x", trials: activationTrials()},
	{node: "y = Gelu x", trials: activationTrials()},
	{name: "Gelu, tanh", node: "y = Gelu x", trials: trialsOf([]any{attr("approximate", "tanh")}, "7", "3,40", "2,3,5", "2,3,4,5", "1")},
	{node: "y = Mish x", trials: activationTrials()},
	{node: "y = Erf x", trials: activationTrials()},
	{node: "y = Swish x", trials: activationTrials(), opset: 24},
	{node: "y = ThresholdedRelu x", trials: activationTrials()},
	{node: "y = MaxPool x", trials: poolTrials()},
	{node: "y = AveragePool x", trials: append(poolTrials(), trial("2,3,6,7", list("kernel_shape", 3, 3), list("pads", 1, 1, 1, 1), attr("count_include_pad", 1)))},
	{node: "y = GlobalAveragePool x", trials: trials("2,3,4,5", "1,20,7,7", "2,3,9", "2,1,2,3,4", "2,3,1,1")},
	{node: "y = GlobalMaxPool x", trials: trials("2,3,4,5", "1,20,7,7", "2,3,9", "2,1,2,3,4", "2,3,1,1")},
	{node: "y = GlobalLpPool x", trials: trials("2,3,4,5", "1,20,7,7", "2,3,9", "2,1,2,3,4", "2,3,2,1")},
	{node: "y = BatchNormalization x, s, b, m, v", trials: trials(normTrials...), value: positive, condition: 3},
	{name: "BatchNormalization, training", node: "y, r, t = BatchNormalization x, s, b, m, v", trials: trialsOf([]any{attr("training_mode", 1)}, normTrials...), value: positive, condition: 3},
	{name: "BatchNormalizationTrain", node: "y, r, t, m2, i = effml.BatchNormalizationTrain x, s, b, m, v", trials: trials(normTrials...), value: positive, condition: 3},
	{name: "BatchNormalizationTrain, limited", node: "y, r, t, m2, i = effml.BatchNormalizationTrain x, s, b, m, v", trials: trialsOf(
		[]any{attr("kind", "Clip"), attr("alpha", 0.05), attr("beta", 2.2)}, normTrials...), value: positive, condition: 3},
	{name: "BatchNormalizationTrain, hard swish", node: "y, r, t, m2, i = effml.BatchNormalizationTrain x, s, b, m, v", trials: trialsOf(
		[]any{attr("kind", "HardSwish")}, normTrials...), value: positive, condition: 3},
	{name: "InstanceNormalization", node: "y = InstanceNormalization x, s, b", trials: trials("2,3,4,5;3;3", "1,2,9;2;2", "2,20,6,7;20;20", "3,2,2,2,2;2;2", "2,1,70;1;1"), condition: 3},
	{node: "y = GroupNormalization x, s, b", trials: trialsOf([]any{attr("num_groups", 2)}, "2,4,4,5;4;4", "1,2,9;2;2", "2,20,6,7;20;20", "3,6,2,2,2;6;6", "2,2,70;2;2"), opset: 21, condition: 3},
	{name: "GroupNormalization, opset 18", node: "y = GroupNormalization x, s, b", trials: trialsOf([]any{attr("num_groups", 2)}, "2,4,4,5;2;2", "1,2,9;2;2", "2,20,6,7;2;2", "3,6,2,2,2;2;2", "2,2,70;2;2"), opset: 18, condition: 3},
	{node: "y = LayerNormalization x, s, b", trials: []gradientTrial{
		trial("2,3,4;4;4"), trial("2,3,4;3,4;3,4", attr("axis", 1)), trial("200,70;70;70"), trial("2,3,4;1;4"), trial("2,3,4;3,1;2,1,4"), trial("5;5;5", attr("axis", 0)),
	}, condition: 3},
	{name: "LayerNormalization, no bias", node: "y = LayerNormalization x, s", trials: trials("2,3,4;4", "2,9;9", "3,5;5", "2,2,3,4;4", "300,17;17"), condition: 3},
	{node: "y = RMSNormalization x, s", trials: trials("2,3,4;4", "2,9;9", "3,2;2", "2,2,3,4;4", "2,3,4;3,1"), opset: 23, condition: 3},
}
