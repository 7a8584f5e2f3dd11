package deepcompress

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// pattern selects names: a glob in which * crosses dots and slashes, ? is one character and [a-c] a class; or, between slashes, a
// regular expression that may match anywhere in the name.
type pattern struct {
	text string
	re   *regexp.Regexp
}

func newPattern(text string) (pattern, error) {
	if text == "" {
		return pattern{}, fmt.Errorf("pattern is empty")
	}
	if len(text) >= 2 && text[0] == '/' && text[len(text)-1] == '/' {
		re, err := regexp.Compile(text[1 : len(text)-1])
		if err != nil {
			return pattern{}, fmt.Errorf("pattern %s: %w", text, err)
		}
		return pattern{text, re}, nil
	}
	if _, err := path.Match(text, ""); err != nil {
		return pattern{}, fmt.Errorf("pattern %q: a [ without its ], or a \\ at the end", text)
	}
	re, err := regexp.Compile(globRegexp(text))
	if err != nil {
		return pattern{}, fmt.Errorf("pattern %q: %w", text, err)
	}
	return pattern{text, re}, nil
}

func (p pattern) match(name string) bool { return p.re.MatchString(name) }

// globRegexp translates a glob whose brackets are known to be closed.
func globRegexp(glob string) string {
	var b strings.Builder
	b.WriteString(`(?s)^`)
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; c {
		case '*':
			b.WriteString(`.*`)
		case '?':
			b.WriteByte('.')
		case '\\':
			i++
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		case '[':
			end := i + 1
			for glob[end] != ']' || end == i+1 {
				if glob[end] == '\\' {
					end++
				}
				end++
			}
			b.WriteString(glob[i : end+1])
			i = end
		default:
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		}
	}
	b.WriteByte('$')
	return b.String()
}

func patterns(texts []string) ([]pattern, error) {
	out := make([]pattern, len(texts))
	for i, t := range texts {
		p, err := newPattern(t)
		if err != nil {
			return nil, err
		}
		out[i] = p
	}
	return out, nil
}
