// Package evaluate measures models, .onnx files and .effml archives alike: what is inside one ([Inspect]), what it answers
// ([Run], [Answer]), how often it is right ([Eval]), how fast it is ([Bench]), and how two differ: in tensors and from which
// node on ([Diff]), in outputs ([Outputs]), in answers and accuracy ([Compare]).
//
// Each command is a Config, a function of it and a Result that says what was assumed. Accuracies are percentages of the samples
// that were read, losses the mean cross-entropy in nats, times medians of whole runs on a monotonic clock. The same data give
// the same figures for any number of threads; instruction sets differ by rounding, which may turn an answer between two classes
// that are equally likely.
package evaluate
