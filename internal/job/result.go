package job

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/effml/effml/internal/isa"
)

// Common is the part that all result objects share; results embed it.
type Common struct {
	Schema       string  `json:"schema" doc:"name and version of this object's form, for example effml.compress/v1"`
	Version      string  `json:"version" doc:"version of effml"`
	Seed         uint64  `json:"seed" doc:"seed of all randomness"`
	Command      string  `json:"command,omitempty" doc:"the command line, quoted for a shell"`
	Input        *File   `json:"input,omitempty" doc:"the file read"`
	Output       *File   `json:"output,omitempty" doc:"the file written"`
	WallS        float64 `json:"wall_s" doc:"elapsed time in seconds"`
	CPUS         float64 `json:"cpu_s" doc:"processor time of all threads in seconds"`
	PeakRSSBytes int64   `json:"peak_rss_bytes" doc:"largest resident memory of the process, mapped files included"`
	ISA          string  `json:"isa" doc:"instruction set used"`
	Threads      int     `json:"threads" doc:"number of threads used"`
}

// Base gives access to the common part of any result that embeds it.
func (c *Common) Base() *Common { return c }

// File describes a file, or a model of several files.
type File struct {
	Path   string `json:"path" doc:"as it was given"`
	Bytes  int64  `json:"bytes" doc:"size, of all files together where there are several"`
	SHA256 string `json:"sha256,omitempty" doc:"hexadecimal SHA-256 of the file at path"`
	Files  []File `json:"files,omitempty" doc:"all files of the model where there are several, the one at path first"`
}

// HashFile reads the files of a model and describes them: the one at path first, then the others.
func HashFile(ctx context.Context, path string, others ...string) (*File, error) {
	files := make([]*Hash, 0, 1+len(others))
	for _, p := range append([]string{path}, others...) {
		h := NewHash(p)
		if err := h.read(ctx); err != nil {
			return nil, fmt.Errorf("hash %s: %w", p, err)
		}
		files = append(files, h)
	}
	return Describe(files...), nil
}

// Hash describes a file whose bytes are written into it.
type Hash struct {
	path  string
	bytes int64
	sum   hash.Hash
}

// NewHash returns the Hash of what is, or will be, the file at path.
func NewHash(path string) *Hash { return &Hash{path: path, sum: sha256.New()} }

// Write never fails.
func (h *Hash) Write(b []byte) (int, error) {
	h.bytes += int64(len(b))
	return h.sum.Write(b)
}

func (h *Hash) read(ctx context.Context) error {
	r, err := os.Open(h.path)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.CopyBuffer(h, ctxReader{ctx, r}, make([]byte, 1<<20))
	return err
}

// Describe returns what was written into hashes, of which there is at least one: the model's, then those of its data files.
func Describe(hashes ...*Hash) *File {
	var files []File
	for _, h := range hashes {
		files = append(files, File{Path: h.path, Bytes: h.bytes, SHA256: hex.EncodeToString(h.sum.Sum(nil))})
	}
	model := files[0]
	if len(files) > 1 {
		model.Files = files
		for _, f := range files[1:] {
			model.Bytes += f.Bytes
		}
	}
	return &model
}

// ctxReader ends reading when the context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// Gate is a limit that the user set on a result.
type Gate struct {
	Name   string  `json:"name" doc:"the flag without its dashes"`
	Limit  float64 `json:"limit" doc:"as given; sizes in bytes, percentages 0 to 100"`
	Value  float64 `json:"value" doc:"what was reached, in the unit of limit"`
	Passed bool    `json:"passed"`
}

// AtMost returns the gate that holds when value ≤ limit.
func AtMost(name string, limit, value float64) Gate { return Gate{name, limit, value, value <= limit} }

// AtLeast returns the gate that holds when value ≥ limit.
func AtLeast(name string, limit, value float64) Gate { return Gate{name, limit, value, value >= limit} }

// Missed returns a [*GateError] for the gates that did not pass, or nil.
func Missed(gates []Gate) error {
	var missed []Gate
	for _, g := range gates {
		if !g.Passed {
			missed = append(missed, g)
		}
	}
	if missed == nil {
		return nil
	}
	return &GateError{missed}
}

// Float is a number of a result object that may be infinite or undefined (the SQNR of an exact copy, say):
// such values become null in JSON, which has no word for them.
type Float float64

// MarshalJSON implements [json.Marshaler].
func (f Float) MarshalJSON() ([]byte, error) {
	if v := float64(f); !math.IsNaN(v) && !math.IsInf(v, 0) {
		return strconv.AppendFloat(nil, v, 'g', -1, 64), nil
	}
	return []byte("null"), nil
}

// Timer measures a job.
type Timer struct {
	common Common
	wall   time.Time
	cpu    time.Duration
}

// Start begins to measure a job whose result has the given schema. Threads ≤ 0 means GOMAXPROCS.
func Start(schema string, seed uint64, threads int) *Timer {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	set, err := isa.FromEnv()
	if err != nil { // the command line refuses it earlier; a library user gets what would be chosen
		set = isa.Best()
	}
	return &Timer{
		common: Common{Schema: schema, Version: Build().Version, Seed: seed, ISA: set.String(), Threads: threads},
		wall:   time.Now(),
		cpu:    cpuTime(),
	}
}

// Fill writes the fields of c that the timer knows: all but Command, Input and Output, which it leaves alone.
func (t *Timer) Fill(c *Common) {
	filled := t.common
	filled.Command, filled.Input, filled.Output = c.Command, c.Input, c.Output
	filled.WallS = time.Since(t.wall).Seconds()
	filled.CPUS = (cpuTime() - t.cpu).Seconds()
	filled.PeakRSSBytes = peakRSS()
	*c = filled
}
