// Package ops holds the operators of ONNX, one file each: what a node computes, the types and shapes of its outputs, what it
// costs. [New] makes an [Op] from a node; package infer runs it. [Fold] puts the rewrites of packages prune and quantize
// back into plain initializers. [Differentiate] adds to a program the nodes that compute its gradients, of operators of [Domain].
package ops
