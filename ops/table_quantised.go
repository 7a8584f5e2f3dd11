package ops

// quantisedOps are integers that stand for reals.
var quantisedOps = []spec{
	{"DequantizeLinear", 10, 0, 2, 3, 1, newDequantizeLinear},
	{"DynamicQuantizeLinear", 11, 0, 1, 1, 3, newDynamicQuantizeLinear},
	{"QuantizeLinear", 10, 0, 2, 3, 1, newQuantizeLinear},
}
