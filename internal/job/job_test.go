package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestTimerFillsAndKeeps(t *testing.T) {
	timer := Start("effml.test/v1", 7, 0)
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); { // spend processor time
	}
	in := &File{Path: "a.onnx"}
	c := Common{Input: in, Command: "effml test"}
	timer.Fill(&c)
	if c.Schema != "effml.test/v1" || c.Seed != 7 || c.Version == "" || c.ISA == "" {
		t.Errorf("identity not filled: %+v", c)
	}
	if c.Input != in || c.Command != "effml test" {
		t.Errorf("input or command lost: %+v", c)
	}
	if c.Threads != runtime.GOMAXPROCS(0) {
		t.Errorf("threads = %d, want GOMAXPROCS", c.Threads)
	}
	if c.WallS < 0.02 {
		t.Errorf("wall_s = %v after 20 ms", c.WallS)
	}
	if runtime.GOOS == "linux" && (c.CPUS <= 0 || c.PeakRSSBytes < 1<<20) {
		t.Errorf("cpu_s = %v, peak_rss_bytes = %d", c.CPUS, c.PeakRSSBytes)
	}
}

// The keys are a contract with scripts, so they are compared as text.
func TestCommonJSON(t *testing.T) {
	c := Common{Schema: "effml.x/v1", Version: "v1", Seed: 1, Command: "effml x", ISA: "avx2", Threads: 2, Output: &File{Path: "o", Bytes: 3, SHA256: "ab"}}
	got, err := json.Marshal(struct {
		Common
		SQNR Float  `json:"sqnr"`
		Own  string `json:"own"`
	}{c, Float(math.Inf(1)), "z"})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"schema":"effml.x/v1","version":"v1","seed":1,"command":"effml x","output":{"path":"o","bytes":3,"sha256":"ab"},` +
		`"wall_s":0,"cpu_s":0,"peak_rss_bytes":0,"isa":"avx2","threads":2,"sqnr":null,"own":"z"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if b, err := json.Marshal(Float(0.25)); string(b) != "0.25" || err != nil {
		t.Errorf("Float(0.25) = %s, %v", b, err)
	}
}

func TestHashFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b := write("a", "abc"), write("b", "")
	// FIPS 180-2, example B.1, and the digest of the empty string
	abc, empty := "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	f, err := HashFile(t.Context(), a, b)
	if err != nil {
		t.Fatal(err)
	}
	if f.Bytes != 3 || f.SHA256 != abc || len(f.Files) != 2 || f.Files[0].SHA256 != abc || f.Files[1].SHA256 != empty || f.Files[1].Path != b {
		t.Errorf("got %+v", f)
	}
	if f, err = HashFile(t.Context(), a); err != nil || f.Files != nil {
		t.Errorf("a single file lists others: %+v, %v", f, err)
	}
	if _, err = HashFile(t.Context(), a, filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = HashFile(ctx, a); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestGates(t *testing.T) {
	gates := []Gate{AtMost("max-size", 100, 100), AtLeast("min-ratio", 5, 5)}
	if err := Missed(gates); err != nil {
		t.Errorf("limits that are just met: %v", err)
	}
	gates = append(gates, AtMost("max-size", 6e6, 6000001), AtLeast("min-ratio", 30, 8.25))
	err := Missed(gates)
	var ge *GateError
	if !errors.As(err, &ge) || len(ge.Gates) != 2 {
		t.Fatalf("got %v", err)
	}
	if want := "gate missed: max-size: limit 6000000, got 6000001; min-ratio: limit 30, got 8.25"; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if AtMost("x", 1, math.NaN()).Passed || AtLeast("x", 1, math.NaN()).Passed {
		t.Error("an undefined value passes a gate")
	}
}

func TestErrorsUnwrap(t *testing.T) {
	cause := errors.New("cause")
	for _, err := range []error{&UsageError{cause}, &ModelError{cause}, &DataError{cause}, &VerifyError{cause}, Usagef("x: %w", cause)} {
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), "cause") {
			t.Errorf("%T hides its cause", err)
		}
	}
	var u *UsageError
	if !errors.As(fmt.Errorf("outer: %w", Usagef("bad %d", 1)), &u) || u.Error() != "bad 1" {
		t.Error("a wrapped usage error is not found")
	}
}

func TestBuildHasVersionAndGo(t *testing.T) {
	if b := Build(); b.Version == "" || b.Go != runtime.Version() || b.OS != runtime.GOOS {
		t.Errorf("got %+v", b)
	}
	Discard.Stage("x", 1, "B")
	Discard.Advance(1)
	Discard.Note("n")
}

func TestSuggest(t *testing.T) {
	known := []string{"balanced", "fast", "lossless", "small", "output", "on"}
	for word, want := range map[string]string{
		"balancd": "balanced", "loseless": "lossless", "Fast": "fast", "smal": "small", "outptu": "output",
		"zebra": "", "": "", "xy": "", "ouptut": "output",
	} {
		if got := Suggest(word, known); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", word, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"abcd", "acbd", 1}} {
		if got := editDistance(c.a, c.b); got != c.want || editDistance(c.b, c.a) != c.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestProblems(t *testing.T) {
	p := Problems{Prefix: "x."}
	p.Check(true, "fine: %d", 1)
	p.Add(nil)
	if err := p.Err(); err != nil {
		t.Errorf("no problem gives %v", err)
	}
	p.Check(false, "rate: %w", os.ErrNotExist)
	p.Add(errors.New("whole"))
	var usage *UsageError
	err := p.Err()
	if want := "x.rate: file does not exist\nwhole"; !errors.As(err, &usage) || !errors.Is(err, os.ErrNotExist) || err.Error() != want {
		t.Errorf("got %v, want %q as a UsageError", err, want)
	}
}
