// Package quantize chooses few levels for many weights: k-means codebooks (weight sharing), uniform grids, each per
// tensor or per group of weights, by count of levels or by the signal-to-quantisation-noise ratio that must hold; and it
// writes the choice into an ONNX graph as a rewrite, W → Gather(codebook, codes) or W → DequantizeLinear(codes, scale).
//
// Every result is a pure function of the weights and the options: the same bits for any number of threads. No call takes
// more than 64 MiB beside the weights themselves, however many there are, and the buffers it returns.
package quantize
