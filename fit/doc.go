// Package fit trains a classifier from files to a file: a model or a network of package zoo, data, and a recipe give an ONNX model. It is what
// `effml train` does.
//
// It opens and checks what is named, fits the network to the data (the batch is left open, the last layer gets as many outputs as there are
// classes), and hands a [train.Task] to [train.Run], which holds the only training loop. What was measured goes to files as it becomes known.
package fit
