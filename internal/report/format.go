package report

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Size writes a number of bytes in decimal units with three significant digits: 812 B, 26.1 kB, 553 MB.
func Size(n int64) string {
	const units = "kMGTPE"
	v, unit := float64(n), -1
	for (v >= 999.5 || v <= -999.5) && unit < len(units)-1 {
		v /= 1000
		unit++
	}
	if unit < 0 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return digits3(v) + " " + units[unit:unit+1] + "B"
}

// SizeExact is [Size] with the exact number beside it: 26.1 kB (26,112 bytes).
func SizeExact(n int64) string {
	if n > -1000 && n < 1000 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%s (%s bytes)", Size(n), Count(n))
}

// Count writes an integer with thousands separators.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Ratio writes how many times smaller something is: 8.02×; an empty string where the ratio makes no sense.
func Ratio(v float64) string {
	if !(v > 0) || v > 1e15 {
		return ""
	}
	return digits3(v) + "×"
}

// digits3 writes a number with three significant digits, more only before the decimal point.
func digits3(v float64) string {
	a := max(v, -v)
	switch {
	case a >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// Shape writes dimensions as 64×3×7×7, and a scalar as "scalar".
func Shape(dims []int64) string {
	if len(dims) == 0 {
		return "scalar"
	}
	parts := make([]string, len(dims))
	for i, d := range dims {
		parts[i] = strconv.FormatInt(d, 10)
	}
	return strings.Join(parts, "×")
}

// Shorten cuts the middle out of s so that at most n runes remain. Names of tensors begin with where they are
// and end with what they are, so both ends stay.
func Shorten(s string, n int) string {
	if n < 3 || utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	head := (n - 1) / 2
	return string(r[:head]) + "…" + string(r[len(r)-(n-1-head):])
}

// Clean replaces what could move a cursor or break a line: names come from files of strangers.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r) && r > 0x7f: // a no-break space, say
			return ' '
		}
		return '\uFFFD'
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
