package deepcompress

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/effml/effml/configs"
	"github.com/effml/effml/internal/job"
)

// The first line of each bad plan is the message that it must get.
func TestBadPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d bad plans, %v", len(files), err)
	}
	for _, path := range files {
		first, _, _ := strings.Cut(string(read(t, path)), "\n")
		want := strings.TrimPrefix(first, "# ")
		_, err := LoadPlan(path)
		var usage *job.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v\nwant %s", path, err, want)
		}
	}
	if _, err := LoadPlan("testdata/none.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing plan: %v", err)
	}
}

func TestPresetsLoad(t *testing.T) {
	for _, name := range configs.Presets() {
		p, err := LoadPreset(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.Description == "" || (len(p.Rules) == 0) != (name == "lossless") {
			t.Errorf("%s: %+v", name, p)
		}
	}
	p, err := LoadPreset("")
	if err != nil || p.source != "preset "+DefaultPreset {
		t.Errorf("default: %v, %v", p, err)
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"conv1.weight", "conv1.weight", true},
		{"conv1.weight", "conv1xweight", false},
		{"conv*", "conv1/kernel:0", true},
		{"*.weight", "a.b.weight", true},
		{"*.weight", "a.weight.x", false},
		{"conv?.w", "conv1.w", true},
		{"conv[1-3].w", "conv2.w", true},
		{"conv[^1-3].w", "conv2.w", false},
		{`a\*b`, "a*b", true},
		{`a\*b`, "axb", false},
		{"a+b(c)", "a+b(c)", true},
		{"Größe*", "Größe.é", true},
		{"/conv[0-9]+$/", "x.conv12", true},
		{"/^conv/", "x.conv", false},
		{"*", "", true},
	} {
		p, err := newPattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := p.match(c.name); got != c.want {
			t.Errorf("%s matches %s: %v", c.pattern, c.name, got)
		}
	}
	for _, bad := range []string{"", "[", "/(/", `a\`, "[]"} {
		if _, err := newPattern(bad); err == nil {
			t.Errorf("pattern %q is accepted", bad)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"a*b", "[a-c]?", "/x+/", `\[`, "[^]]", "[[:alpha:]]", "[a\\]]", "é[ü-ý]"} {
		f.Add(s, "abc")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		p, err := newPattern(text)
		if err == nil && strings.ContainsAny(text, `*?[]\/`) {
			p.match(name)
		} else if err == nil && p.match(name) != (text == name) {
			t.Errorf("%q without wildcards matches %q: %v", text, name, p.match(name))
		}
	})
}

func FuzzPlan(f *testing.F) {
	for _, name := range configs.Presets() {
		doc, err := configs.Preset(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Add([]byte("version: 1\nrules:\n- {tensor: a, method: uniform, step: 1e-3, group: 64, prune: {sigma: 1}}\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := parsePlan(doc, "fuzz", true)
		if err != nil {
			var usage *job.UsageError
			if !errors.As(err, &usage) {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		for i := range p.Rules {
			_ = p.Rules[i].selector()
		}
	})
}
