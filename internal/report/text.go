package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/effml/effml/internal/job"
)

// TextOptions say how [Document.Text] draws.
type TextOptions struct {
	Color     bool // ANSI colours
	FullNames bool // do not shorten the first column of tables
}

const (
	nameWidth  = 44 // runes a name may take in a text table
	valueWidth = 24 // runes of a figure that nothing follows; of a longer one the column would become as wide

	bold, red, green, reset = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[0m"
)

// Text draws d for a terminal or a log.
func (d *Document) Text(w io.Writer, o TextOptions) error {
	var b bytes.Buffer
	paint := func(code, s string) string {
		if o.Color {
			return code + s + reset
		}
		return s
	}
	fmt.Fprintf(&b, "%s\n", paint(bold, Clean(d.Title)))
	var figures [][]string
	for _, f := range d.figures() {
		value, detail := Clean(f.Value), Clean(f.Detail)
		if detail == "" && utf8.RuneCountInString(value) > valueWidth {
			value, detail = "", value
		}
		figures = append(figures, []string{"  " + f.Label, value, detail})
	}
	for _, line := range align(figures, "lll") {
		fmt.Fprintln(&b, line)
	}
	for _, t := range d.Tables {
		if t.HTML || len(t.Rows) == 0 {
			continue
		}
		b.WriteByte('\n')
		if t.Title != "" {
			fmt.Fprintln(&b, paint(bold, t.Title))
		}
		for i, line := range t.lines(o.FullNames) {
			if i == 0 {
				line = paint(bold, line)
			}
			fmt.Fprintln(&b, line)
		}
	}
	if len(d.Gates) > 0 {
		b.WriteByte('\n')
		for i, line := range align(gateRows(d.Gates), "llll") {
			code := green
			if !d.Gates[i].Passed {
				code = red
			}
			fmt.Fprintln(&b, paint(code, line))
		}
	}
	if len(d.Notes) > 0 {
		b.WriteByte('\n')
		for _, n := range d.Notes {
			fmt.Fprintf(&b, "note: %s\n", Clean(n))
		}
	}
	if len(d.Facts) > 0 {
		var parts []string
		for _, f := range d.Facts {
			parts = append(parts, f.Name+" "+f.Value)
		}
		fmt.Fprintf(&b, "\n%s\n", strings.Join(parts, " · "))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// gateRows words the gates: which, whether it holds, the limit, what was reached.
func gateRows(gates []job.Gate) [][]string {
	rows := make([][]string, len(gates))
	for i, g := range gates {
		word := "passed"
		if !g.Passed {
			word = "MISSED"
		}
		rows[i] = []string{"gate", g.Name, word, fmt.Sprintf("limit %s, got %s", gateValue(g, g.Limit), gateValue(g, g.Value))}
	}
	return rows
}

// gateValue writes v in the unit of the gate, which its name tells.
func gateValue(g job.Gate, v float64) string {
	switch {
	case strings.HasSuffix(g.Name, "-size"):
		return SizeExact(int64(v))
	case strings.HasSuffix(g.Name, "-ratio"):
		return Ratio(v)
	}
	return fmt.Sprintf("%.4g", v)
}

func (t Table) lines(full bool) []string {
	rows := [][]string{t.Head}
	for _, r := range t.Rows {
		c := make([]string, len(r))
		for i, s := range r {
			c[i] = Clean(s)
		}
		if !full {
			c[0] = Shorten(c[0], nameWidth)
		}
		rows = append(rows, c)
	}
	return align(rows, t.Align)
}

// align lays rows out in columns; the letters of how are l or r. Trailing blanks are cut.
func align(rows [][]string, how string) []string {
	if len(rows) == 0 {
		return nil
	}
	width := make([]int, len(how))
	for _, r := range rows {
		for i, s := range r {
			width[i] = max(width[i], utf8.RuneCountInString(s))
		}
	}
	var b bytes.Buffer
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		for i, s := range r {
			if how[i] == 'r' { // tabwriter aligns all columns one way, so numbers are padded before
				s = strings.Repeat(" ", width[i]-utf8.RuneCountInString(s)) + s
			}
			_, _ = fmt.Fprintf(tw, "%s\t", s) // it writes to a buffer, which takes everything
		}
		_, _ = fmt.Fprintln(tw)
	}
	_ = tw.Flush()
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}
