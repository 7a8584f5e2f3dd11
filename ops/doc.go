// Package ops holds the operators of ONNX, one file each: what a node computes, the types and shapes of its outputs, what it
// costs. [New] makes an [Op] from a node; package infer runs it. Operator sets 7 to 28 are covered; of an older one those operators that
// were then what they are in opset 7, and those with the broadcasting of that time, by an axis, and the attribute is_test. [Fold] puts the rewrites of packages prune and quantize
// back into plain initializers.
package ops
