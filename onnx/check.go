package onnx

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/effml/effml/internal/mapped"
)

// Problem is a rule of ONNX that a model breaks.
type Problem struct {
	Node   string // its name or operator and position, with the path of its graph unless that is the main one; or ""
	Tensor string // the value or initializer at fault, or ""
	Msg    string
}

// String joins the parts that there are.
func (p Problem) String() string {
	var b strings.Builder
	if p.Node != "" {
		fmt.Fprintf(&b, "node %q: ", p.Node)
	}
	if p.Tensor != "" {
		fmt.Fprintf(&b, "tensor %q: ", p.Tensor)
	}
	return b.String() + p.Msg
}

// IR versions that the package knows.
const (
	minIRVersion = 3
	maxIRVersion = 14
)

// Check returns every rule of ONNX's IR specification (docs/IR.md) that the model breaks, in the model's order: missing
// names, types and operator set imports; names defined twice (single static assignment) or used before they are defined
// (topological order) in graphs, sub-graphs, which see the names of the graphs around them, and functions, which do not;
// attributes whose value is not of their type; tensors whose values do not fit their type and shape. It does not know the
// operators: whether a node's inputs and attributes suit its operator is not checked. External data is checked where it
// is loaded.
func Check(m *Model) []Problem {
	c := &checker{model: m, opsets: map[string]int64{}}
	err := mapped.Guard(func() error {
		c.check()
		return nil
	})
	if err != nil {
		c.report("", "", "%v", err)
	}
	return c.problems
}

type checker struct {
	model    *Model
	opsets   map[string]int64 // of the model, then of the function at hand
	function *Function        // the function at hand
	problems []Problem
}

// scope is the names of a graph that are defined so far, within those of the graphs around it.
type scope struct {
	names map[string]bool
	outer *scope
}

func (s *scope) has(name string) bool {
	for ; s != nil; s = s.outer {
		if s.names[name] {
			return true
		}
	}
	return false
}

func (c *checker) report(node, tensor, format string, args ...any) {
	c.problems = append(c.problems, Problem{Node: node, Tensor: tensor, Msg: fmt.Sprintf(format, args...)})
}

func (c *checker) check() {
	m := c.model
	switch {
	case m.IRVersion < minIRVersion:
		c.report("", "", "IR version %d is older than %d", m.IRVersion, minIRVersion)
	case m.IRVersion > maxIRVersion:
		c.report("", "", "IR version %d is newer than %d, the newest known", m.IRVersion, maxIRVersion)
	}
	if len(m.OpsetImports) == 0 {
		c.report("", "", "no operator set is imported")
	}
	c.opsets = c.imports(m.OpsetImports, "the model")
	keys := map[string]bool{}
	for _, e := range m.Metadata {
		if keys[e.Key] {
			c.report("", "", "metadata key %q occurs twice", e.Key)
		}
		keys[e.Key] = true
	}
	if m.Graph == nil {
		c.report("", "", "there is no graph")
		return
	}
	main := c.graph(m.Graph, "graph", nil)
	for i, t := range m.TrainingInfo {
		// Training sees the main graph's values.
		if t.Initialization != nil {
			c.graph(t.Initialization, fmt.Sprintf("training[%d].initialization", i), main)
		}
		if t.Algorithm != nil {
			c.graph(t.Algorithm, fmt.Sprintf("training[%d].algorithm", i), main)
		}
	}
	c.functions()
}

// imports returns the versions of operator sets by domain, where "ai.onnx" is "".
func (c *checker) imports(sets []*OperatorSet, whose string) map[string]int64 {
	versions := map[string]int64{}
	for _, s := range sets {
		domain := defaultDomain(s.Domain)
		if old, ok := versions[domain]; ok && old != s.Version {
			c.report("", "", "%s imports operator set %q as version %d and %d", whose, domain, old, s.Version)
		}
		if s.Version < 1 {
			c.report("", "", "%s imports operator set %q without a version", whose, domain)
		}
		versions[domain] = s.Version
	}
	return versions
}

