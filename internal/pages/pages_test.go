package pages

import (
	"testing"
	"unsafe"
)

func TestBuffer(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 4096, huge - 1, huge, 2*huge + 1, 5*huge + 12345} {
		b := Buffer(n)
		if len(b) != n || cap(b) != n {
			t.Errorf("%d bytes: length %d, capacity %d", n, len(b), cap(b))
		}
		if uintptr(unsafe.Pointer(unsafe.SliceData(b)))%line != 0 {
			t.Errorf("%d bytes do not begin at a cache line", n)
		}
		for i := range b {
			if b[i] != 0 {
				t.Fatalf("byte %d of %d is not zero", i, n)
			}
			b[i] = 1 // all of it is there to be written
		}
	}
}

func TestDiscard(t *testing.T) {
	for _, n := range []int{0, 1, 4095, 4096, 20000, 5*huge + 12345} {
		b := Buffer(n + 128)
		for i := range b {
			b[i] = 1
		}
		Discard(b[64 : 64+n])
		for i, v := range b { // what is beside it stays
			if (i < 64 || i >= 64+n) && v != 1 {
				t.Fatalf("%d bytes: byte %d was discarded too", n, i-64)
			}
		}
	}
}
