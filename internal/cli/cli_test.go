package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/deepcompress"
	"github.com/effml/effml/evaluate"
	"github.com/effml/effml/internal/atomicfile"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
)

// runMain runs the program in this process.
func runMain(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "6MB": 6e6, "6 MB": 6e6, "500kB": 5e5, "500KB": 5e5, "1.5k": 1500, "2MiB": 2 << 20, "2Mi": 2 << 20,
		"1GB": 1e9, "3TiB": 3 << 40, "12B": 12, "1e3": 1000, "0.0004kB": 0,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MB", "6XB", "6MBB", "-1", "-6MB", "nan", "inf", "1e30", "6iB", "6 M B x", "9.3e18"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestQuoteCommand(t *testing.T) {
	got := quoteCommand([]string{"effml", "compress", "my model.onnx", "--only", "*.weight", "", "it's"})
	want := `effml compress 'my model.onnx' --only '*.weight' '' 'it'\''s'`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The codes are those that `effml help exit-codes` states.
func TestExitCodes(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{cause, 1},
		{fs.ErrNotExist, 1},
		{&job.UsageError{Err: fs.ErrNotExist}, 2},
		{&atomicfile.ExistsError{Path: "x"}, 2},
		{&job.GateError{}, 3},
		{&job.ModelError{Err: cause}, 4},
		{&onnx.FormatError{}, 4},
		{&onnx.ExternalError{Err: fs.ErrNotExist}, 4},
		{&job.DataError{Err: cause}, 5},
		{&job.ResumeError{Err: cause}, 7},
		{&job.VerifyError{Err: cause}, 8},
		{&archive.CorruptError{}, 8},
		{&archive.VersionError{}, 8},
		{&job.ModelError{Err: &archive.VersionError{}}, 8},
		{&archive.NotArchiveError{}, 8},
		{&archive.LimitError{}, 8},
		{context.DeadlineExceeded, 124},
		{context.Canceled, 130},
		{errors.Join(context.Canceled, &archive.CorruptError{}), 130},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("exitCode(%T %v) = %d, want %d", c.err, c.err, got, c.want)
		}
		if c.err != nil {
			if got := exitCode(fmt.Errorf("outer: %w", c.err)); got != c.want {
				t.Errorf("wrapped %T: code %d, want %d", c.err, got, c.want)
			}
			if !strings.Contains(exitCodesTopic, fmt.Sprintf("\n  %-3d  ", c.want)) {
				t.Errorf("code %d is not explained", c.want)
			}
		}
	}
}

func TestGuardTurnsPanicIntoReport(t *testing.T) {
	for _, verbose := range []bool{false, true} {
		var b bytes.Buffer
		code := guard(&b, verbose, func() int { panic("boom") })
		s := b.String()
		if code != 1 || !strings.Contains(s, "internal error: boom") || !strings.Contains(s, "please report it") {
			t.Errorf("code %d: %s", code, s)
		}
		if strings.Contains(s, "goroutine ") != verbose {
			t.Errorf("verbose %v, but the stack says otherwise: %s", verbose, s)
		}
	}
	if code := guard(nil, false, func() int { return 3 }); code != 3 {
		t.Errorf("code %d, want 3", code)
	}
}

func TestMessageKeepsControlCharactersOut(t *testing.T) {
	got := message(errors.New("bad name \x1b[2J\nsecond line"), nil)
	if want := "effml: bad name \uFFFD[2J\n  second line\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := message(&atomicfile.ExistsError{Path: "x"}, nil); !strings.Contains(got, "--force") {
		t.Errorf("no way out: %q", got)
	}
}

// Each *.bad.yaml begins with a comment that holds the expected message.
func TestBadConfigFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files: %v", err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		want := strings.TrimPrefix(first, "# ")
		code, _, stderr := runMain(t, "config", "show", "--config", path)
		if code != codeUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: code %d, want 2 and %q in\n%s", path, code, want, stderr)
		}
	}
}

