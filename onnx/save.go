package onnx

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"

	"github.com/effml/effml/internal/atomicfile"
	"github.com/effml/effml/internal/mapped"
)

// External says where Save puts values.
type External uint8

// Where Save puts values.
const (
	AsIs     External = iota // external tensors stay external, at their place; the others stay in the model
	Inline                   // everything goes into the model file
	Separate                 // initializers of SaveOptions.Threshold bytes or more go into one data file, the rest into the model
)

// SaveOptions tells Save how to write. The zero value writes a model as it was read and refuses to replace a file.
type SaveOptions struct {
	Overwrite bool
	// DataName is the file for external data, relative to the model's folder. With AsIs it replaces the recorded location
	// (where there are several, the second becomes DataName.1, and so on); if it is empty the recorded ones stay, and new
	// data goes to the model's name with ".data" appended.
	DataName  string
	External  External
	Threshold int64 // bytes from which Separate moves an initializer; 0 means 1024
	// Progress, if there is one, is told after every few megabytes how many were written. An error that it returns ends
	// the save, which returns it: so a caller's context can stop a long one.
	Progress func(bytes int64) error
	// Tee, if there is one, is asked before a file is written (by its final path) for a writer that gets the same bytes,
	// piece by piece while they are warm in the cache: for a hash, say.
	Tee func(path string) io.Writer

	limit int64 // of the model file's size; 0 means maxModelSize
}

const (
	defaultThreshold = 1024
	// Protobuf's libraries read no message of 2 GiB or more.
	maxModelSize = math.MaxInt32
)

// Save writes the model under path and its external data beside it, and returns the paths, the model's first. The files
// appear complete or not at all: they are written under temporary names, then renamed, the data before the model. Values
// are streamed. The model m is not changed.
//
// AsIs keeps external tensors where their ExternalData says: a data file of which nothing changed is copied byte for
// byte, otherwise gaps are filled with zeros. A file whose recorded places do not fit its tensors any more (sizes changed,
// places missing or overlapping) is laid out anew in the order of Tensors. In every mode, initializers move to external data when
// the model file would otherwise reach 2 GiB. A recorded checksum is computed again.
//
// It returns an *atomicfile.ExistsError when a file is there and Overwrite is false, and the reason when a folder is
// missing, a location leaves the folder, or a tensor's values cannot be had.
func Save(path string, m *Model, o SaveOptions) ([]string, error) {
	s := &saver{path: path, model: m.Clone(), o: o}
	err := mapped.Guard(s.run)
	if err != nil {
		for _, f := range s.files {
			f.Abort()
		}
		for i := len(s.folders) - 1; i >= 0; i-- {
			os.Remove(s.folders[i]) // only succeeds for an empty one
		}
		return nil, fmt.Errorf("onnx: save %s: %w", path, err)
	}
	return s.paths, nil
}

type saver struct {
	path    string
	model   *Model // a clone, to be changed
	o       SaveOptions
	paths   []string
	files   []*atomicfile.File // the data files, then the model
	folders []string           // made for data files
}

func (s *saver) run() error {
	if s.o.DataName == "" {
		s.o.DataName = filepath.Base(s.path) + ".data"
	} else if err := checkLocation(s.o.DataName); err != nil {
		return fmt.Errorf("data file %q: %w", s.o.DataName, err)
	} else if s.o.External == AsIs {
		s.rename()
	}
	if s.o.Threshold == 0 {
		s.o.Threshold = defaultThreshold
	}
	if s.o.limit == 0 {
		s.o.limit = maxModelSize
	}
	if err := s.move(); err != nil {
		return err
	}
	groups, err := s.layout()
	if err != nil {
		return err
	}
	if err := s.create(groups); err != nil {
		return err
	}
	for i, g := range groups {
		if err := s.writeData(s.sink(s.files[i]), g); err != nil {
			return fmt.Errorf("data file %q: %w", g.location, err)
		}
	}
	e, err := encode(s.model, true)
	if err != nil {
		return err
	}
	if _, err := e.writeTo(s.sink(s.files[len(groups)])); err != nil {
		return err
	}
	return atomicfile.CommitAll(s.files...)
}

// rename gives the external tensors' files the name of the options.
func (s *saver) rename() {
	names := map[string]string{}
	for _, t := range s.model.Tensors() {
		if t.Storage != StorageExternal || t.External == nil {
			continue
		}
		old := path.Clean(t.External.Location)
		if names[old] == "" {
			names[old] = s.o.DataName
			if len(names) > 1 {
				names[old] = fmt.Sprintf("%s.%d", s.o.DataName, len(names)-1)
			}
		}
		t.External.Location = names[old]
	}
}

