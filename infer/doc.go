// Package infer runs ONNX models.
//
// A [Session] is a model made ready: functions are inlined, what is constant is computed, nodes that belong together are fused,
// and weights are packed once. For the shapes of the inputs at hand it makes a plan: the layout of every value, and an offset in
// one piece of memory that all values share as they come and go. Plans are kept for the next inputs of the same shapes.
// A [Runner] is one such memory; it runs a plan without allocating. Sessions serve any number of goroutines, a Runner one.
//
// Outputs have the same bits for any number of threads. From those of ONNX Runtime they differ by rounding, less than 1e-4 of the
// range of an output on the networks of bench-equality: fused nodes and the minimal filtering of convolutions (package kernel)
// add numbers up in another order. What cannot be run, all of it at once, is an error of [New] that names the nodes.
//
// Begin reading at session.go; build.go and plan.go say what a run will do, runner.go does it.
package infer
