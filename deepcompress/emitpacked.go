package deepcompress

import (
	"context"
	"errors"
	"fmt"

	"github.com/effml/effml/archive"
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
			"%d of the quantised tensors are plain in %s: the model's opset has no integer type that holds their codes", plain, r.EmitPacked))
	}
	r.result.Packed, err = saveModel(ctx, m, r.EmitPacked, DecompressConfig{Force: r.Force, Inline: true}, r.events)
	return err
}

// packModel rewrites the packed initializers of the main graph, and returns how many it could not.
func packModel(m *onnx.Model, in *archive.Reader, sizes *archive.Sizes) (plain int, err error) {
	for _, t := range sizes.Tensors {
		packed := in.Packed(t.Index)
		if packed == nil || t.Role != onnx.Initializer || t.Path != "graph" {
			continue
		}
		err := packTensor(m, t.Name, packed)
		if refused := (*quantize.RewriteError)(nil); errors.As(err, &refused) {
			plain++
		} else if err != nil {
			return 0, fmt.Errorf("deepcompress: %w", err)
		}
	}
	return plain, nil
}

func packTensor(m *onnx.Model, name string, packed *archive.PackedTensor) error {
	how := packed.Quantiser()
	codes := &blockCodes{from: packed, block: -1}
	if how.Codebook == nil {
		q := quantize.Grouped{Size: how.Group}
		for _, step := range how.Step {
			q.Q = append(q.Q, quantize.Quantizer{Step: step, Min: how.Min, Max: how.Max})
		}
		err := quantize.LinearCodes(m, m.Graph, name, q, how.Min, how.Max, codes.read)
		if levels := int(how.Max) - int(how.Min) + 1; err == nil || levels*len(q.Q) > 256 {
			return err
		}
		how.Origin = make([]int, len(q.Q))
		for g, step := range how.Step { // a grid of few levels is a codebook, for which older opsets have an operator
			var book []float32
			for c := how.Min; c <= how.Max; c++ {
				book = append(book, step*float32(c))
			}
			how.Codebook, how.Origin[g] = append(how.Codebook, book), -int(how.Min)
		}
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
