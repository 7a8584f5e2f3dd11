package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Curves are series over one axis, in one picture.
type Curves struct {
	Title, X string // X words the axis
	Series   []Series
}

// Series is points in the order of x.
type Series struct {
	Name   string
	Points [][2]float64
}

// Add appends a point, unless it is not finite.
func (s *Series) Add(x, y float64) {
	if v := x + y; !math.IsNaN(v) && !math.IsInf(v, 0) {
		s.Points = append(s.Points, [2]float64{x, y})
	}
}

// drawnCurves is [Curves] in a box of 400×200, in which the picture spans 46…394 and 8…180.
type drawnCurves struct {
	Curves
	Ticks, Marks []mark // of y and of x
	Lines        []drawnLine
}

type mark struct{ At, Text string }

type drawnLine struct {
	Name, Points string
	Color        int
}

// shownCurves draws those that have a line in them: two points.
func shownCurves(all []Curves) (out []drawnCurves) {
	for _, c := range all {
		if d := c.draw(); len(d.Lines) > 0 {
			out = append(out, d)
		}
	}
	return out
}

func (c Curves) draw() drawnCurves {
	d := drawnCurves{Curves: c}
	lo, hi := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for _, s := range c.Series {
		for _, p := range s.Points {
			for k, v := range p {
				lo[k], hi[k] = min(lo[k], v), max(hi[k], v)
			}
		}
	}
	ticks := rounded(lo[1], hi[1])
	if len(ticks) > 0 {
		lo[1], hi[1] = min(lo[1], ticks[0]), max(hi[1], ticks[len(ticks)-1])
	}
	x := func(v float64) float64 { return 46 + 348*(v-lo[0])/max(hi[0]-lo[0], 1e-300) }
	y := func(v float64) float64 { return 180 - 172*(v-lo[1])/max(hi[1]-lo[1], 1e-300) }
	for i, s := range c.Series {
		if len(s.Points) < 2 {
			continue
		}
		points := make([]string, len(s.Points))
		for k, p := range s.Points {
			points[k] = fmt.Sprintf("%.1f,%.1f", x(p[0]), y(p[1]))
		}
		d.Lines = append(d.Lines, drawnLine{s.Name, strings.Join(points, " "), i % 8})
	}
	for _, v := range ticks {
		d.Ticks = append(d.Ticks, mark{fmt.Sprintf("%.1f", y(v)), short(v)})
	}
	for _, v := range rounded(lo[0], hi[0]) {
		if v >= lo[0] && v <= hi[0] {
			d.Marks = append(d.Marks, mark{fmt.Sprintf("%.1f", x(v)), short(v)})
		}
	}
	return d
}

// rounded returns about five round numbers from below lo to above hi.
func rounded(lo, hi float64) (out []float64) {
	if !(hi > lo) {
		return nil
	}
	raw := (hi - lo) / 5
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, f := range []float64{10, 5, 2} {
		if f*step/2 < raw {
			step *= f
			break
		}
	}
	for i := math.Floor(lo / step); (i-1)*step < hi; i++ {
		out = append(out, i*step)
	}
	return out
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
