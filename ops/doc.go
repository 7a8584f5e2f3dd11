// Package ops holds the operators of ONNX: what a node computes, the types and shapes of its outputs, what it costs. Operator
// sets 7 to 28 are covered; of an older one those operators that were then what they are in opset 7, and those with the
// broadcasting of that time, by an axis, and the attribute is_test.
//
// [New] makes an [Op] from a node: attributes are read, and what cannot be is refused, once. Package infer asks it what is known
// of the outputs before a run ([Info]: types, shapes with open dimensions, small values) and has it compute them in a [Call].
// What else an operator can say of itself is an interface each, see [Op]. [Fold] puts the rewrites of packages prune and
// quantize back into plain initializers. [Differentiate] adds to a program the nodes that compute its gradients, of ONNX and of
// operators of [Domain].
//
// An operator is a file of its name, begun in the tables table_*.go; several of one family share a file, such as binary.go, and
// what families share is named by what it is: window.go for what slides over images, walk.go for going over elements, heads.go
// and sight.go for attention. What must be fast is in package kernel.
//
// The specification is ONNX's operator schemas; where they leave something open the answer is ONNX Runtime's. Numbers of 16 bits
// are computed in float32 and rounded once at the end, unless an operator says otherwise.
package ops
