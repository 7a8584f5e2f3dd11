// Command copy reads ONNX models and writes them again, to see whether their bytes stay the same. It reads paths from
// standard input, one a line, and prints each with "identical" or what differs; bench/acceptance/roundtrip.py runs it.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/effml/effml/onnx"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		verdict := "identical"
		if err := check(lines.Text()); err != nil {
			verdict = err.Error()
		}
		fmt.Printf("%s\t%s\n", lines.Text(), verdict)
	}
}

// check copies the model at path, with its external data, into a temporary folder and compares all files.
func check(path string) error {
	f, err := onnx.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	dir, err := os.MkdirTemp("", "effml-copy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, err := onnx.Save(filepath.Join(dir, filepath.Base(path)), f.Model, onnx.SaveOptions{}); err != nil {
		return err
	}
	for _, source := range f.Files {
		rel, err := filepath.Rel(filepath.Dir(path), source.Path)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(source.Path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(dir, rel))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s differs", rel)
		}
	}
	return nil
}
