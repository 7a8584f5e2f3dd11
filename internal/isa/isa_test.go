package isa

import (
	"slices"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name string
		best Set
		want Set
		err  string
	}{
		{"", AVX2, AVX2, ""},
		{"", Generic, Generic, ""},
		{"generic", AVX512, Generic, ""},
		{"avx2", AVX512, AVX2, ""},
		{"avx512", AVX512, AVX512, ""},
		{"avx512", AVX2, Generic, "this processor has no more than avx2"},
		{"AVX2", AVX512, Generic, "want one of generic, avx2, avx512"},
		{"sse", AVX512, Generic, `EFFML_ISA="sse"`},
	} {
		got, err := choose(c.name, c.best)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("choose(%q, %s): error %v, want %q", c.name, c.best, err, c.err)
		}
		if got != c.want {
			t.Errorf("choose(%q, %s) = %s, want %s", c.name, c.best, got, c.want)
		}
	}
}

func TestFromEnv(t *testing.T) {
	t.Setenv(Env, "generic")
	if s, err := FromEnv(); err != nil || s != Generic {
		t.Errorf("FromEnv() = %v, %v", s, err)
	}
	t.Setenv(Env, "neon")
	if _, err := FromEnv(); err == nil {
		t.Error("an unknown set was accepted")
	}
}

// The feature list must agree with the choice: it is what a reader of `version --json` compares.
func TestProcessorAgreesWithBest(t *testing.T) {
	p := Processor()
	for set, feature := range map[Set]string{AVX2: "AVX2", AVX512: "AVX512F"} {
		if Best() >= set && !slices.Contains(p.Features, feature) {
			t.Errorf("%s was chosen but %s is not among the features %v", Best(), feature, p.Features)
		}
	}
	if p.L1D < 0 || p.L2 < 0 || p.L3 < 0 {
		t.Errorf("negative cache size in %+v", p)
	}
}
