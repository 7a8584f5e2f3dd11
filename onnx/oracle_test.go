package onnx_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/effml/effml/internal/modelgen"
	"github.com/effml/effml/onnx"
)

// The oracle is onnx.proto itself, as the wheel onnx 1.23.2 on PyPI carries it (serialized by protoc, Apache-2.0), run by
// Google's protobuf library for Go: testdata/onnx.desc is onnx.onnx_ml_pb2.DESCRIPTOR.serialized_pb.
func descriptor(t testing.TB) protoreflect.FileDescriptor {
	t.Helper()
	var p descriptorpb.FileDescriptorProto
	if err := proto.Unmarshal(read(t, filepath.Join("testdata", "onnx.desc")), &p); err != nil {
		t.Fatal(err)
	}
	file, err := protodesc.NewFile(&p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// goNames are the messages whose struct has another name than the message without "Proto".
var goNames = map[protoreflect.FullName]string{
	"onnx.OperatorSetIdProto": "OperatorSet", "onnx.StringStringEntryProto": "StringEntry", "onnx.TypeProto": "TypeProto",
	"onnx.TypeProto.Tensor": "TensorType", "onnx.TypeProto.Sequence": "SequenceType", "onnx.TypeProto.Map": "MapType",
	"onnx.TypeProto.Optional": "OptionalType", "onnx.TypeProto.SparseTensor": "SparseTensorType",
	"onnx.TypeProto.Opaque": "OpaqueType", "onnx.TensorShapeProto": "Shape", "onnx.ShardedDimProto": "ShardedDimension",
	"onnx.SimpleShardedDimProto": "SimpleShardedDimension",
}

func goName(m protoreflect.MessageDescriptor) string {
	if name := goNames[m.FullName()]; name != "" {
		return name
	}
	name := string(m.Name())
	if n := len(name) - len("Proto"); n > 0 && name[n:] == "Proto" {
		name = name[:n]
	}
	return name
}

// wireTypes are those of the kinds that occur.
var wireTypes = map[protoreflect.Kind]protowire.Type{
	protoreflect.Int64Kind: protowire.VarintType, protoreflect.Int32Kind: protowire.VarintType,
	protoreflect.Uint64Kind: protowire.VarintType, protoreflect.EnumKind: protowire.VarintType,
	protoreflect.FloatKind: protowire.Fixed32Type, protoreflect.DoubleKind: protowire.Fixed64Type,
	protoreflect.StringKind: protowire.BytesType, protoreflect.BytesKind: protowire.BytesType,
	protoreflect.MessageKind: protowire.BytesType,
}

func TestSchemaIsOnnxProto(t *testing.T) {
	want := map[onnx.Field]bool{}
	var add func(messages protoreflect.MessageDescriptors)
	add = func(messages protoreflect.MessageDescriptors) {
		for i := range messages.Len() {
			m := messages.Get(i)
			for j := range m.Fields().Len() {
				f := m.Fields().Get(j)
				number := wireTypes[f.Kind()] != protowire.BytesType
				row := onnx.Field{
					Message: goName(m), Name: string(f.Name()), Num: int(f.Number()), Wire: int8(wireTypes[f.Kind()]),
					Repeated: f.IsList(), List: f.IsList() && number, Packed: f.IsPacked(), Oneof: f.ContainingOneof() != nil,
				}
				if f.Message() != nil {
					row.Elem = goName(f.Message())
				}
				want[row] = true
			}
			add(m.Messages())
		}
	}
	add(descriptor(t).Messages())
	for _, f := range onnx.Fields() {
		if !want[f] {
			t.Errorf("the schema has %+v, onnx.proto does not", f)
		}
		delete(want, f)
	}
	for f := range want {
		t.Errorf("onnx.proto has %+v, the schema does not", f)
	}
	for i := onnx.DataType(0); i.Known() || i == 0; i++ {
		v := descriptor(t).Messages().ByName("TensorProto").Enums().ByName("DataType").Values().ByNumber(protoreflect.EnumNumber(i))
		if v == nil || string(v.Name()) != i.String() {
			t.Errorf("data type %d is %v, not %s", i, v, i)
		}
	}
	values := descriptor(t).Messages().ByName("AttributeProto").Enums().ByName("AttributeType").Values()
	for i := range values.Len() {
		if v := values.Get(i); onnx.AttributeType(v.Number()).String() != string(v.Name()) {
			t.Errorf("attribute type %d is %s, not %s", v.Number(), v.Name(), onnx.AttributeType(v.Number()))
		}
	}
}

// filler fills messages at random.
type filler struct {
	*rand.Rand
	budget int // messages left to make
}

func (r *filler) message(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if r.IntN(3) == 0 || f.Message() != nil && (depth > 12 || r.budget <= 0) {
			continue
		}
		if f.IsList() {
			list := m.Mutable(f).List()
			for range r.IntN(4) {
				list.Append(r.value(f, list.NewElement, depth))
			}
			continue
		}
		m.Set(f, r.value(f, func() protoreflect.Value { return m.NewField(f) }, depth))
	}
}

func (r *filler) value(f protoreflect.FieldDescriptor, create func() protoreflect.Value, depth int) protoreflect.Value {
	x := r.Uint64() >> r.IntN(64)
	text := fmt.Sprintf("%.*s", r.IntN(12), "größe-0123456")
	switch f.Kind() {
	case protoreflect.MessageKind:
		r.budget--
		v := create()
		r.message(v.Message(), depth+1)
		if f.Name() == "external_data" { // of which some keys hold numbers
			entry := v.Message()
			entry.Set(entry.Descriptor().Fields().ByName("key"), protoreflect.ValueOfString([]string{"location", "offset", "length", "other"}[r.IntN(4)]))
			entry.Set(entry.Descriptor().Fields().ByName("value"), protoreflect.ValueOfString(fmt.Sprint(r.Uint32())))
		}
		return v
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(bytes.Repeat([]byte(text), r.IntN(2)*r.IntN(700)))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(math.Float32frombits(uint32(x)))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(math.Float64frombits(x))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(x))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(x)
	case protoreflect.EnumKind:
		values := f.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(r.IntN(values.Len())).Number())
	default:
		return protoreflect.ValueOfInt64(int64(x))
	}
}

