//go:build unix

package mapped

import "golang.org/x/sys/unix"

// release is advice: a failure costs memory, never correctness, so it is not reported.
func release(pages []byte) { _ = unix.Madvise(pages, unix.MADV_DONTNEED) }
