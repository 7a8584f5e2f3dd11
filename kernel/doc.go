// Package kernel computes on plain slices: matrix products, convolutions, pooling, element-wise functions, reductions. It
// knows nothing of graphs, and little of memory: whatever a kernel needs beside its operands, the caller gives.
//
// Every kernel runs on a [CPU], which is an instruction set and a number of threads. The result has the same bits for any
// number of threads: work is cut into pieces whose size does not depend on it, and sums over pieces are added in order.
// Between instruction sets results differ by rounding, since products are added up in another order and with or without
// fused multiply-add: outputs of whole networks by less than 1e-5 of their range, which bench-isa checks; sums of integers
// are exact. Arguments that contradict each other are a programmer's mistake and panic.
//
// Products follow Goto and van de Geijn (gemm.go); convolutions are products packed straight from the image, minimal filtering of
// 3×3 kernels (A. Lavin, S. Gray: Fast Algorithms for Convolutional Neural Networks, CVPR 2016; winograd.go) or direct for one
// channel a group (depthwise.go). Exponential and its kin are polynomials; [Activate] states their errors, at most 4 units in
// the last place. Each kernel exists in plain Go, which is the oracle of the assembly; _asm holds what generates that.
package kernel
