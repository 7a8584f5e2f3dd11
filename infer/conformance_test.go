package infer

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/internal/conformance"
	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/tensor"
)

var update = flag.Bool("update", false, "rewrite testdata/conformance.txt with the cases that pass")

// TestConformance runs all cases of the folder EFFML_CONFORMANCE as a user would, with and without optimisation.
// testdata/conformance.txt lists the cases that must pass; testdata/conformance-skip.txt those that cannot, each with the
// reason, and must not pass: a line that is no longer true is an error. Cases on neither list must pass. NAME@N in the skip list is the case
// as releases of ONNX have it in which its model imports opset N: tests of one name have other data in others.
func TestConformance(t *testing.T) {
	dir, names := conformance.Folder(t)
	expected, skips := readList(t, "conformance.txt"), readList(t, "conformance-skip.txt")
	type tally struct{ passed, failed, skipped int }
	counts := map[string]*tally{}
	var passed []string
	for _, name := range names {
		c, err := conformance.Read(dir, name)
		if err == nil {
			err = runCase(c)
		}
		op := operatorOf(c)
		if counts[op] == nil {
			counts[op] = &tally{}
		}
		name = path.Base(name)
		reason, skip := skips[name]
		if !skip {
			reason, skip = skips[fmt.Sprintf("%s@%d", name, c.Opset())]
		}
		switch _, must := expected[name]; {
		case err == nil:
			counts[op].passed++
			passed = append(passed, name)
			if skip {
				t.Errorf("%s passes, but is to be skipped: %s", name, reason)
			}
		case skip:
			counts[op].skipped++
		case must:
			counts[op].failed++
			t.Errorf("%s, which is expected to pass: %v", name, err)
		default:
			counts[op].failed++
			t.Errorf("%s: %v", name, err)
		}
	}
	var all tally
	for _, op := range slices.Sorted(maps.Keys(counts)) {
		n := counts[op]
		t.Logf("%-32s %4d passed %4d failed %4d skipped", op, n.passed, n.failed, n.skipped)
		all.passed, all.failed, all.skipped = all.passed+n.passed, all.failed+n.failed, all.skipped+n.skipped
	}
	t.Logf("%-32s %4d passed %4d failed %4d skipped", "all", all.passed, all.failed, all.skipped)
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", "conformance.txt"), []byte(strings.Join(passed, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// readList reads lines of a name and a text; # begins a comment.
func readList(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", file))
	if errors.Is(err, os.ErrNotExist) && *update {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		name, text, _ := strings.Cut(strings.TrimSpace(s.Text()), " ")
		if name == "" || name[0] == '#' {
			continue
		}
		if _, twice := list[name]; twice {
			t.Errorf("%s lists %s twice", file, name)
		}
		list[name] = text
	}
	return list
}

// operatorOf returns the only operator of a case.
func operatorOf(c *conformance.Case) string {
	if c.Model == nil || len(c.Model.Graph.Nodes) != 1 {
		return "(several)"
	}
	n := c.Model.Graph.Nodes[0]
	if n.Domain != "" {
		return n.Domain + "." + n.OpType
	}
	return n.OpType
}

// runCase returns what is wrong.
func runCase(c *conformance.Case) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	set, err := isa.FromEnv()
	if err != nil {
		return err
	}
	for _, noFuse := range []bool{false, true} {
		if err := runSets(c, Options{ISA: set, Threads: 2, NoFuse: noFuse}); err != nil {
			return fmt.Errorf("NoFuse %v: %w", noFuse, err)
		}
	}
	return nil
}

func runSets(c *conformance.Case, o Options) error {
	s, err := New(c.Model, o)
	if err != nil {
		return err
	}
	defer s.Close()
	r := s.NewRunner()
	for i, set := range c.Sets {
		in := make([]*tensor.Tensor, 0, len(set.Inputs))
		for k, v := range set.Inputs {
			if slices.ContainsFunc(s.Inputs(), func(w Value) bool { return w.Name == c.Model.Graph.Inputs[k].Name }) {
				in = append(in, v)
			}
		}
		for range 2 { // the second run finds memory as the first left it
			out, err := r.Run(context.Background(), in)
			if err != nil {
				return fmt.Errorf("set %d: %w", i, err)
			}
			for k, want := range set.Outputs {
				if err := conformance.Compare(out[k], want); err != nil {
					return fmt.Errorf("set %d, output %d: %w", i, k, err)
				}
			}
		}
	}
	return nil
}
