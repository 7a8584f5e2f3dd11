package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"maps"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// sorted lists the keys of a map.
func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// of returns what the run depends on, as fingerprints.
func (t *trainer) of() (map[string]string, error) {
	out := map[string]string{}
	for _, m := range t.task.Models {
		h := sha256.New()
		hashGraph(h, m.Model.Graph)
		_, _ = fmt.Fprintf(h, "%v %q", m.Frozen, m.Also)
		out[nameOf("model", m.Name)] = hex.EncodeToString(h.Sum(nil))
	}
	for name, s := range t.task.Streams {
		text, err := s.Fingerprint()
		if err != nil {
			return nil, err
		}
		out[nameOf("data", name)] = text
	}
	text, err := json.Marshal(struct {
		Steps, PerEpoch int
		Seed            uint64
		CheckEvery      int
		Select          string
	}{t.total, t.perEpoch, t.config.Seed, t.config.CheckEvery, t.config.Select})
	if err != nil {
		return nil, err
	}
	out["config"] = fmt.Sprintf("%x", sha256.Sum256(text))
	for _, ph := range t.phases {
		text, err := json.Marshal(struct {
			Stream, Parameters string
			Solver             SolverConfig
			Schedule           Schedule
			Every, Accumulate  int
			Sampled, Hook      bool
			LearnedSteps       bool
		}{ph.Stream, ph.Parameters, ph.Phase.Solver, ph.Schedule, ph.Every, ph.Accumulate, ph.Sample != nil, ph.Hook != nil, ph.LearnedSteps})
		if err != nil {
			return nil, err
		}
		out[nameOf("phase", ph.Name)] = fmt.Sprintf("%x", sha256.Sum256(text))
	}
	return out, nil
}

func nameOf(what, name string) string {
	if name == "" {
		return what
	}
	return what + " " + name
}

// hashGraph adds a graph to h: nodes, inputs, outputs and values.
func hashGraph(h hash.Hash, g *onnx.Graph) {
	for _, t := range g.Initializers {
		_, _ = fmt.Fprintf(h, "%q %v %v ", t.Name, t.DataType, t.Dims)
		if v, err := tensor.FromONNX(t); err == nil && v.Type != onnx.String {
			_, _ = h.Write(v.Bytes())
		}
	}
	for _, v := range slices.Concat(g.Inputs, g.Outputs) {
		_, _ = fmt.Fprintf(h, "%q ", v.Name)
	}
	for _, n := range g.Nodes {
		_, _ = fmt.Fprintf(h, "%q %q %q %q ", n.Domain, n.OpType, n.Inputs, n.Outputs)
		for _, a := range n.Attributes {
			_, _ = fmt.Fprintf(h, "%q %d %v %v %q %v %q ", a.Name, a.I, a.F, a.Ints, a.S, a.Floats, a.Strings)
			if a.T != nil {
				if v, err := tensor.FromONNX(a.T); err == nil && v.Type != onnx.String {
					_, _ = h.Write(v.Bytes())
				}
			}
			if a.G != nil {
				hashGraph(h, a.G)
			}
		}
	}
}

// state is all that a checkpoint holds of numbers.
func (t *trainer) state() []Slice {
	all := t.store.values()
	for _, ph := range t.phases {
		for _, s := range ph.solver.State() {
			s.Name = fmt.Sprintf("phase/%s/%s", ph.Name, s.Name)
			all = append(all, s)
		}
	}
	for _, s := range t.task.State {
		s.Name = "state/" + s.Name
		all = append(all, s)
	}
	return all
}

