package dataset

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/effml/effml/internal/npy"
	"github.com/effml/effml/internal/testkit"
	"github.com/effml/effml/tensor"
)

// preprocessed is what a Python user does, to images written by Pillow in every format.
const preprocessed = `
import glob, os, sys
import numpy as np
from PIL import Image
src, out = sys.argv[1:3]
files = sorted(glob.glob(src + '/*.jpg'))[::25]
n = 0
def put(im, name, resize, crop, **save):
    global n
    path = '%s/%03d_%d_%d_%s' % (out, n, resize, crop, name)
    im.save(path, **save)
    im = Image.open(path).convert('L' if im.mode == 'L' else 'RGB')
    if resize:
        w, h = im.size
        im = im.resize((resize, round(h * resize / w)) if w < h else (round(w * resize / h), resize), Image.BILINEAR)
    x = np.asarray(im, dtype=np.uint8)
    if crop:
        t, l = (x.shape[0] - crop) // 2, (x.shape[1] - crop) // 2
        x = x[t:t + crop, l:l + crop]
    np.save(path + '.npy', x)
    n += 1
for i, f in enumerate(files):
    im = Image.open(f).convert('RGB')
    odd = im.resize((151 + 7 * i % 60, 149 + 11 * i % 70), Image.BICUBIC)
    put(im, 'a.jpg', 0, 227, quality=90)
    put(odd, 'b.jpg', 0, 0, subsampling=i % 3, quality=80 + i % 20, progressive=bool(i & 1))
    put(im, 'c.png', [256, 96, 40, 300, 511][i % 5], [224, 96, 33, 227, 227][i % 5])
    put(odd.convert('L'), 'd.png', 64, 61)
    put(im.quantize(50), 'e.png', 100, 96)
    put(odd, 'f.webp', 0, 0, quality=90)
    put(im, 'g.webp', 128, 0, lossless=True, quality=10, method=0)
    put(odd, 'h.bmp', 70, 64)
    put(im.quantize(100), 'i.gif', 0, 200)
    put(odd.convert('RGBA'), 'j.png', 50, 0)
    put(odd.convert('L'), 'k.jpg', 0, 0)
    put(odd.convert('CMYK'), 'l.jpg', 0, 0, quality=95)
`

// TestPillow compares decoding and resizing with Pillow, whose libraries are what networks are trained with. What is not
// compressed with loss must be equal to the bit.
func TestPillow(t *testing.T) {
	images := testkit.Shared(t, "data", "images/imagenet-sample-256")
	dir := t.TempDir()
	testkit.Python(t, "Pillow and NumPy", "-c", preprocessed, images, dir)
	files, _ := filepath.Glob(dir + "/*.npy")
	if len(files) < 400 {
		t.Fatal(len(files), "files")
	}
	limits := map[string]struct {
		most int
		mean float64
	}{"a.jpg": {3, 0.05}, "b.jpg": {4, 0.05}, "f.webp": {6, 0.3}, "k.jpg": {2, 0.05}, "l.jpg": {4, 0.5}}
	worst, sum, count := map[string]int{}, map[string]float64{}, map[string]int{}
	for _, f := range files {
		path := f[:len(f)-4]
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := npy.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		im, err := decodeImage(data)
		if err != nil {
			t.Fatal(path, err)
		}
		var p Preprocess
		base := filepath.Base(path)
		fields := split(base)
		p.Resize, p.Crop, p.Layout = atoi(fields[1]), atoi(fields[2]), "nhwc"
		q := newPipeline(p)
		shape, err := q.output(im)
		if err != nil {
			t.Fatal(path, err)
		}
		if shape[0] != want.Shape[0] || shape[1] != want.Shape[1] {
			t.Fatalf("%s: %v, want %v", base, shape, want.Shape)
		}
		got := make([]float32, volume(shape))
		if err := q.run(got, im); err != nil {
			t.Fatal(err)
		}
		for i, w := range want.Bytes() {
			d := int(math.Abs(float64(got[i]) - float64(w)))
			worst[fields[3]] = max(worst[fields[3]], d)
			sum[fields[3]] += float64(d)
		}
		count[fields[3]] += len(got)
	}
	for _, kind := range sortedKeys(count) {
		mean := sum[kind] / float64(count[kind])
		t.Logf("%s: differs by %d levels at most, %.4f in the mean", kind, worst[kind], mean)
		if l := limits[kind]; worst[kind] > l.most || mean > l.mean {
			t.Errorf("%s: more than %d levels, or than %v in the mean", kind, l.most, l.mean)
		}
	}
}

func split(name string) []string {
	var out []string
	for i, from := 0, 0; ; i++ {
		if i == len(name) || name[i] == '_' {
			out = append(out, name[from:i])
			if from = i + 1; i == len(name) {
				return out
			}
		}
	}
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = 10*n + int(c-'0')
	}
	return n
}

// BenchmarkImages decodes and preprocesses on one thread what the peer's loop does: JPEG files of about 350×256 pixels, a
// crop of 227.
func BenchmarkImages(b *testing.B) {
	benchmarkImages(b, "resize=256,crop=227,channels=bgr,mean=104:117:123")
}

// BenchmarkImagesResized shrinks them too.
func BenchmarkImagesResized(b *testing.B) {
	benchmarkImages(b, "resize=160,crop=128,scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225")
}

func benchmarkImages(b *testing.B, preprocess string) {
	s := Spec{Path: testkit.Shared(b, "data", "images/imagenet-sample-256")}
	if err := s.Preprocess.Set(preprocess); err != nil {
		b.Fatal(err)
	}
	set, err := Open(&s)
	if err != nil {
		b.Fatal(err)
	}
	defer set.Close()
	part, err := set.Part("test")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n := 0
	for n < b.N {
		for batch, err := range part.Batches(context.Background(), Options{Batch: 1, Workers: 1, Seed: 1, Shuffle: true}) {
			if err != nil {
				b.Fatal(err)
			}
			_ = tensor.Of[float32](batch.Fields["image"])[0]
			if n++; n == b.N {
				break
			}
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "images/s")
}
