// Package atomicfile writes files that appear under their name complete or not at all.
package atomicfile
