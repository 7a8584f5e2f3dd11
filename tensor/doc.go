// Package tensor holds typed arrays in memory: what operators take and give, and what a sample is made of.
//
// A [Tensor] is a shape, an element type and elements in row-major order, one after another in the byte order of the processor.
// Those of rank 4 may lie in the layout [ChannelsLast] instead, [N, H, W, C] in memory under the shape [N, C, H, W]; only what
// says so reads it. Types of less than 8 bits take a byte an element, unlike in a file. [Of] views the elements as a Go type;
// [Tensor.Floats] and [Tensor.SetFloats] convert them from and to float32, rounding halves to even.
package tensor
