package pages

import "golang.org/x/sys/unix"

// advise asks for huge pages: a failure costs time, never correctness, so it is not reported.
func advise(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }

// discard gives memory back to the system; where it cannot, it waits for the garbage collector.
func discard(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }
