// Package train changes the weights of a network so that a loss falls.
//
// A network is an ONNX graph, and so is the way back: package ops adds the nodes that compute gradients, and the executor that
// runs inference runs both. The graph is cut into segments, normally blocks. Gorgonia holds the expression graph of a step, in which a segment
// is one operator (adapter.go), differentiates it, and runs it by its tape machine.
package train
