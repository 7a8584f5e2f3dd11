// Package infer runs ONNX models.
//
// A [Session] is a model made ready: functions are inlined, what is constant is computed, nodes that belong together are fused,
// and weights are packed once. For the shapes of the inputs at hand it makes a plan: the layout of every value, and an offset in
// one piece of memory that all values share as they come and go. Plans are kept for the next inputs of the same shapes.
// A [Runner] is one such memory; it runs a plan without allocating. Sessions serve any number of goroutines, a Runner one.
package infer
