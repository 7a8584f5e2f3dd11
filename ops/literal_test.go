package ops

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// example is a node, its inputs and the outputs that the operator's definition gives, as text; or the error.
type example struct {
	name       string // operator-opset
	attributes string // key=value …: integers, lists of integers (with a comma), strings
	in         string // tensors: type[shape] elements, separated by semicolons; nothing for one that is left out
	want       string // likewise, or "error: " and a part of the message
}

var literalTypes = map[string]onnx.DataType{
	"f": onnx.Float, "d": onnx.Double, "h": onnx.Float16, "bf": onnx.BFloat16, "i8": onnx.Int8, "i16": onnx.Int16, "i": onnx.Int32, "l": onnx.Int64,
	"u8": onnx.Uint8, "u16": onnx.Uint16, "u": onnx.Uint32, "ul": onnx.Uint64, "b": onnx.Bool, "s": onnx.String, "i4": onnx.Int4, "u4": onnx.Uint4,
	"i2": onnx.Int2, "e4m3": onnx.Float8E4M3FN, "e5m2": onnx.Float8E5M2, "e8m0": onnx.Float8E8M0, "e2m1": onnx.Float4E2M1,
}

// literal makes a tensor of text such as "f[2,2] 1 2 nan -inf".
func literal(text string) (*tensor.Tensor, error) {
	head, rest, _ := strings.Cut(text, "]")
	kind, dims, ok := strings.Cut(strings.TrimSpace(head), "[")
	if !ok || literalTypes[kind] == onnx.Undefined {
		return nil, fmt.Errorf("literal %q", text)
	}
	var shape []int
	for _, d := range strings.FieldsFunc(dims, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(d)
		if err != nil {
			return nil, err
		}
		shape = append(shape, n)
	}
	t, err := tensor.New(literalTypes[kind], shape...)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(rest)
	if len(words) != t.Len() {
		return nil, fmt.Errorf("literal %q has %d elements", text, len(words))
	}
	if t.Type == onnx.String {
		copy(t.Strings(), words)
		return t, nil
	}
	return t, parseStrings(t, words, conversion{round: "nearest", overflow: true})
}

func literals(text string) (list []*tensor.Tensor, err error) {
	for part := range strings.SplitSeq(text, ";") {
		var t *tensor.Tensor
		if strings.TrimSpace(part) != "" {
			if t, err = literal(part); err != nil {
				return nil, err
			}
		}
		list = append(list, t)
	}
	return list, nil
}

// node makes the node of an example.
func (e example) node(in, out int) *Node {
	name, opset, _ := strings.Cut(e.name, "-")
	version, err := strconv.ParseInt(opset, 10, 64)
	if err != nil {
		panic(err)
	}
	n := &Node{Node: &onnx.Node{OpType: name}, Opset: version}
	for range in {
		n.Inputs = append(n.Inputs, "x")
	}
	for range out {
		n.Outputs = append(n.Outputs, "y")
	}
	for _, word := range strings.Fields(e.attributes) {
		key, value, _ := strings.Cut(word, "=")
		a := &onnx.Attribute{Name: key, Type: onnx.AttributeInts}
		number, err := strconv.ParseInt(value, 10, 64)
		switch {
		case strings.Contains(value, ",") && key != "equation":
			for v := range strings.SplitSeq(strings.TrimSuffix(value, ","), ",") {
				k, err := strconv.ParseInt(v, 10, 64)
				if err != nil {
					panic(err)
				}
				a.Ints = append(a.Ints, k)
			}
		case err == nil:
			a.Type, a.I = onnx.AttributeInt, number
		case strings.HasPrefix(value, "f"):
			f, err := strconv.ParseFloat(value[1:], 32)
			if err != nil {
				a.Type, a.S = onnx.AttributeString, []byte(value)
				break
			}
			a.Type, a.F = onnx.AttributeFloat, float32(f)
		default:
			a.Type, a.S = onnx.AttributeString, []byte(value)
		}
		n.Attributes = append(n.Attributes, a)
	}
	return n
}

// runExamples runs examples in all ways that trial has.
func runExamples(t *testing.T, examples []example) {
	cpu := kernel.NewCPU(kernel.Options{Threads: 2})
	defer cpu.Close()
	for i, e := range examples {
		t.Run(fmt.Sprintf("%02d_%s", i, e.name), func(t *testing.T) {
			in, err := literals(e.in)
			if err != nil {
				t.Fatal(err)
			}
			message, refused := strings.CutPrefix(e.want, "error: ")
			want := make([]*tensor.Tensor, 1)
			if !refused {
				if want, err = literals(e.want); err != nil {
					t.Fatal(err)
				}
			}
			if slices.Equal(in, []*tensor.Tensor{nil}) {
				in = nil
			}
			n := e.node(len(in), len(want))
			for i := range in {
				if in[i] == nil {
					n.Inputs[i] = ""
				}
			}
			op, err := New(n)
			if err == nil {
				err = trial{cpu: cpu, op: op, in: in, want: want}.run()
			}
			if (err == nil) == refused || err != nil && (!refused || !strings.Contains(err.Error(), message)) {
				t.Errorf("%s(%s) of %s: %v; want %s", e.name, e.attributes, e.in, err, e.want)
			}
		})
	}
}

func TestLiteral(t *testing.T) {
	v, err := literal("f[2,2] 1 -2.5 nan -inf")
	if err != nil {
		t.Fatal(err)
	}
	f := tensor.Of[float32](v)
	if !slices.Equal(v.Shape, []int{2, 2}) || f[1] != -2.5 || f[2] == f[2] || !math.IsInf(float64(f[3]), -1) {
		t.Errorf("%v %v", v, f)
	}
}
