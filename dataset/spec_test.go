package dataset

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/effml/effml/internal/job"
)

func TestParse(t *testing.T) {
	got, err := Parse([]byte(`
format: images
path: ../imagenet-sample-256
split: {train: "0:800", test: "800:1000"}
preprocess: {resize: 256, crop: 227, channels: bgr, scale: 1/255, mean: [104, 117, 123], std: [1, 0.5, 2]}
inputs: {data: image}
labels: label
collate: {image: join}
classes: [a, b]
augment: {flip: 0.5, resized_crop: {size: 64, scale: [0.2, 1]}, cut_out: 8}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Spec{
		Format: "images", Path: "../imagenet-sample-256", Split: map[string]string{"train": "0:800", "test": "800:1000"},
		Preprocess: Preprocess{Resize: 256, Crop: 227, Channels: "bgr", Scale: 1.0 / 255, Mean: []Number{104, 117, 123}, Std: []Number{1, 0.5, 2}},
		Inputs:     map[string]string{"data": "image"}, Labels: "label", Collate: map[string]string{"image": "join"}, Classes: []string{"a", "b"},
		Augment: Augment{Flip: 0.5, ResizedCrop: &ResizedCrop{Size: 64, Scale: [2]float64{0.2, 1}}, CutOut: 8},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestParseReportsAllProblems(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"key":      {"path: x\npreproces: {crop: 3}\n", []string{`line 2: unknown key "preproces"`, `did you mean "preprocess"?`}},
		"inner":    {"path: x\npreprocess:\n  cropp: 3\n", []string{`line 3: unknown key "cropp"`, `did you mean "crop"?`}},
		"type":     {"path: x\npreprocess: {crop: big}\n", []string{"line 2", "big"}},
		"number":   {"path: x\npreprocess: {scale: 1/0}\n", []string{"line 2", "not a finite number"}},
		"empty":    {"", []string{"the file is empty"}},
		"two":      {"path: x\n---\npath: y\n", []string{"more than one"}},
		"no path":  {"format: idx\n", []string{"path: it must name"}},
		"format":   {"path: x\nformat: image\n", []string{`format: "image" is not known; did you mean "images"?`}},
		"split":    {"path: x\nsplit: {tests: 0.5, train: '5:2', test: x, val: 1.5}\n", []string{`part "tests" is not known; did you mean "test"?`, `range "5:2" is empty`, `"x" is neither`, `"1.5" is neither`}},
		"shares":   {"path: x\nsplit: {train: 0.8, test: 0.3}\n", []string{"more than the whole"}},
		"mixed":    {"path: x\nsplit: {train: 0.8, test: '0:3'}\n", []string{"cannot be mixed"}},
		"prepare":  {"path: x\npreprocess: {crop: 300, resize: 200, channels: rbg, mean: [1, 2], std: [0], layout: chw}\n", []string{"crop: 300 is more", `"rbg" is not known`, "mean: 2 numbers", "std: it must not be 0", `"chw" is not known`}},
		"range":    {"path: x\npreprocess: {crop: -1}\n", []string{"crop: -1 is out of range, it must be 0 to 65536"}},
		"augment":  {"path: x\naugment: {flip: 2, pad_crop: -1, cut_out: -2, resized_crop: {size: -1, scale: [1, 0.5], ratio: [0, 1]}}\n", []string{"augment.flip", "augment.pad_crop", "augment.cut_out", "resized_crop.size", "resized_crop.scale", "resized_crop.ratio"}},
		"two crop": {"path: x\naugment: {pad_crop: 4, resized_crop: {}}\n", []string{"there is a resized_crop already"}},
		"collate":  {"path: x\ncollate: {a: raged}\n", []string{`collate.a: "raged" is not known; did you mean "ragged"?`}},
		"inputs":   {"path: x\ninputs: {a: ''}\nclasses: [q, q]\n", []string{"inputs.a", `"q" is there twice`}},
	} {
		_, err := Parse([]byte(c.text))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v\nlacks %q", name, err, w)
			}
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	save(t, dir+"/d.yaml", []byte("path: images\n"))
	save(t, dir+"/bad.yaml", []byte("pat: images\n"))
	s, err := Load(dir + "/d.yaml")
	if err != nil || s.Path != filepath.Join(dir, "images") {
		t.Error(s, err)
	}
	if s, err := Load(dir); err != nil || s.Path != dir {
		t.Error(s, err)
	}
	_, err = Load(dir + "/bad.yaml")
	var usage *job.UsageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "bad.yaml") || !strings.Contains(err.Error(), "line 1") {
		t.Error(err)
	}
	if _, err := Load(dir + "/none"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestPreprocessSet(t *testing.T) {
	p := Preprocess{Resize: 300, Std: []Number{2}}
	if err := p.Set("resize=256,crop=227,mean=104:117:123,scale=1/256,channels=bgr,layout=nchw"); err != nil {
		t.Fatal(err)
	}
	want := Preprocess{Resize: 256, Crop: 227, Channels: "bgr", Scale: 1.0 / 256, Mean: []Number{104, 117, 123}, Std: []Number{2}, Layout: "nchw"}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("%+v", p)
	}
	var again Preprocess
	if err := again.Set(p.String()); err != nil || !reflect.DeepEqual(again, p) {
		t.Errorf("%s: %+v %v", p.String(), again, err)
	}
	text, err := yaml.Marshal(Spec{Path: "x", Preprocess: p})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := Parse(text); err != nil || !reflect.DeepEqual(s.Preprocess, p) {
		t.Errorf("%s: %v", text, err)
	}
	var usage *job.UsageError
	err = new(Preprocess).Set("crp=3,mean=a,crop,resize=1,resize=2,scale=x")
	if !errors.As(err, &usage) {
		t.Fatal(err)
	}
	for _, w := range []string{`unknown key "crp"; did you mean "crop"?`, `preprocess.mean: "a"`, `"crop" is not of the form`, `"resize" twice`, "preprocess.scale"} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v\nlacks %q", err, w)
		}
	}
}

// FuzzParse checks that what is accepted can be written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte("path: x\npreprocess: {scale: 1/255, mean: [1,2,3]}\nsplit: {train: 0.5, test: '3:'}\n"))
	f.Add([]byte("path: x\naugment: {resized_crop: {size: 3}}\ncollate: {a: pad}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			return
		}
		text, err := yaml.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(text)
		if err != nil || again.Preprocess.String() != s.Preprocess.String() {
			t.Fatalf("%s\n%v", text, err)
		}
	})
}

func FuzzPreprocess(f *testing.F) {
	f.Add("resize=256,crop=227,mean=104:117:123,scale=1/256,channels=bgr")
	f.Fuzz(func(t *testing.T, text string) {
		var p, again Preprocess
		if p.Set(text) != nil {
			return
		}
		if err := again.Set(p.String()); err != nil || again.String() != p.String() {
			t.Fatalf("%s: %v", p.String(), err)
		}
	})
}

func save(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMetadata(t *testing.T) {
	p := Preprocess{Resize: 256, Crop: 224, Scale: 1.0 / 255, Mean: []Number{0.485, 0.456, 0.406}, Std: []Number{0.229, 0.224, 0.225}}
	classes := []string{"tench, Tinca tinca", "line\nbreak", `"`}
	props, err := Metadata(p, classes)
	if err != nil {
		t.Fatal(err)
	}
	props["other"] = "x"
	gotP, gotC, err := FromMetadata(props)
	if err != nil || !reflect.DeepEqual(gotP, p) || !reflect.DeepEqual(gotC, classes) {
		t.Error(gotP, gotC, err)
	}
	if props, err := Metadata(Preprocess{}, nil); err != nil || len(props) != 0 {
		t.Error(props, err)
	}
	for _, bad := range []map[string]string{{PreprocessKey: "crop=x"}, {ClassesKey: "[1"}} {
		if _, _, err := FromMetadata(bad); err == nil {
			t.Errorf("%v was read", bad)
		}
	}
}