// move brings every tensor's values where the options want them, then more of them out of the model if it is too large.
func (s *saver) move() error {
	for _, t := range s.model.Tensors() {
		if t.Storage != StorageExternal {
			continue
		}
		if v := &t.values; v.raw == nil && v.stream == nil && v.source == nil {
			raw, err := t.Bytes() // an error if they are in a file that is not loaded
			if err != nil {
				return err
			}
			t.values = values{raw: raw}
		}
		if s.o.External != AsIs {
			t.Storage, t.External, t.other = StorageRaw, nil, nil
		}
	}
	if s.o.External == Separate {
		if err := s.separate(); err != nil {
			return err
		}
	}
	e, err := encode(s.model, true)
	if err != nil || e.n <= s.o.limit {
		return err
	}
	if err := s.separate(); err != nil {
		return err
	}
	if e, err = encode(s.model, true); err == nil && e.n > s.o.limit {
		err = fmt.Errorf("without its initializers the model still has %d bytes, where the format allows %d", e.n, s.o.limit)
	}
	return err
}

// separate makes initializers of the threshold and above external.
func (s *saver) separate() error {
	for _, t := range s.model.Tensors() {
		if t.Role != Initializer || t.DataType == String || t.Storage == StorageExternal {
			continue
		}
		size, err := t.ByteSize()
		if err != nil || size < s.o.Threshold {
			continue // a tensor of unknown type stays where it is
		}
		if t.values.stream == nil {
			raw, err := t.Bytes()
			if err != nil {
				return err
			}
			t.values = values{raw: raw}
		}
		t.Storage, t.other = StorageExternal, nil
		t.External = &ExternalData{Location: s.o.DataName}
	}
	return nil
}

// create opens the temporary files, so that what stands in the way is known before anything long begins.
func (s *saver) create(groups []*group) error {
	dir, taken := filepath.Dir(s.path), map[string]bool{}
	s.paths = []string{s.path}
	taken[filepath.Clean(s.path)] = true
	var targets []string
	for _, g := range groups {
		target := filepath.Join(dir, filepath.FromSlash(g.location))
		if taken[target] {
			return fmt.Errorf("data file %q is the model itself", g.location)
		}
		if err := s.makeFolder(dir, filepath.FromSlash(path.Dir(g.location))); err != nil {
			return fmt.Errorf("data file %q: %w", g.location, err)
		}
		targets = append(targets, target)
		s.paths = append(s.paths, target)
	}
	for _, target := range append(targets, s.path) {
		f, err := atomicfile.Create(target, s.o.Overwrite)
		if err != nil {
			return err
		}
		s.files = append(s.files, f)
	}
	return nil
}

// makeFolder makes the folder of a data file within dir, which a symbolic link must not lead out of.
func (s *saver) makeFolder(dir, folder string) error {
	if folder == "." {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for p := folder; p != "."; p = filepath.Dir(p) {
		if _, err := root.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		s.folders = append([]string{filepath.Join(dir, p)}, s.folders...)
	}
	return root.MkdirAll(folder, 0o755)
}

// writeData writes one external file.
func (s *saver) writeData(w *sink, g *group) error {
	sum := sha1.New()
	if g.checked {
		w.tees = append(w.tees, sum)
	}
	for _, p := range g.places {
		if err := w.zeros(p.at - w.n); err != nil {
			return err
		}
		k, err := p.value.WriteTo(w)
		if err == nil && k != p.value.Size() {
			err = fmt.Errorf("a stream of %d bytes wrote %d", p.value.Size(), k)
		}
		if err != nil {
			return err
		}
	}
	if g.checked {
		for _, t := range g.tensors {
			if t.External.Checksum != "" {
				t.External.Checksum = hex.EncodeToString(sum.Sum(nil))
			}
		}
	}
	return nil
}

// sink counts, copies and reports what goes through it, in pieces.
type sink struct {
	w        io.Writer
	n        int64
	tees     []io.Writer
	progress func(int64) error
}

func (s *saver) sink(f *atomicfile.File) *sink {
	w := &sink{w: f, progress: s.o.Progress}
	if s.o.Tee != nil {
		w.tees = append(w.tees, s.o.Tee(f.Target()))
	}
	return w
}

func (s *sink) Write(b []byte) (int, error) {
	const piece = 1 << 20 // stays in the second-level cache between the file and the tees
	for done := 0; done < len(b); {
		k, err := s.w.Write(b[done:min(done+piece, len(b))])
		for _, tee := range s.tees {
			if _, teeErr := tee.Write(b[done : done+k]); err == nil {
				err = teeErr
			}
		}
		done, s.n = done+k, s.n+int64(k)
		if err == nil && s.progress != nil {
			err = s.progress(int64(k))
		}
		if err != nil {
			return done, err
		}
	}
	return len(b), nil
}

func (s *sink) zeros(n int64) error {
	if n < 0 {
		return errors.New("places overlap")
	}
	var zero [32 << 10]byte
	for ; n > 0; n -= min(n, int64(len(zero))) {
		if _, err := s.Write(zero[:min(n, int64(len(zero)))]); err != nil {
			return err
		}
	}
	return nil
}
