// Package prune zeroes the weights of least magnitude: it finds the threshold for a tensor or for several together, and
// writes the choice into an ONNX graph as a rewrite, W → Mul(W, mask).
package prune
