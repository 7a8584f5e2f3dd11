package huffman

import (
	"bytes"
	"compress/flate"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/effml/effml/internal/testkit"
	"github.com/effml/effml/onnx"
)

// sharedModels returns the shared ONNX files, decoded.
func sharedModels(t *testing.T) map[string]*onnx.Model {
	t.Helper()
	dir := testkit.Shared(t, "data", "models")
	paths, err := filepath.Glob(filepath.Join(dir, "*.onnx"))
	if err != nil || len(paths) == 0 {
		t.Skipf("no models in %s: %v", dir, err)
	}
	models := map[string]*onnx.Model{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if models[filepath.Base(path)], err = onnx.Decode(data); err != nil {
			t.Fatal(err)
		}
	}
	return models
}

// skeleton returns a model's protobuf without its initializers, whose names follow.
func skeleton(t *testing.T, m *onnx.Model) []byte {
	t.Helper()
	m = m.Clone()
	var names bytes.Buffer
	for _, tensor := range m.Graph.Initializers {
		names.WriteString(tensor.Name + "\x00")
	}
	m.Graph.Initializers = nil
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), names.Bytes()...)
}

// peers returns the bytes that general compressors make of data, at their
// strongest; xz is left out where it is not installed.
func peers(t *testing.T, data []byte) map[string]int {
	t.Helper()
	sizes := map[string]int{}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sizes["flate"] = b.Len()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		t.Fatal(err)
	}
	sizes["zstd"] = len(z.EncodeAll(data, nil))
	cmd := exec.Command("xz", "-9e", "-c")
	cmd.Stdin = bytes.NewReader(data)
	if out, err := cmd.Output(); err == nil {
		sizes["xz"] = len(out)
	} else {
		t.Logf("no xz: %v", err)
	}
	return sizes
}

func mixBytes(t *testing.T, data []byte, stride int) int {
	t.Helper()
	b := AppendMix([]byte("head"), data, stride)
	if string(b[:4]) != "head" {
		t.Fatal("AppendMix changed what it appends to")
	}
	back := make([]byte, len(data))
	if err := DecodeMix(back, b[4:], stride); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back, data) {
		t.Fatalf("%d bytes with stride %d come back changed", len(data), stride)
	}
	return len(b) - 4
}

func TestMixOnGraphs(t *testing.T) {
	for name, m := range sharedModels(t) {
		graph := skeleton(t, m)
		n := mixBytes(t, graph, 0)
		for peer, size := range peers(t, graph) {
			if 4*n > 3*size {
				t.Errorf("%s: %d bytes of %d, %s makes %d", name, n, len(graph), peer, size)
			}
		}
	}
}

func TestMixOnShortStrings(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
	}{
		{"", 0},
		{"x", 2},
		{"features.0.weight\x00features.0.bias\x00features.3.weight\x00features.3.bias\x00classifier.1.weight\x00classifier.1.bias", 24},
		{strings.Repeat("\x0a\x05input\x12\x06output\"\x04Relu", 20), 40},
		{"Where no names of operators occur, English prose of some length is at least not larger than what it was before.", 90},
	} {
		if n := mixBytes(t, []byte(c.text), 0); n > c.most {
			t.Errorf("%.20q…: %d bytes of %d, expected at most %d", c.text, n, len(c.text), c.most)
		}
	}
}

func TestMixWithStride(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, stride := range []int{1, 2, 4, 8, 100} {
		data := make([]byte, 40*stride)
		for i := range data { // a column keeps its value nearly always
			if i < stride || rng.IntN(10) == 0 {
				data[i] = byte(rng.IntN(256))
			} else {
				data[i] = data[i-stride]
			}
		}
		// About one byte in ten is new and costs a byte and the news of it.
		if n := mixBytes(t, data, stride); n > stride+len(data)/4+8 {
			t.Errorf("stride %d: %d bytes of %d", stride, n, len(data))
		}
	}
}

func TestMixOfNoiseGrowsLittle(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	data := make([]byte, 20_000)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	for _, stride := range []int{0, 4} {
		if n := mixBytes(t, data, stride); n > len(data)+len(data)/50 {
			t.Errorf("stride %d: %d bytes of %d", stride, n, len(data))
		}
	}
}

func TestDecodeMixRefuses(t *testing.T) {
	data := []byte(strings.Repeat("conv1.weight conv2.weight ", 10))
	b := AppendMix(nil, data, 0)
	back := make([]byte, len(data))
	var corrupt *CorruptError
	for name, src := range map[string][]byte{
		"empty":          nil,
		"a byte more":    append(bytes.Clone(b), 0),
		"half":           b[:len(b)/2],
		"twice":          append(bytes.Clone(b), b...),
		"one byte":       {1},
		"random, longer": bytes.Repeat([]byte{0x5a, 0xc3}, 400),
	} {
		if err := DecodeMix(back, src, 0); !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := DecodeMix(nil, b, 0); !errors.As(err, &corrupt) {
		t.Errorf("bytes for nothing: %v", err)
	}
}

func FuzzMixRoundTrip(f *testing.F) {
	f.Add([]byte("conv1.weight\x00conv2.weight"), uint8(0))
	f.Add(bytes.Repeat([]byte{0, 0, 0x80, 0x3f}, 30), uint8(4))
	f.Fuzz(func(t *testing.T, data []byte, stride uint8) {
		if len(data) < 1<<14 {
			mixBytes(t, data, int(stride))
		}
	})
}

func FuzzDecodeMix(f *testing.F) {
	f.Add(AppendMix(nil, []byte("layer1.0.conv1.weight"), 0), uint16(21), uint8(0))
	f.Add([]byte{0xff, 0, 1}, uint16(900), uint8(4))
	f.Fuzz(func(t *testing.T, src []byte, n uint16, stride uint8) {
		dst := make([]byte, n%4096)
		if DecodeMix(dst, src, int(stride)) == nil && len(dst) > 0 {
			// The bytes decoded tell the intervals, and these the length.
			if back := AppendMix(nil, dst, int(stride)); len(back) != len(src) {
				t.Errorf("%d bytes decode to what the encoder codes in %d", len(src), len(back))
			}
		}
	})
}
