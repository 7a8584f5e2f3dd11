package evaluate

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/internal/uses"
	"github.com/effml/effml/onnx"
)

// Inspect reports what is in a model: its structure, what each node does (see [infer.Outline] for what counts as a MAC), the bytes of its
// tensors and their distributions, and where the bytes of an archive went. A model that breaks rules of ONNX is reported with its problems, not refused.
func Inspect(ctx context.Context, c InspectConfig, ev job.Events) (*InspectResult, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if ev == nil {
		ev = job.Discard
	}
	timer := job.Start(InspectSchema, 0, c.Threads)
	result := &InspectResult{}
	err := mapped.Guard(func() error {
		m, err := openModel(c.Path)
		if err != nil {
			return err
		}
		defer m.Close()
		return m.inspect(ctx, c, ev, result)
	})
	if err != nil {
		return nil, modelfile.Explain(err)
	}
	timer.Fill(&result.Common)
	return result, nil
}

func (m *model) inspect(ctx context.Context, c InspectConfig, ev job.Events, result *InspectResult) (err error) {
	result.Command, result.Kind = c.Command, m.Kind
	if result.Input, err = m.Describe(ctx); err != nil {
		return err
	}
	result.Model = m.info()
	result.Tensors = make([]TensorInfo, len(m.tensors))
	for i := range m.tensors {
		t := &m.tensors[i]
		result.Tensors[i] = t.info(m.Kind)
		result.Elements += t.elements
		result.TensorBytes += t.bytes
		if t.parameter() {
			result.Parameters += t.elements
		}
	}
	result.Operators, result.DataTypes = m.operators(), m.dataTypes()
	if err := m.nodes(c.Shapes, result); err != nil {
		return err
	}
	result.Problems = []Problem{}
	for _, p := range onnx.Check(m.Model) {
		result.Problems = append(result.Problems, Problem{p.Node, p.Tensor, p.Msg})
	}
	if m.Archive == nil {
		result.GraphBytes = max(0, result.Input.Bytes-result.TensorBytes)
	} else {
		if err := m.archiveInfo(result); err != nil {
			return err
		}
	}
	if c.NoStats {
		return nil
	}
	return m.statistics(ctx, c, ev, result)
}

// statistics looks at the values of all numeric tensors.
func (m *model) statistics(ctx context.Context, c InspectConfig, ev job.Events, result *InspectResult) error {
	ev.Stage("read", result.TensorBytes, "B")
	var g errgroup.Group
	g.SetLimit(workers(c.Threads))
	for i := range m.tensors {
		t := &m.tensors[i]
		if !numeric(t.DataType) || t.elements == 0 {
			ev.Advance(t.bytes)
			continue
		}
		g.Go(func() (err error) {
			result.Tensors[i].Stats, err = summarise(ctx, t, c.Histogram && t.DataType.IsFloat())
			m.Release(t.Tensor)
			ev.Advance(t.bytes)
			return err
		})
	}
	return g.Wait()
}

func workers(n int) int {
	if n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}

func (t *held) info(kind string) TensorInfo {
	info := TensorInfo{
		Name: t.name, Graph: t.graph(), Role: t.Role.String(), Op: t.op(), Type: typeName(t.DataType), Shape: t.Dims, Elements: t.elements,
		Bytes: t.bytes,
	}
	if info.Shape == nil {
		info.Shape = []int64{}
	}
	if kind == modelfile.ONNX {
		info.Storage = t.storage()
	}
	if t.stored != nil {
		info.Form, info.Method, info.Stored = t.stored.Form, t.stored.Method, t.stored.Bytes
	}
	return info
}