// save writes a checkpoint, where there are to be some.
func (t *trainer) save(best bool) error {
	c := t.config.Checkpoints
	if c.Folder == "" {
		return nil
	}
	if err := t.store.firstBad(); err != nil { // the last one is better
		return fmt.Errorf("train: step %d: %w: no checkpoint is written", t.step, err)
	}
	of, err := t.fingerprints()
	if err != nil {
		return err
	}
	cp := &Checkpoint{Manifest: Manifest{
		Of: of, Step: t.step, Epoch: t.step / t.perEpoch, Batch: t.step % t.perEpoch, Counts: map[string]int{}, Metrics: map[string]float64{}, Rows: t.rows,
	}, Slices: t.state()}
	for name, c := range t.cursors {
		cp.Counts["epoch/"+name], cp.Counts["batch/"+name] = c.epoch, c.number
	}
	for i, ph := range t.phases {
		cp.Counts["solver/"+ph.Name], cp.Counts["steps/"+ph.Name] = ph.solver.Steps(), t.sums.steps[i]
		cp.Metrics["loss/"+ph.Name] = t.sums.loss[i]
	}
	cp.Counts["samples"], cp.Counts["right"], cp.Counts["answered"] = t.sums.samples, t.sums.right, t.sums.answered
	cp.Metrics["rate"] = t.sums.rate
	// What the last evaluation was of is a file of its own, with the averages that it was of.
	if best {
		b := *cp
		b.Slices = t.bestWeights
		if err := (Checkpoints{Folder: c.Folder, Keep: c.Keep}).SaveBest(&b); err != nil {
			return err
		}
	}
	return Checkpoints{Folder: c.Folder, Keep: c.Keep}.Save(cp)
}

// fingerprints are computed once.
func (t *trainer) fingerprints() (map[string]string, error) {
	if t.depends == nil {
		of, err := t.of()
		if err != nil {
			return nil, err
		}
		t.depends = of
	}
	return t.depends, nil
}

// resume takes up the newest checkpoint, where that is asked for and there is one.
func (t *trainer) resume() error {
	c := t.config.Checkpoints
	if !c.Resume {
		return nil
	}
	files := Checkpoints{Folder: c.Folder, Keep: c.Keep}
	cp, notes, err := files.Latest()
	for _, n := range notes {
		t.note("%s", n)
	}
	if errors.Is(err, fs.ErrNotExist) {
		t.note("no checkpoint in %s: the training begins anew", c.Folder)
		return nil
	}
	if err != nil {
		return err
	}
	of, err := t.fingerprints()
	if err != nil {
		return err
	}
	if err := cp.Matches(of); err != nil {
		return err
	}
	if err := cp.Restore(t.state()); err != nil {
		return err
	}
	t.step, t.resumed, t.rows = cp.Step, cp.Step, cp.Rows
	for name, c := range t.cursors {
		c.epoch, c.number = cp.Counts["epoch/"+name], cp.Counts["batch/"+name]
	}
	for i, ph := range t.phases {
		ph.solver.Resume(cp.Counts["solver/"+ph.Name])
		t.sums.steps[i], t.sums.loss[i] = cp.Counts["steps/"+ph.Name], cp.Metrics["loss/"+ph.Name]
	}
	t.sums.samples, t.sums.right, t.sums.answered, t.sums.rate = cp.Counts["samples"], cp.Counts["right"], cp.Counts["answered"], cp.Metrics["rate"]
	t.note("resumed after step %d of %d", t.step, t.total)
	return t.resumeBest(files)
}

// resumeBest finds the best evaluation again.
func (t *trainer) resumeBest(files Checkpoints) error {
	for _, r := range t.rows {
		if r.Best {
			t.best = &r
		}
	}
	if t.best == nil {
		return nil
	}
	if cp, err := LoadCheckpoint(files.Best()); err == nil && cp.Step == t.best.Step {
		t.bestWeights = cp.Slices
	} else {
		t.note("the weights of the best evaluation, after step %d, are not in %s: those to come are compared anew", t.best.Step, files.Best())
		t.best = nil
	}
	return nil
}

// tellStale names batch normalisations of which training does not know the running states.
func (t *trainer) tellStale() {
	for _, m := range t.store.models {
		if len(m.stale) > 0 {
			t.note("batch normalisation %s of %d in all: its running mean or variance is no float32 tensor or part of one, and stays as it is", m.stale[0], len(m.stale))
		}
	}
}

func (t *trainer) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.notes = append(t.notes, text)
	t.ev.Note(text)
}
