package mapped

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

func mapFile(t *testing.T, data []byte) (string, *File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return path, f
}

func TestOpen(t *testing.T) {
	for _, size := range []int{0, 1, os.Getpagesize(), 3*os.Getpagesize() + 17} {
		data := bytes.Repeat([]byte("effml"), size/5+1)[:size]
		path, f := mapFile(t, data)
		if !bytes.Equal(f.Bytes(), data) || f.Path() != path {
			t.Errorf("a file of %d bytes at %s reads as %d at %s", size, path, len(f.Bytes()), f.Path())
		}
		for range 2 {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
		if f.Bytes() != nil {
			t.Error("a closed file has bytes")
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("a folder was mapped")
	}
}

func TestRelease(t *testing.T) {
	page := os.Getpagesize()
	data := bytes.Repeat([]byte{1, 2, 3, 4}, 2*page)
	_, f := mapFile(t, data)
	other := bytes.Clone(data)
	for _, part := range [][]byte{nil, f.Bytes()[:0], f.Bytes(), f.Bytes()[1 : page+1], f.Bytes()[5:], f.Bytes()[7:9], other} {
		f.Release(part)
		if !bytes.Equal(f.Bytes(), data) {
			t.Fatal("the file reads otherwise after a release")
		}
	}
	if !bytes.Equal(other, data) {
		t.Error("memory outside the map was released")
	}
	for part, want := range map[*[]byte]bool{
		new(append([]byte(nil), data...)): false, new(f.Bytes()): true, new(f.Bytes()[8*page-1:]): true, new(f.Bytes()[3:3]): false,
	} {
		if got := f.Contains(*part); got != want {
			t.Errorf("Contains of %d bytes is %v", len(*part), got)
		}
	}
}

func TestGuardFault(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not truncate a mapped file")
	}
	page := os.Getpagesize()
	path, f := mapFile(t, make([]byte, 4*page))
	sum := 0
	readAll := func() error {
		for _, b := range f.Bytes() {
			sum += int(b)
		}
		return nil
	}
	if err := Guard(readAll); err != nil {
		t.Fatalf("before truncation: %v", err)
	}
	if err := os.Truncate(path, int64(page)); err != nil {
		t.Fatal(err)
	}
	// Twice, and nested, to see that the state is restored.
	for range 2 {
		err := Guard(func() error {
			var fault *FaultError
			if err := Guard(readAll); !errors.As(err, &fault) || fault.Addr == 0 {
				t.Errorf("inner: %v", err)
			}
			return readAll()
		})
		var fault *FaultError
		if !errors.As(err, &fault) {
			t.Errorf("after truncation: %v", err)
		}
	}
	// Assembly routines and system calls meet the fault too.
	for name, touch := range map[string]func() error{
		"compare": func() error { bytes.Equal(f.Bytes(), make([]byte, 4*page)); return nil },
		"copy":    func() error { copy(make([]byte, 4*page), f.Bytes()); return nil },
		"write": func() error {
			out, err := os.Create(filepath.Join(t.TempDir(), "out"))
			if err != nil {
				return err
			}
			defer out.Close()
			// The kernel writes what it can read, then stops with EFAULT.
			_, err = out.Write(f.Bytes()[2*page:])
			return err
		},
	} {
		var fault *FaultError
		if err := Guard(touch); !errors.As(err, &fault) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGuardPassesOn(t *testing.T) {
	if err := Guard(func() error { return io.ErrNoProgress }); err != io.ErrNoProgress {
		t.Errorf("an error came back as %v", err)
	}
	if err := Guard(func() error { return syscall.ENOSPC }); err != syscall.ENOSPC {
		t.Errorf("an error came back as %v", err)
	}
	for name, fn := range map[string]func() error{
		"value": func() error { panic("on purpose") },
		"index": func() error { var s []int; _ = s[len(os.Args)]; return nil },
		"nil":   func() error { var p *File; p.path = ""; return nil },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the panic was swallowed", name)
				}
			}()
			_ = Guard(fn)
		}()
	}
}
