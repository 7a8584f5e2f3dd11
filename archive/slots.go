package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
)

// A slot is a tensor of the model that has a record. In the topology it is blank
// but for its name, documentation and the like: that is how a reader knows it
// (docs/format.md §4.2).

// blank reports whether a tensor is one that a reader of the topology takes for a slot.
func blank(t *onnx.Tensor) bool {
	return t.DataType == onnx.Undefined && len(t.Dims) == 0 && t.Segment == nil && t.Size() == 0
}

// slotsOf returns the tensors of the model that are slots, in order.
func slotsOf(m *onnx.Model) ([]onnx.TensorRef, error) {
	var slots []onnx.TensorRef
	for _, ref := range m.Tensors() {
		is, err := isSlot(ref)
		if err != nil {
			return nil, err
		}
		if is {
			slots = append(slots, ref)
		}
	}
	return slots, nil
}

// isSlot decides whether a tensor gets a record. One whose values do not fit its
// shape, or of a type nobody knows, stays in the topology as it is.
func isSlot(ref onnx.TensorRef) (bool, error) {
	if blank(ref.Tensor) {
		return true, nil
	}
	if ref.Segment != nil || ref.Role == onnx.AttributeValue && ref.Size() < minAttribute {
		return false, nil
	}
	if _, ok := elemOf(ref.DataType); !ok || ref.DataType == onnx.Undefined {
		return false, nil
	}
	var err error
	if ref.DataType == onnx.String {
		_, err = ref.Strings()
	} else {
		_, err = ref.Bytes()
	}
	var wrong *onnx.ValuesError
	if errors.As(err, &wrong) && ref.Storage != onnx.StorageExternal {
		return false, nil
	}
	return true, err
}

// valuesOf returns the bytes that a slot's blocks are cut from, docs/format.md §5.1.
func valuesOf(t *onnx.Tensor) ([]byte, error) {
	switch t.DataType {
	case onnx.Undefined:
		return nil, nil
	case onnx.String:
		list, err := t.Strings()
		if err != nil || len(list) == 0 {
			return nil, err
		}
		return AppendStrings(nil, list), nil
	}
	return t.Bytes()
}

// Ties returns, for each tensor, the index of the first one with the same type and
// the same bytes, its own if there is none before it. Only tensors whose type and
// size another one shares are looked at, and of those a sample first. Strings, and
// tensors that get no record, are never tied. release is as in Options.
func Ties(ctx context.Context, tensors []onnx.TensorRef, release func(*onnx.Tensor)) ([]int, error) {
	first, err := ties(ctx, tensors, release)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return first, nil
}

func ties(ctx context.Context, tensors []onnx.TensorRef, release func(*onnx.Tensor)) ([]int, error) {
	first := make([]int, len(tensors))
	groups := [][]int{make([]int, 0, len(tensors))}
	for i, ref := range tensors {
		first[i] = i
		if ref.DataType == onnx.String || ref.DataType == onnx.Undefined {
			continue
		}
		is, err := isSlot(ref)
		if err != nil {
			return nil, err
		}
		if is {
			groups[0] = append(groups[0], i)
		}
	}
	type sizeKey struct {
		dt   onnx.DataType
		size int64
	}
	groups = split(groups, func(i int) sizeKey {
		n, _ := tensors[i].ByteSize()
		return sizeKey{tensors[i].DataType, n}
	})
	err := mapped.Guard(func() (err error) {
		read := func(digest func([]byte) uint32) func(i int) uint32 {
			return func(i int) uint32 {
				if err != nil || ctx.Err() != nil {
					return 0
				}
				b, e := tensors[i].Bytes()
				if e != nil {
					err = e
					return 0
				}
				d := digest(b)
				if release != nil && len(b) > 1<<20 {
					release(tensors[i].Tensor)
				}
				return d
			}
		}
		groups = split(groups, read(sampleSum))
		groups = split(groups, read(checksum))
		for _, g := range groups {
			if err == nil && ctx.Err() == nil {
				err = tie(tensors, g, first, release)
			}
		}
		return err
	})
	if err == nil {
		err = ctx.Err()
	}
	return first, err
}

// split divides groups of indices by a key and drops those left alone. The order
// within a group stays.
func split[K comparable](groups [][]int, key func(i int) K) [][]int {
	var out [][]int
	for _, g := range groups {
		at := make(map[K]int, len(g))
		from := len(out)
		for _, i := range g {
			k := key(i)
			j, ok := at[k]
			if !ok {
				j = len(out)
				at[k] = j
				out = append(out, nil)
			}
			out[j] = append(out[j], i)
		}
		kept := out[:from]
		for _, h := range out[from:] {
			if len(h) > 1 {
				kept = append(kept, h)
			}
		}
		out = kept
	}
	return out
}

// tie sets first of the tensors of a group that equal an earlier one of it.
func tie(tensors []onnx.TensorRef, group, first []int, release func(*onnx.Tensor)) error {
	var own []int
	for _, i := range group {
		b, err := tensors[i].Bytes()
		if err != nil {
			return err
		}
		for _, j := range own {
			c, err := tensors[j].Bytes()
			if err != nil {
				return err
			}
			if bytes.Equal(b, c) {
				first[i] = j
				break
			}
		}
		if first[i] == i {
			own = append(own, i)
		} else if release != nil {
			release(tensors[i].Tensor)
		}
	}
	return nil
}

// sampleSum is a checksum of 64 short pieces of b.
func sampleSum(b []byte) uint32 {
	const pieces, piece = 64, 24
	if len(b) <= pieces*piece {
		return checksum(b)
	}
	var sum uint32
	for i := range pieces {
		at := (len(b) - piece) / (pieces - 1) * i
		sum = crc32.Update(sum, castagnoli, b[at:at+piece])
	}
	return sum
}
