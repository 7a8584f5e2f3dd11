package ops

// quantisedOps are integers that stand for reals.
var quantisedOps = []spec{
	{"ConvInteger", 10, 0, 2, 4, 1, newConvInteger},
	{"DequantizeLinear", 10, 0, 2, 3, 1, newDequantizeLinear},
	{"DynamicQuantizeLinear", 11, 0, 1, 1, 3, newDynamicQuantizeLinear},
	{"MatMulInteger", 10, 0, 2, 4, 1, newMatMulInteger},
	{"QLinearConv", 10, 0, 8, 9, 1, newQLinearConv},
	{"QLinearMatMul", 10, 0, 8, 8, 1, newQLinearMatMul},
	{"QuantizeLinear", 10, 0, 2, 3, 1, newQuantizeLinear},
}
