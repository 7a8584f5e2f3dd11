package tfevents

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRecords compares a record with the bytes that Python's protobuf makes of the event, between checksums computed bit by bit.
func TestRecords(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "runs", "1")
	w, err := Create(folder)
	if err != nil {
		t.Fatal(err)
	}
	w.now = func() time.Time { return time.Unix(1700000000, 500000000) }
	if err := w.Scalars(7, Scalar{"train/loss", 0.25}, Scalar{"val/top1", 98.5}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if name := filepath.Base(w.Path()); !strings.HasPrefix(name, "events.out.tfevents.") {
		t.Errorf("TensorBoard does not look at %s", name)
	}
	got, err := os.ReadFile(w.Path())
	if err != nil {
		t.Fatal(err)
	}
	// The first record has the time of Create: wall_time, step 0, file_version, in 24 bytes of data.
	if first := 8 + 4 + 26 + 4; len(got) < first || !bytes.Contains(got[:first], []byte("brain.Event:2")) {
		t.Fatalf("first record: %x", got)
	} else {
		got = got[first:]
	}
	want := "31000000000000009d8383e90900002040fc54d94110072a240a110a0a747261" +
		"696e2f6c6f7373150000803e0a0f0a0876616c2f746f7031150000c542f15722e5"
	if hex.EncodeToString(got) != want {
		t.Errorf("record\n%x, want\n%s", got, want)
	}
}
