package archive

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Packed says how the weights of one tensor are made of small integers, the
// codes. The value of weight i, of group g = i/Group, with code c is
//
//	float32(Step[g] · float32(c))    if Codebook is nil
//	Codebook[g][c+Origin[g]]         otherwise
//
// rounded to nearest even where the tensor's type is not float32.
type Packed struct {
	Step     []float32   // one a group
	Codebook [][]float32 // one a group
	Origin   []int       // one a group; nil means zeros
	Group    int         // weights a group; 0: all of the tensor
	Min, Max int32       // no code is outside
	// Codes fills codes with those of weights first, first+1…. It is called
	// from several goroutines, in any order and several times for the same
	// weights, and must always give the same answer.
	Codes func(codes []int32, first int64) error
	// Coders, if not nil, names the coders for this tensor instead of
	// Options.Coders. Readers leave it nil.
	Coders []string
}

// groups returns the number of groups that tables are given for.
func (p *Packed) groups() int {
	if p.Codebook != nil {
		return len(p.Codebook)
	}
	return len(p.Step)
}

// check verifies the tables against a number of weights; it does not look at Codes.
func (p *Packed) check(weights int64) error {
	want := int64(1)
	if p.Group > 0 {
		want = (weights + int64(p.Group) - 1) / int64(p.Group)
	}
	switch {
	case (p.Step == nil) == (p.Codebook == nil):
		return fmt.Errorf("a packed tensor has steps or codebooks, one of both")
	case p.Group < 0 || int64(p.groups()) != want:
		return fmt.Errorf("%d groups of %d for %d weights", p.groups(), p.Group, weights)
	case p.Origin != nil && (p.Codebook == nil || len(p.Origin) != p.groups()):
		return fmt.Errorf("%d origins for %d codebooks", len(p.Origin), len(p.Codebook))
	case p.Min > p.Max:
		return fmt.Errorf("codes from %d to %d", p.Min, p.Max)
	}
	for _, o := range p.Origin {
		if o < math.MinInt32 || o > math.MaxInt32 {
			return fmt.Errorf("origin %d is too large", o)
		}
	}
	return nil
}

// Values sets values to those of the codes of weights first, first+1….
func (p *Packed) Values(values []float32, codes []int32, first int64) error {
	for len(codes) > 0 {
		g, n := 0, len(codes)
		if p.Group > 0 {
			g = int(first / int64(p.Group))
			n = int(min(int64(n), int64(p.Group)-first%int64(p.Group)))
		}
		if p.Codebook == nil {
			scale(values[:n], codes[:n], p.Step[g])
		} else {
			origin := 0
			if p.Origin != nil {
				origin = p.Origin[g]
			}
			if i := pick(values[:n], codes[:n], p.Codebook[g], origin); i >= 0 {
				return fmt.Errorf("weight %d has code %d, which is outside its codebook of %d levels", first+int64(i), codes[i], len(p.Codebook[g]))
			}
		}
		values, codes, first = values[n:], codes[n:], first+int64(n)
	}
	return nil
}

func scale(values []float32, codes []int32, step float32) {
	values = values[:len(codes)]
	for i, c := range codes {
		values[i] = float32(step * float32(c))
	}
}

// pick looks codes up; it returns the index of the first that is outside, or −1.
func pick(values []float32, codes []int32, book []float32, origin int) int {
	values = values[:len(codes)]
	for i, c := range codes {
		k := int(c) + origin
		if uint(k) >= uint(len(book)) {
			return i
		}
		values[i] = book[k]
	}
	return -1
}

// encodeTable returns the fields of a table, docs/format.md §6.
func encodeTable(p *Packed) []byte {
	var out []byte
	if p.Codebook == nil {
		out = appendField(out, tableSteps, true, appendFloats(nil, p.Step))
	} else {
		buf := binary.AppendUvarint(nil, uint64(len(p.Codebook)))
		for _, book := range p.Codebook {
			buf = binary.AppendUvarint(buf, uint64(len(book)))
		}
		for _, book := range p.Codebook {
			buf = appendFloats(buf, book)
		}
		out = appendField(out, tableLevels, true, buf)
	}
	if anyOrigin(p.Origin) {
		var buf []byte
		for _, o := range p.Origin {
			buf = appendZigzag32(buf, int32(o))
		}
		out = appendField(out, tableOrigins, true, buf)
	}
	if p.Group > 0 {
		out = appendUintField(out, tableGroup, true, uint64(p.Group))
	}
	return out
}

func anyOrigin(list []int) bool {
	for _, o := range list {
		if o != 0 {
			return true
		}
	}
	return false
}

func appendFloats(dst []byte, list []float32) []byte {
	for _, f := range list {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(f))
	}
	return dst
}

func (c *cursor) floats(n int) []float32 {
	b := c.bytes(4 * n)
	list := make([]float32, len(b)/4)
	for i := range list {
		list[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return list
}

// parseTable reads a table. Its Min, Max and Codes are the record's affair.
func parseTable(data []byte) (*Packed, error) {
	p := &Packed{}
	c := cursor{data: data}
	for f, ok := c.field(); ok; f, ok = c.field() {
		d := cursor{data: f.data}
		switch f.id {
		case tableSteps:
			p.Step = d.floats(len(f.data) / 4)
		case tableLevels:
			p.Codebook = d.codebooks()
		case tableOrigins:
			p.Origin = make([]int, 0, len(f.data))
			for d.rest() > 0 {
				p.Origin = append(p.Origin, int(d.zigzag32()))
			}
		case tableGroup:
			v := d.uvarint()
			if p.Group = int(v); v < 1 || v > math.MaxInt32 {
				d.fail("groups of %d weights", v)
			}
		default:
			if f.critical {
				return nil, &errFeature{fmt.Sprintf("table field %d", f.id)}
			}
			continue
		}
		if err := d.end(); err != nil {
			return nil, err
		}
	}
	return p, c.err
}

func (c *cursor) codebooks() [][]float32 {
	books := make([][]float32, c.count(1))
	sizes := make([]int, len(books))
	for i := range sizes {
		sizes[i] = c.count(4)
	}
	for i, n := range sizes {
		books[i] = c.floats(n)
	}
	return books
}
