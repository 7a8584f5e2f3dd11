package modelgen

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/effml/effml/onnx"
)

// plain adds one initializer of the form that nothing reads.
func (b *builder) plain() {
	b.graph.Initializers = append(b.graph.Initializers, b.tensor("unread", b.form, []int64{17}))
}

// sparseInitializers adds one with flat and one with coordinate indices.
func (b *builder) sparseInitializers() {
	f := form{onnx.Float, onnx.StorageRaw}
	if b.rand.IntN(2) == 0 {
		f.storage = onnx.StorageFloat
	}
	flat := b.sparse("flat", f, []int64{30}, []int64{3, 4, 17, 29}, []int64{4})
	grid := b.sparse("grid", f, []int64{4, 6}, []int64{0, 1, 0, 5, 3, 2}, []int64{3, 2})
	b.graph.SparseInitializers = append(b.graph.SparseInitializers, flat, grid)
	b.output("Identity", "flat", value("flat_out", onnx.Float, 30))
	b.output("Identity", "grid", value("grid_out", onnx.Float, 4, 6))
}

func (b *builder) sparse(name string, f form, dims, indices, shape []int64) *onnx.SparseTensor {
	t := &onnx.Tensor{DataType: onnx.Int64, Dims: shape, Storage: onnx.StorageInt64}
	t.SetBytes(int64s(indices...))
	return &onnx.SparseTensor{Values: b.tensor(name, f, shape[:1]), Indices: t, Dims: dims}
}

func int64s(list ...int64) []byte {
	var raw []byte
	for _, x := range list {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(x))
	}
	return raw
}

// subGraphs adds an If whose branches hold initializers of the form, one inside another, and read names from outside.
func (b *builder) subGraphs() {
	condition := &onnx.Tensor{Name: "condition", DataType: onnx.Bool, Storage: onnx.StorageRaw}
	condition.SetBytes([]byte{1})
	b.graph.Initializers = append(b.graph.Initializers, condition)
	inner := b.branch("inner", &onnx.Node{OpType: "Add", Inputs: []string{"x", "x"}})
	outer := b.branch("outer", ifNode(inner, b.branch("other", &onnx.Node{OpType: "Neg", Inputs: []string{"y"}})))
	n := ifNode(outer, b.branch("else", &onnx.Node{OpType: "Abs", Inputs: []string{"x"}}))
	n.Outputs = []string{"chosen"}
	b.graph.Nodes = append(b.graph.Nodes, n)
	b.graph.Outputs = append(b.graph.Outputs, value("chosen", onnx.Float, 2, 3))
}

func ifNode(then, otherwise *onnx.Graph) *onnx.Node {
	return &onnx.Node{OpType: "If", Inputs: []string{"condition"}, Attributes: []*onnx.Attribute{
		{Name: "then_branch", Type: onnx.AttributeGraph, G: then},
		{Name: "else_branch", Type: onnx.AttributeGraph, G: otherwise},
	}}
}

// branch is a sub-graph whose output n makes; it has an initializer, which it also passes through a node.
func (b *builder) branch(name string, n *onnx.Node) *onnx.Graph {
	n.Outputs = []string{name + "_result"}
	return &onnx.Graph{
		Name: name,
		Nodes: []*onnx.Node{
			{OpType: "Identity", Inputs: []string{name + "_w"}, Outputs: []string{name + "_copy"}},
			n,
		},
		Initializers: []*onnx.Tensor{b.tensor(name+"_w", b.form, []int64{5})},
		Outputs:      []*onnx.ValueInfo{value(name+"_result", onnx.Float, 2, 3)},
	}
}

// function adds a function of a domain of its own, with an attribute, one that has a default, and a constant inside.
func (b *builder) function() {
	b.model.IRVersion = max(b.model.IRVersion, 9)
	version := b.model.OpsetImports[0].Version
	alpha := &onnx.Attribute{Name: "alpha", Type: onnx.AttributeFloat, RefAttrName: "slope"}
	f := &onnx.Function{
		Name: "Leak", Domain: "effml.test", DocString: "a leaky rectifier, plus a constant",
		Inputs: []string{"in"}, Outputs: []string{"out"}, Attributes: []string{"slope"},
		AttributeProtos: []*onnx.Attribute{{Name: "bias", Type: onnx.AttributeFloat, F: 0}},
		OpsetImports:    []*onnx.OperatorSet{{Version: version}},
		Nodes: []*onnx.Node{
			{OpType: "LeakyRelu", Inputs: []string{"in"}, Outputs: []string{"leaked"}, Attributes: []*onnx.Attribute{alpha}},
			b.constant("offset", "value", &onnx.Attribute{Type: onnx.AttributeTensor, T: b.tensor("", form{onnx.Float, onnx.StorageRaw}, []int64{3})}),
			{OpType: "Constant", Outputs: []string{"bias"}, Attributes: []*onnx.Attribute{{Name: "value_float", Type: onnx.AttributeFloat, RefAttrName: "bias"}}},
			{OpType: "Sum", Inputs: []string{"leaked", "offset", "bias"}, Outputs: []string{"out"}},
		},
	}
	b.model.Functions = append(b.model.Functions, f)
	b.model.OpsetImports = append(b.model.OpsetImports, &onnx.OperatorSet{Domain: "effml.test", Version: 1})
	n := b.output("Leak", "x", value("leak_out", onnx.Float, 2, 3))
	n.Domain = "effml.test"
	n.Attributes = []*onnx.Attribute{{Name: "slope", Type: onnx.AttributeFloat, F: 0.1}}
}

