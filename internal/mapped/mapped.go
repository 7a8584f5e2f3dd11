package mapped

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"syscall"
	"unsafe"

	"github.com/edsrzf/mmap-go"
)

// File is a file mapped read-only into memory. Its bytes must not be written to, and must not be touched after Close.
type File struct {
	path string
	data mmap.MMap
}

// Open maps the regular file at path. An empty file is fine and has no bytes.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("mapped: %w", err)
	}
	defer f.Close()
	return Map(f)
}

// Map maps an open regular file. The map outlives f, which stays the caller's to close.
func Map(f *os.File) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("mapped: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("mapped: %s is not a regular file", f.Name())
	case info.Size() > math.MaxInt:
		return nil, fmt.Errorf("mapped: %s: %d bytes exceed this machine's address space", f.Name(), info.Size())
	case info.Size() == 0:
		return &File{path: f.Name()}, nil
	}
	data, err := mmap.MapRegion(f, int(info.Size()), mmap.RDONLY, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("mapped: map %s: %w", f.Name(), err)
	}
	return &File{path: f.Name(), data: data}, nil
}

// Bytes returns the file's contents. Whoever reads them does so inside Guard.
func (f *File) Bytes() []byte { return f.data }

// Path returns the name the file was opened by.
func (f *File) Path() string { return f.path }

// Close removes the map. A second Close does nothing.
func (f *File) Close() error {
	if f.data == nil {
		return nil
	}
	err := f.data.Unmap()
	f.data = nil
	if err != nil {
		return fmt.Errorf("mapped: unmap %s: %w", f.path, err)
	}
	return nil
}

// Release lets the whole pages inside b leave memory; they are read again from the file when next touched.
// It does nothing for a b that is not a part of the map, and on systems that have no such call.
func (f *File) Release(b []byte) {
	if !f.Contains(b) {
		return
	}
	// Pages are counted from the start of the map, which the system aligns to them.
	page := os.Getpagesize()
	first := int(uintptr(unsafe.Pointer(&b[0])) - uintptr(unsafe.Pointer(&f.data[0])))
	lo, hi := (first+page-1)/page*page, (first+len(b))/page*page
	if lo < hi {
		release(f.data[lo:hi])
	}
}

// Contains reports whether b, which is not empty, is a part of the map.
func (f *File) Contains(b []byte) bool {
	if len(b) == 0 || len(f.data) == 0 {
		return false
	}
	base, p := uintptr(unsafe.Pointer(&f.data[0])), uintptr(unsafe.Pointer(&b[0]))
	return p >= base && p-base <= uintptr(len(f.data)-len(b)) && len(b) <= len(f.data)
}

// FaultError says that mapped memory could not be read: the file behind it was truncated, or its disk failed.
type FaultError struct{ Addr uintptr } // Addr is the address that could not be read, 0 if the kernel did not tell

func (e *FaultError) Error() string {
	return "the input changed or became unreadable while it was being read"
}

// Guard runs fn, and returns its error; a fault on mapped memory while it runs becomes a *FaultError instead of the end
// of the program. It covers the calling goroutine only: every goroutine that fn starts and that reads mapped memory needs
// a Guard of its own. Guards nest. Any other panic passes through.
func Guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		// The runtime's error for a fault, and only that one, tells an address.
		fault, ok := r.(interface {
			error
			Addr() uintptr
		})
		if !ok {
			panic(r)
		}
		err = &FaultError{Addr: fault.Addr()}
	}()
	err = fn()
	// A system call that was handed unreadable memory reports the fault itself.
	if errors.Is(err, syscall.EFAULT) {
		err = &FaultError{}
	}
	return err
}
