package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/effml/effml/internal/atomicfile"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/safetensors"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Checkpoint is the state of a training between two steps: all that decides how it goes on. It is one safetensors file, whose metadata hold the
// manifest as JSON, so that a file is either there and complete or not there.
type Checkpoint struct {
	Manifest
	Slices []Slice
}

// Slice is a named part of the state, of which Shape may be nil where it is a list.
type Slice struct {
	Name   string
	Shape  []int
	Values []float32
}

// Manifest says what the slices are the state of.
type Manifest struct {
	Format int    `json:"format"` // of the manifest
	Effml  string `json:"effml"`  // version that wrote it
	// Of says what the run depends on, as fingerprints: model, data, config, …
	Of     map[string]string `json:"of"`
	Step   int               `json:"step"`   // steps done
	Epoch  int               `json:"epoch"`  // epochs done
	Batch  int               `json:"batch"`  // batches done of the one under way
	Counts map[string]int    `json:"counts"` // further counters: steps of each solver, …
	// Random is the state of each source of random numbers, see [rand.PCG.MarshalBinary].
	Random map[string][]byte `json:"random"`
	// Metrics are what was measured last. Save leaves out what is not finite.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	Rows    []Metrics          `json:"rows,omitempty"` // what was measured before, by epoch
	SHA256  string             `json:"sha256"`         // of the rest of the manifest, and the names and values of all slices; Save computes it
}

const (
	manifestFormat = 1
	manifestKey    = "effml.checkpoint"
)

// Save writes c to the file at path, over what is there. When it fails, that is as it was.
func (c *Checkpoint) Save(path string) error {
	file, err := atomicfile.Create(path, true)
	if err != nil {
		return err
	}
	defer file.Abort()
	if err := c.write(file); err != nil {
		return fmt.Errorf("train: write checkpoint %s: %w", path, err)
	}
	return file.Commit()
}

