// Package testkit is what the tests of several packages share.
package testkit

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// SharedDir names the folder of data that are not part of the repository, whether it is there or not: $EFFML_SHARED, or shared beside the
// repository.
func SharedDir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("EFFML_SHARED"); dir != "" {
		return dir
	}
	start, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil || dir == filepath.Dir(dir) {
			return filepath.Join(dir, "..", "shared")
		}
	}
}

// Shared returns the path of a file or folder in [SharedDir], or skips the test.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	path := filepath.Join(SharedDir(t), filepath.Join(elem...))
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not there: set EFFML_SHARED", path)
	}
	return path
}

// Python runs $EFFML_PYTHON with arguments and returns what it printed. It skips the test where there is no such Python, or the program
// ends with 77, which says that it lacks the packages named in needs.
func Python(t testing.TB, needs string, args ...string) []byte {
	t.Helper()
	interpreter := os.Getenv("EFFML_PYTHON")
	if interpreter == "" {
		t.Skipf("no $EFFML_PYTHON with %s", needs)
	}
	cmd := exec.Command(interpreter, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 77 {
		t.Skipf("$EFFML_PYTHON has no %s", needs)
	} else if err != nil {
		t.Fatalf("python: %v\n%s%s", err, out, stderr.Bytes())
	}
	return out
}

// Until returns a context that is cancelled as soon as a file is there, which says what a command still does once its output has its name.
func Until(ctx context.Context, path string) context.Context { return until{ctx, path} }

type until struct {
	context.Context
	path string
}

func (u until) Err() error {
	if _, err := os.Stat(u.path); err == nil {
		return context.Canceled
	}
	return u.Context.Err()
}
