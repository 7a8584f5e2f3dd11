package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// markdownRows is how many rows of a table Markdown gets: a pull request or a step summary is no place for more,
// and GitHub refuses summaries above 1 MiB.
const markdownRows = 500

// Markdown draws d in GitHub's Markdown.
func (d *Document) Markdown(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "### %s\n\n", escape(d.Title))
	if len(d.figures()) > 0 {
		var rows [][]string
		for _, f := range d.figures() {
			rows = append(rows, []string{f.Label, "**" + escape(f.Value) + "**", escape(f.Detail)})
		}
		markdownTable(&b, []string{"", "", ""}, "lll", rows)
	}
	if len(d.Gates) > 0 {
		var rows [][]string
		for i, r := range gateRows(d.Gates) {
			mark := "✅"
			if !d.Gates[i].Passed {
				mark = "❌"
			}
			rows = append(rows, []string{mark, escape(r[1]), r[2], r[3]})
		}
		markdownTable(&b, []string{"", "gate", "", ""}, "llll", rows)
	}
	for _, t := range d.Tables {
		if !t.HTML && len(t.Rows) > 0 {
			t.markdown(&b)
		}
	}
	for _, n := range d.Notes {
		fmt.Fprintf(&b, "> %s\n", escape(n))
	}
	if len(d.Notes) > 0 {
		b.WriteByte('\n')
	}
	if d.Command != "" {
		fmt.Fprintf(&b, "```sh\n%s\n```\n", strings.ReplaceAll(Clean(d.Command), "```", "` ` `"))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// markdown draws a table; one of more than a few rows can be folded away.
func (t Table) markdown(b *bytes.Buffer) {
	rows := t.Rows[:min(len(t.Rows), markdownRows)]
	cells := make([][]string, len(rows))
	for i, r := range rows {
		for k, s := range r {
			s = escape(s)
			if k == 0 && s != "" {
				s = "`" + strings.NewReplacer("`", "'", `\|`, `\|`, `\`, "").Replace(s) + "`"
			}
			cells[i] = append(cells[i], s)
		}
	}
	title := t.Title
	if title == "" {
		title = "Details"
	}
	fold := len(rows) > 12
	if fold {
		fmt.Fprintf(b, "<details><summary>%s (%d)</summary>\n\n", escape(title), len(t.Rows))
	} else if t.Title != "" {
		fmt.Fprintf(b, "#### %s\n\n", escape(t.Title))
	}
	markdownTable(b, t.Head, t.Align, cells)
	if n := len(t.Rows) - len(rows); n > 0 {
		fmt.Fprintf(b, "… and %d more\n\n", n)
	}
	if fold {
		b.WriteString("</details>\n\n")
	}
}

func markdownTable(b *bytes.Buffer, head []string, how string, rows [][]string) {
	fmt.Fprintf(b, "| %s |\n|", strings.Join(head, " | "))
	for _, c := range how {
		if c == 'r' {
			b.WriteString("---:|")
		} else {
			b.WriteString("---|")
		}
	}
	b.WriteByte('\n')
	for _, r := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(r, " | "))
	}
	b.WriteByte('\n')
}

// escape takes from text what Markdown would read as markup.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "<", "&lt;", ">", "&gt;", "&", "&amp;",
		"*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`).Replace(Clean(s))
}