func (b *builder) constant(output, name string, a *onnx.Attribute) *onnx.Node {
	a.Name = name
	return &onnx.Node{OpType: "Constant", Outputs: []string{output}, Attributes: []*onnx.Attribute{a}}
}

// constants adds a Constant of every attribute that it has, empty and zero ones included.
func (b *builder) constants() {
	f := b.form
	if f.storage == onnx.StorageExternal {
		f.storage = onnx.StorageRaw // most runtimes read external data of initializers only
	}
	add := func(name string, v *onnx.ValueInfo, a *onnx.Attribute) {
		b.graph.Nodes = append(b.graph.Nodes, b.constant(v.Name, name, a))
		b.graph.Outputs = append(b.graph.Outputs, v)
	}
	add("value", value("c_tensor", f.dt, 6, 7), &onnx.Attribute{Type: onnx.AttributeTensor, T: b.tensor("c", f, []int64{6, 7})})
	add("value_float", value("c_float", onnx.Float), &onnx.Attribute{Type: onnx.AttributeFloat})
	add("value_floats", value("c_floats", onnx.Float, 9), &onnx.Attribute{Type: onnx.AttributeFloats, Floats: b.floats(9)})
	add("value_int", value("c_int", onnx.Int64), &onnx.Attribute{Type: onnx.AttributeInt})
	add("value_ints", value("c_ints", onnx.Int64, 3), &onnx.Attribute{Type: onnx.AttributeInts, Ints: []int64{-1, 0, 1 << 40}})
	add("value_string", value("c_string", onnx.String), &onnx.Attribute{Type: onnx.AttributeString})
	add("value_strings", value("c_strings", onnx.String, 4), &onnx.Attribute{Type: onnx.AttributeStrings, Strings: b.strings(4)})
	sparse := b.sparse("", form{onnx.Float, onnx.StorageRaw}, []int64{100}, []int64{0, 50, 99}, []int64{3})
	add("sparse_value", value("c_sparse", onnx.Float, 100), &onnx.Attribute{Type: onnx.AttributeSparseTensor, SparseTensor: sparse})
}

// tied gives two initializers the same values, and external ones the same place.
func (b *builder) tied() {
	first := b.initializer("tied_0", b.form, []int64{11, 13})
	again := *first
	again.Name = "tied_1"
	b.graph.Initializers = append(b.graph.Initializers, &again)
	b.output("Identity", "tied_1", value("tied_1_out", b.form.dt, 11, 13))
}

// metadata fills the descriptive fields of every message that has some.
func (b *builder) metadata() {
	entries := func(where string) []*onnx.StringEntry {
		return []*onnx.StringEntry{{Key: "where", Value: where}, {Key: "empty"}}
	}
	m, g := b.model, b.graph
	m.IRVersion = max(m.IRVersion, 11)
	m.ProducerVersion, m.Domain, m.ModelVersion, m.DocString = "1.2.3", "test.effml", 7, "all of it, größer"
	m.Metadata = entries("model")
	m.Configurations = []*onnx.DeviceConfiguration{{Name: "pair", NumDevices: 2, Devices: []string{"a", "b"}}}
	g.DocString, g.Metadata = "a graph", entries("graph")
	g.QuantizationAnnotations = []*onnx.TensorAnnotation{
		{TensorName: "w0", QuantParameters: []*onnx.StringEntry{{Key: "SCALE_TENSOR", Value: "w1"}}},
	}
	for _, t := range g.Initializers {
		t.DocString, t.Metadata = "values", entries(t.Name)
	}
	g.Inputs[0].DocString, g.Inputs[0].Metadata = "an input", entries("x")
	g.Inputs[0].Type.Denotation = "TENSOR"
	g.Inputs[0].Type.Tensor.Shape.Dims[0].Denotation = "DATA_BATCH"
	n, two := g.Nodes[0], int64(2)
	n.DocString, n.Metadata = "a node", entries("node")
	n.DeviceConfigurations = []*onnx.NodeDeviceConfiguration{{
		ConfigurationID: "pair", PipelineStage: 1,
		ShardingSpecs: []*onnx.ShardingSpec{{
			TensorName: "x", Devices: []int64{-1, 1},
			IndexToDeviceGroupMap: []*onnx.IntIntListEntry{{Key: -1, Values: []int64{0, 1}}},
			ShardedDims: []*onnx.ShardedDimension{
				{Axis: 0, SimpleShardings: []*onnx.SimpleShardedDimension{{Value: &two, NumShards: 2}}},
				{Axis: 1, SimpleShardings: []*onnx.SimpleShardedDimension{{Param: "n", NumShards: 1}}},
			},
		}},
	}}
}

