package huffman

import (
	"encoding/binary"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/effml/effml/internal/testkit"
)

// The example column of S. Han et al., "EIE", ISCA 2016: two
// zeros, 1, 2, eighteen zeros, 3, with gaps of 4 bits.
func TestRelativeEntriesOfEIE(t *testing.T) {
	sym := slices.Concat(make([]int32, 2), []int32{1, 2}, make([]int32, 18), []int32{3})
	gaps, codes := relativeEntries(sym, 4)
	if !slices.Equal(gaps, []byte{2, 0, 15, 2}) || !slices.Equal(codes, []int32{1, 2, 0, 3}) {
		t.Errorf("gaps %v, codes %v", gaps, codes)
	}
}

// squeezeNet holds the outputs, inputs and kernel size of the convolutions of
// SqueezeNet 1.0 in the order of the released file.
var squeezeNet = func() (layers [][3]int) {
	layers = append(layers, [3]int{96, 3, 7})
	in := 96
	for _, squeeze := range []int{16, 16, 32, 32, 48, 48, 64, 64} {
		layers = append(layers, [3]int{squeeze, in, 1}, [3]int{4 * squeeze, squeeze, 1}, [3]int{4 * squeeze, squeeze, 3})
		in = 8 * squeeze
	}
	return append(layers, [3]int{1000, 512, 1})
}()

// The authors' compressed SqueezeNet holds, for each layer, the entries that
// their encoder made with gaps of 4 bits: ours must make the same.
func TestRelativeEntriesOfReleasedSqueezeNet(t *testing.T) {
	data, err := os.ReadFile(testkit.Shared(t, "data", "models", "compressed_SqueezeNet.net"))
	if err != nil {
		t.Fatal(err)
	}
	counts, rest := data[:4*len(squeezeNet)], data[4*len(squeezeNet):]
	nonZero, fillers, bytes := 0, 0, 0
	for i, layer := range squeezeNet {
		n := int(binary.LittleEndian.Uint32(counts[4*i:]))
		rest = rest[4*256+4*layer[0]:] // codebook, bias
		codes := make([]int32, n)
		for j := range codes {
			codes[j] = int32(rest[j])
		}
		rest = rest[n:]
		gaps := make([]byte, n)
		for j := range gaps {
			gaps[j] = rest[j/2] >> (4 * (j % 2)) & 15
		}
		rest = rest[(n-1)/2+1:]
		sym := make([]int32, layer[0]*layer[1]*layer[2]*layer[2])
		pos := -1
		for j, g := range gaps {
			pos += int(g) + 1
			sym[pos] = codes[j]
			if codes[j] == 0 {
				fillers++
			} else {
				nonZero++
			}
		}
		gotGaps, gotCodes := relativeEntries(sym, 4)
		if !slices.Equal(gotGaps, gaps) || !slices.Equal(gotCodes, codes) {
			t.Errorf("layer %d: %d entries, the file has %d", i, len(gotGaps), n)
		}
		b, err := relativeCoder{}.Encode(nil, sym, nil, Params{0, 255})
		if err != nil {
			t.Fatal(err)
		}
		bytes += len(b)
		checkDecodes(t, relativeCoder{}, b, sym, nil, Params{0, 255})
	}
	if len(rest) != 0 {
		t.Errorf("%d bytes of the file are left", len(rest))
	}
	if nonZero != 415921 {
		t.Errorf("%d non-zeros, want 415921", nonZero)
	}
	t.Logf("%d non-zeros, %d fillers: %d bytes of codes and gaps, %d with Huffman coding",
		nonZero, fillers, (nonZero+fillers)*3/2, bytes)
}

// No fixed width beats the width that the encoder picks by more than the
// entropy of the codes, taken as an estimate, is off.
func TestRelativeWidth(t *testing.T) {
	for _, zeros := range []float64{0.5, 0.8, 0.9, 0.97, 0.999} {
		sym := laplace(60000, 4, zeros, -16, 15)
		sym = append(sym, make([]int32, 5000)...)
		sym = append(sym, 1)
		p := Params{-16, 15}
		best, err := relativeCoder{}.Encode(nil, sym, nil, p)
		if err != nil {
			t.Fatal(err)
		}
		least := math.MaxInt
		for width := 1; width <= maxGapWidth; width++ {
			coder, err := RelativeCoder(width)
			if err != nil {
				t.Fatal(err)
			}
			b, err := coder.Encode(nil, sym, nil, p)
			if err != nil {
				t.Fatal(err)
			}
			checkDecodes(t, relativeCoder{}, b, sym, nil, p)
			least = min(least, len(b))
		}
		if float64(len(best)) > 1.005*float64(least) {
			t.Errorf("%g zeros: %d bytes, %d with a fixed width", zeros, len(best), least)
		}
	}
	for _, width := range []int{-1, 9} {
		if _, err := RelativeCoder(width); err == nil {
			t.Errorf("width %d was accepted", width)
		}
	}
}

func TestRelativeDecodeRefuses(t *testing.T) {
	good, err := relativeCoder{}.Encode(nil, []int32{0, 0, 1, 0, 2}, nil, Params{0, 3})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		src []byte
		n   int
		p   Params
	}{
		"nothing":          {nil, 5, Params{0, 3}},
		"endless number":   {slices.Repeat([]byte{0xff}, 12), 5, Params{0, 3}},
		"too many entries": {good, 1, Params{0, 3}},
		"too few symbols":  {good, 4, Params{0, 3}},
		"no width":         {[]byte{1}, 5, Params{0, 3}},
		"width 9":          {[]byte{1, 9, 0}, 5, Params{0, 3}},
		"gaps too long":    {[]byte{1, 4, 200, 1, 0}, 5, Params{0, 3}},
		"gaps too short":   {[]byte{1, 4, 0, 0}, 5, Params{0, 3}},
		"byte after gaps":  {[]byte{1, 4, 3, 0, 0, 0, 0}, 5, Params{0, 3}},
		"more after none":  {[]byte{0, 0}, 5, Params{0, 3}},
		"zero below range": {good, 5, Params{1, 3}},
	} {
		if err := (relativeCoder{}).Decode(make([]int32, c.n), c.src, nil, c.p); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, _, err := (relativeCoder{}).Parts([]byte{1}); err == nil {
		t.Error("parts of a cut payload")
	}
}
