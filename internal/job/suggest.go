package job

import (
	"fmt"
	"strings"
)

// Suggest returns the known word nearest to a mistyped one, or an empty string where none is near.
func Suggest(word string, known []string) string {
	best, bestDistance := "", 3
	word = strings.ToLower(word)
	for _, k := range known {
		if d := editDistance(word, strings.ToLower(k)); d < bestDistance && d < max(len(k), 2) {
			best, bestDistance = k, d
		}
	}
	return best
}

// Hint is how an error about a mistyped word ends: the known word nearest to it, or all known words where none is near.
func Hint(word string, known []string) string {
	if best := Suggest(word, known); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; there are " + strings.Join(known, ", ")
}

// editDistance counts insertions, deletions, substitutions and swaps of neighbours (the optimal string alignment
// distance) in three rows.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
