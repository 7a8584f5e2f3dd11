package kernel

// Epilogue is what a product or convolution does to its sums before it stores them, in this order:
// y = act(sum + Bias[channel] + Add).
type Epilogue struct {
	Bias []float32  // an element for each output channel (column of a product); nil for none
	Add  []float32  // the layout of the output, which it may be; nil for none
	Act  Activation // the zero value is none
}

// Activation is an element-wise function of one variable.
type Activation struct {
	Kind ActivationKind
	A, B float32 // parameters, see the kinds
}

// ActivationKind says which function.
type ActivationKind uint8

// The functions.
const (
	None        ActivationKind = iota // x
	ClipTo                            // min(max(x, A), B): Relu is A = 0, B = +Inf; Relu6 is 0, 6. NaN stays NaN
	LeakyRelu                         // x < 0 ? A·x : x
	Elu                               // x < 0 ? A·(exp x − 1) : x
	Selu                              // B·(x > 0 ? x : A·(exp x − 1))
	Celu                              // max(0, x) + min(0, A·(exp(x/A) − 1))
	Sigmoid                           // 1 / (1 + exp −x)
	HardSigmoid                       // max(0, min(1, A·x + B))
	HardSwish                         // x · max(0, min(1, x/6 + 1/2))
	Swish                             // x · sigmoid(A·x)
	Tanh                              // tanh x
	Softplus                          // log(1 + exp x)
	Softsign                          // x / (1 + |x|)
	Gelu                              // x · (1 + erf(x/√2)) / 2
	GeluTanh                          // x · (1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2
	Mish                              // x · tanh(softplus x)
	Erf                               // erf x
	Exp                               // exp x
	Log                               // log x: NaN below 0, −Inf of ±0
	Neg                               // −x
	Abs                               // |x|
	Sqrt                              // √x: NaN below 0
	Reciprocal                        // 1 / x
	Floor                             // the nearest integer not above x
	Ceil                              // the nearest integer not below x
	Round                             // the nearest integer, halves to the even one
	Sign                              // −1, 0 or 1: x where it is ±0 or NaN
	numActivations
)
