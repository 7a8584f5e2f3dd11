// Package modelfile opens .onnx and .effml files and networks of package zoo alike, and turns the errors of the packages below into those of
// package job.
package modelfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/internal/atomicfile"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/zoo"
)

// Kinds of model files.
const (
	ONNX  = "onnx"
	EFFML = "effml"
)

// File is an open model. Of an archive the values are decoded when they are asked for.
type File struct {
	Kind    string
	Model   *onnx.Model
	Files   []onnx.FileInfo // the file itself, then external data
	Archive *archive.Reader // nil for ONNX

	onnx *onnx.File // nil for an archive, and for a network
}

// network is how a path begins that names a network of package zoo.
const network = "zoo:"

// Open opens the model at path, whichever kind it is: an archive is known by its first bytes or its name, and what follows "zoo:" is a
// network with its initial weights, see [zoo.Parse].
func Open(path string) (*File, error) {
	if spec, ok := strings.CutPrefix(path, network); ok {
		return build(path, spec)
	}
	is, err := isArchive(path)
	if err != nil {
		return nil, err
	}
	if !is {
		f, err := onnx.Open(path)
		if err != nil {
			return nil, Explain(err)
		}
		return &File{Kind: ONNX, Model: f.Model, Files: f.Files, onnx: f}, nil
	}
	r, err := archive.Open(path)
	if err != nil {
		return nil, Explain(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		r.Close()
		return nil, err
	}
	m, err := r.Model()
	if err != nil {
		r.Close()
		return nil, Explain(err)
	}
	return &File{Kind: EFFML, Model: m, Files: []onnx.FileInfo{{Path: path, Bytes: info.Size()}}, Archive: r}, nil
}

// build makes a network. Its file is what Save would write.
func build(path, text string) (*File, error) {
	spec, err := zoo.Parse(text)
	if err != nil {
		return nil, err
	}
	m, err := spec.Model()
	if err != nil {
		return nil, err
	}
	n, err := m.WriteTo(io.Discard)
	if err != nil {
		return nil, err
	}
	return &File{Kind: ONNX, Model: m, Files: []onnx.FileInfo{{Path: path, Bytes: n}}}, nil
}

// Output returns the path from which those of outputs follow: that of the file, or NAME.onnx for a network.
func Output(path string) string {
	name, ok := strings.CutPrefix(path, network)
	if !ok {
		return path
	}
	name, _, _ = strings.Cut(name, ",")
	return name + ".onnx"
}

func isArchive(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, 6)
	n, _ := f.Read(head) // what cannot be read is for the opener to report
	if n == 0 {
		return strings.HasSuffix(strings.ToLower(path), ".effml"), nil
	}
	return bytes.HasPrefix(head[:n], []byte("\x89EFFML")[:n]) && n > 1 || strings.HasSuffix(strings.ToLower(path), ".effml"), nil
}

// Close ends the use of the model. The files were only read, so nothing can go wrong that matters.
func (f *File) Close() {
	switch {
	case f.Archive != nil:
		f.Archive.Close()
	case f.onnx != nil:
		f.onnx.Close()
	}
}

// Release lets mapped memory of a tensor go, where there is any.
func (f *File) Release(t *onnx.Tensor) {
	if f.onnx != nil {
		f.onnx.Release(t)
	}
}

// Describe hashes the files of the model.
func (f *File) Describe(ctx context.Context) (*job.File, error) {
	if f.Archive == nil && f.onnx == nil {
		h := job.NewHash(f.Files[0].Path)
		if _, err := f.Model.WriteTo(h); err != nil {
			return nil, err
		}
		return job.Describe(h), nil
	}
	var others []string
	for _, o := range f.Files[1:] {
		others = append(others, o.Path)
	}
	return job.HashFile(ctx, f.Files[0].Path, others...)
}

// Explain gives an error of package onnx, archive or atomicfile the type by which a command tells its exit code.
func Explain(err error) error {
	var format *onnx.FormatError
	var external *onnx.ExternalError
	var values *onnx.ValuesError
	var corrupt *archive.CorruptError
	var foreign *archive.NotArchiveError
	var version *archive.VersionError
	var limit *archive.LimitError
	var exists *atomicfile.ExistsError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exists):
		return &job.UsageError{Err: fmt.Errorf("%w; --force overwrites it", err)}
	case errors.As(err, &corrupt), errors.As(err, &foreign), errors.As(err, &limit):
		return &job.VerifyError{Err: err}
	case errors.As(err, &format), errors.As(err, &values), errors.As(err, &version):
		return &job.ModelError{Err: err}
	case errors.As(err, &external):
		return &job.ModelError{Err: err}
	}
	return err
}

// Checked reports all rules of ONNX that a model breaks, as a [*job.ModelError].
func Checked(path string, m *onnx.Model) error {
	problems := onnx.Check(m)
	if len(problems) == 0 {
		return nil
	}
	const most = 20
	var b strings.Builder
	for i, p := range problems {
		if i == most {
			fmt.Fprintf(&b, "\n  and %d more", len(problems)-most)
			break
		}
		b.WriteString("\n  " + Text(p))
	}
	count := "1 problem"
	if len(problems) > 1 {
		count = fmt.Sprintf("%d problems", len(problems))
	}
	return &job.ModelError{Err: fmt.Errorf("%s is not a valid model, %s:%s", path, count, b.String())}
}

// Text writes a problem in one line.
func Text(p onnx.Problem) string {
	var at []string
	if p.Node != "" {
		at = append(at, "node "+p.Node)
	}
	if p.Tensor != "" {
		at = append(at, fmt.Sprintf("tensor %q", p.Tensor))
	}
	if at == nil {
		return p.Msg
	}
	return strings.Join(at, ", ") + ": " + p.Msg
}