// A key of the library's configuration that no flag sets would be out of a user's reach.
func TestEveryConfigFieldHasAFlag(t *testing.T) {
	root := (&app{}).newRoot()
	var shared []reflect.Type
	for name, config := range map[string]any{
		"compress": deepcompress.Config{}, "decompress": deepcompress.DecompressConfig{}, "verify": deepcompress.VerifyConfig{},
		"inspect": evaluate.InspectConfig{}, "diff": evaluate.DiffConfig{},
		"bench": evaluate.BenchConfig{}, "eval": evaluate.EvalConfig{}, "run": evaluate.RunConfig{},
	} {
		cmd, _, err := root.Find([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		for f := range reflect.TypeOf(config).Fields() {
			if f.Anonymous { // several commands share it: each field is for some of them
				shared = append(shared, f.Type)
				continue
			}
			key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch key {
			case "-", "histogram", "histograms": // --report asks for them
			default:
				if cmd.Flags().Lookup(key) == nil {
					t.Errorf("%s: no flag --%s for %s", name, key, f.Name)
				}
			}
		}
	}
	for _, s := range shared {
		for f := range s.Fields() {
			key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if configKeys(root)[key] == nil {
				t.Errorf("no command has a flag --%s for %s", key, f.Name)
			}
		}
	}
}

// The help of every command is complete: a short line, an example that begins with effml, usage for each flag.
func TestHelpIsComplete(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.Short == "" {
			t.Errorf("%s: no short help", c.CommandPath())
		}
		if c.HasSubCommands() || c.IsAdditionalHelpTopicCommand() || c.Name() == "help" {
			return
		}
		for _, line := range strings.Split(c.Example, "\n") {
			if !strings.Contains(line, "effml ") {
				t.Errorf("%s: example %q", c.CommandPath(), line)
			}
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("%s: usage of --%s is %q", c.CommandPath(), f.Name, f.Usage)
			}
		})
		text := helpText(c)
		if strings.Index(text, "Examples:") > strings.Index(text, "Usage:") {
			t.Errorf("%s: examples do not come first", c.CommandPath())
		}
		for _, line := range strings.Split(text, "\n") {
			if n := len([]rune(line)); n > 120 {
				t.Errorf("%s: %d columns: %s", c.CommandPath(), n, line)
			}
		}
	}
	walk((&app{}).newRoot())
	for _, c := range topics() {
		for _, line := range strings.Split(c.Long, "\n") {
			if n := len([]rune(line)); n > 120 {
				t.Errorf("topic %s: %d columns: %s", c.Name(), n, line)
			}
		}
	}
}

