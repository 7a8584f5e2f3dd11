package deepcompress

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"

	"github.com/effml/effml/evaluate"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
)

// measureBefore runs the model over the data, before the long work begins, so that whatever is wrong with the data is seen at once. What
// the data says of preprocessing and classes goes into the archive's model.
func (r *run) measureBefore(ctx context.Context) (err error) {
	if r.Data == "" {
		return nil
	}
	if r.before, err = evaluate.Answer(ctx, r.Input, r.Samples, r.Limits, r.Threads, "evaluate before", r.events); err != nil {
		return err
	}
	if r.strip() { // else the file is to come back as it was
		setMetadata(r.model, r.before.Metadata)
	}
	runtime.GC() // of a large model the weights that were packed to run it, which would lie beside what comes next
	return nil
}

// setMetadata changes or adds entries.
func setMetadata(m *onnx.Model, entries map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		i := slices.IndexFunc(m.Metadata, func(e *onnx.StringEntry) bool { return e.Key == key })
		if i < 0 {
			m.Metadata = append(m.Metadata, &onnx.StringEntry{Key: key, Value: entries[key]})
		} else {
			m.Metadata[i].Value = entries[key]
		}
	}
}

// measureAfter runs what the archive decodes to over the same data.
func (r *run) measureAfter(ctx context.Context) error {
	if r.before == nil {
		return nil
	}
	path := r.scratchName()
	if r.out != nil {
		path = r.out.Name()
	}
	// The preprocessing is the same, whether the archive carries it or not.
	after, err := evaluate.Answer(ctx, path, r.Samples, r.Limits, r.Threads, "evaluate after", r.events)
	if err != nil {
		return fmt.Errorf("deepcompress: the archive just written: %w", err)
	}
	accuracy, agreement := evaluate.Compare(r.before, after)
	r.result.Accuracy, r.result.Agreement, r.result.Data = accuracy, &agreement, &after.Data
	return nil
}

// scratchName is where the archive of a dry run lies, if it is kept.
func (r *run) scratchName() string {
	if r.scratch == nil {
		return ""
	}
	return r.scratch.Name()
}

// baseline is what counts of a [Result].
type baseline struct {
	Schema   string             `json:"schema"`
	Bytes    Bytes              `json:"bytes"`
	Accuracy *evaluate.Accuracy `json:"accuracy"`
}

// readBaseline reads the result that this one is to be no worse than.
func (r *run) readBaseline() error {
	if r.Baseline == "" {
		return nil
	}
	text, err := os.ReadFile(r.Baseline)
	if err != nil {
		return fmt.Errorf("deepcompress: baseline: %w", err)
	}
	var old baseline
	if err := json.Unmarshal(text, &old); err != nil {
		return job.Usagef("deepcompress: baseline %s is no JSON result: %w", r.Baseline, err)
	}
	if old.Schema != CompressSchema || old.Bytes.Total <= 0 {
		return job.Usagef("deepcompress: baseline %s is no result of compress (schema %q, not %s)", r.Baseline, old.Schema, CompressSchema)
	}
	if old.Accuracy != nil && r.Data == "" {
		return job.Usagef("deepcompress: baseline %s has an accuracy to compare with: name the data with --data", r.Baseline)
	}
	r.baseline = &old
	return nil
}

// gates decides all gates.
func (r *run) gates() {
	g, res := []job.Gate{}, &r.result
	if r.MaxSize > 0 {
		g = append(g, job.AtMost("max-size", float64(r.MaxSize), float64(res.Bytes.Total)))
	}
	if r.MinRatio > 0 {
		g = append(g, job.AtLeast("min-ratio", r.MinRatio, res.Ratio.File))
	}
	g = append(g, r.Limits.Gates(res.Accuracy, res.Agreement)...)
	if old := r.baseline; old != nil {
		g = append(g, job.AtMost("baseline-size", float64(old.Bytes.Total), float64(res.Bytes.Total)))
		if old.Accuracy != nil {
			if res.Accuracy == nil {
				g = append(g, job.Gate{Name: "baseline-accuracy", Limit: old.Accuracy.After})
			} else {
				g = append(g, job.AtLeast("baseline-accuracy", old.Accuracy.After, res.Accuracy.After))
			}
		}
	}
	res.Gates = g
}
