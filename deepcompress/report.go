package deepcompress

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/quantize"
)

// report turns decisions and sizes into the result.
func (r *run) report() error {
	s := r.sizes
	r.result.Bytes = Bytes{
		Total: s.Total, Header: s.Header, Topology: s.Topology, Codebooks: s.Codebooks, Codes: s.Codes,
		Positions: s.Positions, Raw: s.Raw, Checksums: s.Checksums,
	}
	r.result.Tensors = []Tensor{}
	var signal, noise float64
	next := 0
	for i := range r.decisions {
		d := &r.decisions[i]
		if next == len(s.Tensors) || !describes(&s.Tensors[next], d.ref) {
			continue // a small constant, which is stored in the graph
		}
		row, err := r.row(d, &s.Tensors[next])
		next++
		if err != nil {
			return err
		}
		r.result.Tensors = append(r.result.Tensors, row)
		if !d.ref.DataType.IsFloat() {
			continue
		}
		r.result.Floats.Count += row.Weights
		r.result.Floats.NonZero += int64(math.Round(row.Kept * float64(row.Weights)))
		if row.SQNR != nil {
			r.result.Floats.Packed += row.Weights
			signal += d.packed.stats.Signal * float64(row.Weights)
			noise += d.packed.stats.MSE * float64(row.Weights)
		}
	}
	r.result.Floats.SQNR = job.Float(10 * math.Log10(signal/noise))
	r.result.Coders = coderShares(s.Tensors)
	r.result.Ratio = Ratio{
		File:    float64(r.result.Input.Bytes) / float64(s.Total),
		Weights: 4 * float64(r.result.Floats.Count) / float64(s.Total),
	}
	r.result.Notes = r.notes()
	return nil
}

// describes reports whether s is about the tensor: both lists are in one order, and s lacks those that have no record.
func describes(s *archive.TensorSize, ref onnx.TensorRef) bool {
	n, err := ref.NumElements()
	return err == nil && s.Name == ref.Name && s.Path == ref.Path && s.Role == ref.Role && s.DataType == ref.DataType &&
		s.Weights == n && slices.Equal(s.Shape, ref.Dims)
}

// row describes one tensor.
func (r *run) row(d *decision, s *archive.TensorSize) (Tensor, error) {
	row := Tensor{
		Name: d.name, Op: d.op, Type: strings.ToLower(d.ref.DataType.String()), Shape: slices.Clone(d.ref.Dims),
		Action: "kept", Reason: d.reason, Kept: 1, Coder: s.Method, Weights: d.weights, Before: d.bytes, Bytes: s.Bytes,
	}
	if row.Shape == nil {
		row.Shape = []int64{}
	}
	if d.ref.Path != "graph" {
		row.Graph = d.ref.Path
	}
	if s.NonZero >= 0 && s.Weights > 0 {
		row.Kept = float64(s.NonZero) / float64(s.Weights)
	}
	if d.weights > 0 {
		row.BitsPerWeight = 8 * float64(s.Bytes) / float64(d.weights)
	}
	tied := strings.HasPrefix(s.Form, "same as")
	if tied {
		row.Action = "tied"
	}
	if d.packed == nil {
		return row, nil
	}
	if s.Form == "lossless" {
		row.Reason = "packing it would take no fewer bytes"
		return row, nil
	}
	p := d.packed
	sqnr := job.Float(p.stats.SQNR)
	row.SQNR, row.Levels, row.Bits = &sqnr, p.stats.Levels, bits.Len(uint(max(0, p.stats.Levels-1)))
	if !p.shared && len(p.Levels.Q) == 1 {
		row.Step = shortFloat(p.Levels.Q[0].Step)
	}
	if !tied {
		row.Action = p.action()
	}
	if r.Histograms && !tied {
		return row, d.addHistogram(&row)
	}
	return row, nil
}

func (p *packing) action() string {
	word := "packed"
	if p.shared {
		word = "shared"
	}
	if p.pruned {
		word = "pruned+" + word
	}
	return word
}

func (d *decision) addHistogram(row *Tensor) error {
	original, err := quantize.TensorSource(d.ref.Tensor)
	if err != nil {
		return err
	}
	round, err := quantize.RoundTo(d.ref.DataType)
	if err != nil {
		return err
	}
	row.Histogram, err = d.packed.histogram(original, round)
	return err
}

// coderShares sums over the ways in which tensors are stored, most bytes first.
func coderShares(tensors []archive.TensorSize) []CoderShare {
	at := map[string]int{}
	shares := []CoderShare{}
	for _, t := range tensors {
		name := t.Form + ": " + t.Method
		if strings.HasPrefix(t.Form, "same as") {
			name = "tied"
		} else if t.Method == "" {
			name = t.Form
		}
		i, ok := at[name]
		if !ok {
			i = len(shares)
			at[name] = i
			shares = append(shares, CoderShare{Name: name})
		}
		shares[i].Tensors++
		shares[i].Weights += t.Weights
		shares[i].Bytes += t.Bytes
	}
	slices.SortStableFunc(shares, func(a, b CoderShare) int { return int(b.Bytes - a.Bytes) })
	return shares
}

// notes says what a reader must not overlook.
func (r *run) notes() (notes []string) {
	if r.result.Floats.Packed == 0 {
		notes = append(notes, "nothing was lost: every tensor is restored bit by bit")
	} else if r.Data == "" {
		notes = append(notes, "accuracy was not measured: levels were chosen from the weights alone; --data measures it before and after")
	}
	if r.before != nil {
		notes = append(notes, r.before.Notes...)
		if !r.strip() && len(r.before.Metadata) > 0 {
			notes = append(notes, "the model's metadata is left as it is, so the preprocessing was not stored: name it again for eval, or use --strip-metadata")
		}
	}
	if r.Preset == "paper" && r.PlanPath == "" {
		notes = append(notes, "the paper's pruning and retraining are left out: this is its k-means sharing and Huffman coding")
	}
	skipped := 0
	for i := range r.decisions {
		if r.decisions[i].skipped && r.first[i] == i {
			skipped++
		}
	}
	if skipped > 0 {
		notes = append(notes, fmt.Sprintf("%d weight tensors were kept without loss, the table says why; --strict makes that an error", skipped))
	}
	if r.DryRun {
		notes = append(notes, "dry run: everything was encoded to count the bytes, and no model was written")
	} else if r.NoVerify {
		notes = append(notes, "the archive was not decoded after writing (--no-verify)")
	}
	for _, n := range notes {
		r.events.Note(n)
	}
	return notes
}
