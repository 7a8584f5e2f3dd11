// Package tensor holds typed arrays in memory: what operators take and give, and what a sample is made of.
//
// A [Tensor] is elements in row-major order, one after another in the byte order of the processor, with a shape and an
// element type. Types of less than 8 bits take a byte an element, unlike in a file.
package tensor
