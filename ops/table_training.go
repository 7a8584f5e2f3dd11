package ops

import (
	"slices"

	"github.com/effml/effml/onnx"
)

// Domain is the domain of operators that programs for training consist of beside ONNX's own; its version is 1. ONNX's operators, as
// the newest operator set has them, belong to it as well, so that a backward pass does not depend on the operator set of the model.
// No file has them.
const Domain = "effml"

// trainingOps are the operators that only [Domain] has.
var trainingOps = []spec{
	{"ActivationGrad", 1, 0, 2, 2, 1, newActivationGrad},
	{"AveragePoolGrad", 1, 0, 1, 1, 1, newPoolGrad(poolMean)},
	{"BatchNormalizationGrad", 1, 0, 5, 6, 3, newBatchNormalizationGrad},
	{"BatchNormalizationTrain", 1, 0, 5, 5, 5, newBatchNormalizationTrain},
	{"ConvWeightGrad", 1, 0, 2, 2, 1, newConvWeightGrad},
	{"Detach", 1, 0, 1, 1, 1, newDetach},
	{"DropoutTrain", 1, 0, 2, 2, 1, newDropoutTrain},
	{"GatherGrad", 1, 0, 2, 2, 1, newGatherGrad},
	{"GroupNormalizationGrad", 1, 0, 2, 3, 3, newGroupNormalizationGrad},
	{"GRUGrad", 1, 0, 3, 12, 7, newRecurrentGrad(newGRU)},
	{"LayerNormalizationGrad", 1, 0, 2, 3, 3, newLayerNormalizationGrad},
	{"LogSoftmaxGrad", 1, 0, 2, 2, 1, newSoftmaxGrad},
	{"LSTMGrad", 1, 0, 3, 12, 7, newRecurrentGrad(newLSTM)},
	{"MatMul", 1, 0, 2, 2, 1, newTurnedMatMul},
	{"MaxPoolGrad", 1, 0, 2, 2, 1, newPoolGrad(poolMax)},
	{"QuantizeLinearGrad", 1, 0, 3, 4, 2, newQuantizeGrad},
	{"ResizeGrad", 1, 0, 1, 4, 1, newResizeGrad},
	{"RNNGrad", 1, 0, 3, 12, 7, newRecurrentGrad(newRNN)},
	{"SliceGrad", 1, 0, 1, 1, 1, newSliceGrad},
	{"SoftmaxGrad", 1, 0, 2, 2, 1, newSoftmaxGrad},
}

// Standard reports whether a node of [Domain] is one of ONNX's operators, and of which operator set.
func Standard(n *onnx.Node) (opset int64, ok bool) {
	own := func(s spec) bool { return s.name == n.OpType }
	return newest, n.Domain == Domain && !slices.ContainsFunc(trainingOps, own)
}

// newTraining makes an operator of Domain.
func newTraining(n *Node) (Op, error) {
	own := *n.Node
	own.Domain = ""
	as := &Node{Node: &own, Opset: newest, Bodies: n.Bodies}
	for _, s := range trainingOps {
		if s.name == n.OpType {
			return s.build(as)
		}
	}
	return New(as)
}

// detach is Detach: its input, through which no gradient flows.
type detach struct{ view }

func newDetach(*Node) (Op, error) { return &detach{view{kind: viewIdentity}}, nil }

// Gradient sets none.
func (*detach) Gradient(*Gradient) error { return nil }
