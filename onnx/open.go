package onnx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/effml/effml/internal/mapped"
)

// File is a model whose values are views of memory-mapped files. The model must not be used after Close.
type File struct {
	Model *Model
	Path  string
	Files []FileInfo // the .onnx file, then the external ones in the order of their first use

	maps []*mapped.File
}

// FileInfo is a file that a model was read from.
type FileInfo struct {
	Path  string
	Bytes int64
}

// ExternalError says which tensor's external data cannot be had, and why.
type ExternalError struct {
	Tensor   string
	Location string // as the model has it
	Err      error
}

func (e *ExternalError) Error() string {
	return fmt.Sprintf("onnx: tensor %q: external data %q: %v", e.Tensor, e.Location, e.Err)
}

func (e *ExternalError) Unwrap() error { return e.Err }

// Open maps the model at path and the external data files that its tensors name, each once. A location that leaves the
// model's folder (absolute, by "..", or through a symbolic link), a file that is missing, and a range that is not
// within its file are an *ExternalError; what is no ONNX model is a *FormatError.
func Open(path string) (*File, error) {
	f := &File{Path: path}
	err := mapped.Guard(func() error { return f.open() })
	if err != nil {
		f.Close()
		var format *FormatError
		var external *ExternalError
		switch {
		case errors.As(err, &format):
			format.Path = path
			return nil, err
		case errors.As(err, &external):
			return nil, err
		}
		return nil, fmt.Errorf("onnx: open %s: %w", path, err)
	}
	return f, nil
}

func (f *File) open() error {
	info, err := os.Stat(f.Path)
	switch {
	case err != nil:
		return reason(err)
	case info.IsDir():
		return errors.New("it is a folder")
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	}
	file, err := mapped.Open(f.Path)
	if err != nil {
		return err
	}
	f.add(file, f.Path)
	if f.Model, err = Decode(file.Bytes()); err != nil {
		return err
	}
	return f.loadExternal()
}

func (f *File) add(file *mapped.File, path string) {
	f.maps = append(f.maps, file)
	f.Files = append(f.Files, FileInfo{Path: path, Bytes: int64(len(file.Bytes()))})
}

// loadExternal maps the external files and gives each external tensor its bytes.
func (f *File) loadExternal() error {
	dir := filepath.Dir(f.Path)
	var root *os.Root
	files := map[string]*mapped.File{}
	for _, t := range f.Model.Tensors() {
		if t.Storage != StorageExternal {
			continue
		}
		location := t.External.Location
		file := files[location]
		if file == nil {
			var err error
			if root == nil {
				if root, err = os.OpenRoot(dir); err != nil {
					return err
				}
				defer root.Close()
			}
			if file, err = openExternal(root, location); err != nil {
				return &ExternalError{Tensor: t.Name, Location: location, Err: err}
			}
			files[location] = file
			f.add(file, filepath.Join(dir, filepath.FromSlash(location)))
		}
		if err := t.attach(file); err != nil {
			return &ExternalError{Tensor: t.Name, Location: location, Err: err}
		}
	}
	return nil
}

// openExternal maps a file of the model's folder. The root refuses symbolic links that lead out of it.
func openExternal(root *os.Root, location string) (*mapped.File, error) {
	if err := checkLocation(location); err != nil {
		return nil, err
	}
	name := filepath.FromSlash(location)
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no such file in the folder %s: %w", root.Name(), fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("it cannot be opened within the folder %s: %w", root.Name(), reason(err))
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	return mapped.Map(f)
}

// checkLocation refuses paths that leave the model's folder on any system, whichever this one is.
func checkLocation(location string) error {
	slashed := strings.ReplaceAll(location, `\`, "/")
	drive := len(slashed) >= 2 && slashed[1] == ':'
	switch {
	case location == "":
		return errors.New("no location is given")
	case strings.ContainsRune(location, 0):
		return errors.New("the location contains a zero byte")
	case strings.HasPrefix(slashed, "/") || drive:
		return errors.New("the location is absolute, but must be in the model's folder")
	case !filepath.IsLocal(filepath.FromSlash(location)):
		return errors.New("the location leaves the model's folder")
	}
	for part := range strings.SplitSeq(slashed, "/") {
		if part == ".." {
			return errors.New("the location leaves the model's folder")
		}
	}
	return nil
}

// attach makes the tensor's values the part of the file that its entries name.
func (t *Tensor) attach(file *mapped.File) error {
	x, data := t.External, file.Bytes()
	length := x.Length
	if !x.HasLength {
		var err error
		if length, err = t.ByteSize(); err != nil {
			return err
		}
	}
	if x.Offset > int64(len(data)) || length > int64(len(data))-x.Offset {
		return fmt.Errorf("bytes %d to %d are not within the file's %d", x.Offset, x.Offset+length, len(data))
	}
	end := x.Offset + length
	t.values = values{wire: data[x.Offset:end:end], from: StorageExternal, source: file, at: x.Offset}
	return nil
}

// Close removes the maps.
func (f *File) Close() error {
	var errs []error
	for _, m := range f.maps {
		errs = append(errs, m.Close())
	}
	f.maps = nil
	return errors.Join(errs...)
}

// Release lets the memory of the tensor's values go until they are next read. It is a hint, for tensors that are
// views of the mapped files; it does nothing for others.
func (f *File) Release(t *Tensor) {
	for _, m := range f.maps {
		m.Release(t.values.wire)
	}
}

// reason strips the operation and path, which the caller names, from a file system's error.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
