package ops

import (
	"fmt"
	"strings"
	"testing"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// shapeStep is a node of a chain of arithmetic on shapes: the value it makes, and of what.
type shapeStep struct {
	out, op, attributes string
	in                  []string // names, or literals
	want                string   // the shape, or where it is a tensor of integers its elements
}

// TestSymbolicShapes follows dimensions with names through the chains of nodes that exporters write.
func TestSymbolicShapes(t *testing.T) {
	x := Info{Type: onnx.Float, Shape: Shape{{N: -1, Name: "N"}, Known(8), {N: -1, Name: "H"}, Known(7)}}
	for name, steps := range map[string][]shapeStep{
		"flatten to N × rest": {
			{"s", "Shape-13", "", []string{"x"}, "[N,8,H,7]"},
			{"n", "Gather-13", "", []string{"s", "l[] 0"}, "[N]"},
			{"n1", "Unsqueeze-13", "", []string{"n", "l[1] 0"}, "[N]"},
			{"t", "Concat-13", "axis=0", []string{"n1", "l[1] -1"}, "[N,?]"},
			{"y", "Reshape-13", "", []string{"x", "t"}, "[N,?]"},
			{"z", "Flatten-13", "axis=2", []string{"x"}, "[?,?]"},
			{"f", "Flatten-13", "axis=1", []string{"y"}, "[N,?]"},
		},
		"channel shuffle": {
			{"s", "Shape-13", "", []string{"x"}, "[N,8,H,7]"},
			{"c", "Gather-13", "", []string{"s", "l[1] 1"}, "[8]"},
			{"g", "Div-13", "", []string{"c", "l[] 2"}, "[4]"},
			{"a", "Slice-13", "", []string{"s", "l[1] 0", "l[1] 1", "l[1] 0"}, "[N]"},
			{"b", "Slice-13", "", []string{"s", "l[1] 2", "l[1] 9223372036854775807"}, "[H,7]"},
			{"t", "Concat-13", "axis=0", []string{"a", "l[1] 2", "g", "b"}, "[N,2,4,H,7]"},
			{"y", "Reshape-13", "", []string{"x", "t"}, "[N,2,4,H,7]"},
			{"p", "Transpose-13", "perm=0,2,1,3,4", []string{"y"}, "[N,4,2,H,7]"},
			{"z", "Reshape-13", "", []string{"p", "s"}, "[N,8,H,7]"},
			{"u", "Reshape-13", "", []string{"p", "l[4] 0 8 -1 7"}, "[N,8,H,7]"},
		},
		"twice the height": {
			{"s", "Shape-15", "start=2 end=4", []string{"x"}, "[H,7]"},
			{"i", "Cast-13", "to=6", []string{"s"}, "[H,7]"},
			{"m", "Mul-13", "", []string{"i", "i[2] 1 2"}, "[H,14]"},
			{"d", "Sub-13", "", []string{"m", "i"}, "[0,7]"},
			{"k", "Add-13", "", []string{"d", "i"}, "[H,14]"},
			{"e", "ConstantOfShape-9", "", []string{"s"}, "[H,7]"},
			{"w", "Where-16", "", []string{"b[2] 1 0", "k", "i[2] 1 1"}, "[H,1]"},
			{"j", "Squeeze-13", "", []string{"s"}, "[H,7]"},
		},
		"positions": {
			{"n", "Shape-15", "end=1", []string{"x"}, "[N]"},
			{"k", "Squeeze-13", "", []string{"n", "l[1] 0"}, "[N]"},
			{"r", "Range-11", "", []string{"l[] 0", "k", "l[] 1"}, "[N]"},
			{"e", "Expand-13", "", []string{"f[1,3] 1 2 3", "n2"}, "[N,3]"},
			{"q", "Tile-13", "", []string{"f[1,3] 1 2 3", "n2"}, "[N,3]"},
			{"z", "Size-13", "", []string{"n"}, "[1]"},
		},
		"known": {
			{"s", "Shape-13", "", []string{"f[2,3] 1 2 3 4 5 6"}, "[2,3]"},
			{"m", "Mul-13", "", []string{"s", "l[2] -1 1"}, "value [-2 3]"},
			{"e", "Equal-13", "", []string{"m", "l[1] -2"}, "value [true false]"},
			{"w", "Where-16", "", []string{"e", "s", "m"}, "value [2 3]"},
			{"c", "Concat-13", "axis=0", []string{"w", "l[1] -1"}, "value [2 3 -1]"},
			{"t", "Reshape-13", "", []string{"l[4] 1 2 3 4", "l[2] -1 2"}, "[2,2]"},
			{"r", "Transpose-13", "", []string{"t"}, "[2,2]"},
			{"f", "Reshape-13", "", []string{"r", "l[1] -1"}, "value [1 3 2 4]"},
			{"p", "Pad-13", "", []string{"f[2,2] 1 2 3 4", "f"}, "[5,9]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			known := map[string]Info{
				"x":  x,
				"n2": {Type: onnx.Int64, Shape: MakeShape(2), Ints: []Dim{{N: -1, Name: "N"}, Known(1)}},
			}
			for _, s := range steps {
				var in []Info
				for _, name := range s.in {
					i, ok := known[name]
					if !ok {
						v, err := literal(name)
						if err != nil {
							t.Fatal(err)
						}
						i = Of(v)
					}
					in = append(in, i)
				}
				op, err := New(example{name: s.op, attributes: s.attributes}.node(len(in), 1))
				if err != nil {
					t.Fatal(err)
				}
				out, err := op.Infer(in)
				if err != nil {
					t.Fatalf("%s = %s: %v", s.out, s.op, err)
				}
				known[s.out] = out[0]
				got := out[0].Shape.String()
				if out[0].Ints != nil {
					got = Shape(out[0].Ints).String()
				}
				if strings.HasPrefix(s.want, "value") {
					got = "value " + contents(out[0].Value)
				}
				if got != s.want {
					t.Errorf("%s = %s of %s: %s, want %s", s.out, s.op, strings.Join(s.in, "; "), got, s.want)
				}
			}
		})
	}
}

