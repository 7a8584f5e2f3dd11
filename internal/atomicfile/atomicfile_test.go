package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// files lists a folder as name=contents.
func files(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Name()+"="+string(b))
	}
	return strings.Join(all, " ")
}

func create(t *testing.T, path, contents string, overwrite bool) *File {
	t.Helper()
	f, err := Create(path, overwrite)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(contents); err != nil {
		t.Fatal(err)
	}
	return f
}

func put(t *testing.T, path, contents string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCommit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	f := create(t, path, "new", false)
	if f.Target() != path || !strings.HasPrefix(filepath.Base(f.Name()), ".a.effml-") || !strings.HasSuffix(f.Name(), ".tmp") {
		t.Errorf("target %s, temporary file %s", f.Target(), f.Name())
	}
	if got := files(t, dir); strings.Contains(got, " ") || strings.HasPrefix(got, "a=") {
		t.Errorf("before Commit there are %s", got)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	f.Abort()
	if got := files(t, dir); got != "a=new" {
		t.Errorf("after Commit there are %s", got)
	}
	if info, _ := os.Stat(path); runtime.GOOS != "windows" && info.Mode().Perm() != 0o644 {
		t.Errorf("permissions %v", info.Mode())
	}
	if err := f.Commit(); err == nil {
		t.Error("a second Commit succeeded")
	}

	if _, err := Create(path, false); !errors.As(err, new(*ExistsError)) || !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("an existing file: %v", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := create(t, path, "newer", true).Commit(); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); got != "a=newer" {
		t.Errorf("after overwriting there are %s", got)
	}
	if info, _ := os.Stat(path); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("permissions became %v", info.Mode())
	}
}

func TestAbort(t *testing.T) {
	dir := t.TempDir()
	f := create(t, filepath.Join(dir, "a"), "new", false)
	f.Abort()
	f.Abort()
	if got := files(t, dir); got != "" {
		t.Errorf("after Abort there are %s", got)
	}
	if err := f.Commit(); err == nil {
		t.Error("Commit after Abort succeeded")
	}
}

func TestCreateErrors(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"), "")
	for path, want := range map[string]string{
		filepath.Join(dir, "none", "a"): "does not exist",
		filepath.Join(dir, "file", "a"): "",
		dir:                             "not a regular file",
	} {
		if _, err := Create(path, true); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// A file that appears between Create and Commit is not replaced.
func TestCommitKeepsNewcomer(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	f := create(t, path, "ours", false)
	put(t, path, "theirs")
	if err := f.Commit(); !errors.As(err, new(*ExistsError)) {
		t.Errorf("Commit: %v", err)
	}
	if got := files(t, dir); got != "a=theirs" {
		t.Errorf("there are %s", got)
	}
}

// When one of several cannot be renamed, the folder is as it was.
func TestCommitAllRollsBack(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "replaced"), "old")
	replaced := create(t, filepath.Join(dir, "replaced"), "new", true)
	fresh := create(t, filepath.Join(dir, "fresh"), "new", false)
	over := create(t, filepath.Join(dir, "over"), "new", true)
	last := create(t, filepath.Join(dir, "last"), "new", false)
	put(t, filepath.Join(dir, "last"), "theirs")
	if err := CommitAll(replaced, fresh, over, last); !errors.As(err, new(*ExistsError)) {
		t.Errorf("CommitAll: %v", err)
	}
	if got := files(t, dir); got != "last=theirs replaced=old" {
		t.Errorf("there are %s", got)
	}

	again := create(t, filepath.Join(dir, "replaced"), "new", true)
	closed := create(t, filepath.Join(dir, "closed"), "new", true)
	closed.Close() // as good as a disk that fails
	if err := CommitAll(again, closed); err == nil {
		t.Error("a closed file was committed")
	}
	if got := files(t, dir); got != "last=theirs replaced=old" {
		t.Errorf("there are %s", got)
	}
}
