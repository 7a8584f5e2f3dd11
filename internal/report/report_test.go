package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/effml/effml/internal/job"
)

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Size(0), "0 B"},
		{Size(999), "999 B"},
		{Size(1000), "1.00 kB"},
		{Size(26112), "26.1 kB"},
		{Size(999_499), "999 kB"},
		{Size(999_500), "1.00 MB"},
		{Size(553_433_881), "553 MB"},
		{Size(1<<63 - 1), "9.22 EB"},
		{Size(-1500), "-1.50 kB"},
		{SizeExact(999), "999 bytes"},
		{SizeExact(26112), "26.1 kB (26,112 bytes)"},
		{Count(0), "0"},
		{Count(-999), "-999"},
		{Count(-1000), "-1,000"},
		{Count(1234567), "1,234,567"},
		{Ratio(8.0213), "8.02×"},
		{Ratio(99.96), "100×"},
		{Ratio(0), ""},
		{Ratio(1 / zero), ""},
		{Ratio(zero / zero), ""},
		{Shape(nil), "scalar"},
		{Shape([]int64{64, 3, 7}), "64×3×7"},
		{Shape([]int64{0}), "0"},
		{Shorten("features.1.weight", 30), "features.1.weight"},
		{Shorten("abcdefghij", 5), "ab…ij"},
		{Shorten("äöüäöüäöü", 4), "ä…öü"},
		{Clean("a\x1b[31mb\nc\x00\xff"), "a�[31mb�c��"},
		{Clean("proto:\u00a0x\u202ey"), "proto: x�y"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

var zero float64

func document() *Document {
	return &Document{
		Title:   "m.onnx → m.effml",
		Figures: []Figure{{"file", "8.02×", "1.73 MB to 215 kB"}, {"weights", "8.05×", ""}},
		Gates:   []job.Gate{job.AtMost("max-size", 6e6, 215123), job.AtLeast("min-ratio", 30, 8.02)},
		Parts:   []Part{{"codes", 750}, {"nothing", 0}, {"raw", 250}},
		Sides:   [2]string{"in the model", "in the archive"},
		Bars:    []Bar{{"small", 100, 50}, {"large<script>", 1000, 125}},
		Histograms: []Histogram{
			{Name: "w", Min: -1, Max: 3, Before: []int64{1, 4, 9, 0}, After: []int64{0, 14, 0, 0}},
		},
		Tables: []Table{
			{Head: []string{"TENSOR", "BYTES", "WHY"}, Align: "lrl", Rows: [][]string{
				{"w|1", "1,000", ""}, {strings.Repeat("x", 60) + ".weight", "5", "a *bias*"}, {"evil\x1b[2J\n</td>", "9", "<b>"},
			}},
			{Title: "Hidden", HTML: true, Head: []string{"A"}, Align: "l", Rows: [][]string{{"only on the page"}}},
			{Title: "Empty", Head: []string{"A"}, Align: "l"},
		},
		Notes:   []string{"accuracy was not measured"},
		Facts:   []Fact{{"seed", "1"}, {"effml", "v1"}},
		Command: "effml compress 'm n.onnx'",
	}
}

func TestText(t *testing.T) {
	var b bytes.Buffer
	if err := document().Text(&b, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"m.onnx → m.effml",
		"  file      8.02×    1.73 MB to 215 kB",
		"  weights   8.05×",
		"  contents  1.00 kB  codes 750 B · raw 250 B",
		"",
		"TENSOR                                        BYTES  WHY",
		"w|1                                           1,000",
		strings.Repeat("x", 21) + "…" + strings.Repeat("x", 15) + ".weight      5  a *bias*",
		"evil�[2J�</td>                                    9  <b>",
		"",
		"gate  max-size   passed  limit 6.00 MB (6,000,000 bytes), got 215 kB (215,123 bytes)",
		"gate  min-ratio  MISSED  limit 30.0×, got 8.02×",
		"",
		"note: accuracy was not measured",
		"",
		"seed 1 · effml v1",
		"",
	}, "\n")
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	if err := document().Text(&b, TextOptions{Color: true, FullNames: true}); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); !strings.Contains(s, strings.Repeat("x", 60)+".weight") || !strings.Contains(s, red+"gate  min-ratio") || !strings.Contains(s, green+"gate  max-size") {
		t.Errorf("full names or colours are missing:\n%s", s)
	}
	plain := regexp.MustCompile(`\x1b\[[0-9]*m`).ReplaceAllString(b.String(), "")
	if strings.Contains(plain, "\x1b") {
		t.Error("an escape sequence of a tensor name reached the terminal")
	}
}

