package deepcompress

import (
	"slices"
	"strings"

	"github.com/effml/effml/onnx"
)

// stripper drops doc strings and exporter traces and counts their bytes.
type stripper struct{ bytes int64 }

// stripMetadata removes from m what no runtime reads: doc strings, and the metadata entries in which exporters leave stack
// traces, module paths and the graph that they started from. Names and other metadata stay. It returns the bytes removed.
func stripMetadata(m *onnx.Model) int64 {
	var s stripper
	s.text(&m.DocString)
	m.Metadata = s.entries(m.Metadata)
	s.graph(m.Graph)
	for _, t := range m.TrainingInfo {
		s.graph(t.Initialization)
		s.graph(t.Algorithm)
	}
	for _, f := range m.Functions {
		s.text(&f.DocString)
		f.Metadata = s.entries(f.Metadata)
		s.nodes(f.Nodes)
		s.attributes(f.AttributeProtos)
		s.values(f.ValueInfo)
	}
	return s.bytes
}

func (s *stripper) text(doc *string) {
	s.bytes += int64(len(*doc))
	*doc = ""
}

// exporterTrace reports whether a metadata key is one of those of torch.onnx and onnxscript.
func exporterTrace(key string) bool {
	return key == "namespace" || strings.HasPrefix(key, "pkg.torch.") || strings.HasPrefix(key, "pkg.onnxscript.")
}

func (s *stripper) entries(list []*onnx.StringEntry) []*onnx.StringEntry {
	return slices.DeleteFunc(list, func(e *onnx.StringEntry) bool {
		if !exporterTrace(e.Key) {
			return false
		}
		s.bytes += int64(len(e.Key) + len(e.Value))
		return true
	})
}

func (s *stripper) graph(g *onnx.Graph) {
	if g == nil {
		return
	}
	s.text(&g.DocString)
	g.Metadata = s.entries(g.Metadata)
	s.nodes(g.Nodes)
	for _, t := range g.Initializers {
		s.tensor(t)
	}
	for _, t := range g.SparseInitializers {
		s.sparse(t)
	}
	s.values(g.Inputs)
	s.values(g.Outputs)
	s.values(g.ValueInfo)
}

func (s *stripper) nodes(nodes []*onnx.Node) {
	for _, n := range nodes {
		s.text(&n.DocString)
		n.Metadata = s.entries(n.Metadata)
		s.attributes(n.Attributes)
	}
}

func (s *stripper) attributes(attributes []*onnx.Attribute) {
	for _, a := range attributes {
		s.text(&a.DocString)
		s.tensor(a.T)
		for _, t := range a.Tensors {
			s.tensor(t)
		}
		s.sparse(a.SparseTensor)
		for _, t := range a.SparseTensors {
			s.sparse(t)
		}
		s.graph(a.G)
		for _, g := range a.Graphs {
			s.graph(g)
		}
	}
}

func (s *stripper) tensor(t *onnx.Tensor) {
	if t != nil {
		s.text(&t.DocString)
		t.Metadata = s.entries(t.Metadata)
	}
}

func (s *stripper) sparse(t *onnx.SparseTensor) {
	if t != nil {
		s.tensor(t.Values)
		s.tensor(t.Indices)
	}
}

func (s *stripper) values(list []*onnx.ValueInfo) {
	for _, v := range list {
		s.text(&v.DocString)
		v.Metadata = s.entries(v.Metadata)
	}
}