// Messages filled at random with any field of onnx.proto mean the same to Google's library after our canonical encoding, and
// are the same bytes when nothing changed.
func TestRandomMessages(t *testing.T) {
	desc := descriptor(t).Messages().ByName("ModelProto")
	tested := map[protoreflect.FullName]bool{}
	for seed := range uint64(100) {
		want := dynamicpb.NewMessage(desc)
		r := &filler{rand.New(rand.NewPCG(1, seed)), 400}
		r.message(want, 0)
		want.Mutable(desc.Fields().ByName("graph")) // without which it is no model
		file, err := proto.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		m, err := onnx.Decode(file)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got := written(t, m); !bytes.Equal(got, file) {
			t.Errorf("seed %d: read and written: %s", seed, firstDifference(got, file))
		}
		canonical, err := onnx.Canonical(m)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got := dynamicpb.NewMessage(desc)
		if err := proto.Unmarshal(canonical, got); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !proto.Equal(want, got) {
			t.Errorf("seed %d: the canonical encoding says something else", seed)
		}
		if len(canonical) != len(file) {
			t.Errorf("seed %d: %d bytes, canonically %d", seed, len(file), len(canonical))
		}
		visit(want, func(m protoreflect.Message) { tested[m.Descriptor().FullName()] = true })
	}
	if len(tested) < 28 {
		t.Errorf("only %d messages were tested: %v", len(tested), tested)
	}
}

func visit(m protoreflect.Message, f func(protoreflect.Message)) {
	f(m)
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Message() != nil && fd.IsList():
			for i := range v.List().Len() {
				visit(v.List().Get(i).Message(), f)
			}
		case fd.Message() != nil:
			visit(v.Message(), f)
		}
		return true
	})
}

