// Package cli is the command line: it parses, calls the library, draws the result and maps errors to exit codes.
// Each command has a file of its own.
package cli