// types adds values that are no plain tensors, and dimensions by name and unknown.
func (b *builder) types() {
	tensor := value("", onnx.Float, 2).Type
	list := map[string]*onnx.TypeProto{
		"sequence": {Sequence: &onnx.SequenceType{ElemType: tensor}},
		"optional": {Optional: &onnx.OptionalType{ElemType: &onnx.TypeProto{Sequence: &onnx.SequenceType{ElemType: tensor}}}},
	}
	for _, name := range []string{"sequence", "optional"} {
		b.graph.Inputs = append(b.graph.Inputs, &onnx.ValueInfo{Name: name, Type: list[name]})
		b.output("Identity", name, &onnx.ValueInfo{Name: name + "_out", Type: list[name]})
	}
	named := value("named", onnx.Float)
	named.Type.Tensor.Shape.Dims = []*onnx.Dimension{{Param: "batch"}, {}, {Value: new(int64)}}
	mapped := &onnx.TypeProto{Map: &onnx.MapType{KeyType: onnx.String, ValueType: tensor}}
	sparse := &onnx.TypeProto{SparseTensor: &onnx.SparseTensorType{ElemType: onnx.Float, Shape: shape([]int64{3})}}
	opaque := &onnx.TypeProto{Opaque: &onnx.OpaqueType{Domain: "test", Name: "thing"}}
	b.graph.ValueInfo = append(b.graph.ValueInfo, named, &onnx.ValueInfo{Name: "no_type"},
		&onnx.ValueInfo{Name: "map", Type: mapped}, &onnx.ValueInfo{Name: "sparse", Type: sparse}, &onnx.ValueInfo{Name: "opaque", Type: opaque},
		&onnx.ValueInfo{Name: "any_rank", Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float}}})
}

// unused gives the model fields that no version of onnx.proto has, and optional inputs and outputs left out.
func (b *builder) unused() {
	clip := b.output("Clip", "x", value("clipped", onnx.Float, 2, 3))
	clip.Inputs = append(clip.Inputs, "", "limit")
	limit := &onnx.Tensor{Name: "limit", DataType: onnx.Float, Storage: onnx.StorageFloat}
	limit.SetBytes(make([]byte, 4))
	b.graph.Initializers = append(b.graph.Initializers, limit)
	b.graph.Nodes = append(b.graph.Nodes, &onnx.Node{
		OpType: "MaxPool", Inputs: []string{"image"}, Outputs: []string{"pooled", ""},
		Attributes: []*onnx.Attribute{{Name: "kernel_shape", Type: onnx.AttributeInts, Ints: []int64{2, 2}}},
	})
	b.graph.Inputs = append(b.graph.Inputs, value("image", onnx.Float, 1, 1, 4, 4))
	var file bytes.Buffer
	if _, err := b.model.WriteTo(&file); err != nil {
		panic(err)
	}
	file.WriteString("\xc2\x3e\x07unknown\xca\x3e\x00") // fields 1000 and 1001
	if b.form.storage == onnx.StorageExternal {
		return // decoding would lose the external values
	}
	m, err := onnx.Decode(file.Bytes())
	if err != nil {
		panic(err)
	}
	b.model, b.graph = m, m.Graph
}

// training adds a graph that makes initial values and one step of training.
func (b *builder) training() {
	n := b.constant("start", "value", &onnx.Attribute{Type: onnx.AttributeTensor, T: b.tensor("", form{onnx.Float, onnx.StorageRaw}, []int64{4})})
	weights := b.initializer("trained", form{onnx.Float, onnx.StorageRaw}, []int64{4})
	b.model.TrainingInfo = []*onnx.TrainingInfo{{
		Initialization: &onnx.Graph{
			Name: "begin", Nodes: []*onnx.Node{n}, Outputs: []*onnx.ValueInfo{value("start", onnx.Float, 4)},
		},
		Algorithm: &onnx.Graph{
			Name:         "step",
			Nodes:        []*onnx.Node{{OpType: "Sub", Inputs: []string{weights.Name, "rate"}, Outputs: []string{"next"}}},
			Initializers: []*onnx.Tensor{b.tensor("rate", form{onnx.Float, onnx.StorageFloat}, nil)},
			Outputs:      []*onnx.ValueInfo{value("next", onnx.Float, 4)},
		},
		InitializationBinding: []*onnx.StringEntry{{Key: weights.Name, Value: "start"}},
		UpdateBinding:         []*onnx.StringEntry{{Key: weights.Name, Value: "next"}},
	}}
}

// oldStyle lists the initializers as inputs too, as IR version 3 wants, and writes empty strings where Python's helpers do.
func (b *builder) oldStyle() {
	for _, t := range b.graph.Initializers {
		b.graph.Inputs = append(b.graph.Inputs, value(t.Name, t.DataType, t.Dims...))
	}
	if b.form.dt <= onnx.Complex128 {
		b.model.IRVersion, b.model.OpsetImports[0].Version = 3, 8
	}
	b.model.OpsetImports = append(b.model.OpsetImports, &onnx.OperatorSet{Domain: "ai.onnx.ml", Version: 1})
	b.graph.Nodes[0].Name = fmt.Sprintf("first of %d", len(b.graph.Nodes))
}