// info describes the head of the model.
func (m *model) info() ModelInfo {
	info := ModelInfo{
		IRVersion: m.Model.IRVersion, Producer: m.Model.ProducerName, ProducerVersion: m.Model.ProducerVersion, Domain: m.Model.Domain,
		ModelVersion: m.Model.ModelVersion, Functions: len(m.Model.Functions), Opsets: []Opset{}, Inputs: []Value{}, Outputs: []Value{},
		SubGraphs: -1, // the main graph is none
	}
	for _, o := range m.Model.OpsetImports {
		info.Opsets = append(info.Opsets, Opset{o.Domain, o.Version})
	}
	for _, e := range m.Model.Metadata {
		info.Metadata = append(info.Metadata, Entry{e.Key, e.Value})
	}
	eachGraph(m.Model, func(_ string, g *onnx.Graph, nodes []*onnx.Node) {
		info.Nodes += len(nodes)
		if g != nil {
			info.SubGraphs++
		}
	})
	if g := m.Model.Graph; g != nil {
		info.Graph = g.Name
		initializers := map[string]bool{}
		for _, t := range g.Initializers {
			initializers[t.Name] = true
		}
		inputs := slices.DeleteFunc(slices.Clone(g.Inputs), func(v *onnx.ValueInfo) bool { return initializers[v.Name] })
		info.Inputs, info.Outputs = valuesOf(inputs), valuesOf(g.Outputs)
	}
	info.SubGraphs = max(0, info.SubGraphs)
	return info
}

func valuesOf(list []*onnx.ValueInfo) []Value {
	out := []Value{}
	for _, v := range list {
		kind, shape := describeType(v.Type)
		out = append(out, Value{v.Name, kind, shape})
	}
	return out
}

// operators counts nodes by operator and adds up the tensors that each uses first.
func (m *model) operators() []OperatorCount {
	counts := map[string]*OperatorCount{}
	of := func(op string) *OperatorCount {
		if counts[op] == nil {
			counts[op] = &OperatorCount{Op: op}
		}
		return counts[op]
	}
	eachGraph(m.Model, func(_ string, _ *onnx.Graph, nodes []*onnx.Node) {
		for _, n := range nodes {
			of(uses.OpName(n)).Count++
		}
	})
	for i := range m.tensors {
		t := &m.tensors[i]
		if op := t.op(); op != "" {
			c := of(op)
			c.Parameters += t.elements
			c.Bytes += t.bytes
			if t.stored != nil {
				c.Stored += t.stored.Bytes
			}
		}
	}
	list := make([]OperatorCount, 0, len(counts))
	for _, c := range counts {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b OperatorCount) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.Op, b.Op)) })
	return list
}

// dataTypes adds up tensors by data type.
func (m *model) dataTypes() []TypeShare {
	shares := map[string]*TypeShare{}
	for i := range m.tensors {
		t := &m.tensors[i]
		name := typeName(t.DataType)
		if shares[name] == nil {
			shares[name] = &TypeShare{Type: name}
		}
		s := shares[name]
		s.Tensors++
		s.Elements += t.elements
		s.Bytes += t.bytes
		if t.stored != nil {
			s.Stored += t.stored.Bytes
		}
	}
	list := make([]TypeShare, 0, len(shares))
	for _, s := range shares {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b TypeShare) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Type, b.Type))
	})
	return list
}

// archiveInfo says where the bytes of the archive went.
func (m *model) archiveInfo(result *InspectResult) error {
	s := m.sizes
	info := &ArchiveInfo{Format: m.Archive.Version(), Bytes: map[string]int64{
		"total": s.Total, "header": s.Header, "topology": s.Topology, "codebooks": s.Codebooks, "codes": s.Codes, "positions": s.Positions,
		"raw": s.Raw, "checksums": s.Checksums,
	}}
	var err error
	if info.Provenance, err = m.Archive.Provenance(); err != nil {
		return err
	}
	shares := map[string]*CoderShare{}
	for _, t := range s.Tensors {
		name := t.Form + ": " + t.Method
		if strings.HasPrefix(t.Form, "same as") {
			name = "tied"
		} else if t.Method == "" {
			name = t.Form
		}
		if shares[name] == nil {
			shares[name] = &CoderShare{Name: name}
		}
		c := shares[name]
		c.Tensors++
		c.Elements += t.Weights
		c.Bytes += t.Bytes
	}
	info.Coders = []CoderShare{}
	for _, c := range shares {
		if result.Elements > 0 {
			c.Coverage = 100 * float64(c.Elements) / float64(result.Elements)
		}
		info.Coders = append(info.Coders, *c)
	}
	slices.SortFunc(info.Coders, func(a, b CoderShare) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Name, b.Name))
	})
	result.Archive = info
	result.GraphBytes = s.Header + s.Topology
	return nil
}
