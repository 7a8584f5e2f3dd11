package evaluate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/effml/effml/internal/uses"
	"github.com/effml/effml/onnx"
)

// diffGraphs compares everything but the values of tensors. Nodes are matched by the value that they compute first.
func diffGraphs(a, b *onnx.Model) GraphDiff {
	d := GraphDiff{
		Nodes:    changes(nodeTexts(a), nodeTexts(b)),
		Inputs:   changes(graphValues(a, false), graphValues(b, false)),
		Outputs:  changes(graphValues(a, true), graphValues(b, true)),
		Opsets:   changes(opsets(a), opsets(b)),
		Metadata: changes(metadata(a), metadata(b)),
	}
	d.Equal = len(d.Nodes)+len(d.Inputs)+len(d.Outputs)+len(d.Opsets) == 0
	return d
}

// fact is a name with its text, in the order of the model.
type fact struct{ name, text string }

// changes compares two lists of facts by name.
func changes(a, b []fact) []Change {
	inB := make(map[string]string, len(b))
	for _, f := range b {
		inB[f.name] = f.text
	}
	inA := make(map[string]bool, len(a))
	list := []Change{}
	for _, f := range a {
		inA[f.name] = true
		text, ok := inB[f.name]
		switch {
		case !ok:
			list = append(list, Change{"removed", f.name, shorten(f.text), ""})
		case text != f.text:
			x, y := f.text, text
			if shorten(x) == shorten(y) {
				x, y = tail(x, y), tail(y, x)
			}
			list = append(list, Change{"changed", f.name, shorten(x), shorten(y)})
		}
	}
	for _, f := range b {
		if !inA[f.name] {
			list = append(list, Change{"added", f.name, "", shorten(f.text)})
		}
	}
	return list
}

const longest = 200

func shorten(s string) string {
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}

// tail returns a from a little before the place where it begins to differ from b.
func tail(a, b string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return "…" + strings.ToValidUTF8(a[max(0, i-20):], "")
}

// nodeTexts writes every node as text: operator, inputs, attributes, outputs. Names and documentation do not count, and tensors in
// attributes are compared elsewhere.
func nodeTexts(m *onnx.Model) (list []fact) {
	seen := map[string]int{}
	eachGraph(m, func(path string, _ *onnx.Graph, nodes []*onnx.Node) {
		for _, n := range nodes {
			name := strings.Join(n.Outputs, ",")
			if path != "graph" {
				name = path + ": " + name
			}
			if seen[name]++; seen[name] > 1 {
				name = fmt.Sprintf("%s (%d)", name, seen[name])
			}
			list = append(list, fact{name, nodeText(n)})
		}
	})
	return list
}

func nodeText(n *onnx.Node) string {
	var attributes []string
	for _, a := range n.Attributes {
		attributes = append(attributes, a.Name+"="+attributeText(a))
	}
	slices.Sort(attributes)
	text := uses.OpName(n)
	if n.Overload != "" {
		text += ":" + n.Overload
	}
	text += "(" + strings.Join(n.Inputs, ", ") + ")"
	if attributes != nil {
		text += " {" + strings.Join(attributes, ", ") + "}"
	}
	return text + " → " + strings.Join(n.Outputs, ", ")
}

func attributeText(a *onnx.Attribute) string {
	if a.RefAttrName != "" {
		return "@" + a.RefAttrName
	}
	switch a.Type {
	case onnx.AttributeFloat:
		return fmt.Sprint(a.F)
	case onnx.AttributeInt:
		return fmt.Sprint(a.I)
	case onnx.AttributeString:
		return fmt.Sprintf("%q", a.S)
	case onnx.AttributeFloats:
		return fmt.Sprint(a.Floats)
	case onnx.AttributeInts:
		return fmt.Sprint(a.Ints)
	case onnx.AttributeStrings:
		return fmt.Sprintf("%q", a.Strings)
	case onnx.AttributeTypeProto:
		return joinType(a.TypeProto)
	case onnx.AttributeTypeProtos:
		var types []string
		for _, t := range a.TypeProtos {
			types = append(types, joinType(t))
		}
		return strings.Join(types, ";")
	}
	return strings.ToLower(a.Type.String()) // graphs and tensors are compared on their own
}

func graphValues(m *onnx.Model, outputs bool) (list []fact) {
	if m.Graph == nil {
		return nil
	}
	values := m.Graph.Inputs
	if outputs {
		values = m.Graph.Outputs
	}
	for _, v := range values {
		list = append(list, fact{v.Name, joinType(v.Type)})
	}
	return list
}

func opsets(m *onnx.Model) (list []fact) {
	for _, o := range m.OpsetImports {
		domain := o.Domain
		if domain == "" {
			domain = "ai.onnx"
		}
		list = append(list, fact{domain, fmt.Sprint(o.Version)})
	}
	return list
}

// metadata lists what no runtime computes with.
func metadata(m *onnx.Model) (list []fact) {
	add := func(name string, value any) {
		if text := fmt.Sprint(value); text != "" && text != "0" {
			list = append(list, fact{name, text})
		}
	}
	add("ir_version", m.IRVersion)
	add("producer_name", m.ProducerName)
	add("producer_version", m.ProducerVersion)
	add("domain", m.Domain)
	add("model_version", m.ModelVersion)
	add("doc_string", m.DocString)
	if m.Graph != nil {
		add("graph name", m.Graph.Name)
	}
	for _, e := range m.Metadata {
		add("metadata "+e.Key, e.Value)
	}
	add("bytes of doc strings and metadata in graphs", documentation(m))
	return list
}

// documentation counts the bytes of doc strings and metadata entries of graphs, nodes and values.
func documentation(m *onnx.Model) (n int) {
	entries := func(list []*onnx.StringEntry) {
		for _, e := range list {
			n += len(e.Key) + len(e.Value)
		}
	}
	eachGraph(m, func(_ string, g *onnx.Graph, nodes []*onnx.Node) {
		for _, node := range nodes {
			n += len(node.DocString)
			entries(node.Metadata)
		}
		if g == nil {
			return
		}
		n += len(g.DocString)
		entries(g.Metadata)
		for _, list := range [][]*onnx.ValueInfo{g.Inputs, g.Outputs, g.ValueInfo} {
			for _, v := range list {
				n += len(v.DocString)
				entries(v.Metadata)
			}
		}
		for _, t := range g.Initializers {
			n += len(t.DocString)
			entries(t.Metadata)
		}
	})
	return n
}
