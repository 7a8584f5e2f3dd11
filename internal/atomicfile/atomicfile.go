package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// ExistsError refuses to replace a file that is there.
type ExistsError struct{ Path string }

func (e *ExistsError) Error() string { return e.Path + " exists already" }

// Is makes errors.Is(err, fs.ErrExist) true.
func (e *ExistsError) Is(target error) bool { return target == fs.ErrExist }

// File is a temporary file beside its target, which it becomes on Commit. Use it as the *os.File it embeds, but end it
// with Commit or Abort, not with Close.
type File struct {
	*os.File
	target    string
	backup    string // a second name of the file that Commit replaced, until the whole CommitAll is through
	overwrite bool
	fresh     bool // Commit gave it a name that no file had
	done      bool
}

// Create opens a temporary file `.NAME.effml-XXXX.tmp` in the folder of path. It returns an *ExistsError when path
// exists and overwrite is false, and an error when the folder is missing or path is not a regular file.
func Create(path string, overwrite bool) (*File, error) {
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("atomicfile: create %s: the folder %s does not exist: %w", path, dir, fs.ErrNotExist)
		}
		return nil, fmt.Errorf("atomicfile: create %s: %w", path, err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("atomicfile: create %s: %s is not a folder", path, dir)
	}
	switch info, err := os.Stat(path); {
	case err == nil && !info.Mode().IsRegular():
		return nil, fmt.Errorf("atomicfile: create %s: it is there and is not a regular file", path)
	case err == nil && !overwrite:
		return nil, &ExistsError{Path: path}
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".effml-*.tmp")
	if err != nil {
		return nil, fmt.Errorf("atomicfile: create %s: %w", path, err)
	}
	return &File{File: f, target: path, overwrite: overwrite}, nil
}

// Target returns the path that the file will have.
func (f *File) Target() string { return f.target }

// Commit puts the file on disk and gives it its name. Without overwrite, a file that appeared there meanwhile is kept and
// an *ExistsError returned. After an error the temporary file is gone.
func (f *File) Commit() error { return CommitAll(f) }

// Abort closes and removes the temporary file. After Commit, or a second time, it does nothing.
func (f *File) Abort() {
	if f.done {
		return
	}
	f.done = true
	f.File.Close()
	os.Remove(f.Name())
}

// CommitAll commits files that belong together, in the order given. When one of them fails, those already renamed are
// taken back (and what they had replaced is restored), and the rest is aborted. A crash between two renames can
// still leave the first files new and the last ones old: give the file that refers to the others last.
func CommitAll(files ...*File) (err error) {
	var renamed []*File
	defer func() {
		if err != nil {
			for _, f := range renamed {
				f.undo()
			}
		}
		for _, f := range files {
			f.Abort()
			if f.backup != "" {
				os.Remove(f.backup)
			}
		}
	}()
	for _, f := range files {
		if f.done {
			return fmt.Errorf("atomicfile: commit %s: it has ended already", f.target)
		}
		if err := f.settle(); err != nil {
			return fmt.Errorf("atomicfile: commit %s: %w", f.target, err)
		}
	}
	for _, f := range files {
		if err := f.rename(); err != nil {
			return fmt.Errorf("atomicfile: commit %s: %w", f.target, err)
		}
		renamed = append(renamed, f)
	}
	for _, f := range files {
		if err := syncDir(filepath.Dir(f.target)); err != nil {
			return fmt.Errorf("atomicfile: commit %s: %w", f.target, err)
		}
	}
	return nil
}

// settle brings the contents to the disk and gives the file the permissions of the one it replaces, or the usual ones
// (a temporary file is made readable for its owner only).
func (f *File) settle() error {
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(f.target); err == nil {
		mode = info.Mode().Perm()
	}
	if err := f.Chmod(mode); err != nil && runtime.GOOS != "windows" {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.File.Close()
}

func (f *File) rename() error {
	if !f.overwrite {
		// A hard link fails where the name is taken, which a rename does not tell.
		err := os.Link(f.Name(), f.target)
		if err == nil {
			f.done, f.fresh = true, true
			return os.Remove(f.Name())
		}
		// The file system may have no hard links; then a look before the rename has to do.
		if _, statErr := os.Lstat(f.target); statErr == nil || errors.Is(err, fs.ErrExist) {
			return &ExistsError{Path: f.target}
		}
	}
	_, err := os.Lstat(f.target)
	f.fresh = errors.Is(err, fs.ErrNotExist)
	if err == nil {
		backup := f.Name() + ".old"
		if os.Link(f.target, backup) == nil {
			f.backup = backup
		}
	}
	if err := os.Rename(f.Name(), f.target); err != nil {
		return err
	}
	f.done = true
	return nil
}

// undo is called while another error is being reported, so it does what it can.
func (f *File) undo() {
	if f.backup != "" {
		_ = os.Rename(f.backup, f.target)
		f.backup = ""
	} else if f.fresh {
		os.Remove(f.target)
	}
}

// syncDir makes the new name durable. Windows cannot open a folder for that, and does not need it.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
