package dataset

import (
	"bytes"
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/effml/effml/tensor"
)

func randomRaster(r *rand.Rand, w, h, c int) raster[uint8] {
	im := newRaster[uint8](w, h, c)
	for i := range im.pix {
		im.pix[i] = uint8(r.Uint32())
		if r.IntN(3) == 0 {
			im.pix[i] = uint8(r.IntN(2) * 255) // the ends, where clipping shows
		}
	}
	return im
}

// slowResize is the definition in resample.go, in float64 and in two dimensions at once.
func slowResize(src raster[uint8], width, height, x, y, c int) float64 {
	weights := func(in, out, i int) ([]float64, float64) {
		step := float64(in) / float64(out)
		w, sum := make([]float64, in), 0.0
		for j := range w {
			w[j] = max(0, 1-math.Abs(float64(j)+0.5-(float64(i)+0.5)*step)/max(step, 1))
			sum += w[j]
		}
		return w, sum
	}
	wx, sx := weights(src.width, width, x)
	wy, sy := weights(src.height, height, y)
	sum := 0.0
	for j, a := range wy {
		for i, b := range wx {
			sum += a * b * float64(src.pix[j*src.stride+i*src.channels+c])
		}
	}
	return sum / sx / sy
}

func TestResize(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		src := randomRaster(r, 1+r.IntN(40), 1+r.IntN(40), 1+2*r.IntN(2))
		width, height := 1+r.IntN(50), 1+r.IntN(50)
		whole := resize(src, width, height, window{0, 0, width, height})
		for range 200 {
			x, y, c := r.IntN(width), r.IntN(height), r.IntN(src.channels)
			got := float64(whole.pix[y*whole.stride+x*whole.channels+c])
			if want := slowResize(src, width, height, x, y, c); math.Abs(got-want) > 1.01 { // rounded twice
				t.Fatalf("%d×%d to %d×%d at %d,%d: %v, want %v", src.width, src.height, width, height, x, y, got, want)
			}
		}
		w := window{x: r.IntN(width), y: r.IntN(height)}
		w.width, w.height = 1+r.IntN(width-w.x), 1+r.IntN(height-w.y)
		part, want := resize(src, width, height, w), whole.part(w)
		for y := range w.height {
			if n := w.width * src.channels; !bytes.Equal(part.pix[y*part.stride:][:n], want.pix[y*want.stride:][:n]) {
				t.Fatalf("window %v of %d×%d differs from the whole", w, width, height)
			}
		}
	}
}

// TestYCbCr compares with interpolation in float64: samples of chroma sit between the pixels, and the two nearest along an
// axis count 3/4 and 1/4.
func TestYCbCr(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, ratio := range []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411} {
		for range 20 {
			w, h := 5+r.IntN(12), 1+r.IntN(12)
			im := image.NewYCbCr(image.Rect(0, 0, w, h), ratio)
			for _, p := range [][]uint8{im.Y, im.Cb, im.Cr} {
				for i := range p {
					p[i] = uint8(r.Uint32())
				}
			}
			got := make([]uint8, 3*w*h)
			convertYCbCr(got, im, false)
			for i := range w * h {
				x, y := i%w, i/w
				cb, cr := slowChroma(im, im.Cb, x, y), slowChroma(im, im.Cr, x, y)
				luma := float64(im.Y[im.YOffset(x, y)])
				for c, want := range []float64{luma + 1.402*(cr-128), luma - 0.344136*(cb-128) - 0.714136*(cr-128), luma + 1.772*(cb-128)} {
					// Chroma is rounded to 8 bits, which 1.772 makes more of.
					if want = min(max(want, 0), 255); math.Abs(float64(got[3*i+c])-want) > 0.75*1.772+0.51 {
						t.Fatalf("%s %d×%d at %d,%d channel %d: %d, want %.2f", ratio, w, h, x, y, c, got[3*i+c], want)
					}
				}
			}
		}
	}
}

