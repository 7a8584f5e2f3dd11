package modelgen

import (
	"fmt"
	"math/rand/v2"

	"github.com/effml/effml/onnx"
)

// DataFile is the location of the models' external data. Save a model in a folder of its own, or under a SaveOptions.DataName.
const DataFile = "weights.bin"

// form is an element type and the field that holds its values.
type form struct {
	dt      onnx.DataType
	storage onnx.Storage
}

// forms lists every type in every field that may hold it.
func forms() []form {
	var all []form
	for dt := onnx.Float; dt.Known(); dt++ {
		all = append(all, form{dt, dt.TypedStorage()})
		if dt != onnx.String {
			all = append(all, form{dt, onnx.StorageRaw}, form{dt, onnx.StorageExternal})
		}
	}
	return all
}

// features add something to a model beyond initializers that go through Identity.
var features = []func(*builder){
	(*builder).plain, (*builder).sparseInitializers, (*builder).subGraphs, (*builder).function, (*builder).constants,
	(*builder).tied, (*builder).metadata, (*builder).types, (*builder).unused, (*builder).training, (*builder).oldStyle,
}

// Generate makes n models, always the same for a seed. From n = 200 on they cover every element type in raw, typed and
// external form, and with them sparse tensors, sub-graphs, functions, constants of every attribute type, tied weights,
// metadata of every message, sequence, map and optional types, training information and unknown fields. ONNX's checker
// accepts them. Values are small, and of many kinds: Gaussian and sparse weights, few distinct values, constants, NaN and
// infinity, and random bits.
func Generate(seed uint64, n int) []*onnx.Model {
	all := forms()
	models := make([]*onnx.Model, n)
	for i := range models {
		b := &builder{rand: rand.New(rand.NewPCG(seed, uint64(i))), form: all[i%len(all)]}
		b.begin(i)
		features[i%len(features)](b)
		models[i] = b.model
	}
	return models
}

type builder struct {
	rand   *rand.Rand
	form   form
	model  *onnx.Model
	graph  *onnx.Graph
	offset int64 // in the external file
}

// begin makes a model of a few initializers of the form, each passed to an output, and an input likewise.
func (b *builder) begin(i int) {
	b.graph = &onnx.Graph{Name: fmt.Sprintf("graph_%d", i)}
	b.model = &onnx.Model{
		IRVersion: 14, ProducerName: "effml-modelgen", Graph: b.graph,
		OpsetImports: []*onnx.OperatorSet{{Version: 25}},
	}
	if b.form.dt <= onnx.BFloat16 {
		b.model.IRVersion, b.model.OpsetImports[0].Version = 8, 17 // so that most runtimes can load it
	}
	b.graph.Inputs = append(b.graph.Inputs, value("x", onnx.Float, 2, 3))
	b.output("Identity", "x", value("y", onnx.Float, 2, 3))
	shapes := [][]int64{{}, {1 + int64(b.rand.IntN(40))}, {3, 5}, {0, 4}, {8, 3, 3, 3}}
	if i%7 == 0 {
		shapes = append(shapes, []int64{int64(1000 + b.rand.IntN(3000)), 7})
	}
	for j, dims := range shapes {
		b.initializer(fmt.Sprintf("w%d", j), b.form, dims)
	}
}

// initializer adds a tensor and an Identity that hands it out.
func (b *builder) initializer(name string, f form, dims []int64) *onnx.Tensor {
	t := b.tensor(name, f, dims)
	b.graph.Initializers = append(b.graph.Initializers, t)
	b.output("Identity", name, value(name+"_out", f.dt, dims...))
	return t
}

// output adds a node of one input and the graph output that it makes.
func (b *builder) output(op, input string, v *onnx.ValueInfo) *onnx.Node {
	n := &onnx.Node{Name: op + "_" + v.Name, OpType: op, Outputs: []string{v.Name}}
	if input != "" {
		n.Inputs = []string{input}
	}
	b.graph.Nodes = append(b.graph.Nodes, n)
	b.graph.Outputs = append(b.graph.Outputs, v)
	return n
}

// tensor makes a tensor with values.
func (b *builder) tensor(name string, f form, dims []int64) *onnx.Tensor {
	t := &onnx.Tensor{Name: name, DataType: f.dt, Dims: dims}
	n, err := t.NumElements()
	if err != nil {
		panic(err)
	}
	if f.dt == onnx.String {
		t.SetStrings(b.strings(int(n)))
		return t
	}
	if n == 0 && f.storage != onnx.StorageExternal {
		return t // as most writers do
	}
	raw := b.values(f.dt, int(n))
	t.Storage = f.storage
	t.SetBytes(raw)
	if f.storage == onnx.StorageExternal {
		b.offset = (b.offset + 63) / 64 * 64
		t.External = &onnx.ExternalData{
			Location: DataFile, HasOffset: true, Offset: b.offset, HasLength: true, Length: int64(len(raw)),
		}
		b.offset += int64(len(raw))
	}
	return t
}

// value names a tensor value and its type.
func value(name string, dt onnx.DataType, dims ...int64) *onnx.ValueInfo {
	return &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: dt, Shape: shape(dims)}}}
}

func shape(dims []int64) *onnx.Shape {
	s := &onnx.Shape{}
	for _, d := range dims {
		s.Dims = append(s.Dims, &onnx.Dimension{Value: &d})
	}
	return s
}
