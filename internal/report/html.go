package report

import (
	"bytes"
	"cmp"
	_ "embed" // the page's template
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
)

//go:embed page.html
var pageSource string

// barsShown and histogramsShown bound the pictures; the table has every tensor.
const (
	barsShown       = 30
	histogramsShown = 60
)

// HTML draws d as one page that loads nothing: styles and pictures are inline.
func (d *Document) HTML(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"clean": Clean, "size": Size, "exact": SizeExact, "gates": gateRows, "bars": bars, "parts": parts,
		"histograms": shownHistograms, "curves": shownCurves, "cells": func(t Table, row []string) []cell { return cells(t.Align, row) },
		"heads": func(t Table) []cell { return cells(t.Align, t.Head) },
	}).Parse(pageSource)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, d); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

type cell struct {
	Text  string
	Right bool
}

func cells(how string, row []string) []cell {
	out := make([]cell, len(row))
	for i, s := range row {
		out[i] = cell{Clean(s), how[i] == 'r'}
	}
	return out
}

// drawnBar is a [Bar] with lengths of 0 to 1000 on a scale that all bars share.
type drawnBar struct {
	Bar
	BeforeX, AfterX float64
}

// bars draws the largest tensors, and one bar for all the others.
func bars(all []Bar) []drawnBar {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Bar) int { return cmp.Compare(max(b.Before, b.After), max(a.Before, a.After)) })
	if len(all) > barsShown {
		rest := Bar{Name: fmt.Sprintf("%d others", len(all)-barsShown+1)}
		for _, b := range all[barsShown-1:] {
			rest.Before += b.Before
			rest.After += b.After
		}
		all = append(all[:barsShown-1], rest)
	}
	var longest int64 = 1
	for _, b := range all {
		longest = max(longest, b.Before, b.After)
	}
	x := func(n int64) float64 { return math.Round(1e4*float64(n)/float64(longest)) / 10 }
	out := make([]drawnBar, len(all))
	for i, b := range all {
		out[i] = drawnBar{b, x(b.Before), x(b.After)}
	}
	return out
}

// drawnPart is a [Part] as a piece of a strip 1000 long.
type drawnPart struct {
	Part
	X, Width float64
	Percent  string
	Color    int
}

func parts(all []Part) []drawnPart {
	var total int64
	for _, p := range all {
		total += p.Bytes
	}
	var out []drawnPart
	x := 0.0
	for i, p := range all {
		if p.Bytes == 0 || total == 0 {
			continue
		}
		share := float64(p.Bytes) / float64(total)
		out = append(out, drawnPart{Part: p, X: x, Width: 1000 * share, Percent: percent(share), Color: i % 8})
		x += 1000 * share
	}
	return out
}

func sum(counts []int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}

func percent(share float64) string {
	if share < 0.001 {
		return "< 0.1 %"
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

// drawnHistogram is a [Histogram] as an outline (before) and a path of bars (after) in a box of 320×100.
type drawnHistogram struct {
	Histogram
	Outline, Columns string
	Zero             float64 // where weight 0 lies, negative when outside
}

// shownHistograms draws the histograms of the largest tensors. Heights are square roots of counts: levels of a codebook tower
// over the distribution they stand for, and a linear scale would flatten that to nothing.
func shownHistograms(all []Histogram) []drawnHistogram {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Histogram) int { return cmp.Compare(sum(b.Before), sum(a.Before)) })
	var out []drawnHistogram
	for _, h := range all[:min(len(all), histogramsShown)] {
		if len(h.Before) == 0 {
			continue
		}
		d := drawnHistogram{Histogram: h, Zero: -1, Outline: path(h.Before, slices.Max(h.Before), true)}
		if len(h.After) > 0 {
			d.Columns = path(h.After, slices.Max(h.After), false)
		}
		if h.Min < 0 && h.Max > 0 {
			d.Zero = 320 * -h.Min / (h.Max - h.Min)
		}
		out = append(out, d)
	}
	return out
}

// path is SVG path data: a closed outline over all bins, or one column a bin that is not empty.
func path(counts []int64, highest int64, outline bool) string {
	var b strings.Builder
	width := 320 / float64(len(counts))
	if outline {
		b.WriteString("M0 100")
	}
	for i, n := range counts {
		x, y := float64(i)*width, 100-96*math.Sqrt(float64(n)/float64(max(highest, 1)))
		switch {
		case outline:
			fmt.Fprintf(&b, "L%.1f %.1fH%.1f", x, y, x+width)
		case n > 0:
			fmt.Fprintf(&b, "M%.1f 100V%.1fH%.1fV100z", x, y, x+width)
		}
	}
	if outline {
		b.WriteString("V100z")
	}
	return b.String()
}