func defaultDomain(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

// graph checks a graph and returns its names. The graphs around it are in outer, nil for the main graph.
func (c *checker) graph(g *Graph, path string, outer *scope) *scope {
	s := &scope{names: map[string]bool{}, outer: outer}
	if g.Name == "" {
		c.report("", "", "%s has no name", path)
	}
	for _, v := range g.Inputs {
		c.valueInfo(v, path+": an input", outer == nil)
		if v.Name != "" && s.names[v.Name] {
			c.report("", v.Name, "%s has two inputs of this name", path)
		}
		s.names[v.Name] = true
	}
	c.initializers(g, path, s)
	c.nodes(g.Nodes, path, s)
	outputs := map[string]bool{}
	for _, v := range g.Outputs {
		c.valueInfo(v, path+": an output", outer == nil)
		if v.Name != "" && !s.has(v.Name) {
			c.report("", v.Name, "%s gives this output, but nothing makes it", path)
		}
		if v.Name != "" && outputs[v.Name] {
			c.report("", v.Name, "%s gives this output twice", path)
		}
		outputs[v.Name] = true
	}
	for _, v := range g.ValueInfo {
		c.valueInfo(v, path+": a value", false)
	}
	return s
}

func (c *checker) valueInfo(v *ValueInfo, what string, typed bool) {
	if v.Name == "" {
		c.report("", "", "%s has no name", what)
	}
	if t := v.Type; typed && (t == nil || t.Tensor == nil && t.SparseTensor == nil && t.Sequence == nil && t.Map == nil && t.Optional == nil && t.Opaque == nil) {
		c.report("", v.Name, "%s has no type", what)
	}
}

func (c *checker) initializers(g *Graph, path string, s *scope) {
	seen := map[string]bool{}
	define := func(name string) {
		switch {
		case name == "":
			c.report("", "", "%s has an initializer without a name", path)
		case seen[name]:
			c.report("", name, "%s has two initializers of this name", path)
		case c.model.IRVersion < 4 && !s.names[name]:
			c.report("", name, "an initializer must be an input too before IR version 4")
		}
		seen[name], s.names[name] = true, true
	}
	for _, t := range g.Initializers {
		define(t.Name)
		c.tensor(t, "")
	}
	for _, t := range g.SparseInitializers {
		if t.Values != nil {
			define(t.Values.Name)
		}
		c.sparseTensor(t, "")
	}
}

func (c *checker) nodes(nodes []*Node, path string, s *scope) {
	made := map[string]string{} // value → the node of this graph that makes it
	for i, n := range nodes {
		for _, name := range n.Outputs {
			if made[name] == "" {
				made[name] = nodeName(n, i)
			}
		}
	}
	for i, n := range nodes {
		name := nodeName(n, i)
		inner := path + "/" + name
		if path != "graph" {
			name = inner
		}
		for _, in := range n.Inputs {
			if in == "" || s.has(in) {
				continue
			}
			if maker := made[in]; maker != "" {
				c.report(name, in, "is read before node %q makes it", maker)
			} else {
				c.report(name, in, "is read, but nothing makes it")
			}
		}
		c.node(n, name, inner, s)
		for _, out := range n.Outputs {
			if out != "" && s.has(out) {
				c.report(name, out, "is made a second time")
			}
			s.names[out] = true
		}
	}
}

// node checks a node but for its inputs and outputs; inner is the path of its sub-graphs but for the attribute.
func (c *checker) node(n *Node, name, inner string, s *scope) {
	if n.OpType == "" {
		c.report(name, "", "has no operator")
	}
	if _, ok := c.opsets[defaultDomain(n.Domain)]; !ok {
		c.report(name, "", "operator %s is of the domain %q, which is not imported", n.OpType, cmp.Or(n.Domain, "ai.onnx"))
	}
	seen := map[string]bool{}
	for _, a := range n.Attributes {
		if a.Name != "" && seen[a.Name] {
			c.report(name, "", "has two attributes %q", a.Name)
		}
		seen[a.Name] = true
		c.attribute(a, name, inner, s)
	}
}

func (c *checker) functions() {
	type id struct{ domain, name, overload string }
	seen := map[id]bool{}
	for _, f := range c.model.Functions {
		path := "function:" + f.Name
		c.function, c.opsets = f, c.imports(f.OpsetImports, path)
		if f.Name == "" {
			c.report("", "", "a function has no name")
		}
		if k := (id{defaultDomain(f.Domain), f.Name, f.Overload}); seen[k] {
			c.report("", "", "%s of domain %q is defined twice", path, f.Domain)
		} else {
			seen[k] = true
		}
		s := &scope{names: map[string]bool{}}
		c.distinct(f.Inputs, path+" has two inputs", s.names)
		c.distinct(f.Attributes, path+" has two attributes", map[string]bool{})
		c.distinct(f.Outputs, path+" has two outputs", map[string]bool{})
		for _, a := range f.AttributeProtos {
			c.attribute(a, path, path, s)
		}
		c.nodes(f.Nodes, path, s)
		for _, name := range f.Outputs {
			if !s.has(name) {
				c.report("", name, "%s gives this output, but nothing makes it", path)
			}
		}
	}
	c.function = nil
}

func (c *checker) distinct(names []string, msg string, seen map[string]bool) {
	for _, name := range names {
		if seen[name] {
			c.report("", "", "%s %q", msg, name)
		}
		seen[name] = true
	}
}
