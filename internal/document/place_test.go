package document

import (
	"errors"
	"testing"
)

func TestPlace(t *testing.T) {
	doc := []byte("a: 1\nb:\n  c: 2\n  list:\n    - {x: 1}\n    - {x: 2,\n       y: 3}\n")
	for in, want := range map[string]string{
		"a: wrong":              "line 1: a: wrong",
		"b.c: out: of range":    "line 3: b.c: out: of range",
		"b.list[1].y: wrong":    "line 7: b.list[1].y: wrong",
		"b.list[1].z: missing":  "line 6: b.list[1].z: missing",
		"b.list[7].z: missing":  "line 4: b.list[7].z: missing",
		"z: missing\na: wrong":  "z: missing\nline 1: a: wrong",
		"no place in this text": "no place in this text",
	} {
		if got := Place(doc, errors.New(in)).Error(); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := Place([]byte("a: [\n"), errors.New("a: x")).Error(); got != "a: x" {
		t.Errorf("in a broken document: %q", got)
	}
}