// Examples must parse: a flag that was renamed would stay in the help otherwise.
func TestExamplesParse(t *testing.T) {
	root := (&app{}).newRoot()
	for _, c := range root.Commands() {
		for _, line := range strings.Split(c.Example, "\n") {
			line, _, _ = strings.Cut(line, "#")
			line, _, _ = strings.Cut(line, "&&")
			line, _, _ = strings.Cut(line, "|")
			line, _, _ = strings.Cut(line, ">")
			args := strings.Fields(line)
			if len(args) == 0 || args[0] != "effml" {
				continue
			}
			cmd, rest, err := (&app{}).newRoot().Find(args[1:])
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			if err := cmd.ParseFlags(rest); err != nil {
				t.Errorf("%s: %v", line, err)
			} else if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
}

func TestProgressLines(t *testing.T) {
	var b bytes.Buffer
	clock := time.Unix(0, 0)
	p := &progress{w: &b, lines: true, verbose: true, now: func() time.Time { return clock }}
	p.Advance(1) // before any stage: nothing to say
	p.Stage("hash", 2e6, "B")
	p.Advance(500_000)
	clock = clock.Add(4 * time.Second)
	p.Advance(100_000)
	clock = clock.Add(time.Second)
	p.Advance(400_000)
	p.Advance(1_000_000)
	p.Stage("encode", 0, "tensors")
	clock = clock.Add(6 * time.Second)
	p.Advance(1200)
	p.Note("mind the gap")
	notes := p.finish()
	want := `effml: hash: 50 % (1.00 MB of 2.00 MB)
effml: hash: 100 % (2.00 MB of 2.00 MB) in 5.00 s
effml: encode: 1,200 tensors
effml: encode: 1,200 tensors in 6.00 s
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	if len(notes) != 1 || notes[0] != "mind the gap" {
		t.Errorf("notes %q", notes)
	}
}

func TestProgressBarDrawsAndClears(t *testing.T) {
	var b bytes.Buffer
	p := &progress{w: &b, bars: true, lines: true, now: time.Now}
	p.Stage("encode", 10, "B")
	for range 12 { // two more than announced: no failure
		p.Advance(1)
	}
	p.Stage("search", 0, "tensors")
	p.Advance(1)
	p.finish()
	if s := b.String(); !strings.Contains(s, "encode") || strings.Contains(s, "effml:") {
		t.Errorf("got %q", s)
	}
	if s := b.String(); !strings.HasSuffix(s, "\r") && !strings.HasSuffix(s, "\x1b[2K") && strings.TrimRight(s, " \r") == s {
		t.Errorf("the bar stays on the screen: %q", s[max(0, len(s)-80):])
	}
}

func TestSettingsPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("threads: 2\npreset: small\ndeadline: 5m\nonly: [a, 'b,c']\nquiet: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("EFFML_THREADS", "3")
	t.Setenv("EFFML_SEED", "9")
	t.Setenv("EFFML_EXCLUDE", "x,y")
	a := &app{}
	root := a.newRoot()
	cmd, _, err := root.Find([]string{"compress"})
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.ParseFlags([]string{"--config", file, "--seed", "4"}); err != nil {
		t.Fatal(err)
	}
	if err := a.resolve(cmd); err != nil {
		t.Fatal(err)
	}
	get := func(name string) string { return cmd.Flags().Lookup(name).Value.String() }
	for name, want := range map[string][2]string{
		"seed": {"4", "flag"}, "threads": {"3", "EFFML_THREADS"}, "preset": {"small", file + " line 2"}, "deadline": {"5m0s", file + " line 3"},
		"only": {"[a,\"b,c\"]", file + " line 4"}, "exclude": {"[x,y]", "EFFML_EXCLUDE"}, "quiet": {"true", file + " line 5"}, "strict": {"false", ""},
	} {
		if get(name) != want[0] || a.settings.origins[name] != want[1] {
			t.Errorf("--%s is %s from %q, want %s from %q", name, get(name), a.settings.origins[name], want[0], want[1])
		}
	}
	if a.settings.threads != 3 || a.settings.deadline != 5*time.Minute || !a.settings.quiet {
		t.Errorf("settings %+v", a.settings)
	}
}

func TestNoColorWithoutTerminal(t *testing.T) {
	if (&app{stdout: &bytes.Buffer{}}).color() {
		t.Error("a buffer gets colours")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if isTerminal(null) {
		t.Error("the null device is a terminal")
	}
}

func TestWords(t *testing.T) {
	inf := job.Float(1 / zero)
	half := job.Float(0.5)
	for _, c := range []struct{ got, want string }{
		{decibels(inf), "none"},
		{decibels(29.04), "29.0 dB"},
		{optional(nil), ""},
		{optional(&inf), "∞"},
		{optional(&half), "0.5"},
		{ratioOf(10, 0), ""},
		{ratioOf(10, 4), "2.50×"},
		{typedShape("float", nil), "scalar"},
		{typedShape("int64", []int64{3}), "int64 3"},
		{plural(1, "node", "nodes"), "1 node"},
		{plural(1200, "node", "nodes"), "1,200 nodes"},
		{change(5, 5), "5"},
		{change(5000, 6), "5,000 → 6"},
		{title(nil, nil), "effml"},
		{title(&job.File{Path: "d/a.onnx"}, &job.File{Path: "d/a.effml"}), "d/a.onnx → a.effml"},
		{title(&job.File{Path: "a.onnx"}, &job.File{Path: "d/a.effml"}), "a.onnx → d/a.effml"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

var zero float64

// A deadline and an interrupt that come before any result: their codes, and nothing on stdout.
func TestEndedEarly(t *testing.T) {
	path := smallModel(t)
	code, out, stderr := runMain(t, "compress", path, "--deadline", "1ns")
	if code != codeDeadline || out != "" || !strings.Contains(stderr, "--deadline") {
		t.Errorf("code %d, stdout %q, stderr %q", code, out, stderr)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, errs bytes.Buffer
	code = Main(ctx, []string{"compress", path}, &stdout, &errs)
	if code != codeInterrupted || stdout.Len() > 0 || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout.String(), errs.String())
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.effml")); len(left) > 0 {
		t.Errorf("%v was written", left)
	}
}

// A result that came with an error is still written: to stdout, as JUnit XML and in the step's summary.
func TestMissedGateIsWritten(t *testing.T) {
	path := smallModel(t)
	summary := filepath.Join(t.TempDir(), "summary.md")
	t.Setenv("GITHUB_STEP_SUMMARY", summary)
	code, out, stderr := runMain(t, "compress", path, "--max-size", "100", "--junit", path+".xml", "-v", "--no-color")
	if code != codeGate || !strings.Contains(out, "MISSED") || !strings.Contains(stderr, "gate missed: max-size") {
		t.Errorf("code %d, stdout %q, stderr %q", code, out, stderr)
	}
	for file, want := range map[string]string{path + ".xml": `failures="1"`, summary: "❌", strings.TrimSuffix(path, "onnx") + "effml": "EFFML"} {
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
	if !strings.Contains(stderr, " s\n") {
		t.Errorf("-v tells no stage's time: %q", stderr)
	}
}

// What nobody can read must not look like success.
func TestStdoutFails(t *testing.T) {
	var errs bytes.Buffer
	code := Main(t.Context(), []string{"inspect", smallModel(t)}, failingWriter{}, &errs)
	if code != codeFailure || !strings.Contains(errs.String(), "pipe is gone") {
		t.Errorf("code %d: %s", code, errs.String())
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("pipe is gone") }

func TestUnknownWords(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"comprss", `unknown command "comprss" for effml; did you mean "compress"?`},
		{"zebra", `unknown command "zebra" for effml` + "\n"},
		{"compress x --outptu y", "unknown flag --outptu; did you mean --output?"},
		{"compress x --zebra", "unknown flag --zebra\n"},
		{"help exit-cods", `did you mean "exit-codes"?`},
		{"config shwo", `did you mean "show"?`},
		{"config show comprss", `did you mean "compress"?`},
		{"config show a b", `"b" is one argument too many`},
		{"schema complan", `there is no "complan"`},
		{"schema a b", `"b" is one argument too many`},
		{"completion tcsh", `unknown shell "tcsh"`},
		{"verify", "IN.effml is missing"},
	} {
		code, out, stderr := runMain(t, strings.Fields(c.args)...)
		if code != codeUsage || out != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: code %d, stdout %q, stderr %q, want %q", c.args, code, out, stderr, c.want)
		}
	}
}

// The printed settings are a configuration file that gives the same settings again.
func TestConfigShowParsesBack(t *testing.T) {
	t.Setenv("EFFML_MAX_SIZE", "6MB")
	t.Setenv("EFFML_ONLY", "a*,b*")
	code, first, stderr := runMain(t, "config", "show", "--effective")
	if code != 0 || !strings.Contains(first, "\nmax-size: 6000000\n") || !strings.Contains(first, "- a*\n") {
		t.Fatalf("code %d: %s%s", code, first, stderr)
	}
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(first), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("EFFML_MAX_SIZE", "")
	t.Setenv("EFFML_ONLY", "")
	_, second, stderr := runMain(t, "config", "show", "--effective", "--config", file)
	if first != second {
		t.Errorf("first\n%ssecond\n%s%s", first, second, stderr)
	}
}
