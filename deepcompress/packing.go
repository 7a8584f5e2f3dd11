package deepcompress

import (
	"math"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/quantize"
)

// packing is how a tensor's weights become codes.
type packing struct {
	*quantize.Balanced // of the weights after pruning
	stats              quantize.Stats
	shared             bool // a codebook
	pruned             bool
	coder              string // of the rule; empty where the plan's are to choose from
}

// chunk is the number of weights that are looked at at a time.
const chunk = 1 << 16

// archive describes the tensor to package archive. Codes are computed when they are asked for, so that no second copy of the
// weights exists.
func (p *packing) archive() *archive.Packed {
	out := &archive.Packed{Group: p.Levels.Size}
	out.Min, out.Max = p.Levels.Range()
	if p.coder != "" {
		out.Coders = []string{p.coder}
	}
	for _, q := range p.Levels.Q {
		if p.shared {
			out.Codebook = append(out.Codebook, q.Codebook)
			out.Origin = append(out.Origin, q.Origin)
		} else {
			out.Step = append(out.Step, q.Step)
		}
	}
	out.Codes = func(dst []int32, first int64) error {
		return mapped.Guard(func() error { return p.Codes(dst, int(first)) })
	}
	return out
}

// each calls fn with the original weights and the values that replace them, block by block.
func (p *packing) each(original quantize.Source, round quantize.Round, fn func(before, after []float32)) error {
	before, after, codes := make([]float32, chunk), make([]float32, chunk), make([]int32, chunk)
	return mapped.Guard(func() error {
		for first := 0; first < original.Len(); first += chunk {
			n := min(chunk, original.Len()-first)
			if err := original.Read(before[:n], first); err != nil {
				return err
			}
			if err := p.Codes(codes[:n], first); err != nil {
				return err
			}
			p.Levels.Values(after[:n], codes[:n], first)
			if round != nil {
				round(after[:n])
			}
			fn(before[:n], after[:n])
		}
		return nil
	})
}

// measureAgainst replaces the statistics, which are of the pruned weights, by those against the weights of the model.
func (p *packing) measureAgainst(original quantize.Source, round quantize.Round) error {
	var signal, noise float64
	err := p.each(original, round, func(before, after []float32) {
		for i, w := range before {
			e := float64(w) - float64(after[i])
			signal += float64(w) * float64(w)
			noise += e * e
		}
	})
	n := float64(p.stats.Weights)
	p.stats.Signal, p.stats.MSE, p.stats.SQNR = signal/n, noise/n, 10*math.Log10(signal/noise)
	return err
}

// histogram counts the weights before and after in equal bins.
func (p *packing) histogram(original quantize.Source, round quantize.Round) (*Histogram, error) {
	const bins = 64
	h := &Histogram{Min: math.Inf(1), Max: math.Inf(-1), Before: make([]int64, bins), After: make([]int64, bins)}
	err := p.each(original, round, func(before, after []float32) {
		for i, w := range before {
			h.Min = min(h.Min, float64(w), float64(after[i]))
			h.Max = max(h.Max, float64(w), float64(after[i]))
		}
	})
	if err != nil {
		return nil, err
	}
	scale := bins / (h.Max - h.Min) // not used where there is one value: the table keeps such a tensor as it is
	at := func(v float32) int { return min(int((float64(v)-h.Min)*scale), bins-1) }
	err = p.each(original, round, func(before, after []float32) {
		for i, w := range before {
			h.Before[at(w)]++
			h.After[at(after[i])]++
		}
	})
	return h, err
}
