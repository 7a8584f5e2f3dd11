package deepcompress

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/internal/rewrite"
	"github.com/effml/effml/internal/uses"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/quantize"
)

// emitPacked writes the archive's model as a small ONNX file that stock runtimes load: weights stay codes, behind a
// DequantizeLinear (grids) or a Gather from a codebook.
func (r *run) emitPacked(ctx context.Context) error {
	if r.EmitPacked == "" {
		return nil
	}
	in, err := archive.ReadOptions{Threads: r.Threads, MaxDecoded: anySize}.Open(r.out.Name())
	if err != nil {
		return err
	}
	defer in.Close()
	m, err := in.ModelContext(ctx)
	if err != nil {
		return err
	}
	plain, err := packModel(m, in, r.sizes)
	if err != nil {
		return err
	}
	if plain > 0 {
		r.result.Notes = append(r.result.Notes, fmt.Sprintf(
			"%d of the quantised tensors are plain in %s: the model's opset has no DequantizeLinear for their codes, and a codebook would not make them smaller", plain, r.EmitPacked))
	}
	r.result.Packed, err = saveModel(ctx, m, r.EmitPacked, DecompressConfig{Force: r.Force, Inline: true}, r.events)
	return err
}

// packModel rewrites the packed initializers of the main graph, and those of few values that were kept, as weights that were integers
// once are. It returns how many packed ones it left as they are.
func packModel(m *onnx.Model, in *archive.Reader, sizes *archive.Sizes) (plain int, err error) {
	multiplied := matMulWeights(m)
	for _, t := range sizes.Tensors {
		packed := in.Packed(t.Index)
		if t.Role != onnx.Initializer || t.Path != "graph" {
			continue
		}
		if packed == nil {
			if !strings.Contains(t.Method, "grid") && !strings.Contains(t.Method, "palette") { // the coders of few values
				continue
			}
			if err := shareValues(m, t.Name); err != nil {
				return 0, fmt.Errorf("deepcompress: %w", err)
			}
			continue
		}
		err := packTensor(m, t.Name, packed, !multiplied[t.Name])
		if refused := (*quantize.RewriteError)(nil); errors.As(err, &refused) {
			plain++
		} else if err != nil {
			return 0, fmt.Errorf("deepcompress: %w", err)
		}
	}
	return plain, nil
}

// matMulWeights names the initializers of the main graph that a MatMul reads. Where a DequantizeLinear stands before one, ONNX Runtime (since
// 1.20) quantises what the weights are multiplied with too, which changes the outputs by a thousandth of their range.
func matMulWeights(m *onnx.Model) map[string]bool {
	names, traced := map[string]bool{}, uses.Trace(m)
	for _, t := range m.Graph.Initializers {
		where, _ := traced.Of(t)
		names[t.Name] = slices.ContainsFunc(where, func(u uses.Use) bool { return u.Op() == "MatMul" })
	}
	return names
}

// packTensor puts a grid behind a DequantizeLinear where it may and the model's opset has one for it. Any other grid is written out as a
// codebook, which every opset has an operator for.
func packTensor(m *onnx.Model, name string, packed *archive.PackedTensor, dequantise bool) error {
	how := packed.Quantiser()
	codes := &blockCodes{from: packed, block: -1}
	if how.Codebook == nil {
		q := quantize.Grouped{Size: how.Group}
		for _, step := range how.Step {
			q.Q = append(q.Q, quantize.Quantizer{Step: step, Min: how.Min, Max: how.Max})
		}
		var err error = &quantize.RewriteError{Tensor: name, Msg: "a MatMul reads it"}
		if dequantise {
			err = quantize.LinearCodes(m, m.Graph, name, q, how.Min, how.Max, codes.read)
		}
		// Codes of 16 bits pay; a codebook of as many levels as there are weights does not, nor is one made to find that out.
		if levels := (int64(how.Max) - int64(how.Min) + 1) * int64(len(q.Q)); err == nil || levels > min(packed.Len(), 1<<16) {
			return err
		}
		writeOut(&how)
	}
	q := quantize.Grouped{Size: how.Group}
	for g, book := range how.Codebook {
		one := quantize.Quantizer{Codebook: book}
		if how.Origin != nil {
			one.Origin = how.Origin[g]
		}
		q.Q = append(q.Q, one)
	}
	return quantize.ShareCodes(m, m.Graph, name, q, codes.read)
}

// writeOut makes a codebook of each grid.
func writeOut(p *archive.Packed) {
	p.Origin = make([]int, len(p.Step))
	for g, step := range p.Step {
		var book []float32
		for c := int(p.Min); c <= int(p.Max); c++ {
			book = append(book, step*float32(c))
		}
		p.Codebook, p.Origin[g] = append(p.Codebook, book), -int(p.Min)
	}
}

// shareValues makes a codebook of the values of a float32 tensor, unless they are too many or there is one that no codebook gives back.
func shareValues(m *onnx.Model, name string) error {
	t, err := rewrite.Initializer(m.Graph, name)
	if err != nil || t.DataType != onnx.Float {
		return err
	}
	n, err := t.NumElements()
	if err != nil {
		return err
	}
	w := make([]float32, n)
	if err := t.ReadFloats(w, 0); err != nil {
		return err
	}
	level := map[float32]uint16{}
	for _, v := range w {
		if v-v != 0 || v == 0 && math.Signbit(float64(v)) { // −0 equals 0
			return nil
		}
		if level[v] = 0; len(level) > min(len(w)/2, 1<<16) {
			return nil
		}
	}
	book := slices.Sorted(maps.Keys(level))
	for i, v := range book {
		level[v] = uint16(i)
	}
	codes := make([]uint16, len(w))
	for i, v := range w {
		codes[i] = level[v]
	}
	err = quantize.ShareCodes(m, m.Graph, name, quantize.Grouped{Q: []quantize.Quantizer{{Codebook: book}}}, func(dst []int32, first int64) error {
		for i := range dst {
			dst[i] = int32(codes[first+int64(i)])
		}
		return nil
	})
	if refused := (*quantize.RewriteError)(nil); errors.As(err, &refused) {
		return nil
	}
	return err
}

// blockCodes reads codes in order, block by block.
type blockCodes struct {
	from  *archive.PackedTensor
	block int // the one that codes holds
	codes []int32
}

func (b *blockCodes) read(dst []int32, first int64) error {
	for len(dst) > 0 {
		if b.block < 0 || !b.holds(b.block, first) {
			next := 0
			for !b.holds(next, first) {
				next++
			}
			_, n := b.from.Block(next)
			b.block, b.codes = -1, append(b.codes[:0], make([]int32, n)...)
			if err := b.from.Codes(b.codes, next); err != nil {
				return err
			}
			b.block = next
		}
		begin, _ := b.from.Block(b.block)
		n := copy(dst, b.codes[first-begin:])
		dst, first = dst[n:], first+int64(n)
	}
	return nil
}

func (b *blockCodes) holds(block int, i int64) bool {
	first, n := b.from.Block(block)
	return i >= first && i < first+int64(n)
}
