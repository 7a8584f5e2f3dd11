package deepcompress

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/effml/effml/huffman"
	"github.com/effml/effml/internal/job"
)

// samePaths objects to outputs that are each other's or an input's file. Keys name the fields, empty paths are skipped.
func samePaths(outputs, inputs map[string]string) (errs []error) {
	names := slices.Sorted(maps.Keys(outputs))
	for i, o := range names {
		if outputs[o] == "" {
			continue
		}
		for _, in := range slices.Sorted(maps.Keys(inputs)) {
			if inputs[in] != "" && sameFile(outputs[o], inputs[in]) {
				errs = append(errs, fmt.Errorf("%s: %s is the %s; writing over it is refused", o, outputs[o], in))
			}
		}
		for _, other := range names[i+1:] {
			if outputs[other] != "" && sameFile(outputs[o], outputs[other]) {
				errs = append(errs, fmt.Errorf("%s and %s: both are %s", o, other, outputs[o]))
			}
		}
	}
	return errs
}

// sameFile says whether two paths lead to one file, links included, or would if it existed.
func sameFile(a, b string) bool {
	if absA, errA := filepath.Abs(a); errA == nil {
		if absB, errB := filepath.Abs(b); errB == nil && absA == absB {
			return true
		}
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

func checkCoder(name string) error {
	if _, err := huffman.ByName(name); err != nil {
		return fmt.Errorf("%q is unknown%s", name, job.Hint(name, coderNames()))
	}
	return nil
}

func coderNames() (names []string) {
	for _, c := range huffman.Coders() {
		names = append(names, c.Name())
	}
	return names
}

// replaceExt returns path with the extension from replaced by to, or with to appended where it has another one.
func replaceExt(path, from, to string) string {
	if strings.EqualFold(filepath.Ext(path), from) {
		path = path[:len(path)-len(from)]
	}
	return path + to
}
