package cli

import (
	"fmt"
	"io"
	"math"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/report"
)

// say writes to stderr; where that fails there is nobody left to tell.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// decibels words a signal-to-noise ratio; that of an exact copy is infinite.
func decibels(v job.Float) string {
	if x := float64(v); !math.IsNaN(x) && !math.IsInf(x, 0) {
		return fmt.Sprintf("%.1f dB", x)
	}
	return "none"
}

// optional is a table's cell for a number that may be absent or infinite.
func optional(v *job.Float) string {
	if v == nil {
		return ""
	}
	if math.IsInf(float64(*v), 1) {
		return "∞"
	}
	return fmt.Sprintf("%.1f", float64(*v))
}

// rate writes samples a second.
func rate(v float64) string {
	if v >= 1000 {
		return report.Count(int64(v+0.5)) + " images/s"
	}
	return fmt.Sprintf("%.4g images/s", v)
}

func ratioOf(before, after int64) string {
	if after <= 0 {
		return ""
	}
	return report.Ratio(float64(before) / float64(after))
}

// typedShape leaves the commonest type out.
func typedShape(dataType string, shape []int64) string {
	if dataType == "float32" || dataType == "float" {
		return report.Shape(shape)
	}
	return dataType + " " + report.Shape(shape)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return report.Count(int64(n)) + " " + many
}

func blankZero(n int64) string {
	if n == 0 {
		return ""
	}
	return report.Count(n)
}

func blankNegative(n int64) string {
	if n < 0 {
		return ""
	}
	return report.Count(n)
}
