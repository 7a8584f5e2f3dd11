package fit

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/effml/effml/internal/atomicfile"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/tfevents"
	"github.com/effml/effml/train"
)

// recorder passes events on and writes what was measured to files, each time anew: they are whole whenever the program ends.
type recorder struct {
	job.Events
	watch train.Events // Events, where it watches steps

	lines, table string // "" where nothing is written
	board        *tfevents.Writer
	mu           sync.Mutex
	rows         []train.Metrics
	times        []time.Time // of the steps, where keep
	keep         bool        // of a dry run, which has no epochs to tell of
	err          error
}

func newRecorder(ev job.Events) *recorder {
	r := &recorder{Events: ev}
	r.watch, _ = ev.(train.Events)
	return r
}

// open decides on the files, and reads what an interrupted training left there.
func (r *recorder) open(folder string, resume bool) error {
	r.lines, r.table = filepath.Join(folder, "metrics.jsonl"), filepath.Join(folder, "metrics.csv")
	if !resume {
		return nil
	}
	text, err := os.ReadFile(r.lines)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("train: metrics of the interrupted training: %w", err)
	}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		var m train.Metrics
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			return &job.VerifyError{Err: fmt.Errorf("train: %s: %w", r.lines, err)}
		}
		r.rows = append(r.rows, m)
	}
	return nil
}

// Step implements [train.Events].
func (r *recorder) Step(p train.Progress) {
	if r.watch != nil {
		r.watch.Step(p)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keep {
		r.times = append(r.times, time.Now())
	}
	if r.board != nil && p.Batches > 0 && p.Batch%max(1, p.Batches/50) == 0 {
		r.note(r.board.Scalars(int64(p.Step), tfevents.Scalar{Tag: "train/step_loss", Value: p.Loss}, tfevents.Scalar{Tag: "train/rate", Value: p.Rate}))
	}
}

// Row implements [train.Events].
func (r *recorder) Row(m train.Metrics) {
	if r.keep {
		return
	}
	if r.watch != nil {
		r.watch.Row(m)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(slices.DeleteFunc(r.rows, func(old train.Metrics) bool { return old.Step >= m.Step || old.Epoch >= m.Epoch }), m)
	if r.lines != "" {
		r.note(r.write())
	}
	if r.board == nil {
		return
	}
	list := []tfevents.Scalar{{Tag: "train/loss", Value: float64(m.Loss)}, {Tag: "train/samples_per_s", Value: m.SamplesPerS}}
	if m.Top1 != nil {
		list = append(list, tfevents.Scalar{Tag: "train/top1", Value: *m.Top1})
	}
	if m.Val != nil {
		list = append(list, tfevents.Scalar{Tag: "val/loss", Value: float64(m.Val.Loss)}, tfevents.Scalar{Tag: "val/top1", Value: m.Val.Top1}, tfevents.Scalar{Tag: "val/top5", Value: m.Val.Top5})
	}
	r.note(r.board.Scalars(int64(m.Step), list...))
	r.note(r.board.Flush())
}

// note keeps the first error.
func (r *recorder) note(err error) {
	if r.err == nil {
		r.err = err
	}
}

// close ends the files, and returns what went wrong with them.
func (r *recorder) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.board != nil {
		r.note(r.board.Close())
		r.board = nil
	}
	return r.err
}

func (r *recorder) write() error {
	if err := os.MkdirAll(filepath.Dir(r.lines), 0o755); err != nil {
		return fmt.Errorf("train: folder for metrics: %w", err)
	}
	var lines, table bytes.Buffer
	encoder, rows := json.NewEncoder(&lines), csv.NewWriter(&table)
	_ = rows.Write([]string{"epoch", "step", "rate", "loss", "top1", "val_loss", "val_top1", "val_top5", "samples_per_s", "wall_s", "best"}) // to memory
	for _, m := range r.rows {
		if err := encoder.Encode(m); err != nil {
			return fmt.Errorf("train: metrics: %w", err)
		}
		_ = rows.Write(tableRow(m))
	}
	rows.Flush()
	for path, text := range map[string][]byte{r.lines: lines.Bytes(), r.table: table.Bytes()} {
		f, err := atomicfile.Create(path, true)
		if err != nil {
			return err
		}
		if _, err = f.Write(text); err == nil {
			err = f.Commit()
		}
		f.Abort()
		if err != nil {
			return fmt.Errorf("train: write %s: %w", path, err)
		}
	}
	return nil
}

func tableRow(m train.Metrics) []string {
	number := func(v float64) string {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return ""
		}
		return strconv.FormatFloat(v, 'g', 8, 64)
	}
	row := []string{strconv.Itoa(m.Epoch), strconv.Itoa(m.Step), number(m.Rate), number(float64(m.Loss)), "", "", "", "", number(m.SamplesPerS), number(m.WallS), ""}
	if m.Top1 != nil {
		row[4] = number(*m.Top1)
	}
	if m.Val != nil {
		row[5], row[6], row[7] = number(float64(m.Val.Loss)), number(m.Val.Top1), number(m.Val.Top5)
	}
	if m.Best {
		row[10] = "best"
	}
	return row
}

// stepTime returns the median time between steps, without the first of them, in which memory is taken.
func (r *recorder) stepTime() time.Duration {
	var between []time.Duration
	for i := 2; i < len(r.times); i++ {
		between = append(between, r.times[i].Sub(r.times[i-1]))
	}
	if len(between) == 0 {
		return 0
	}
	slices.Sort(between)
	return between[len(between)/2]
}
