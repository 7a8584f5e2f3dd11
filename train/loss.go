package train

import (
	"fmt"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// Formula is a graph over named values of a step, such as outputs of networks, values between and fields of the batch, that ends in a scalar: a
// loss. Its methods add nodes and return the name of the result.
type Formula struct {
	Nodes     []*onnx.Node
	Constants map[string]*tensor.Tensor
	name      string
	count     int
}

// NewFormula returns an empty formula. Names of its values begin with name.
func NewFormula(name string) *Formula {
	return &Formula{Constants: map[string]*tensor.Tensor{}, name: name}
}

// Node adds an operator, of ONNX's or of [ops.Domain].
func (f *Formula) Node(op string, attrs []*onnx.Attribute, in ...string) string {
	out := f.fresh(op)
	f.Nodes = append(f.Nodes, &onnx.Node{OpType: op, Domain: ops.Domain, Name: out, Inputs: in, Outputs: []string{out}, Attributes: attrs})
	return out
}

// Constant adds a constant.
func (f *Formula) Constant(t *tensor.Tensor) string {
	name := f.fresh("constant")
	f.Constants[name] = t
	return name
}

func (f *Formula) fresh(what string) string {
	f.count++
	return fmt.Sprintf("%s/%d/%s", f.name, f.count, what)
}

func (f *Formula) scalar(v float64) string { return f.Constant(tensor.Scalar(float32(v))) }

func integer(name string, v int64) *onnx.Attribute {
	return &onnx.Attribute{Name: name, Type: onnx.AttributeInt, I: v}
}

// mean returns the mean of all elements.
func (f *Formula) mean(x string) string {
	return f.Node("ReduceMean", []*onnx.Attribute{integer("keepdims", 0)}, x)
}

// perSample returns the mean over all elements but those of dimension 1, over which it sums.
func (f *Formula) perSample(x string) string {
	return f.mean(f.Node("ReduceSum", []*onnx.Attribute{integer("keepdims", 0)}, x, f.Constant(tensor.From([]int64{1}, 1))))
}

// Scale returns w·x.
func (f *Formula) Scale(x string, w float64) string {
	if w == 1 {
		return x
	}
	return f.Node("Mul", nil, x, f.scalar(w))
}

// Sum returns the sum of scalars.
func (f *Formula) Sum(terms ...string) string {
	if len(terms) == 1 {
		return terms[0]
	}
	return f.Node("Sum", nil, terms...)
}

// Detach returns x, through which no gradient flows.
func (f *Formula) Detach(x string) string { return f.Node("Detach", nil, x) }

// CrossEntropy is the mean of −Σ q·log softmax(logits) over samples. Logits are [N, classes, …], labels int64 [N, …] below classes. With label
// smoothing ε, q is 1 − ε + ε/classes at the label and ε/classes elsewhere (C. Szegedy et al.: Rethinking the Inception Architecture, 2016, section 7);
// as PyTorch has it.
func (f *Formula) CrossEntropy(logits, labels string, classes int, smoothing float64) string {
	off := smoothing / float64(classes)
	q := f.Node("OneHot", []*onnx.Attribute{integer("axis", 1)}, labels, f.Constant(tensor.Scalar(int64(classes))),
		f.Constant(tensor.From([]float32{float32(off), float32(1 - smoothing + off)}, 2)))
	log := f.Node("LogSoftmax", []*onnx.Attribute{integer("axis", 1)}, logits)
	return f.Scale(f.perSample(f.Node("Mul", nil, q, log)), -1)
}

// BinaryCrossEntropy is the mean of log(1 + eᶻ) − t·z over all elements of logits z and targets t between 0 and 1, of one shape.
func (f *Formula) BinaryCrossEntropy(logits, targets string) string {
	return f.mean(f.Node("Sub", nil, f.Node("Softplus", nil, logits), f.Node("Mul", nil, logits, targets)))
}

// MSE is the mean of (x − y)² over all elements.
func (f *Formula) MSE(x, y string) string {
	d := f.Node("Sub", nil, x, y)
	return f.mean(f.Node("Mul", nil, d, d))
}

// L1 is the mean of |x − y| over all elements.
func (f *Formula) L1(x, y string) string {
	return f.mean(f.Node("Abs", nil, f.Node("Sub", nil, x, y)))
}

// Hinge is the mean of max(0, 1 − t·z) over all elements of outputs z and targets t of ±1, of one shape.
func (f *Formula) Hinge(outputs, targets string) string {
	margin := f.Node("Sub", nil, f.scalar(1), f.Node("Mul", nil, outputs, targets))
	return f.mean(f.Node("Relu", nil, margin))
}

// Distillation is T² times the mean over samples of KL(softmax(teacher/T) ‖ softmax(student/T)), of logits [N, classes, …]: the factor keeps the
// size of gradients whatever the temperature T (G. Hinton et al.: Distilling the Knowledge in a Neural Network, 2015, section 2). No gradient flows
// to the teacher.
func (f *Formula) Distillation(student, teacher string, temperature float64) string {
	axis := []*onnx.Attribute{integer("axis", 1)}
	soft := func(op, logits string) string { return f.Node(op, axis, f.Scale(logits, 1/temperature)) }
	teacher = f.Detach(teacher)
	difference := f.Node("Sub", nil, soft("LogSoftmax", teacher), soft("LogSoftmax", student))
	return f.Scale(f.perSample(f.Node("Mul", nil, soft("Softmax", teacher), difference)), temperature*temperature)
}