func (c *Checkpoint) write(w io.Writer) error {
	m := c.Manifest
	m.Format, m.Effml = manifestFormat, job.Build().Version
	m.Metrics = maps.Clone(m.Metrics)
	maps.DeleteFunc(m.Metrics, func(_ string, v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	m.SHA256 = m.sum(c.Slices)
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	f := safetensors.File{Metadata: map[string]string{manifestKey: string(text)}}
	for _, s := range c.Slices {
		shape := s.Shape
		if shape == nil {
			shape = []int{len(s.Values)}
		}
		f.Tensors = append(f.Tensors, safetensors.Tensor{Name: s.Name, Tensor: tensor.From(s.Values, shape...)})
	}
	_, err = f.WriteTo(w)
	return err
}

// LoadCheckpoint reads what Save wrote. A file that is none, or damaged, is a [*job.VerifyError].
func LoadCheckpoint(path string) (*Checkpoint, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := decodeCheckpoint(data)
	if err != nil {
		return nil, &job.VerifyError{Err: fmt.Errorf("train: checkpoint %s: %w", path, err)}
	}
	return c, nil
}

func decodeCheckpoint(data []byte) (*Checkpoint, error) {
	f, err := safetensors.Decode(data)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{}
	if err := json.Unmarshal([]byte(f.Metadata[manifestKey]), &c.Manifest); err != nil {
		return nil, fmt.Errorf("its metadata have no manifest: %w", err)
	}
	if c.Format != manifestFormat {
		return nil, fmt.Errorf("its manifest has format %d, this version of effml reads %d", c.Format, manifestFormat)
	}
	for _, t := range f.Tensors {
		if t.Type != onnx.Float {
			return nil, fmt.Errorf("tensor %q is %s, not float32", t.Name, tensor.TypeName(t.Type))
		}
		c.Slices = append(c.Slices, Slice{t.Name, t.Shape, tensor.Of[float32](t.Tensor)})
	}
	if c.sum(c.Slices) != c.SHA256 {
		return nil, errors.New("its checksum is wrong: the file is damaged")
	}
	return c, nil
}

// sum is the hash of the manifest without its hash, and of slices in the order of their names.
func (m Manifest) sum(list []Slice) string {
	m.SHA256 = ""
	text, err := json.Marshal(m)
	if err != nil {
		return "" // whoever writes the manifest meets the same error
	}
	list = slices.SortedFunc(slices.Values(list), func(a, b Slice) int { return strings.Compare(a.Name, b.Name) })
	h := sha256.New()
	_, _ = h.Write(text) // a hash never fails
	for _, s := range list {
		_, _ = fmt.Fprintf(h, "%q %d\n", s.Name, len(s.Values))
		_, _ = h.Write(tensor.From(s.Values, len(s.Values)).Bytes())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Matches returns a [*job.ResumeError] that names all differences between what the checkpoint and the run at hand depend on.
func (m Manifest) Matches(of map[string]string) error {
	names := maps.Clone(of)
	maps.Copy(names, m.Of)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(names)) {
		switch was, is := m.Of[name], of[name]; {
		case was == "" && is != "":
			errs = append(errs, fmt.Errorf("%s: the checkpoint was made without", name))
		case was != "" && is == "":
			errs = append(errs, fmt.Errorf("%s: the checkpoint was made with one", name))
		case was != is:
			errs = append(errs, fmt.Errorf("%s: another one than the checkpoint was made with", name))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &job.ResumeError{Err: errors.Join(append([]error{errors.New("train: the checkpoint belongs to another run")}, errs...)...)}
}

// Restore fills slices of the same names and shapes. Where any is missing on either side, or of another shape, nothing is changed and the
// [*job.ResumeError] names them all.
func (c *Checkpoint) Restore(into []Slice) error {
	saved := map[string]Slice{}
	for _, s := range c.Slices {
		saved[s.Name] = s
	}
	var errs []error
	for _, s := range into {
		switch from, ok := saved[s.Name]; {
		case !ok:
			errs = append(errs, fmt.Errorf("%s is not in the checkpoint", s.Name))
		case len(from.Values) != len(s.Values) || s.Shape != nil && !slices.Equal(from.Shape, s.Shape):
			errs = append(errs, fmt.Errorf("%s is %v, in the checkpoint %v", s.Name, s.Shape, from.Shape))
		}
		delete(saved, s.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(saved)) {
		errs = append(errs, fmt.Errorf("%s is only in the checkpoint", name))
	}
	if len(errs) > 0 {
		return &job.ResumeError{Err: errors.Join(append([]error{errors.New("train: the checkpoint does not fit")}, errs...)...)}
	}
	for _, s := range c.Slices {
		saved[s.Name] = s
	}
	for _, s := range into {
		copy(s.Values, saved[s.Name].Values)
	}
	return nil
}

// Checkpoints are the last few of a run, and the best one, in a folder.
type Checkpoints struct {
	Folder string
	Keep   int // of the last ones; less than 1 is 1
}

const (
	bestName     = "best.safetensors"
	stepPattern  = "step-%010d.safetensors"
	stepGlobbing = "step-*.safetensors"
)

// SaveBest writes c as the best one, over the one before. It makes the folder where there is none.
func (k Checkpoints) SaveBest(c *Checkpoint) error {
	if err := k.mkdir(); err != nil {
		return err
	}
	return c.Save(k.Best())
}

func (k Checkpoints) mkdir() error {
	if err := os.MkdirAll(k.Folder, 0o755); err != nil {
		return fmt.Errorf("train: folder for checkpoints: %w", err)
	}
	return nil
}

// Save adds c, and then removes the oldest beyond Keep. It makes the folder where there is none.
func (k Checkpoints) Save(c *Checkpoint) error {
	if err := k.mkdir(); err != nil {
		return err
	}
	if err := c.Save(filepath.Join(k.Folder, fmt.Sprintf(stepPattern, c.Step))); err != nil {
		return err
	}
	paths, err := k.paths()
	if err != nil {
		return err
	}
	for len(paths) > max(1, k.Keep) {
		if err := os.Remove(paths[0]); err != nil {
			return fmt.Errorf("train: remove an old checkpoint: %w", err)
		}
		paths = paths[1:]
	}
	return nil
}

// paths are those of the last ones, oldest first.
func (k Checkpoints) paths() ([]string, error) {
	names, err := fs.Glob(os.DirFS(k.Folder), stepGlobbing)
	if err != nil {
		return nil, fmt.Errorf("train: look for checkpoints in %s: %w", k.Folder, err)
	}
	steps := map[string]int{}
	names = slices.DeleteFunc(names, func(name string) bool {
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(name, "step-"), ".safetensors"))
		steps[name] = n
		return err != nil // somebody else's
	})
	slices.SortFunc(names, func(a, b string) int { return steps[a] - steps[b] })
	for i, name := range names {
		names[i] = filepath.Join(k.Folder, name)
	}
	return names, nil
}

// Best is the path of the best one, whether or not it is there.
func (k Checkpoints) Best() string { return filepath.Join(k.Folder, bestName) }

// Latest returns the newest that is not damaged, and notes about newer ones that are. Without any the error is [fs.ErrNotExist], or the newest's
// where all are damaged.
func (k Checkpoints) Latest() (c *Checkpoint, notes []string, err error) {
	paths, err := k.paths()
	if err != nil {
		return nil, nil, err
	}
	err = fmt.Errorf("train: no checkpoint in %s: %w", k.Folder, fs.ErrNotExist)
	for i, path := range slices.Backward(paths) {
		c, failed := LoadCheckpoint(path)
		if failed == nil {
			return c, notes, nil
		}
		notes = append(notes, failed.Error())
		if i == len(paths)-1 {
			err = failed
		}
	}
	return nil, notes, err
}