// checkScript reads models with Google's library for Python, and prints for each file whether it writes the same bytes, what
// ONNX's checker says, and of each tensor a hash of its values in raw form, as onnx's own helpers make it.
const checkScript = `
import sys, json, hashlib, onnx
from onnx import numpy_helper, helper, TensorProto, AttributeProto
def tensors(graph):
    for n in graph.node: yield from attributes(n.attribute)
    yield from graph.initializer
    for s in graph.sparse_initializer: yield s.values; yield s.indices
def attributes(list):
    for a in list:
        if a.HasField("t"): yield a.t
        if a.HasField("g"): yield from tensors(a.g)
        yield from a.tensors
        for g in a.graphs: yield from tensors(g)
        if a.HasField("sparse_tensor"): yield a.sparse_tensor.values; yield a.sparse_tensor.indices
def all(model):
    yield from tensors(model.graph)
    for t in model.training_info: yield from tensors(t.initialization); yield from tensors(t.algorithm)
    for f in model.functions:
        for n in f.node: yield from attributes(n.attribute)
        yield from attributes(f.attribute_proto)
def raw(t, folder):
    a = numpy_helper.to_array(t, folder)
    if t.data_type == TensorProto.STRING:
        return b"\0".join(v if isinstance(v, bytes) else v.encode() for v in a.flatten())
    return helper.make_tensor("", t.data_type, t.dims, a, raw=True).raw_data
result = []
for path in sys.argv[1:]:
    data = open(path, "rb").read()
    model = onnx.ModelProto.FromString(data)
    problem = ""
    try: onnx.checker.check_model(path)
    except Exception as e: problem = str(e)
    folder = path.rsplit("/", 1)[0]
    result.append({"same": model.SerializeToString() == data, "problem": problem,
        "hashes": [hashlib.sha256(raw(t, folder)).hexdigest() for t in all(model)]})
json.dump(result, sys.stdout)
`

// Models that we write mean to ONNX's Python package just what they mean to us, down to the bytes and the values.
func TestPythonAgrees(t *testing.T) {
	if os.Getenv("EFFML_PYTHON") == "" {
		t.Skip("no $EFFML_PYTHON with the package onnx")
	}
	n := 200
	if testing.Short() {
		n = 20
	}
	dir, paths := t.TempDir(), []string{}
	for i, m := range modelgen.Generate(1, n) {
		path := filepath.Join(dir, fmt.Sprint(i), "model.onnx")
		if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := onnx.Save(path, m, onnx.SaveOptions{}); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	var results []struct {
		Same    bool
		Problem string
		Hashes  []string
	}
	if err := json.Unmarshal([]byte(python(t, checkScript, paths...)), &results); err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if !r.Same {
			t.Errorf("model %d: Python writes other bytes", i)
		}
		if r.Problem != "" {
			t.Errorf("model %d: onnx.checker: %s", i, r.Problem)
		}
		tensors := open(t, paths[i]).Model.Tensors()
		if len(tensors) != len(r.Hashes) {
			t.Errorf("model %d: %d tensors, Python has %d", i, len(tensors), len(r.Hashes))
			continue
		}
		for j, ref := range tensors {
			raw, err := ref.Bytes()
			if ref.DataType == onnx.String {
				var list [][]byte
				list, err = ref.Strings()
				raw = bytes.Join(list, []byte{0})
			}
			if got := fmt.Sprintf("%x", sha256.Sum256(raw)); err != nil || got != r.Hashes[j] {
				t.Errorf("model %d: %s %s %s in %s: %v, values differ from Python's", i, ref.Name, ref.DataType, ref.Role, ref.Storage, err)
			}
		}
	}
}

// The descriptor in testdata is that of the installed package, unless that is another version.
func TestDescriptorIsCurrent(t *testing.T) {
	var got struct{ Version, Desc string }
	out := python(t, "import onnx, json; print(json.dumps({'version': onnx.__version__, 'desc': onnx.onnx_ml_pb2.DESCRIPTOR.serialized_pb.hex()}))")
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%x", read(t, filepath.Join("testdata", "onnx.desc"))); got.Desc != want {
		t.Errorf("onnx %s has another onnx.proto than testdata/onnx.desc: see what is new, and write the file again", got.Version)
	}
}
