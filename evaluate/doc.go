// Package evaluate measures models: what is inside one, and how two differ. It treats .onnx files and .effml
// archives alike.
package evaluate
