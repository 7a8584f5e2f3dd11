package report

import (
	"slices"
	"strings"

	"github.com/effml/effml/internal/job"
)

// Document is a result prepared for a reader, independent of the form it is drawn in. Empty parts are left out.
type Document struct {
	Title      string
	Figures    []Figure    // what a reader wants first
	Gates      []job.Gate  // limits and whether they hold
	Parts      []Part      // where the bytes are
	Sides      [2]string   // what the two lengths of Bars stand for
	Bars       []Bar       // bytes by tensor; HTML only
	Histograms []Histogram // weights; HTML only
	Curves     []Curves    // what was measured over time; HTML only
	Tables     []Table
	Notes      []string
	Facts      []Fact // how the result was made: version, seed, time
	Command    string // as it can be pasted into a shell
}

// Figure is a headline number.
type Figure struct{ Label, Value, Detail string }

// Fact is a line of small print.
type Fact struct{ Name, Value string }

// Part is a share of a whole.
type Part struct {
	Name  string
	Bytes int64
}

// figures returns the figures of d and one for its parts, which the HTML page draws.
func (d *Document) figures() []Figure {
	var total int64
	var words []string
	for _, p := range d.Parts {
		total += p.Bytes
		if p.Bytes > 0 {
			words = append(words, p.Name+" "+Size(p.Bytes))
		}
	}
	if words == nil {
		return d.Figures
	}
	return append(slices.Clone(d.Figures), Figure{"contents", Size(total), strings.Join(words, " · ")})
}

// Bar compares the bytes of one tensor in two places.
type Bar struct {
	Name          string
	Before, After int64
}

// Histogram counts weights in equal bins from Min to Max. After is nil where there is only one distribution.
type Histogram struct {
	Name          string
	Min, Max      float64
	Before, After []int64
}

// Table is a table whose first column holds names.
type Table struct {
	Title string
	Head  []string
	Align string // a letter a column: l or r
	Rows  [][]string
	HTML  bool // too long for anything but the HTML page
}
