// Package safetensors reads and writes named arrays in the file format of the same name.
//
// Source: the format's description in the README of safetensors 0.5. A file is the length N of the header (8 bytes, little-endian), the header (N bytes of
// JSON, an object from names to {dtype, shape, data_offsets}, where "__metadata__" stands for an object of strings; blanks may follow), and
// the elements, little-endian and in row-major order, whose offsets count from the end of the header and leave no gap. Where this package
// deviates: types of less than a byte and of complex numbers are refused, a name that stands twice is refused, and the header is padded so that elements begin at
// a multiple of 8.
package safetensors
