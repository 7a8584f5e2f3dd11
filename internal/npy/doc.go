// Package npy reads and writes arrays in the file formats of NumPy: NPY (one array) and NPZ (a ZIP file of them).
//
// Source: NumPy's format specification, numpy/lib/_format_impl.py, versions 1.0, 2.0 and 3.0. A file is the six bytes
// "\x93NUMPY", two bytes of version, the length of the header (2 bytes in version 1, else 4, little-endian), the header (a
// Python dictionary of descr, fortran_order and shape, padded with blanks), and the elements. Where this package deviates:
// structured types and pickled objects are refused, strings end at their first trailing zero as in NumPy, and a header may
// have 64 KiB at most.
package npy
