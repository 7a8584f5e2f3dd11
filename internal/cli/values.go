package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// sizeValue is a flag for a number of bytes that understands units.
type sizeValue struct{ n *int64 }

func (s sizeValue) Type() string { return "SIZE" }

func (s sizeValue) String() string {
	if s.n == nil || *s.n == 0 {
		return ""
	}
	return strconv.FormatInt(*s.n, 10)
}

func (s sizeValue) Set(text string) (err error) {
	*s.n, err = parseSize(text)
	return err
}

// parseSize reads 6MB, 1.5 kB, 2MiB or 4096. Units are decimal but for those with an i.
func parseSize(text string) (int64, error) {
	number := strings.TrimRight(text, "kKmMgGtTiIbB ")
	unit := strings.ToLower(strings.TrimSpace(text[len(number):]))
	base, unit := 1000.0, strings.TrimSuffix(unit, "b")
	if u, binary := strings.CutSuffix(unit, "i"); binary {
		base, unit = 1024, u
	}
	power := strings.Index("kmgt", unit)
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || len(unit) > 1 || power < 0 || unit == "" && base == 1024 {
		return 0, fmt.Errorf("%q is no size; write 6MB, 500kB, 2MiB or a number of bytes", text)
	}
	if unit != "" {
		v *= math.Pow(base, float64(power+1))
	}
	if !(v >= 0) || v >= 1<<63 {
		return 0, fmt.Errorf("%q is out of range", text)
	}
	return int64(math.Round(v)), nil
}

// quoteCommand joins arguments so that a POSIX shell takes them apart the same way.
func quoteCommand(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		if arg != "" && strings.Trim(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,+@%") == "" {
			quoted[i] = arg
		} else {
			quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