func slowChroma(im *image.YCbCr, plane []uint8, x, y int) float64 {
	w, h := im.Rect.Dx(), im.Rect.Dy()
	near := func(v, n int, halved bool) ([2]int, [2]float64) {
		if !halved {
			return [2]int{v, v}, [2]float64{1, 0}
		}
		other := v/2 - 1 + v%2*2
		return [2]int{v / 2, min(max(other, 0), (n+1)/2-1)}, [2]float64{0.75, 0.25}
	}
	s := im.SubsampleRatio
	if s == image.YCbCrSubsampleRatio411 {
		return float64(plane[im.COffset(x, y)])
	}
	xs, wx := near(x, w, s == image.YCbCrSubsampleRatio420 || s == image.YCbCrSubsampleRatio422)
	ys, wy := near(y, h, s == image.YCbCrSubsampleRatio420 || s == image.YCbCrSubsampleRatio440)
	sum := 0.0
	for j := range 2 {
		for i := range 2 {
			sum += wy[j] * wx[i] * float64(plane[ys[j]*im.CStride+xs[i]])
		}
	}
	return sum
}

// TestPipeline compares with the equation of Preprocess, for every choice of channels and layout and both types of pixels.
func TestPipeline(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, text := range []string{
		"", "channels=bgr,mean=1:2:3,std=2:3:4,scale=1/255", "channels=grey,mean=7,std=9", "channels=rgb,layout=nhwc,mean=1:2:3", "channels=bgr,layout=nhwc,crop=3",
		"crop=4,scale=0.5",
	} {
		var p Preprocess
		if err := p.Set(text); err != nil {
			t.Fatal(err)
		}
		for _, channels := range []int{1, 3} {
			src := randomRaster(r, 7, 6, channels)
			floats := make([]float32, len(src.pix))
			for i, v := range src.pix {
				floats[i] = float32(v)
			}
			if len(p.Mean) > 1 && channels == 1 && p.Channels == "" {
				continue
			}
			for _, im := range []*tensor.Tensor{tensor.From(src.pix, 6, 7, channels), tensor.From(floats, 1, 6, 7, channels)} {
				q := newPipeline(p)
				shape, err := q.output(im)
				if err != nil {
					t.Fatal(text, err)
				}
				got := make([]float32, volume(shape))
				if err := q.run(got, im); err != nil {
					t.Fatal(text, err)
				}
				want := slowPipeline(&p, src)
				for i := range want {
					if math.Abs(float64(got[i])-want[i]) > 1e-5*(1+math.Abs(want[i])) && (p.Channels != "grey" || math.Abs(float64(got[i])-want[i]) > 0.06) {
						t.Fatalf("%q, %s: element %d is %v, want %v", text, im, i, got[i], want[i])
					}
				}
				if len(got) != len(want) || len(shape) != len(im.Shape) {
					t.Fatalf("%q: %v", text, shape)
				}
			}
		}
	}
}

func slowPipeline(p *Preprocess, src raster[uint8]) []float64 {
	win := p.centre(src.width, src.height)
	channels := map[string]int{"": src.channels, "rgb": 3, "bgr": 3, "grey": 1}[p.Channels]
	number := func(v []Number, c int, otherwise float64) float64 {
		if len(v) == 0 {
			return otherwise
		}
		return float64(v[c%len(v)])
	}
	out := make([]float64, channels*win.width*win.height)
	for c := range channels {
		for y := range win.height {
			for x := range win.width {
				pixel := src.pix[(y+win.y)*src.stride+(x+win.x)*src.channels:][:src.channels]
				place := c
				if p.Channels == "bgr" {
					place = 2 - c
				}
				v := float64(pixel[place%len(pixel)])
				if len(pixel) == 3 && channels == 1 {
					v = 0.299*float64(pixel[0]) + 0.587*float64(pixel[1]) + 0.114*float64(pixel[2])
				}
				scale := 1.0
				if p.Scale != 0 {
					scale = float64(p.Scale)
				}
				v = (v*scale - number(p.Mean, c, 0)) / number(p.Std, c, 1)
				at := (c*win.height+y)*win.width + x
				if p.Layout == "nhwc" {
					at = (y*win.width+x)*channels + c
				}
				out[at] = v
			}
		}
	}
	return out
}

func TestPipelineRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		p    Preprocess
		im   *tensor.Tensor
		want string
	}{
		"small":    {Preprocess{Crop: 8}, tensor.From(make([]uint8, 27), 3, 3, 3), "too small for a crop of 8"},
		"float":    {Preprocess{Resize: 8}, tensor.From(make([]float32, 27), 3, 3, 3), "cannot be resized"},
		"channels": {Preprocess{}, tensor.From(make([]uint8, 18), 3, 3, 2), "2 channels"},
		"rank":     {Preprocess{}, tensor.From(make([]uint8, 9), 3, 3), "not an image"},
		"type":     {Preprocess{}, tensor.From(make([]int32, 9), 3, 3, 1), "not an image"},
		"narrow":   {Preprocess{Resize: 60000}, tensor.From(make([]uint8, 4000), 1, 4000, 1), "too large"},
	} {
		if _, err := newPipeline(c.p).output(c.im); err == nil || !contains(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func contains(err error, text string) bool {
	return err != nil && bytes.Contains([]byte(err.Error()), []byte(text))
}

func TestAugment(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	src := randomRaster(r, 9, 6, 3)
	p := &Preprocess{Mean: []Number{10, 20, 30}, Channels: "bgr"}
	sample := func() Sample {
		floats := make([]float32, len(src.pix))
		for i, v := range src.pix {
			floats[i] = float32(v)
		}
		return Sample{"a": tensor.From(slices.Clone(src.pix), 6, 9, 3), "b": tensor.From(floats, 6, 9, 3)}
	}
	apply := func(a Augment, p *Preprocess) Sample {
		s := sample()
		before := s["a"]
		if err := a.apply(s, []string{"a", "b"}, p, r); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before.Bytes(), src.pix) {
			t.Fatal("the image that was read has changed")
		}
		for i, v := range tensor.Of[float32](s["b"]) { // pairs stay pairs
			if uint8(v) != s["a"].Bytes()[i] {
				t.Fatalf("%+v: element %d: %d beside %v", a, i, s["a"].Bytes()[i], v)
			}
		}
		return s
	}
	at := func(im *tensor.Tensor, x, y int) []uint8 { return im.Bytes()[(y*im.Shape[1]+x)*3:][:3] }

	flipped := apply(Augment{Flip: 1}, p)["a"]
	if !bytes.Equal(at(flipped, 0, 2), src.pix[2*27+8*3:][:3]) || !bytes.Equal(at(flipped, 4, 5), src.pix[5*27+4*3:][:3]) {
		t.Error("not flipped")
	}
	heads := 0
	for range 400 {
		if !bytes.Equal(apply(Augment{Flip: 0.25}, p)["a"].Bytes(), src.pix) {
			heads++
		}
	}
	if heads < 60 || heads > 140 {
		t.Errorf("flipped %d of 400 with a probability of 1/4", heads)
	}
	// Every place of a padded crop comes up, and what it shows is the image or black.
	places := map[[2]int]bool{}
	for range 600 {
		im := apply(Augment{PadCrop: 1}, p)["a"]
		for dy := -1; dy <= 1; dy++ {
			for dx := -1; dx <= 1; dx++ {
				if bytes.Equal(at(im, 4, 3), src.pix[(3+dy)*27+(4+dx)*3:][:3]) {
					places[[2]int{dx, dy}] = true
					for y := range 6 {
						for x := range 9 {
							want := []uint8{0, 0, 0}
							if x+dx >= 0 && x+dx < 9 && y+dy >= 0 && y+dy < 6 {
								want = src.pix[(y+dy)*27+(x+dx)*3:][:3]
							}
							if !bytes.Equal(at(im, x, y), want) {
								t.Fatalf("shift %d,%d: pixel %d,%d is %v, want %v", dx, dy, x, y, at(im, x, y), want)
							}
						}
					}
				}
			}
		}
	}
	if len(places) != 9 {
		t.Errorf("%d of 9 places of the crop", len(places))
	}
	// A hole has the colour that becomes 0, in the order of the image's channels.
	holes := map[int]bool{}
	for range 200 {
		im, n := apply(Augment{CutOut: 3}, p)["a"], 0
		for i := range 54 {
			if bytes.Equal(im.Bytes()[3*i:][:3], []uint8{30, 20, 10}) {
				n++
			} else if !bytes.Equal(im.Bytes()[3*i:][:3], src.pix[3*i:][:3]) {
				t.Fatal("a pixel is neither of the image nor of the hole")
			}
		}
		holes[n] = true
	}
	if !holes[9] || !holes[4] || !holes[6] || len(holes) != 3 {
		t.Errorf("holes of %v pixels, want 9, 6 and 4", holes)
	}
	if im := apply(Augment{PadCrop: 2}, &Preprocess{Crop: 4})["a"]; !slices.Equal(im.Shape, []int{4, 4, 3}) {
		t.Error("a crop of 4 gives", im)
	}
}

func TestResizedCrop(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	c := ResizedCrop{Scale: [2]float64{0.2, 0.6}, Ratio: [2]float64{0.5, 2}}
	least, most := 1.0, 0.0
	for range 2000 {
		w := c.draw(100, 80, r)
		if w.x < 0 || w.y < 0 || w.x+w.width > 100 || w.y+w.height > 80 {
			t.Fatal(w)
		}
		share := float64(w.width*w.height) / 8000
		least, most = min(least, share), max(most, share)
		if shape := float64(w.width) / float64(w.height); shape < 0.47 || shape > 2.1 {
			t.Fatal(w, "has the ratio", shape)
		}
	}
	if least < 0.18 || least > 0.25 || most > 0.62 || most < 0.55 {
		t.Errorf("shares from %v to %v, want 0.2 to 0.6", least, most)
	}
	if w := (&ResizedCrop{}).draw(1, 1000, r); w != (window{0, 499, 1, 1}) {
		t.Error("a narrow image gives", w)
	}
	s := Sample{"image": tensor.From(randomRaster(r, 50, 40, 3).pix, 40, 50, 3)}
	a := Augment{ResizedCrop: &ResizedCrop{}}
	if err := a.apply(s, []string{"image"}, &Preprocess{Crop: 24}, r); err != nil || !slices.Equal(s["image"].Shape, []int{24, 24, 3}) {
		t.Error(s["image"], err)
	}
	if err := a.apply(s, []string{"image"}, &Preprocess{}, r); !contains(err, "resized_crop.size") {
		t.Error(err)
	}
	s["other"] = tensor.From(make([]uint8, 27), 3, 3, 3)
	if err := (&Augment{Flip: 1}).apply(s, []string{"image", "other"}, &Preprocess{}, r); !contains(err, "cannot be changed alike") {
		t.Error(err)
	}
}

// BenchmarkPipeline prepares decoded images of 350×256 pixels: as they are, and shrunk.
func BenchmarkPipeline(b *testing.B) {
	im := tensor.From(randomRaster(rand.New(rand.NewPCG(1, 1)), 350, 256, 3).pix, 256, 350, 3)
	for _, text := range []string{"crop=227,mean=1:2:3", "resize=160,crop=128"} {
		b.Run(text, func(b *testing.B) {
			var p Preprocess
			if err := p.Set(text); err != nil {
				b.Fatal(err)
			}
			q := newPipeline(p)
			shape, err := q.output(im)
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]float32, volume(shape))
			b.SetBytes(int64(im.Len()))
			for b.Loop() {
				if err := q.run(dst, im); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
