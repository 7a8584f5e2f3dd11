package onnx

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"io"
	"path"
	"slices"

	"github.com/effml/effml/internal/mapped"
)

// group is one external file to be written.
type group struct {
	location string // clean, with slashes
	tensors  []*Tensor
	places   []place // by where they are, without overlap
	checked  bool    // a checksum is recorded
}

// place is a run of bytes of an external file.
type place struct {
	at    int64
	value Payload
}

// view is bytes as a Payload.
type view []byte

func (v view) Size() int64 { return int64(len(v)) }

func (v view) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(v)
	return int64(n), err
}

const (
	// Offsets of large tensors are multiples of the page size, as onnx.proto recommends for mapping; small ones are aligned
	// for any vector load.
	largeAlign, smallAlign = 4096, 64
	largeTensor            = 64 << 10
	// maxGaps bounds the zeros between recorded places, so that an offset that somebody made up cannot fill the disk.
	maxGaps = 1 << 30
)

// layout finds the external files and the place of every tensor in them; where it is not the recorded one, the
// tensor's ExternalData is changed.
func (s *saver) layout() ([]*group, error) {
	byName := map[string]*group{}
	var groups []*group
	for _, t := range s.model.Tensors() {
		if t.Storage != StorageExternal {
			continue
		}
		if err := checkLocation(t.External.location()); err != nil {
			return nil, &ExternalError{Tensor: t.Name, Location: t.External.location(), Err: err}
		}
		if want, err := t.ByteSize(); err == nil && want != t.Size() {
			return nil, t.errorf("%d bytes of values where %v of %s takes %d", t.Size(), t.Dims, t.DataType, want)
		}
		name := path.Clean(t.External.Location)
		g := byName[name]
		if g == nil {
			g = &group{location: name}
			byName[name] = g
			groups = append(groups, g)
		}
		g.tensors = append(g.tensors, t.Tensor)
		g.checked = g.checked || t.External.Checksum != ""
	}
	for _, g := range groups {
		if source := g.untouched(); source != nil {
			g.places = []place{{0, view(source.Bytes())}}
		} else if ok, err := g.recorded(); err != nil {
			return nil, err
		} else if !ok {
			g.arrange()
		}
	}
	return groups, nil
}

// untouched returns the file that all of the group's tensors are still views of, each at its recorded place; else nil.
func (g *group) untouched() *mapped.File {
	source := g.tensors[0].values.source
	for _, t := range g.tensors {
		v := &t.values
		if v.source == nil || v.source != source || v.at != t.External.Offset || t.External.HasLength && t.External.Length != t.Size() {
			return nil
		}
	}
	return source
}

// recorded takes the places that the tensors' ExternalData names. It reports false when they contradict the tensors' sizes or one another.
func (g *group) recorded() (bool, error) {
	tensors := slices.Clone(g.tensors)
	slices.SortStableFunc(tensors, func(a, b *Tensor) int {
		return cmp.Or(cmp.Compare(a.External.Offset, b.External.Offset), cmp.Compare(a.Size(), b.Size()))
	})
	var end, gaps int64
	var last *Tensor
	for _, t := range tensors {
		x, size := t.External, t.Size()
		if x.HasLength && x.Length != size {
			return false, nil
		}
		if last != nil && size > 0 && x.Offset == last.External.Offset && size == last.Size() {
			same, err := sameValues(t, last)
			if err != nil || !same {
				return false, err
			}
			continue
		}
		if gaps += x.Offset - end; x.Offset < end || gaps > maxGaps {
			return false, nil
		}
		end, last = x.Offset+size, t
		g.places = append(g.places, place{x.Offset, t.payload()})
	}
	return true, nil
}

// arrange lays the file out anew. Tensors that share their bytes share a place.
func (g *group) arrange() {
	g.places = nil
	type key struct {
		first *byte
		size  int64
	}
	shared := map[key]int64{}
	var end int64
	for _, t := range g.tensors {
		size := t.Size()
		x := t.External
		*x = ExternalData{Location: x.Location, HasOffset: true, HasLength: true, Length: size, Checksum: x.Checksum, entries: x.entries}
		if size == 0 {
			x.Offset = end
			continue
		}
		v, isView := t.payload().(view)
		if isView {
			if at, ok := shared[key{&v[0], size}]; ok {
				x.Offset = at
				continue
			}
		}
		align := int64(smallAlign)
		if size >= largeTensor {
			align = largeAlign
		}
		x.Offset = (end + align - 1) / align * align
		if isView {
			shared[key{&v[0], size}] = x.Offset
		}
		end = x.Offset + size
		g.places = append(g.places, place{x.Offset, t.payload()})
	}
}

// payload returns the values of an external tensor.
func (t *Tensor) payload() Payload {
	switch v := &t.values; {
	case v.stream != nil:
		return v.stream
	case v.raw != nil:
		return view(v.raw)
	default:
		return view(v.wire)
	}
}

// sameValues compares two tensors of one size, without holding the values of a stream.
func sameValues(a, b *Tensor) (bool, error) {
	x, xok := a.payload().(view)
	y, yok := b.payload().(view)
	if xok && yok {
		return bytes.Equal(x, y), nil
	}
	var sums [2][]byte
	for i, t := range []*Tensor{a, b} {
		h := sha256.New()
		if _, err := t.payload().WriteTo(h); err != nil {
			return false, err
		}
		sums[i] = h.Sum(nil)
	}
	return bytes.Equal(sums[0], sums[1]), nil
}
