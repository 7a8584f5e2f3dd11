package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/effml/effml/onnx"
)

// TestDetect: files that are no archives, of another version, cut short or longer
// are told apart.
func TestDetect(t *testing.T) {
	good, _ := pack(t, initializers(floatTensor("a", onnx.Float, laplace(1, 10), 10)), Options{})
	future := bytes.Clone(good)
	future[headerSize-1] = 200
	zero := takeApart(t, good)
	zero.version = 0
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "the file is empty"},
		{"html", []byte("<!DOCTYPE html><html>"), "not an effml archive"},
		{"part of the magic number", good[:5], "damaged header"},
		{"only a header", good[:headerSize], "cut off"},
		{"cut by one", good[:len(good)-1], "cut off"},
		{"one more", append(bytes.Clone(good), 0), "cut off"},
		{"future", future, "format version 200; this effml reads versions 1 to 1"},
		{"version 0", zero.bytes(), "no version 0"},
	} {
		_, err := NewReader(c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	var v *VersionError
	if _, err := NewReader(future); !errors.As(err, &v) || v.Version != 200 {
		t.Errorf("future: %v", err)
	}
	if _, err := Open("no/such/file"); err == nil {
		t.Error("opened a file that is not there")
	}
}

// TestForged puts archives together whose checksums are right and whose contents
// are not, or come from a later version.
func TestForged(t *testing.T) {
	m, o := sampleModel()
	good, _ := pack(t, m, o)
	if _, err := NewReader(takeApart(t, good).bytes()); err != nil {
		t.Fatalf("taken apart and put together: %v", err)
	}
	section := func(id uint64, critical bool) forgedSection {
		return forgedSection{entry: entry{id: id, critical: critical}, data: []byte("?")}
	}
	for _, c := range []struct {
		name    string
		change  func(t *testing.T, f *forged)
		want    string // in the error; empty if the archive is to be read as before
		version bool   // the error is a *VersionError
	}{
		{"unknown section", func(_ *testing.T, f *forged) { f.sections = append(f.sections, section(1<<20, false)) }, "", false},
		{"unknown section of another coding", func(_ *testing.T, f *forged) {
			s := section(1<<20, false)
			s.raw, s.coding = true, 9
			f.sections = append(f.sections, s)
		}, "", false},
		{"unknown critical section", func(_ *testing.T, f *forged) { f.sections = append(f.sections, section(40, true)) }, "section 40", true},
		{"unknown coding", func(_ *testing.T, f *forged) {
			s := f.find(sectionRecords)
			s.raw, s.coding = true, 5
		}, "coding 5 of section records", true},
		{"mix of another stride", func(_ *testing.T, f *forged) {
			s := f.find(sectionRecords)
			s.raw, s.coding, s.decoded = true, codingMix|3<<4, 10
		}, "damaged records", false},
		{"stored with a parameter", func(_ *testing.T, f *forged) {
			s := f.find(sectionRecords)
			s.raw, s.coding = true, 3<<4
		}, "coding 48 of section records", true},
		{"zstd with a parameter", func(_ *testing.T, f *forged) {
			s := f.find(sectionRecords)
			s.raw, s.coding = true, codingZstd|3<<4
		}, "coding 50 of section records", true},
		{"coded blocks", func(_ *testing.T, f *forged) { f.find(sectionBlocks).coding = codingZstd }, "coding 2 of blocks", true},
		{"checksum of blocks", func(_ *testing.T, f *forged) { f.find(sectionBlocks).crc = 1 }, "a checksum of all blocks", false},
		{"no records", func(_ *testing.T, f *forged) { f.sections = append(f.sections[:2:2], f.sections[3:]...) }, "no section of records", false},
		{"sections out of order", func(_ *testing.T, f *forged) { f.sections[1], f.sections[2] = f.sections[2], f.sections[1] }, "stands after", false},
		{"section twice", func(_ *testing.T, f *forged) { f.sections = append(f.sections, f.sections[len(f.sections)-1]) }, "stands after", false},
		{"long mix", func(_ *testing.T, f *forged) {
			s := f.find(sectionRecords)
			s.raw, s.coding, s.decoded = true, codingMix, maxMix+1
		}, "at most", false},
		{"bomb in a section", func(_ *testing.T, f *forged) {
			s := f.find(sectionProvenance)
			s.raw, s.coding, s.decoded = true, codingZstd, 1<<40
		}, "raise the limit", false},
		{"checksums of another number", func(_ *testing.T, f *forged) {
			s := f.find(sectionChecksums)
			s.data = s.data[:len(s.data)-4]
		}, "damaged checksums", false},
		{"named graph beside", func(_ *testing.T, f *forged) {
			named := forgedSection{entry: entry{id: sectionTopology, critical: true}}
			named.data = appendField(appendField(nil, topologyName, true, []byte("small")), 9, true, nil)
			f.sections = append(f.sections[:1:1], append([]forgedSection{named}, f.sections[1:]...)...)
		}, "", false},
		{"unknown topology field", func(_ *testing.T, f *forged) {
			s := f.find(sectionTopology)
			s.data = appendField(s.data, 9, false, []byte("?"))
		}, "", false},
		{"unknown critical topology field", func(_ *testing.T, f *forged) {
			s := f.find(sectionTopology)
			s.data = appendField(s.data, 9, true, []byte("?"))
		}, "topology field 9", true},
		{"only named graphs", func(_ *testing.T, f *forged) {
			f.find(sectionTopology).data = appendField(nil, topologyName, true, []byte("small"))
		}, "every graph has a name", false},
		{"topology without a model", func(_ *testing.T, f *forged) { f.find(sectionTopology).data = nil }, "no ONNX model", false},
		{"fewer slots", func(_ *testing.T, f *forged) {
			var b bytes.Buffer
			if _, err := initializers().WriteTo(&b); err != nil {
				panic(err)
			}
			f.find(sectionTopology).data = appendField(nil, topologyModel, true, b.Bytes())
		}, "0 tensors for 7 records", false},
		{"provenance out of order", func(_ *testing.T, f *forged) {
			f.find(sectionProvenance).data = AppendStrings(nil, []string{"b", "1", "a", "2"})
		}, `key "a" stands after "b"`, false},
		{"provenance without a value", func(_ *testing.T, f *forged) {
			f.find(sectionProvenance).data = AppendStrings(nil, []string{"b"})
		}, "without a value", false},
		{"layout cut off", func(_ *testing.T, f *forged) {
			s := f.find(sectionLayout)
			s.data = s.data[:len(s.data)-1]
		}, "damaged layout", false},
		{"layout of too many", func(_ *testing.T, f *forged) {
			s := f.find(sectionLayout)
			s.data = append(s.data, s.data[len(s.data)-5:]...)
		}, "damaged layout", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := takeApart(t, good)
			c.change(t, f)
			checkForged(t, good, f.bytes(), c.want, c.version)
		})
	}
}

