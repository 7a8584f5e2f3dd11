// Package zoo builds well-known networks as ONNX models, with the random weights that their sources begin training with.
//
// A network is a function that calls layers of a builder, by the names that its source gives them: where torchvision has the network, initializers
// bear the names of its state_dict. Parameters and MACs of every network are those that were published.
package zoo
