package ops

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// stringsOnly checks that the inputs are tensors of strings.
func stringsOnly(in []Info) error {
	for i, v := range in {
		if v.Type != onnx.String && v.Type != onnx.Undefined {
			return fmt.Errorf("input %d is of type %s, not string", i, v.Type)
		}
	}
	return nil
}

// stringConcat is StringConcat: a[i] + b[i], broadcast as NumPy does.
type stringConcat struct{}

func newStringConcat(*Node) (Op, error) { return stringConcat{}, nil }

func (stringConcat) Infer(in []Info) ([]Info, error) {
	if err := stringsOnly(in); err != nil {
		return nil, err
	}
	shape, err := broadcastInfo(in)
	return []Info{{Type: onnx.String, Shape: shape}}, err
}

func (o stringConcat) Run(c *Call) error {
	info, err := o.Infer(describeAll(c.In))
	if err != nil {
		return err
	}
	shape, _ := info[0].Shape.Known()
	y, err := c.Out(0, onnx.String, shape)
	if err != nil {
		return err
	}
	a, b := c.In[0], c.In[1]
	for i := range y.Strings() {
		y.Strings()[i] = a.Strings()[broadcastIndex(i, shape, a.Shape)] + b.Strings()[broadcastIndex(i, shape, b.Shape)]
	}
	return nil
}

// stringSplit is StringSplit: the parts of each string between delimiters (or, without one, between white space) along a new last
// axis, filled up with empty strings, and their number.
type stringSplit struct {
	delimiter string
	most      int // splits; −1: any number
}

func newStringSplit(n *Node) (Op, error) {
	o := &stringSplit{n.Text("delimiter", ""), n.Int("maxsplit", -1)}
	if o.most < -1 {
		return nil, fmt.Errorf("attribute maxsplit is %d", o.most)
	}
	return o, nil
}

func (o *stringSplit) Infer(in []Info) ([]Info, error) {
	parts := Info{Type: onnx.String}
	if s := in[0].Shape; s != nil {
		parts.Shape = append(slices.Clone(s), Unknown)
	}
	return []Info{parts, {Type: onnx.Int64, Shape: in[0].Shape}}, stringsOnly(in)
}

func (o *stringSplit) Run(c *Call) error {
	x := c.In[0]
	if x.Type != onnx.String {
		return fmt.Errorf("input is %s, not of strings", x)
	}
	parts, most := make([][]string, x.Len()), 0
	for i, s := range x.Strings() {
		parts[i] = o.split(s)
		most = max(most, len(parts[i]))
	}
	y, err := c.Out(0, onnx.String, append(slices.Clone(x.Shape), most))
	if err != nil {
		return err
	}
	clear(y.Strings())
	for i, p := range parts {
		copy(y.Strings()[i*most:], p)
	}
	if !c.wants(1) {
		return nil
	}
	n, err := c.Out(1, onnx.Int64, x.Shape)
	if err != nil {
		return err
	}
	for i, p := range parts {
		tensor.Of[int64](n)[i] = int64(len(p))
	}
	return nil
}

// space is what separates words.
const space = " \t\n\v\f\r"

func (o *stringSplit) split(s string) []string {
	switch {
	case o.delimiter != "" && o.most < 0:
		return strings.Split(s, o.delimiter)
	case o.delimiter != "":
		return strings.SplitN(s, o.delimiter, o.most+1)
	}
	var words []string
	for s = strings.TrimLeft(s, space); s != ""; s = strings.TrimLeft(s, space) {
		end := strings.IndexAny(s, space)
		if end < 0 || len(words) == o.most {
			return append(words, strings.TrimRight(s, space))
		}
		words, s = append(words, s[:end]), s[end:]
	}
	return words
}

// regexFullMatch is RegexFullMatch: whether a pattern in the syntax of RE2 matches all of each string.
type regexFullMatch struct{ pattern *regexp.Regexp }

func newRegexFullMatch(n *Node) (Op, error) {
	if !n.Has("pattern") {
		return nil, errors.New("attribute pattern is missing")
	}
	p, err := regexp.Compile(`^(?:` + n.Text("pattern", "") + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("attribute pattern: %w", err)
	}
	p.Longest()
	return &regexFullMatch{p}, nil
}

func (o *regexFullMatch) Infer(in []Info) ([]Info, error) {
	return []Info{{Type: onnx.Bool, Shape: in[0].Shape}}, stringsOnly(in)
}

func (o *regexFullMatch) Run(c *Call) error {
	x := c.In[0]
	if x.Type != onnx.String {
		return fmt.Errorf("input is %s, not of strings", x)
	}
	y, err := c.Out(0, onnx.Bool, x.Shape)
	if err != nil {
		return err
	}
	for i, s := range x.Strings() {
		tensor.Of[bool](y)[i] = o.pattern.MatchString(s)
	}
	return nil
}