func TestMarkdown(t *testing.T) {
	d := document()
	for i := range 600 {
		d.Tables[1].Rows = append(d.Tables[1].Rows, []string{fmt.Sprint("t", i)})
	}
	d.Tables[1].HTML = false
	var b bytes.Buffer
	if err := d.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	s := b.String()
	for _, want := range []string{
		"### m.onnx → m.effml\n",
		"| `w\\|1` | 1,000 |  |\n",
		"| a \\*bias\\* |",
		"| ❌ | min-ratio | MISSED | limit 30.0×, got 8.02× |",
		"| TENSOR | BYTES | WHY |\n|---|---:|---|\n",
		"> accuracy was not measured",
		"```sh\neffml compress 'm n.onnx'\n```",
		"<details><summary>Hidden (601)</summary>",
		"… and 101 more",
	} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is missing in\n%.3000s", want, s)
		}
	}
	if strings.Contains(s, "</td>") {
		t.Error("HTML of a tensor name was not escaped")
	}
	// every line of a table has as many cells as its head, or GitHub drops the rest
	for _, line := range strings.Split(s, "\n") {
		if cells := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"); strings.HasPrefix(line, "| `w") && cells != 4 {
			t.Errorf("%d separators in %s", cells, line)
		}
	}
}

func TestHTMLIsSelfContainedAndEscaped(t *testing.T) {
	var b bytes.Buffer
	if err := document().HTML(&b); err != nil {
		t.Fatal(err)
	}
	s := b.String()
	if m := regexp.MustCompile(`(?i)(src|href)\s*=|url\(|@import|https?:|<script|<link`).FindString(s); m != "" {
		t.Errorf("the page loads something: %q", m)
	}
	if strings.Contains(s, "ZgotmplZ") || strings.Contains(s, "\x1b") {
		t.Error("template refused a value, or a control character came through")
	}
	for _, want := range []string{
		"large&lt;script&gt;", "only on the page", "prefers-color-scheme: dark", "width=device-width",
		`<rect class="before" width="1000" height="4.6"/><rect class="after" y="5.2" width="125" height="4.8"/>`,
		`x="750.00" width="250.00"`, // the second part begins where the first ends
		`<line x1="80.0"`,           // 0 lies a quarter of the way from −1 to 3
		`class="missed"`, "effml compress &#39;m n.onnx&#39;",
	} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is missing", want)
		}
	}
	dec := xml.NewDecoder(strings.NewReader(s)) // well-formed but for the void elements
	dec.Strict, dec.AutoClose, dec.Entity = false, []string{"meta"}, xml.HTMLEntity
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("tags do not match: %v", err)
		}
	}
}

func TestBarsGatherTheSmallOnes(t *testing.T) {
	var all []Bar
	for i := range 100 {
		all = append(all, Bar{Name: fmt.Sprint(i), Before: int64(i), After: 1})
	}
	got := bars(all)
	var before, after int64
	for _, b := range got {
		before += b.Before
		after += b.After
	}
	if len(got) != barsShown || before != 4950 || after != 100 {
		t.Errorf("%d bars with %d and %d bytes, want %d with 4950 and 100", len(got), before, after, barsShown)
	}
	if got[0].Name != "99" || got[len(got)-1].Name != "71 others" {
		t.Errorf("first %q, last %q", got[0].Name, got[len(got)-1].Name)
	}
	if all[0].Name != "0" {
		t.Error("the caller's slice was sorted")
	}
}

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := JUnit(&b, "effml compress", "m.onnx", 1.25, document().Gates); err != nil {
		t.Fatal(err)
	}
	var s junitSuite
	if err := xml.Unmarshal(b.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	if s.Tests != 3 || s.Failures != 1 || len(s.Cases) != 3 || s.Time != "1.250" {
		t.Errorf("got %+v", s)
	}
	if f := s.Cases[2].Failure; f == nil || !strings.Contains(f.Message, "limit 30.0×") || s.Cases[1].Failure != nil {
		t.Errorf("failures are wrong: %+v", s.Cases)
	}
	if !strings.HasPrefix(b.String(), "<?xml") {
		t.Error("no XML declaration")
	}
}