// contents writes the elements of an int64 or bool tensor.
func contents(t *tensor.Tensor) string {
	switch {
	case t == nil:
		return "none"
	case t.Type == onnx.Bool:
		return fmt.Sprint(tensor.Of[bool](t))
	}
	v, _ := Integers(t)
	return fmt.Sprint(v)
}

// TestArrayRunsAllocateNothing runs operators on memory that is there, as an executor does.
func TestArrayRunsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector pools drop what they hold")
	}
	cpu := kernel.NewCPU(kernel.Options{Threads: 1})
	defer cpu.Close()
	four := "f[1,2,2,3] 1 2 3 4 5 6 7 8 9 10 11 12"
	for _, e := range []example{
		{"Add-14", "", four + "; f[2,1,1] 1 2", four},
		{"Sum-13", "", four + ";" + four + ";" + four + ";" + four, four},
		{"Mean-13", "", "f[2] 1 2; f[2] 3 4", "f[2] 0 0"},
		{"Mul-14", "", "l[2] 1 2; l[] 3", "l[2] 0 0"},
		{"Exp-13", "", four, four},
		{"Sin-13", "", four, four},
		{"Less-13", "", four + "; f[] 2", "b[1,2,2,3] 1 1 1 1 1 1 1 1 1 1 1 1"},
		{"Where-16", "", "b[3] 1 0 1;" + four + "; f[] 0", four},
		{"ReduceMean-18", "keepdims=0", four + "; l[2] -1 -2", "f[1,2] 0 0"},
		{"ReduceMax-18", "keepdims=0", four + "; l[2] 1 3", "f[1,2] 0 0"},
		{"ArgMax-13", "axis=1", four, "l[1,1,2,3] 0 0 0 0 0 0"},
		{"Cast-13", "to=1", "l[2] 1 2", "f[2] 1 2"},
		{"Reshape-13", "", four + "; l[2] 3 -1", "f[3,4] 1 2 3 4 5 6 7 8 9 10 11 12"},
		{"Squeeze-13", "", four, "f[2,2,3] 1 2 3 4 5 6 7 8 9 10 11 12"},
		{"Unsqueeze-13", "", "f[2] 1 2; l[1] 0", "f[1,2] 1 2"},
		{"Shape-15", "", four, "l[4] 1 2 2 3"},
		{"Transpose-13", "perm=0,2,3,1", four, "f[1,2,3,2] 1 2 3 4 5 6 7 8 9 10 11 12"},
		{"Concat-13", "axis=1", four + ";" + "f[1,1,2,3] 1 2 3 4 5 6", "f[1,3,2,3] 1 2 3 4 5 6 7 8 9 10 11 12 1 1 1 1 1 1"},
		{"Split-13", "axis=-1", "f[2,2] 1 2 3 4; l[1] 2", "f[2,2] 1 2 3 4"},
		{"Slice-13", "", four + "; l[1] 1; l[1] 2; l[1] 3", "f[1,2,2,1] 1 2 3 4"},
		{"Pad-13", "", "f[2] 1 2; l[2] 1 1", "f[4] 1 2 3 4"},
		{"Pad-13", "mode=reflect", "f[2] 1 2; l[2] 1 1", "f[4] 1 2 3 4"},
		{"Expand-13", "", "f[2] 1 2; l[2] 2 2", "f[2,2] 1 2 3 4"},
		{"Gather-13", "axis=2", four + "; l[1] 1", "f[1,2,1,3] 1 2 3 4 5 6"},
		{"GatherElements-13", "", "f[2] 1 2; l[2] 1 0", "f[2] 1 2"},
		{"ScatterND-13", "", "f[2] 1 2; l[1,1] 1; f[1] 5", "f[2] 1 2"},
		{"TopK-11", "", "f[3] 1 2 3; l[1] 2", "f[2] 1 2; l[2] 1 2"},
		{"CumSum-14", "", "f[3] 1 2 3; i[] 0", "f[3] 1 2 3"},
		{"Trilu-14", "", "f[2,2] 1 2 3 4", "f[2,2] 1 2 3 4"},
	} {
		in, err := literals(e.in)
		if err != nil {
			t.Fatal(err)
		}
		c := &Call{CPU: cpu, In: in}
		if c.Outs, err = literals(e.want); err != nil {
			t.Fatal(err)
		}
		op, err := New(e.node(len(in), len(c.Outs)))
		if err != nil {
			t.Fatal(err)
		}
		run := func() {
			if err := op.Run(c); err != nil {
				t.Fatalf("%s: %v", e.name, err)
			}
		}
		run()
		if n := testing.AllocsPerRun(20, run); n >= 1 {
			t.Errorf("%s(%s) of %s allocates %v times a run", e.name, e.attributes, e.in, n)
		}
	}
}
