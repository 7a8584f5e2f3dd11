package archive

import (
	"encoding/binary"
	"math"
)

// layout lists where the external tensors lie in their files, docs/format.md §7,
// in the order of their records.
type layout struct {
	places []place
}

// place is where one tensor lies.
type place struct {
	location             string
	offset               int64
	hasOffset, hasLength bool
	size                 int64 // of the values; the length, where there is one
}

// Flags of a run.
const (
	placeHasOffset = 1 << iota
	placeHasLength
)

// aligns are the rules that a writer tries: exporters align all tensors, or only
// those above a size, to a page or the like.
var aligns = []struct{ align, threshold int64 }{
	{1, 0}, {65536, 1048577}, {4096, 1048577}, {8, 0}, {16, 0}, {32, 0}, {64, 0}, {128, 0}, {256, 0}, {4096, 0}, {65536, 0},
}

// appendLayout appends the layout by the rule that makes it shortest.
func appendLayout(dst []byte, l *layout) []byte {
	var best []byte
	for _, a := range aligns {
		if b := l.append(nil, a.align, a.threshold); best == nil || len(b) < len(best) {
			best = b
		}
	}
	return append(dst, best...)
}

func (l *layout) append(dst []byte, align, threshold int64) []byte {
	dst = binary.AppendUvarint(dst, uint64(align))
	dst = binary.AppendUvarint(dst, uint64(threshold))
	var files []string
	number := map[string]int{}
	for _, p := range l.places {
		if _, ok := number[p.location]; !ok {
			number[p.location] = len(files)
			files = append(files, p.location)
		}
	}
	dst = AppendStrings(dst, files)
	ends := make([]int64, len(files))
	type run struct {
		file  int
		flags byte
		delta int64
	}
	var now run
	n := 0
	flush := func() {
		if n > 0 {
			dst = binary.AppendUvarint(dst, uint64(n))
			dst = binary.AppendUvarint(dst, uint64(now.file))
			dst = append(dst, now.flags)
			dst = appendZigzag64(dst, now.delta)
		}
		n = 0
	}
	for _, p := range l.places {
		f := number[p.location]
		r := run{file: f, delta: p.offset - predict(ends[f], p.size, align, threshold)}
		if p.hasOffset {
			r.flags |= placeHasOffset
		}
		if p.hasLength {
			r.flags |= placeHasLength
		}
		if r != now {
			flush()
			now = r
		}
		n++
		ends[f] = p.offset + p.size
	}
	flush()
	return dst
}

// predict returns where a tensor is expected whose predecessor in the file ends at end.
func predict(end, size, align, threshold int64) int64 {
	if size < threshold || end > math.MaxInt64-align {
		return end
	}
	return (end + align - 1) / align * align
}

// parseLayout reads a layout; sizes are those of the external tensors in order.
func parseLayout(data []byte, sizes []int64) (*layout, error) {
	c := cursor{data: data}
	align, threshold := c.int63(), c.int63()
	if align < 1 || align > 1<<30 {
		c.fail("alignment %d", align)
	}
	files := make([]string, c.count(1))
	for i := range files {
		files[i] = string(c.string())
	}
	ends := make([]int64, len(files))
	l := &layout{}
	for c.rest() > 0 {
		n, f, flags, delta := c.uvarint(), c.uvarint(), c.byte(), c.zigzag64()
		if n < 1 || n > uint64(len(sizes)-len(l.places)) || f >= uint64(len(files)) || flags >= placeHasLength<<1 {
			c.fail("%d tensors of file %d", n, f)
		}
		for i := uint64(0); i < n && c.err == nil; i++ {
			size := sizes[len(l.places)]
			p := place{
				location: files[f], size: size,
				hasOffset: flags&placeHasOffset != 0, hasLength: flags&placeHasLength != 0,
			}
			p.offset = predict(ends[f], size, align, threshold) + delta
			if p.offset < 0 || p.offset > math.MaxInt64-size || !p.hasOffset && p.offset != 0 {
				c.fail("offset %d of %d bytes", p.offset, size)
				break
			}
			ends[f] = p.offset + size
			l.places = append(l.places, p)
		}
	}
	if c.err == nil && len(l.places) != len(sizes) {
		c.fail("%d places for %d tensors", len(l.places), len(sizes))
	}
	return l, c.err
}
