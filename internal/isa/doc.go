// Package isa names the instruction sets that effml has kernels for and chooses one of them.
package isa
