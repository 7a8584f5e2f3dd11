package train

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/effml/effml/internal/job"
)

func sampleCheckpoint(step int) *Checkpoint {
	rng := rand.NewPCG(1, 2)
	rng.Uint64()
	state, _ := rng.MarshalBinary()
	return &Checkpoint{
		Manifest{
			Of: map[string]string{"model": "a1", "data": "b2", "config": "c3"}, Step: step, Epoch: 2, Batch: 7, Counts: map[string]int{"solver": step},
			Random: map[string][]byte{"batches": state}, Metrics: map[string]float64{"top1": 91.5, "loss": math.NaN()},
		},
		[]Slice{
			{"conv.weight", []int{1, 2, 1, 1}, []float32{float32(step), float32(math.Inf(-1))}},
			{"solver.0/conv.weight", []int{1, 2, 1, 1}, []float32{0.1, math.SmallestNonzeroFloat32}},
			{"list", nil, []float32{1, 2, 3}},
			{"none", []int{0}, nil},
		},
	}
}

func TestCheckpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.safetensors")
	c := sampleCheckpoint(42)
	for range 2 { // also over what is there
		if err := c.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := LoadCheckpoint(path)
	if err != nil {
		t.Fatal(err)
	}
	want := c.Manifest
	delete(want.Metrics, "loss")
	want.Format, want.Effml, want.SHA256 = 1, got.Effml, got.SHA256
	if !reflect.DeepEqual(got.Manifest, want) {
		t.Errorf("manifest %+v, want %+v", got.Manifest, want)
	}
	into := []Slice{{"none", []int{0}, nil}, {"list", nil, make([]float32, 3)}, {"solver.0/conv.weight", []int{1, 2, 1, 1}, make([]float32, 2)}, {"conv.weight", nil, make([]float32, 2)}}
	if err := got.Restore(into); err != nil {
		t.Fatal(err)
	}
	for _, s := range into {
		for _, w := range c.Slices {
			if w.Name == s.Name && fmt.Sprint(w.Values) != fmt.Sprint(s.Values) {
				t.Errorf("%s is %v, want %v", s.Name, s.Values, w.Values)
			}
		}
	}
	var a, b rand.PCG
	if err := errors.Join(a.UnmarshalBinary(got.Random["batches"]), b.UnmarshalBinary(c.Random["batches"])); err != nil || a.Uint64() != b.Uint64() {
		t.Errorf("random numbers do not go on: %v", err)
	}
}

// Whatever byte changes, nothing is believed; nor is what was cut off.
func TestCheckpointDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.safetensors")
	if err := sampleCheckpoint(1).Save(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := decodeCheckpoint(data)
	if err != nil {
		t.Fatal(err)
	}
	for at := range data {
		bad := bytes.Clone(data)
		bad[at] ^= 4
		if c, err := decodeCheckpoint(bad); err == nil && !reflect.DeepEqual(c, whole) {
			t.Errorf("a change of byte %d is not seen", at)
		}
		if _, err := decodeCheckpoint(data[:at]); err == nil {
			t.Errorf("%d of %d bytes are taken for a checkpoint", at, len(data))
		}
	}
	if err := os.WriteFile(path, data[:len(data)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	var verify *job.VerifyError
	if _, err := LoadCheckpoint(path); !errors.As(err, &verify) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}

func FuzzCheckpoint(f *testing.F) {
	var b bytes.Buffer
	if err := sampleCheckpoint(1).write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCheckpoint(data)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := c.write(&b); err != nil {
			t.Fatal(err)
		}
		if again, err := decodeCheckpoint(b.Bytes()); err != nil || again.Step != c.Step || len(again.Slices) != len(c.Slices) {
			t.Errorf("%v: %+v comes back as %+v", err, c, again)
		}
	})
}

// What cannot be written leaves the file before it alone.
func TestCheckpointNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.safetensors")
	if err := sampleCheckpoint(1).Save(path); err != nil {
		t.Fatal(err)
	}
	bad := sampleCheckpoint(2)
	bad.Slices = append(bad.Slices, bad.Slices[0])
	if err := bad.Save(path); err == nil {
		t.Error("a name that stands twice was written")
	}
	if c, err := LoadCheckpoint(path); err != nil || c.Step != 1 {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCheckpointOfAnotherRun(t *testing.T) {
	c := sampleCheckpoint(1)
	if err := c.Matches(map[string]string{"model": "a1", "data": "b2", "config": "c3"}); err != nil {
		t.Error(err)
	}
	err := c.Matches(map[string]string{"model": "a1", "data": "xx", "teacher": "d4"})
	var resume *job.ResumeError
	if !errors.As(err, &resume) || !strings.Contains(err.Error(), "config: the checkpoint was made with one\ndata: another one than the checkpoint was made with\nteacher: the checkpoint was made without") {
		t.Errorf("%v", err)
	}
	into := []Slice{{"conv.weight", []int{2, 1, 1, 1}, []float32{5, 5}}, {"list", nil, []float32{5, 5, 5}}, {"new", nil, nil}}
	err = c.Restore(into)
	if !errors.As(err, &resume) || into[1].Values[0] != 5 {
		t.Errorf("%v, %v", err, into)
	}
	for _, want := range []string{"conv.weight is [2 1 1 1], in the checkpoint [1 2 1 1]", "new is not in the checkpoint", "none is only in the checkpoint", "solver.0/conv.weight is only"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not say %s", err, want)
		}
	}
}

func TestCheckpoints(t *testing.T) {
	k := Checkpoints{Folder: filepath.Join(t.TempDir(), "a", "b"), Keep: 2}
	if _, _, err := k.Latest(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	for _, step := range []int{9, 10, 100} {
		if err := k.Save(sampleCheckpoint(step)); err != nil {
			t.Fatal(err)
		}
		if step != 9 {
			continue
		}
		if err := k.SaveBest(sampleCheckpoint(step)); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	left, _ := os.ReadDir(k.Folder)
	for _, e := range left {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "best.safetensors step-0000000010.safetensors step-0000000100.safetensors" {
		t.Errorf("left %s", got)
	}
	if best, err := LoadCheckpoint(k.Best()); err != nil || best.Step != 9 {
		t.Errorf("best %v", err)
	}
	if c, notes, err := k.Latest(); err != nil || c.Step != 100 || len(notes) > 0 {
		t.Errorf("latest %v, %v", notes, err)
	}
	if err := os.Truncate(filepath.Join(k.Folder, names[2]), 50); err != nil {
		t.Fatal(err)
	}
	if c, notes, err := k.Latest(); err != nil || c.Step != 10 || len(notes) != 1 {
		t.Errorf("the one before a damaged one: %v, %v", notes, err)
	}
}
