package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/effml/effml/onnx"
)

// fuzzLimit bounds what a fuzzed archive may claim to decode to.
const fuzzLimit = 1 << 20

// repair sets the checksums of an archive right, as far as its parts can be found,
// so that a fuzzer gets past them.
func repair(data []byte) []byte {
	out := bytes.Clone(data)
	if len(out) < headerSize+trailerSize {
		return out
	}
	copy(out, magic)
	out[headerSize-1] = Version
	at := len(out) - trailerSize
	copy(out[len(out)-len(endMagic):], endMagic)
	length := int(binary.LittleEndian.Uint32(out[at:]))
	if length > at-headerSize {
		return out
	}
	dir := out[at-length : at]
	if list, err := parseDirectory(dir, int64(at-length)); err == nil {
		pos := 0
		for _, e := range list {
			end := pos + len(appendEntry(nil, e))
			src := out[e.offset : e.offset+e.length]
			if e.decoded <= fuzzLimit && e.id != sectionBlocks {
				_, err := unpackSection(e, src)
				if sum, ok := err.(*sumError); ok {
					binary.LittleEndian.PutUint32(dir[end-4:], sum.got)
				}
			}
			pos = end
		}
	}
	binary.LittleEndian.PutUint32(out[at+4:], directorySum(Version, dir))
	binary.LittleEndian.PutUint32(out[at+8:], crc32.Checksum(out[:at+8], castagnoli))
	return out
}

// FuzzReader reads arbitrary bytes as an archive, as they are and with repaired
// checksums. Whatever opens must be read to the end without a panic; if it verifies,
// everything of it must decode, and its model must survive being written again.
func FuzzReader(f *testing.F) {
	sample, o := sampleOf(4000)
	example, p := exampleModel()
	for _, c := range []struct {
		m *onnx.Model
		o Options
	}{{sample, o}, {example, p}, {initializers(), Options{}}} {
		data, _ := pack(f, c.m, c.o)
		f.Add(data, false)
		f.Add(takeApart(f, data).bytes(), true) // nothing coded: the fuzzer sees the tables
	}
	f.Fuzz(func(t *testing.T, data []byte, mend bool) {
		if mend {
			data = repair(data)
		}
		r, err := ReadOptions{Threads: 2, MaxDecoded: fuzzLimit}.NewReader(data)
		if err != nil {
			return
		}
		damage, err := r.Verify(context.Background(), 2, nil)
		if err != nil {
			t.Fatalf("verify: %v", err)
		}
		_, sizesErr := r.Sizes()
		model, err := r.Model()
		for i := range r.Len() {
			_ = r.Decode(context.Background(), i, make([]byte, r.Size(i)))
			if p := r.Packed(i); p != nil && p.Blocks() > 0 {
				_, n := p.Block(0)
				_ = p.Codes(make([]int32, n), 0)
			}
		}
		if len(damage) > 0 {
			return
		}
		if err != nil || sizesErr != nil {
			t.Fatalf("sound, but model: %v, sizes: %v", err, sizesErr)
		}
		var once bytes.Buffer
		if _, err := model.WriteTo(&once); err != nil {
			return // such as values in a field that cannot hold their type
		}
		var again bytes.Buffer
		if _, err := Write(context.Background(), &again, model, Options{Threads: 1}); err != nil {
			t.Fatalf("write again: %v", err)
		}
		back, err := open(t, again.Bytes()).Model()
		if err != nil {
			t.Fatalf("read again: %v", err)
		}
		if !bytes.Equal(encodeModel(t, back), once.Bytes()) {
			t.Error("another model after being written again")
		}
	})
}

// FuzzRecord reads arbitrary fields as a record; what is taken must be written so
// that it is read the same.
func FuzzRecord(f *testing.F) {
	m, o := sampleModel()
	data, _ := pack(f, m, o)
	r := open(f, data)
	for i := range r.records {
		f.Add(r.records[i].append(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := parseRecord(data, 2, r.records)
		if err != nil {
			return
		}
		once := rec.append(nil)
		again, err := parseRecord(once, 2, r.records)
		if err != nil {
			t.Fatalf("%x was written as %x: %v", data, once, err)
		}
		if twice := again.append(nil); !bytes.Equal(once, twice) {
			t.Errorf("%x was written as %x, then as %x", data, once, twice)
		}
		for b := range rec.lengths {
			if n := rec.unitsIn(b); n < 1 || n > rec.block {
				t.Errorf("block %d of %d units", b, n)
			}
		}
	})
}

// FuzzTable reads arbitrary fields as a table.
func FuzzTable(f *testing.F) {
	f.Add(encodeTable(&Packed{Step: []float32{1, 2}, Group: 7}))
	f.Add(encodeTable(&Packed{Codebook: books(1, 2, 3), Origin: []int{1, -5}, Group: 300}))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parseTable(data)
		if err != nil || p.check(100) != nil {
			return
		}
		once := encodeTable(p)
		q, err := parseTable(once)
		if err != nil || !bytes.Equal(encodeTable(q), once) {
			t.Errorf("%x was written as %x: %v", data, once, err)
		}
		codes := make([]int32, 100)
		for i := range codes {
			codes[i] = int32(i)*3 - 150
		}
		_ = p.Values(make([]float32, 100), codes, 0)
	})
}

// FuzzLayout reads arbitrary bytes as a layout.
func FuzzLayout(f *testing.F) {
	f.Add([]byte{1, 0, 1, 1, 'd', 3, 0, 3, 0})
	f.Add([]byte{0x80, 0x20, 0, 2, 1, 'd', 1, 'e', 1, 0, 3, 0, 1, 1, 1, 0, 1, 0, 3, 5})
	f.Fuzz(func(t *testing.T, data []byte) {
		sizes := []int64{100, 1 << 40, 3}
		l, err := parseLayout(data, sizes)
		if err != nil {
			return
		}
		again, err := parseLayout(appendLayout(nil, l), sizes)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range l.places {
			if again.places[i] != p || p.offset < 0 || p.offset > 1<<63-1-p.size {
				t.Errorf("place %d is %+v, then %+v", i, p, again.places[i])
			}
		}
	})
}
