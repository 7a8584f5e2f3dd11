// Package train changes the weights of a network so that a loss falls.
//
// A network is an ONNX graph, and so is the way back: package ops adds the nodes that compute gradients, and the executor that
// runs inference runs both. The graph is cut into segments, normally blocks. Gorgonia holds the expression graph of a step, in which a segment
// is one operator (adapter.go), differentiates it, and runs it by its tape machine.
//
// [Run] is the only training loop. It takes a [Task]: models, streams of data, and phases, of which every step does one after another. A phase
// computes the losses of its passes over a batch, adds their gradients up, and has its solver change its parameters. A loss is itself a piece of graph
// ([Formula]) over the values of the models and the fields of the batch. [Supervised] makes the task of training one network on
// labels, or after a teacher; super-networks, adversaries and searches write their own.
//
// All that is random in a step follows from the seed and the number of the step, and all that a stream delivers from the epoch and the number of the
// batch. So a [Checkpoint] holds values and counters only, and what goes on from it comes to the same bits.
package train