// checkForged reads a forged archive: it must fail with want, or decode as good does.
func checkForged(t *testing.T, good, data []byte, want string, version bool) {
	t.Helper()
	got, err := decodeAll(data)
	if want == "" {
		sound, _ := decodeAll(good)
		if err != nil || !bytes.Equal(got, sound) {
			t.Errorf("decoded otherwise, error %v", err)
		}
		if d, err := open(t, data).Verify(context.Background(), 1, nil); err != nil || len(d) > 0 {
			t.Errorf("verify: %v, %v", d, err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("error %v, want %q", err, want)
	}
	var v *VersionError
	if errors.As(err, &v) != version {
		t.Errorf("%T where a newer file is %v", err, version)
	}
}

// TestForgedRecords does the same to single records.
func TestForgedRecords(t *testing.T) {
	m, o := sampleModel()
	good, _ := pack(t, m, o)
	for _, c := range []struct {
		name    string
		change  func(list []record) // the slots: attribute, grid, books, bias, tied, text, external
		want    string
		version bool
	}{
		{"nothing", func([]record) {}, "", false},
		{"a name", func(l []record) { l[1].name, l[1].hasName = "other", true }, "", false},
		{"type of the future", func(l []record) { l[0].dataType = 1000 }, "data type 1000", true},
		{"large type", func(l []record) { l[0].dataType = -1 }, "data type", false},
		{"later storage", func(l []record) { l[3].storage = 77 }, "", false},
		{"other shape", func(l []record) { l[1].dims[0]++ }, "", false}, // replaced below
		{"overflow", func(l []record) { l[1].dims = []int64{1 << 62, 1 << 62} }, "too many elements", false},
		{"bytes overflow", func(l []record) { l[1].dims = []int64{1 << 62} }, "shape", false},
		{"many weights", func(l []record) { l[1].dims = []int64{1 << 40} }, "blocks instead of", false},
		{"no blocks", func(l []record) { l[1].lengths = nil }, "0 blocks instead of 2", false},
		{"block of nothing", func(l []record) { l[1].block = 0 }, "blocks of 0 units", false},
		{"large blocks", func(l []record) { l[1].block = maxBlockUnits + 1 }, "blocks of 1048577 units", false},
		{"longer block", func(l []record) { l[1].lengths[0]++ }, "in a section of", false},
		{"endless block", func(l []record) { l[1].lengths[0] = 1 << 40 }, "a block of", false},
		{"integers packed", func(l []record) { l[1].dataType = onnx.Int32 }, "is packed", false},
		{"table missing", func(l []record) { l[1].table = 9 }, "table 9 of 2", false},
		{"other table", func(l []record) { l[1].table = 1 }, "groups", false},
		{"empty range", func(l []record) { l[1].min, l[1].max = 2, 1 }, "symbols 2 to 1", false},
		{"coder of the future", func(l []record) { l[1].coders = []byte{99, 99} }, "coder 99", true},
		{"coders missing", func(l []record) { l[1].coders = []byte{1, 2, 3} }, "3 coders for 2 blocks", false},
		{"same as itself", func(l []record) { l[4].same = 4 }, "record 4 has the values of record 4", false},
		{"same as another type", func(l []record) { l[4].same = 2 }, "cannot have the values", false},
		{"same as one that has none", func(l []record) { l[6].same, l[6].dims, l[6].lengths = 4, []int64{40}, nil }, "has those of another", false},
		{"strings without bytes", func(l []record) { l[5].bytes = 0 }, "strings in 0 bytes", false},
		{"floats with bytes", func(l []record) { l[3].bytes = 10 }, "has a length in bytes", false},
		{"undefined with dims", func(l []record) { l[3].dataType = onnx.Undefined }, "shape", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := takeApart(t, good)
			list := f.records(t)
			c.change(list)
			f.setRecords(list)
			if c.name == "other shape" {
				c.want = "blocks" // the checksum, or the length of the codes, tells
			}
			checkForged(t, good, f.bytes(), c.want, c.version)
		})
	}
}

// TestForgedFields feeds single fields that no writer makes.
func TestForgedFields(t *testing.T) {
	record := func(fields ...[]byte) []byte { return bytes.Join(fields, nil) }
	f := func(id uint64, critical bool, payload ...byte) []byte { return appendField(nil, id, critical, payload) }
	dims := f(recordDims, true, 0)
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty dims and no blocks", dims, ""},
		{"unknown field", record(dims, f(100, false, 1, 2)), ""},
		{"unknown critical field", record(dims, f(100, true, 1, 2)), "record field 100"},
		{"permutation", record(dims, f(recordPermutation, true, 1, 2)), "record field 11"},
		{"field twice", record(dims, dims), "field 3 stands after field 3"},
		{"fields out of order", record(dims, f(recordType, true, 1)), "field 2 stands after field 3"},
		{"field 0", f(0, false), "field 0 stands after field 0"},
		{"cut off", dims[:2], "do not fit"},
		{"too much in a field", f(recordType, true, 1, 1), "1 bytes too many"},
		{"long number", f(recordType, true, 0x81, 0x00), "shortest form"},
		{"number cut off", f(recordType, true, 0x81), "cut off"},
		{"number too large", f(recordType, true, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), "too large"},
		{"negative dimension", f(recordDims, true, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), "too large"},
		{"code too large", record(dims, f(recordTable, true, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)), "too large"},
		{"coders without table", record(dims, f(recordCoders, true, 1)), "coders without"},
	} {
		_, err := parseRecord(c.data, 0, nil)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestForgedTables(t *testing.T) {
	f := func(id uint64, critical bool, payload ...byte) []byte { return appendField(nil, id, critical, payload) }
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"step", f(tableSteps, true, 0, 0, 128, 63), ""},
		{"unknown field", append(f(tableSteps, true, 0, 0, 128, 63), f(50, false, 1)...), ""},
		{"unknown critical field", f(50, true, 1), "table field 50"},
		{"part of a step", f(tableSteps, true, 0, 0, 128), "3 bytes too many"},
		{"more levels than bytes", f(tableLevels, true, 1, 200, 1), "do not fit"},
		{"more groups than bytes", f(tableLevels, true, 200, 1, 1), "do not fit"},
		{"levels cut off", f(tableLevels, true, 2, 1, 1, 0, 0, 0, 0), "missing"},
		{"group of nothing", f(tableGroup, true, 0), "groups of 0"},
		{"large origin", f(tableOrigins, true, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), "too large"},
	} {
		p, err := parseTable(c.data)
		if c.want == "" && (err != nil || len(p.Step) != 1 || p.Step[0] != 1) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestLimit: what an archive may claim to decode to is bounded, and the bound can
// be raised.
func TestLimit(t *testing.T) {
	zeros := &onnx.Tensor{Name: "z", DataType: onnx.Float, Dims: []int64{5 << 20}}
	zeros.SetBytes(make([]byte, 20<<20))
	data, _ := pack(t, initializers(zeros), Options{})
	var limit *LimitError
	if _, err := (ReadOptions{MaxDecoded: 10 << 20}).NewReader(data); !errors.As(err, &limit) || limit.Decoded <= 10<<20 {
		t.Errorf("above the limit: %v", err)
	}
	if _, err := (ReadOptions{MaxDecoded: 21 << 20}).NewReader(data); err != nil {
		t.Errorf("below the limit: %v", err)
	}
	// 8,000 blocks of 2^20 bytes claim 8 GB in some 20 kB.
	f := takeApart(t, data)
	r := newRecord()
	r.dims, r.block, r.lengths = []int64{8000 << 18}, 1<<18, repeat(1, 8000)
	f.setRecords([]record{r})
	f.find(sectionBlocks).data = make([]byte, 8000)
	f.find(sectionChecksums).data = make([]byte, 32000)
	if _, err := NewReader(f.bytes()); !errors.As(err, &limit) {
		t.Errorf("a bomb: %v", err)
	}
	if _, err := (ReadOptions{MaxDecoded: math.MaxInt64}).NewReader(f.bytes()); err != nil {
		t.Errorf("a bomb that is wanted: %v", err)
	}
}

// TestLargeTopology: above 1 MiB a topology is coded by zstd, and a bomb in it
// takes no more than it says.
func TestLargeTopology(t *testing.T) {
	m := initializers()
	m.DocString = strings.Repeat("all work and no play ", 1<<17)
	data, s := pack(t, m, Options{})
	if s.Total > 10_000 {
		t.Errorf("%d bytes", s.Total)
	}
	back, err := open(t, data).Model()
	if err != nil || back.DocString != m.DocString {
		t.Errorf("came back otherwise: %v", err)
	}
	f := takeApart(t, data)
	packed, err := packZstd(f.find(sectionTopology).data)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{10, int64(len(f.find(sectionTopology).data)) + 1} {
		s := f.find(sectionTopology)
		s.data, s.raw, s.coding, s.decoded = packed, true, codingZstd, size
		if _, err := open(t, f.bytes()).Model(); err == nil || !strings.Contains(err.Error(), "damaged topology") {
			t.Errorf("a frame that is said to hold %d bytes: %v", size, err)
		}
	}
	s2 := f.find(sectionTopology)
	s2.data, s2.raw = []byte("no frame"), true
	if _, err := open(t, f.bytes()).Model(); err == nil {
		t.Error("no frame was decoded")
	}
}

// TestInline: tensors that cannot have records stay as they are.
func TestInline(t *testing.T) {
	patched := func(to ...byte) *onnx.Tensor { // a tensor of three floats, with other dims and type
		good := encodeModel(t, initializers(floatTensor("patched", onnx.Float, laplace(1, 3), 3)))
		m, err := onnx.Decode(bytes.Replace(good, []byte{1 << 3, 3, 2 << 3, 1}, to, 1))
		if err != nil {
			t.Fatal(err)
		}
		return m.Graph.Initializers[0]
	}
	odd, short := patched(1<<3, 3, 2<<3, 99), patched(1<<3, 4, 2<<3, 1)
	segment := floatTensor("segment", onnx.Float, laplace(1, 2), 4)
	segment.Segment = &onnx.Segment{Begin: 1, End: 3}
	m := initializers(odd, short, segment, &onnx.Tensor{}, &onnx.Tensor{Name: "blank"}, &onnx.Tensor{Name: "hollow", DataType: onnx.Float, Dims: []int64{2}})
	m.Graph.Nodes = []*onnx.Node{{OpType: "Constant", Attributes: []*onnx.Attribute{
		{Name: "value", Type: onnx.AttributeTensor, T: floatTensor("small", onnx.Float, laplace(1, 15), 15)},
		{Name: "none", Type: onnx.AttributeTensor, T: &onnx.Tensor{}},
		{Name: "large", Type: onnx.AttributeTensor, T: floatTensor("large", onnx.Float, laplace(1, 16), 16)},
	}}}
	data, s := pack(t, m, Options{})
	r := open(t, data)
	if len(s.Tensors) != 4 || r.Len() != 4 {
		t.Errorf("%d records", r.Len())
	}
	back, err := r.Model()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encodeModel(t, back), encodeModel(t, m)) {
		t.Error("came back otherwise")
	}
}

// TestLayout: places of external values come back, however they were laid out.
func TestLayout(t *testing.T) {
	at := func(file string, offset, size int64) place {
		return place{location: file, offset: offset, hasOffset: true, hasLength: true, size: size}
	}
	for _, c := range []struct {
		name   string
		places []place
		most   int // bytes of the layout
	}{
		{"one after another", []place{at("d", 0, 10), at("d", 10, 20), at("d", 30, 1)}, 9},
		{"pages", []place{at("d", 0, 10), at("d", 4096, 9000), at("d", 16384, 1)}, 10},
		{"large ones aligned", []place{at("d", 0, 10), at("d", 65536, 2<<20), at("d", 65536+2<<20, 8), at("d", 131072+2<<20, 2<<20)}, 14},
		{"two files", []place{at("d", 0, 10), at("e", 0, 20), at("d", 10, 1)}, 20},
		{"backwards", []place{at("d", 100, 10), at("d", 50, 50), at("d", 0, 50)}, 30},
		{"shared", []place{at("d", 0, 10), at("d", 0, 10)}, 15},
		{"no offset, no length", []place{{location: "d", size: 10}, {location: "e", size: 3, hasLength: true}}, 20},
		{"far", []place{at("d", math.MaxInt64-20, 20)}, 30},
	} {
		data := appendLayout(nil, &layout{c.places})
		var sizes []int64
		for _, p := range c.places {
			sizes = append(sizes, p.size)
		}
		got, err := parseLayout(data, sizes)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for i, p := range c.places {
			if got.places[i] != p {
				t.Errorf("%s: place %+v instead of %+v", c.name, got.places[i], p)
			}
		}
		if len(data) > c.most {
			t.Errorf("%s: %d bytes", c.name, len(data))
		}
		for i := range data { // no panic, no place beyond the end
			bad := bytes.Clone(data)
			bad[i] ^= 0x80
			_, _ = parseLayout(bad, sizes)
			_, _ = parseLayout(data[:i], sizes)
		}
	}
	for _, c := range []struct{ name, want string }{
		{string([]byte{0, 0, 0}), "alignment 0"},
		{string([]byte{1, 0, 1, 1, 'd', 1, 1, 3, 0}), "1 tensors of file 1"},
		{string([]byte{1, 0, 1, 1, 'd', 1, 0, 4, 0}), "of file 0"},
		{string([]byte{1, 0, 1, 1, 'd', 1, 0, 3, 1}), "offset -1"},
		{string([]byte{1, 0, 1, 1, 'd', 1, 0, 2, 2}), "offset 1"},
		{string([]byte{1, 0, 1, 1, 'd'}), "0 places for 1"},
	} {
		if _, err := parseLayout([]byte(c.name), []int64{8}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("layout %x: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestExternalEntries: places with more to tell than the layout can hold come back
// all the same.
func TestExternalEntries(t *testing.T) {
	w := floatTensor("w", onnx.Float, laplace(1, 30), 30)
	w.Storage = onnx.StorageExternal
	w.External = &onnx.ExternalData{Location: "d", HasOffset: true, HasLength: true, Length: 120, Checksum: "0123"}
	v := floatTensor("v", onnx.Float, laplace(2, 30), 30)
	v.Storage = onnx.StorageExternal
	v.External = &onnx.ExternalData{Location: "d", HasOffset: true, Offset: 120, HasLength: true, Length: 4}
	m := initializers(w, v)
	data, _ := pack(t, m, Options{})
	back, err := open(t, data).Model()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encodeModel(t, back), encodeModel(t, m)) {
		t.Error("came back otherwise")
	}
	// Without the section, values go into the model.
	v.External.Length = 120
	data, _ = pack(t, initializers(v), Options{})
	f := takeApart(t, data)
	f.sections = f.sections[:len(f.sections)-1]
	if back, err = open(t, f.bytes()).Model(); err != nil || back.Graph.Initializers[0].Storage != onnx.StorageRaw {
		t.Errorf("without a layout: %v", err)
	}
}

func TestLists(t *testing.T) {
	list := []string{"", "a", strings.Repeat("x", 300)}
	got, err := ParseStrings(AppendStrings(nil, list))
	if err != nil || len(got) != 3 || string(got[2]) != list[2] {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range [][]byte{{}, {5, 0}, {1, 5, 'a'}, {0, 0}, binary.AppendUvarint(nil, math.MaxUint64)} {
		if _, err := ParseStrings(bad); err == nil {
			t.Errorf("%x was taken for a list", bad)
		}
	}
}
