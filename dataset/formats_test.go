package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/bmp"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/npy"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// idx builds an IDX file.
func idx[T any](kind byte, values []T, shape ...int) []byte {
	b := []byte{0, 0, kind, byte(len(shape))}
	for _, d := range shape {
		b = binary.BigEndian.AppendUint32(b, uint32(d))
	}
	b, _ = binary.Append(b, binary.BigEndian, values)
	return b
}

func gz(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

// ramp returns 0, 1, 2, ….
func ramp(n int) []uint8 {
	out := make([]uint8, n)
	for i := range out {
		out[i] = uint8(i)
	}
	return out
}

func npyFile(t testing.TB, v *tensor.Tensor) []byte {
	var b bytes.Buffer
	if err := npy.Write(&b, v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func npzFile(t testing.TB, arrays ...npy.Named) []byte {
	var b bytes.Buffer
	if err := npy.WriteArchive(&b, arrays); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func cifarFile(labels ...uint8) []byte {
	var b []byte
	for i, l := range labels {
		b = append(b, l)
		for k := range 3 * cifarPixels {
			b = append(b, uint8(k/cifarPixels*50+k%cifarPixels%50+i))
		}
	}
	return b
}

// picture encodes a grey-coloured gradient.
func picture(t testing.TB, name string, w, h int, shade uint8) []byte {
	im := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		im.Set(i%w, i/w, color.RGBA{shade, uint8(i % w), uint8(i / w), 255})
	}
	var b bytes.Buffer
	encode := map[string]func(io.Writer, image.Image) error{
		".png": png.Encode, ".bmp": bmp.Encode,
		".jpg": func(w io.Writer, m image.Image) error { return jpeg.Encode(w, m, nil) },
		".gif": func(w io.Writer, m image.Image) error { return gif.Encode(w, m, nil) },
	}[filepath.Ext(name)]
	if err := encode(&b, im); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// folder writes files and returns where.
func folder(t testing.TB, files map[string][]byte) string {
	dir := t.TempDir()
	for name, data := range files {
		save(t, filepath.Join(dir, filepath.FromSlash(name)), data)
	}
	return dir
}

// summary lists the samples of a part: names below dir, shapes, first elements and labels.
func summary(t *testing.T, dir string, p *Part) []string {
	t.Helper()
	var out []string
	for i := range p.Len() {
		s := Sample{}
		if err := p.source.Read(p.order[i], s); err != nil {
			t.Fatal(err)
		}
		line := strings.TrimPrefix(filepath.ToSlash(p.SampleName(i)), filepath.ToSlash(dir)+"/")
		for _, name := range sortedKeys(s) {
			v := s[name]
			line += fmt.Sprintf(" %s %s", name, v)
			if v.Type == onnx.String {
				line += fmt.Sprint(v.Strings())
				continue
			}
			first := make([]float32, v.Len())
			if !v.Floats(first, 0) {
				t.Fatal(v)
			}
			line += fmt.Sprint(first[:min(len(first), 3)])
		}
		out = append(out, line)
	}
	return out
}

func TestFormats(t *testing.T) {
	images := func(n, from int) []byte { return idx(8, ramp(6*n + from)[from:], n, 2, 3) }
	pixels := func(n int, shape ...int) *tensor.Tensor { return tensor.From(ramp(n), shape...) }
	batch := image.NewRGBA(image.Rect(0, 0, cifarPixels, 2))
	for i := range batch.Pix {
		batch.Pix[i] = uint8(i%4*10+i/4%7) | 255*uint8(i%4/3)
	}
	var batchPNG bytes.Buffer
	png.Encode(&batchPNG, batch)

	for name, c := range map[string]struct {
		files   map[string][]byte
		spec    Spec // its path is below the folder
		part    string
		want    []string
		classes []string
		assumed string
	}{
		"idx": {
			files: map[string][]byte{"train-images-idx3-ubyte": images(2, 0), "train-labels-idx1-ubyte": idx(8, []uint8{3, 4}, 2), "t10k-images-idx3-ubyte.gz": gz(images(1, 50)), "t10k-labels-idx1-ubyte.gz": gz(idx(8, []uint8{9}, 1))},
			part:  "test", want: []string{"t10k-images-idx3-ubyte.gz, image 0 image uint8[2,3,1][50 51 52] label int64[][9]"}, assumed: "format: idx",
		},
		"idx all": {
			files: map[string][]byte{"train-images-idx3-ubyte": images(2, 0), "train-labels-idx1-ubyte": idx(8, []uint8{3, 4}, 2), "test-images.idx3-ubyte": images(1, 50), "test-labels.idx1-ubyte": idx(8, []uint8{9}, 1)},
			want: []string{
				"train-images-idx3-ubyte, image 0 image uint8[2,3,1][0 1 2] label int64[][3]", "train-images-idx3-ubyte, image 1 image uint8[2,3,1][6 7 8] label int64[][4]",
				"test-images.idx3-ubyte, image 0 image uint8[2,3,1][50 51 52] label int64[][9]",
			},
		},
		"idx split": {
			files: map[string][]byte{"train-images-idx3-ubyte": images(4, 0), "train-labels-idx1-ubyte": idx(8, []uint8{3, 4, 5, 6}, 4)},
			spec:  Spec{Split: map[string]string{"val": "3:"}},
			part:  "val", want: []string{"train-images-idx3-ubyte, image 3 image uint8[2,3,1][18 19 20] label int64[][6]"},
		},
		"idx file": {
			files: map[string][]byte{"a-images-idx3-ubyte": images(1, 5), "a-labels-idx1-ubyte.gz": gz(idx(8, []uint8{1}, 1)), "b-images-idx3-ubyte": images(1, 0)},
			spec:  Spec{Path: "a-images-idx3-ubyte"}, want: []string{"a-images-idx3-ubyte, image 0 image uint8[2,3,1][5 6 7] label int64[][1]"},
		},
		"idx of floats": {
			files: map[string][]byte{"images-idx2": idx(13, []float32{1, 2, 3, 4}, 2, 2)}, part: "train", assumed: "train: the data is not divided, so all samples",
			want: []string{"images-idx2, image 0 x float32[2][1 2]", "images-idx2, image 1 x float32[2][3 4]"},
		},
		"cifar binary": {
			files: map[string][]byte{"data_batch_1.bin": cifarFile(1), "data_batch_2.bin": cifarFile(2, 3), "test_batch.bin": cifarFile(7)}, part: "train", classes: cifarClasses,
			want: []string{"data_batch_1.bin, image 0 image uint8[32,32,3][0 50 100] label int64[][1]", "data_batch_2.bin, image 0 image uint8[32,32,3][0 50 100] label int64[][2]", "data_batch_2.bin, image 1 image uint8[32,32,3][1 51 101] label int64[][3]"},
		},
		"cifar PNG": {
			files: map[string][]byte{"package/data_batch_1.png": batchPNG.Bytes(), "package/test_batch.png": batchPNG.Bytes(), "package/test_lables.json": []byte("[3,8]"), "package/train_lables.json": []byte("[1, 2]")}, part: "test", classes: cifarClasses,
			want: []string{"package/test_batch.png, image 0 image uint8[32,32,3][0 10 20] label int64[][3]", "package/test_batch.png, image 1 image uint8[32,32,3][2 12 22] label int64[][8]"},
		},
		"class folders": {
			files: map[string][]byte{"cat/b.png": picture(t, "b.png", 3, 2, 9), "cat/deep/a.GIF": picture(t, "a.gif", 2, 2, 0), "ant/x.bmp": picture(t, "x.bmp", 4, 2, 7), "ant/readme.txt": nil, ".git/x": nil}, classes: []string{"ant", "cat"},
			want: []string{"ant/x.bmp image uint8[2,4,3][7 0 0] label int64[][0]", "cat/b.png image uint8[2,3,3][9 0 0] label int64[][1]", "cat/deep/a.GIF image uint8[2,2,3][0 0 0] label int64[][1]"},
		},
		"class folders by name": { // some of the classes, which are not in alphabetical order
			files: map[string][]byte{"cat/1.png": picture(t, "1.png", 1, 1, 1), "ant/1.png": picture(t, "1.png", 1, 1, 2)}, spec: Spec{Classes: []string{"cat", "bee", "ant"}}, classes: []string{"cat", "bee", "ant"},
			want: []string{"ant/1.png image uint8[1,1,3][2 0 0] label int64[][2]", "cat/1.png image uint8[1,1,3][1 0 0] label int64[][0]"},
		},
		"class folders of other names": {
			files: map[string][]byte{"n1/1.png": picture(t, "1.png", 1, 1, 1), "n2/1.png": picture(t, "1.png", 1, 1, 2)}, spec: Spec{Classes: []string{"cat", "ant"}}, classes: []string{"cat", "ant"},
			want: []string{"n1/1.png image uint8[1,1,3][1 0 0] label int64[][0]", "n2/1.png image uint8[1,1,3][2 0 0] label int64[][1]"},
		},
		"parts of class folders": {
			files: map[string][]byte{"train/a/1.png": picture(t, "1.png", 1, 1, 1), "train/b/1.png": picture(t, "1.png", 1, 1, 2), "valid/a/2.png": picture(t, "1.png", 1, 1, 3), "valid/b/2.png": picture(t, "1.png", 1, 1, 4)}, part: "test",
			classes: []string{"a", "b"}, want: []string{"valid/a/2.png image uint8[1,1,3][3 0 0] label int64[][0]", "valid/b/2.png image uint8[1,1,3][4 0 0] label int64[][1]"}, assumed: "test: the part val, as there is none of its own",
		},
		"labels.tsv": {
			files: map[string][]byte{"labels.tsv": []byte("x/2.png\t1\tn02\tsea \"cat\nx/1.png\t0\tn01\tdog\n"), "x/1.png": picture(t, "1.png", 1, 1, 1), "x/2.png": picture(t, "1.png", 1, 1, 2)}, classes: []string{"dog", `sea "cat`},
			want: []string{"x/2.png image uint8[1,1,3][2 0 0] label int64[][1]", "x/1.png image uint8[1,1,3][1 0 0] label int64[][0]"},
		},
		"labels.csv": {
			files: map[string][]byte{"labels.csv": []byte("file,class\n1.png,zebra\n2.png,ape\n"), "1.png": picture(t, "1.png", 1, 1, 1), "2.png": picture(t, "1.png", 1, 1, 2)}, classes: []string{"ape", "zebra"},
			want: []string{"1.png image uint8[1,1,3][1 0 0] label int64[][1]", "2.png image uint8[1,1,3][2 0 0] label int64[][0]"},
		},
		"images alone": {
			files: map[string][]byte{"1.png": picture(t, "1.png", 2, 1, 1)}, want: []string{"1.png image uint8[1,2,3][1 0 0]"},
		},
		"npz": {
			files: map[string][]byte{"d.npz": npzFile(t, npy.Named{Name: "x", Tensor: pixels(24, 2, 3, 2, 2)}, npy.Named{Name: "y", Tensor: tensor.From([]uint8{5, 6}, 2)})}, spec: Spec{Path: "d.npz"},
			want: []string{"d.npz, sample 0 x uint8[2,2,3][0 4 8] y int64[][5]", "d.npz, sample 1 x uint8[2,2,3][12 16 20] y int64[][6]"},
		},
		"npz with parts": {
			files: map[string][]byte{"d.npz": npzFile(t, npy.Named{Name: "X_train", Tensor: tensor.From([]float32{1, 2}, 1, 2)}, npy.Named{Name: "y_train", Tensor: tensor.From([]int64{1}, 1)}, npy.Named{Name: "X_test", Tensor: tensor.From([]float32{3, 4}, 1, 2)}, npy.Named{Name: "y_test", Tensor: tensor.FromStrings([]string{"a"}, 1)})},
			spec:  Spec{Path: "d.npz", Classes: []string{"b", "a"}}, part: "test", want: []string{"d.npz, sample 0 X float32[2][3 4] y int64[][1]"}, classes: []string{"b", "a"},
		},
		"npz, ragged": {
			files: map[string][]byte{"d.npz": npzFile(t, npy.Named{Name: "points", Tensor: tensor.From([]float32{1, 2, 3, 4, 5, 6}, 3, 2)}, npy.Named{Name: "points_offsets", Tensor: tensor.From([]int32{0, 0, 3}, 3)}, npy.Named{Name: "kind", Tensor: tensor.From([]float64{1, 0}, 2)}, npy.Named{Name: "text", Tensor: tensor.FromStrings([]string{"p", "q"}, 2)})},
			spec:  Spec{Path: "d.npz", Labels: "kind"},
			want:  []string{"d.npz, sample 0 kind int64[][1] points float32[0,2][] text string[][p]", "d.npz, sample 1 kind int64[][0] points float32[3,2][1 2 3] text string[][q]"},
		},
		"npy folder": {
			files: map[string][]byte{"x.npy": npyFile(t, pixels(6, 1, 2, 3)), "y.npy": npyFile(t, tensor.From([]int32{8}, 1))},
			want:  []string{", sample 0 x uint8[2,3,1][0 1 2] y int64[][8]"},
		},
		"npy pair": {
			files: map[string][]byte{"x_test.npy": npyFile(t, tensor.From([]float32{1, 2}, 2)), "y_test.npy": npyFile(t, tensor.From([]int32{8, 9}, 2)), "z.npy": nil}, spec: Spec{Path: "x_test.npy"}, part: "test",
			want: []string{"x_test.npy, sample 0 x float32[][1] y int64[][8]", "x_test.npy, sample 1 x float32[][2] y int64[][9]"},
		},
		"csv": {
			files: map[string][]byte{"d.csv": []byte("\ufeffa,label,b\n1,dog,2\n-3e1, cat,1e39\n")}, spec: Spec{Path: "d.csv"}, classes: []string{"cat", "dog"},
			want: []string{"d.csv, row 1 label int64[][1] x float32[2][1 2]", "d.csv, row 2 label int64[][0] x float32[2][-30 +Inf]"},
		},
		"tsv, named": {
			files: map[string][]byte{"d.tsv": []byte("a\tb\n1\t2.5\n3\t4\n")}, spec: Spec{Path: "d.tsv", Labels: "b"},
			want: []string{"d.tsv, row 1 b float32[][2.5] x float32[1][1]", "d.tsv, row 2 b float32[][4] x float32[1][3]"},
		},
		"csv without names": {
			files: map[string][]byte{"train.csv": []byte("1,2,0\n3,4,1\n"), "test.csv": []byte("5,6,1\n")}, part: "test",
			want: []string{"test.csv, row 1 label int64[][1] x float32[2][5 6]"}, assumed: "its last column is taken for the classes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, c.files)
			s := c.spec
			s.Path = filepath.Join(dir, s.Path)
			set, err := Open(&s)
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close()
			p, err := set.Part(c.part)
			if err != nil {
				t.Fatal(err)
			}
			got := summary(t, dir, p)
			for i := range got {
				got[i] = strings.TrimPrefix(got[i], dir)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if !slices.Equal(set.Classes, c.classes) {
				t.Errorf("classes %q, want %q", set.Classes, c.classes)
			}
			if !strings.Contains(strings.Join(set.Assumed, "\n"), c.assumed) {
				t.Errorf("assumed %q, want %q", set.Assumed, c.assumed)
			}
		})
	}
}

// openAll opens a part and reads all of it.
func openAll(s *Spec, part string) error {
	set, err := Open(s)
	if err != nil {
		return err
	}
	defer set.Close()
	p, err := set.Part(part)
	if err != nil {
		return err
	}
	for _, err := range p.Batches(ctx, Options{}) {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestBadData(t *testing.T) {
	one := idx(8, ramp(6), 1, 2, 3)
	small := picture(t, "a.png", 2, 2, 0)
	bomb := slices.Clone(small)
	copy(bomb[16:], []byte{0, 1, 0, 0, 0, 1, 0, 0}) // 65536 × 65536 pixels, and a checksum that would be found wrong later
	for name, c := range map[string]struct {
		files map[string][]byte
		spec  Spec
		want  []string
	}{
		"nothing":         {map[string][]byte{"readme.txt": nil}, Spec{}, []string{"no data of a known format"}},
		"unknown file":    {map[string][]byte{"a.txt": nil}, Spec{Path: "a.txt"}, []string{"a.txt: not a file of a known format"}},
		"idx cut":         {map[string][]byte{"train-images-idx3-ubyte": one[:20]}, Spec{}, []string{"train-images-idx3-ubyte", "4 bytes follow the header, uint8[1,2,3] needs 6"}},
		"idx type":        {map[string][]byte{"train-images-idx3-ubyte": {0, 0, 7, 1}}, Spec{}, []string{"no type 0x7"}},
		"idx foreign":     {map[string][]byte{"train-images-idx3-ubyte": []byte("hello")}, Spec{}, []string{"not an IDX file"}},
		"idx header":      {map[string][]byte{"train-images-idx3-ubyte": {0, 0, 8, 3, 0}}, Spec{}, []string{"ends inside its header"}},
		"idx giant":       {map[string][]byte{"train-images-idx3-ubyte": idx(8, []uint8{}, 1<<32-1, 1<<32-1, 1<<32-1)}, Spec{}, []string{"more elements than memory"}},
		"idx gzip":        {map[string][]byte{"train-images-idx3-ubyte.gz": gz(one)[:20]}, Spec{}, []string{"train-images-idx3-ubyte.gz: gzip: unexpected EOF"}},
		"idx count":       {map[string][]byte{"train-images-idx3-ubyte": one, "train-labels-idx1-ubyte": idx(8, []uint8{1, 2}, 2)}, Spec{}, []string{"train-labels-idx1-ubyte: uint8[2] beside 1 images"}},
		"idx none":        {map[string][]byte{"train-images-idx3-ubyte": idx(8, []uint8{}, 0, 2, 3)}, Spec{}, []string{"no samples"}},
		"cifar size":      {map[string][]byte{"test_batch.bin": make([]byte, 5000)}, Spec{}, []string{"test_batch.bin: 5000 bytes are no whole number"}},
		"cifar labels":    {map[string][]byte{"test_batch.png": picture(t, "a.png", 1024, 2, 0), "test_lables.json": []byte("[1]")}, Spec{}, []string{"test_lables.json: 1 labels for 2 images"}},
		"cifar no labels": {map[string][]byte{"test_batch.png": picture(t, "a.png", 1024, 2, 0)}, Spec{}, []string{"test_labels.json: no such file"}},
		"cifar width":     {map[string][]byte{"test_batch.png": small, "test_lables.json": []byte("[1]")}, Spec{}, []string{"rows of 1024 pixels"}},
		"cifar class":     {map[string][]byte{"test_batch.bin": cifarFile(3, 10)}, Spec{}, []string{"test_batch.bin, image 1: label 10 is out of range, there are 10 classes"}},
		"empty class":     {map[string][]byte{"a/1.png": small, "b/readme.txt": nil}, Spec{}, []string{"b: a class without images"}},
		"class alone":     {map[string][]byte{"train/a/1.png": small, "test/b/1.png": small}, Spec{}, []string{`its classes differ from those beside it: "b" is missing`}},
		"folder unknown":  {map[string][]byte{"ant/1.png": small, "cats/1.png": small}, Spec{Classes: []string{"cat", "ant"}}, []string{`folder "cats" has the name of none of the 2 classes; did you mean "cat"?`}},
		"folder count":    {map[string][]byte{"n1/1.png": small, "n2/1.png": small}, Spec{Classes: []string{"cat", "bee", "ant"}}, []string{"2 folders (n1, …), none of which has the name of one of the 3 classes (cat, …)"}},
		"broken image":    {map[string][]byte{"a/1.png": small[:len(small)-20]}, Spec{}, []string{"a/1.png: PNG image: "}},
		"empty image":     {map[string][]byte{"a/1.png": nil}, Spec{}, []string{"a/1.png: the file is empty"}},
		"no image":        {map[string][]byte{"a/1.png": []byte("hello")}, Spec{}, []string{"a/1.png: not an image of a known format"}},
		"bomb":            {map[string][]byte{"a/1.png": bomb}, Spec{}, []string{"a/1.png: PNG image"}},
		"missing image":   {map[string][]byte{"labels.tsv": []byte("x.png\t0\n")}, Spec{}, []string{"x.png: no such file"}},
		"outside":         {map[string][]byte{"labels.tsv": []byte("../x.png\t0\n")}, Spec{}, []string{"labels.tsv: row 1", "not a file below the folder"}},
		"list":            {map[string][]byte{"labels.tsv": []byte("file\tclass\n")}, Spec{}, []string{"it names no images"}},
		"crop":            {map[string][]byte{"a/1.png": small}, Spec{Preprocess: Preprocess{Crop: 3}}, []string{"a/1.png: field image: ", "too small for a crop of 3"}},
		"sizes":           {map[string][]byte{"a/1.png": small, "a/2.png": picture(t, "2.png", 3, 3, 0)}, Spec{}, nil},
		"npz":             {map[string][]byte{"a.npz": []byte("PK\x03\x04")}, Spec{Path: "a.npz"}, []string{"a.npz: npy: zip"}},
		"npz array":       {map[string][]byte{"a.npz": npzFile(t, npy.Named{Name: "x", Tensor: tensor.Scalar(float32(1))})}, Spec{Path: "a.npz"}, []string{"a.npz: array x has no dimension for the samples"}},
		"npz count":       {map[string][]byte{"a.npz": npzFile(t, npy.Named{Name: "x", Tensor: tensor.From([]float32{1}, 1)}, npy.Named{Name: "y", Tensor: tensor.From([]int64{1, 2}, 2)})}, Spec{Path: "a.npz"}, []string{"array y has 2 samples, another has 1"}},
		"npz offsets":     {map[string][]byte{"a.npz": npzFile(t, npy.Named{Name: "x", Tensor: tensor.From([]float32{1}, 1)}, npy.Named{Name: "x_offsets", Tensor: tensor.From([]int64{0, 9, 1}, 3)})}, Spec{Path: "a.npz"}, []string{"array x_offsets: element 1: offset 9 is outside"}},
		"npy":             {map[string][]byte{"x.npy": []byte("hello")}, Spec{}, []string{"x.npy: npy: not an NPY file"}},
		"label":           {map[string][]byte{"a.npz": npzFile(t, npy.Named{Name: "x", Tensor: tensor.From([]float32{1}, 1)}, npy.Named{Name: "y", Tensor: tensor.From([]int64{-1}, 1)})}, Spec{Path: "a.npz"}, []string{"a.npz, sample 0: label -1 is out of range"}},
		"csv number":      {map[string][]byte{"a.csv": []byte("a,y\n1,2\nx,3\n")}, Spec{Path: "a.csv"}, []string{`a.csv: line 3, column 1: "x" is not a number`}},
		"csv width":       {map[string][]byte{"a.csv": []byte("a,y\n1,2\n3\n")}, Spec{Path: "a.csv"}, []string{"a.csv: record on line 3: wrong number of fields"}},
		"csv label":       {map[string][]byte{"a.csv": []byte("a,y\n1,2\n")}, Spec{Path: "a.csv", Labels: "z"}, []string{`labels: no column is called "z"`}},
		"csv class":       {map[string][]byte{"a.csv": []byte("a,y\n1,dog\n")}, Spec{Path: "a.csv", Classes: []string{"cat"}}, []string{`row 1: class "dog" is not known`}},
		"csv empty":       {map[string][]byte{"a.csv": nil}, Spec{Path: "a.csv"}, []string{"a.csv: the file is empty"}},
		"split":           {map[string][]byte{"a/1.png": small}, Spec{Split: map[string]string{"test": "0:5"}}, []string{`split.test: "0:5" reaches beyond the 1 samples`}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, c.files)
			s := c.spec
			s.Path = filepath.Join(dir, s.Path)
			part := ""
			if s.Split != nil {
				part = "test"
			}
			err := openAll(&s, part)
			if c.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var data *job.DataError
			if !errors.As(err, &data) {
				t.Fatalf("%T %v", err, err)
			}
			for _, w := range c.want {
				if !strings.Contains(filepath.ToSlash(err.Error()), w) {
					t.Errorf("%v\nlacks %q", err, w)
				}
			}
		})
	}
	if err := openAll(&Spec{Path: filepath.Join(t.TempDir(), "none")}, ""); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestUsage(t *testing.T) {
	dir := folder(t, map[string][]byte{"train-images-idx3-ubyte": idx(8, ramp(6), 1, 2, 3), "b-train-images-idx3-ubyte": idx(8, ramp(6), 1, 2, 3), "t10k-images-idx3-ubyte": idx(8, ramp(6), 1, 2, 3)})
	var usage *job.UsageError
	if err := openAll(&Spec{Path: dir}, "test"); !errors.As(err, &usage) || !contains(err, "several files of images for one part") {
		t.Error(err)
	}
	os.Remove(filepath.Join(dir, "b-train-images-idx3-ubyte"))
	for part, want := range map[string]string{"tests": `there is no part "tests"; did you mean "test"?`, "val": ""} {
		if err := openAll(&Spec{Path: dir}, part); want != "" && (!errors.As(err, &usage) || !contains(err, want)) {
			t.Error(err)
		}
	}
	os.Remove(filepath.Join(dir, "t10k-images-idx3-ubyte"))
	if err := openAll(&Spec{Path: dir}, "test"); !errors.As(err, &usage) || !contains(err, "has no part test; split in the data document can make one") {
		t.Error(err)
	}
	if err := openAll(&Spec{Path: dir, Collate: map[string]string{"imag": "pad"}}, "train"); !errors.As(err, &usage) || !contains(err, `no field "imag"; did you mean "image"?`) {
		t.Error(err)
	}
	if err := openAll(&Spec{Path: dir, Format: "x"}, "train"); !errors.As(err, &usage) {
		t.Error(err)
	}
}

// TestShares checks that shares of the samples have none in common, take all of them, and are not the first ones.
func TestShares(t *testing.T) {
	dir := folder(t, map[string][]byte{"x.npy": npyFile(t, tensor.From(make([]float32, 1000), 1000))})
	set, err := Open(&Spec{Path: dir, Split: map[string]string{"train": "0.7", "val": "0.1", "test": "0.2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	seen := map[int]int{}
	for part, want := range map[string]int{"train": 700, "val": 100, "test": 200} {
		p, err := set.Part(part)
		if err != nil || p.Len() != want || !slices.IsSorted(p.order) {
			t.Fatal(part, p.Len(), err)
		}
		late := 0
		for _, i := range p.order {
			seen[i]++
			if i >= 500 {
				late++
			}
		}
		if share := float64(late) / float64(want); math.Abs(share-0.5) > 0.15 {
			t.Errorf("%s: %v of the samples are of the second half", part, share)
		}
	}
	if len(seen) != 1000 {
		t.Errorf("%d of 1000 samples, or some twice", len(seen))
	}
}

// TestRealData reads the public data sets where they are.
func TestRealData(t *testing.T) {
	for name, want := range map[string][2]int{"mnist": {60000, 10000}, "fashion-mnist": {60000, 10000}, "cifar10": {50000, 10000}} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("..", "data", name)
			if _, err := os.Stat(dir); err != nil || testing.Short() {
				t.Skipf("no data/%s: make data brings it", name)
			}
			set, err := Open(&Spec{Path: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close()
			for i, part := range []string{"train", "test"} {
				p, err := set.Part(part)
				if err != nil || p.Len() != want[i] {
					t.Fatal(p, err)
				}
				count := map[int64]int{}
				for i := range p.Len() {
					count[p.source.(labelled).label(i)]++
				}
				if len(count) != 10 || name != "mnist" && count[3] != want[i]/10 {
					t.Error(count)
				}
			}
		})
	}
}

func FuzzIDX(f *testing.F) {
	f.Add(idx(8, ramp(6), 1, 2, 3))
	f.Add(idx(13, []float32{1, 2}, 2))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := decodeIDX(data)
		if err != nil {
			return
		}
		if v.Size() > len(data) {
			t.Fatal(v, "from", len(data), "bytes")
		}
		c := newColumn("image", v)
		c.asImage()
		for i := range min(v.Shape[0], 10) {
			c.read(i)
		}
	})
}

func FuzzCIFAR(f *testing.F) {
	f.Add(cifarFile(1, 2))
	f.Fuzz(func(t *testing.T, data []byte) {
		var b table
		if b.cifarBinary(data) != nil {
			return
		}
		s := Sample{}
		if b.n*cifarRecord != len(data) || b.Read(b.n-1, s) != nil || s["image"].Bytes()[0] != data[len(data)-3*cifarPixels] {
			t.Fatal(b.n, s)
		}
	})
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("a,label,b\n1,dog,2\n-3e1,cat,1e39\n"))
	f.Add([]byte("1,2,0\n3,4,1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var b table
		if b.readCSV(data, ',', &Spec{}, &found{}) != nil {
			return
		}
		b.where = within("x", "row")
		for i := range b.n {
			s := Sample{}
			if b.Read(i, s) != nil || len(s) != len(b.Fields()) {
				t.Fatal(s, b.Fields())
			}
		}
	})
}

func FuzzList(f *testing.F) {
	f.Add([]byte("x.png\t1\tn02\tcat\n"))
	f.Add([]byte("file\tclass\na.png\tape\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parseList(data, "dir/labels.tsv", &Spec{}, &found{})
		if err != nil {
			return
		}
		if len(l.labels) != len(l.paths) || l.Len() == 0 {
			t.Fatal(l)
		}
		for _, p := range l.paths {
			if !strings.HasPrefix(filepath.ToSlash(p), "dir/") && p != "dir" {
				t.Fatalf("%q is outside", p)
			}
		}
	})
}

func FuzzImage(f *testing.F) {
	for _, name := range []string{"a.png", "a.jpg", "a.gif", "a.bmp"} {
		f.Add(picture(f, name, 9, 7, 3))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		im, err := decodeImage(data)
		if err != nil {
			return
		}
		if _, _, _, _, err := checkImage(im); err != nil {
			t.Fatal(err)
		}
	})
}
