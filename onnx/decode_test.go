package onnx_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/effml/effml/internal/modelgen"
	"github.com/effml/effml/onnx"
)

func TestDecodeErrors(t *testing.T) {
	deep := lp(1, lp(5, lp(8, "x")))
	for range 60 {
		deep = lp(1, lp(5, lp(6, deep))) // node, attribute, graph
	}
	for name, c := range map[string]struct {
		file   string
		field  string
		offset int64
		msg    string
	}{
		"empty":            {"", "", 0, "the file is empty"},
		"html":             {"\n <!DOCTYPE html><html>Not found</html>", "", 0, "HTML"},
		"lfs":              {"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n", "", 0, "git-lfs pointer"},
		"zip":              {"PK\x03\x04\x14\x00\x00\x00\x08\x00", "", 0, "zip archive"},
		"pickle":           {"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "", 0, "pickle"},
		"tflite":           {"\x1c\x00\x00\x00TFL3\x14\x00", "", 0, "TensorFlow Lite"},
		"json":             {`{"ir_version": 8}`, "", 0, "JSON"},
		"text":             {"hello, world\n", "", 0, "text, not ONNX"},
		"no graph":         {vi(1, 8) + lp(2, "\x01"), "", 0, "no graph"},
		"three gigabytes":  {vi(1, 8) + "\x3a\x80\x80\x80\x80\x0c" + strings.Repeat("\x00", 190), "graph", 2, "a length of 3221225472 bytes where 190 remain"},
		"huge length":      {"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01ab", "graph", 0, "where 2 remain"},
		"cut length":       {vi(1, 8) + "\x3a\x80", "graph", 2, "the length of a field is cut short"},
		"cut varint":       {"\x08\x80", "ir_version", 0, "a field of wire type 0 is cut short"},
		"long varint":      {"\x08" + strings.Repeat("\xff", 10) + "\x01", "ir_version", 0, "malformed"},
		"cut tag":          {vi(1, 8) + "\x80", "", 2, "the tag of a field is cut short"},
		"field number 0":   {vi(1, 8) + "\x00\x01", "", 2, "0 is not a field number"},
		"wire type 7":      {"\x0f\x01", "ir_version", 0, "wire type 7"},
		"end of no group":  {"\x0c\x00\x01", "ir_version", 0, "wire type 4"},
		"group":            {"\x0b\x0c\x01\x02", "ir_version", 0, "has wire type 3 where 0 belongs"},
		"wrong wire type":  {lp(7, lp(1, lp(1, "in"), vi(2, 3))), "graph.node[0].output", 8, "has wire type 0 where 2 belongs"},
		"second node":      {lp(7, lp(1, lp(1, "in")), lp(1, lp(5, vi(1, 5)))), "graph.node[1].attribute[0].name", 12, "wire type"},
		"packed floats":    {lp(7, lp(5, lp(8, "w"), lp(4, "abc"))), "graph.initializer[0].float_data", 7, "3 bytes are not a list of 4-byte numbers"},
		"packed doubles":   {lp(7, lp(5, lp(10, "abcdefghi"))), "graph.initializer[0].double_data", 4, "8-byte"},
		"packed numbers":   {lp(7, lp(5, lp(1, "\x01\x80"))), "graph.initializer[0].dims", 4, "a packed number is cut short"},
		"external offset":  {lp(7, lp(5, lp(13, lp(1, "offset"), lp(2, "-4")), vi(14, 1))), "graph.initializer[0].external_data", 4, `offset "-4" is not a number of bytes`},
		"nested too deep":  {lp(7, deep), "", 0, "nest deeper than 100"},
		"truncated inside": {lp(7, "\x0a\x05\x0a\x01"), "graph.node", 2, "a length of 5 bytes where 2 remain"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := onnx.Decode([]byte(c.file))
			var format *onnx.FormatError
			if !errors.As(err, &format) || m != nil {
				t.Fatalf("%v, %v", m, err)
			}
			if !strings.Contains(format.Msg, c.msg) || !strings.Contains(err.Error(), c.msg) {
				t.Errorf("%q, want %q", format, c.msg)
			}
			if name != "nested too deep" && (format.Field != c.field || format.Offset != c.offset) {
				t.Errorf("at byte %d of %q, want byte %d of %q", format.Offset, format.Field, c.offset, c.field)
			}
		})
	}
}

// Every file cut short anywhere is an error or another valid model; never a panic.
func TestDecodeTruncated(t *testing.T) {
	for i, m := range modelgen.Generate(2, 22) {
		file := written(t, m)
		for n := 0; n < len(file); n += 1 + len(file)/500 {
			cut, err := onnx.Decode(file[:n])
			if err != nil {
				if !errors.As(err, new(*onnx.FormatError)) {
					t.Fatalf("model %d: %d bytes: %v", i, n, err)
				}
				continue
			}
			if got := written(t, cut); !bytes.Equal(got, file[:n]) {
				t.Errorf("model %d: %d bytes: %s", i, n, firstDifference(got, file[:n]))
			}
		}
	}
}

// FuzzDecode: what decodes is written as it was; its canonical form decodes to the same; and nothing that can be asked
// about it panics.
func FuzzDecode(f *testing.F) {
	for _, m := range modelgen.Generate(3, 33) {
		if file := written(f, m); len(file) < 20<<10 {
			f.Add(file)
		}
	}
	f.Add([]byte(lp(7, lp(5, vi(1, 2), vi(2, 1), f32(4, 1), f32(4, 2), lp(7, "\x01")))))
	// A packed field of no numbers beside another field with values.
	f.Add([]byte(":\x13*\x11\b\xb9\x11\b\xb9\xff\xff\xff?%\x00\x02\x00@:\x80\x00"))
	// An attribute whose number is a signalling NaN.
	f.Add([]byte(lp(7, lp(1, lp(5, "\x15\x01\x00\xa0\x7f")))))
	// A message in two parts, with values of two kinds.
	f.Add([]byte(lp(7, lp(15, lp(1, lp(4, "\x00\x00\x80?")), lp(1, lp(7, "\x01"))))))
	// A packed number of too many bytes before one that stands alone.
	f.Add([]byte(lp(7, lp(5, lp(5, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), vi(5, 1)))))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := onnx.Decode(file)
		if err != nil {
			if !errors.As(err, new(*onnx.FormatError)) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if got := written(t, m); !bytes.Equal(got, file) {
			t.Fatalf("read and written: %s", firstDifference(got, file))
		}
		canonical, err := onnx.Canonical(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := onnx.Decode(canonical)
		if err != nil {
			t.Fatalf("canonical form does not decode: %v", err)
		}
		twice, err := onnx.Canonical(again)
		if err != nil || !bytes.Equal(twice, canonical) {
			t.Fatalf("canonical form is not stable: %v", err)
		}
		if !onnx.Equal(m, again) {
			t.Fatal("canonical form says something else")
		}
		onnx.Check(m)
		for _, r := range m.Clone().Tensors() {
			raw, err := r.Bytes()
			if size, sizeErr := r.ByteSize(); err == nil && (sizeErr != nil || size != int64(len(raw))) {
				t.Fatalf("%d bytes of values, ByteSize %d, %v", len(raw), size, sizeErr)
			}
			if err == nil && len(raw) < 1<<20 {
				r.SetBytes(raw) // must fit where it came from
			}
		}
	})
}
