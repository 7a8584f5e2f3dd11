package document

import (
	"strings"
	"testing"
)

type inner struct {
	Width int `yaml:"width"`
	next  *inner
	Later []inner `yaml:"later"`
}

type common struct {
	Seed int `yaml:"seed"`
}

type outer struct {
	common `yaml:",inline"`
	Common common           `yaml:"common"`
	Layers map[string]inner `yaml:"layers"`
	Hidden int              `yaml:"-"`
	Plain  string
}

func TestDecode(t *testing.T) {
	var v outer
	if err := Decode([]byte("layers: {a: {width: 3, later: [{width: 4}]}}\nplain: x\ncommon: {seed: 2}\n"), &v); err != nil {
		t.Fatal(err)
	}
	if v.Layers["a"].Later[0].Width != 4 || v.Plain != "x" || v.Common.Seed != 2 || v.Layers["a"].next != nil {
		t.Errorf("decoded %+v", v)
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{"", "the file is empty"},
		{"plain: x\n---\nplain: y\n", "more than one YAML document"},
		{"plain: x\nlayer: {}\n", `line 2: unknown key "layer"; did you mean "layers"?`},
		{"layers:\n  a: {widht: 3}\n", `line 2: unknown key "widht"; did you mean "width"?`},
		{"layers:\n  a:\n    later: [{zzzzzz: 3}]\n", `line 3: unknown key "zzzzzz"; there are width, later`},
		{"common: {sed: 1}\n", `unknown key "sed"; did you mean "seed"?`},
		{"hidden: 1\n", `unknown key "hidden"; there are`},
		{"layers: 3\n", "line 1: cannot unmarshal"},
		{"a: [\n", "line 1: did not find expected node content"},
	} {
		var v outer
		if err := Decode([]byte(c.doc), &v); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.doc, err, c.want)
		}
	}
}
