package quantize

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/internal/rewrite"
	"github.com/effml/effml/internal/weights"
	"github.com/effml/effml/onnx"
)

// RewriteError says why a tensor of a graph cannot be written in another form.
type RewriteError struct {
	Tensor string
	Msg    string
}

func (e *RewriteError) Error() string {
	return fmt.Sprintf("quantize: rewrite tensor %q: %s", e.Tensor, e.Msg)
}

// Share rewrites a floating-point initializer of g, which is a graph of m, as W → Gather(codebook, codes): the codebook
// [levels] of the tensor's type, the codes as positions in it. Weight sharing trains on this form: the gradient
// of Gather is the scatter-add of Deep Compression, section 3.3. Nodes that read W stay as they are.
//
// One codebook: codes are uint8 [shape of W], through a Cast to int32 as Gather wants it; before opset 6, or with more
// than 256 levels, int32. Several: the codebooks lie one after another and codes are int32. Grids are no codebooks and
// are refused, as are weights that are NaN or infinite (*ValueError). The nodes are named tensor + ".share". Codes are
// held in memory. A graph input that offers to override W is dropped.
func Share(m *onnx.Model, g *onnx.Graph, tensor string, q Grouped) error {
	t, src, err := rewritable(g, tensor, q)
	if err != nil {
		return err
	}
	var book []float32
	begin := make([]int32, len(q.Q)) // of the group's codebook, plus its Origin: position = begin + code
	for i, one := range q.Q {
		if len(one.Codebook) == 0 {
			return &RewriteError{tensor, "a grid has no codebook"}
		}
		begin[i] = int32(len(book) + one.Origin)
		book = append(book, one.Codebook...)
	}
	small := len(book) <= 256 && rewrite.Opset(m) >= 6
	width, codesType := 4, onnx.Int32
	if small {
		width, codesType = 1, onnx.Uint8
	}
	codes := make([]byte, width*src.Len())
	err = eachCode(src, q, func(i int, code int32) {
		group := 0
		if q.Size > 0 {
			group = i / q.Size
		}
		if p := begin[group] + code; small {
			codes[i] = byte(p)
		} else {
			binary.LittleEndian.PutUint32(codes[4*i:], uint32(p))
		}
	})
	if err != nil {
		return err
	}
	values := make([]byte, len(book)*t.DataType.Bits()/8)
	onnx.PutFloats(values, t.DataType, book)

	names := rewrite.NewNames(m)
	bookName, codesName := names.Fresh(tensor+".codebook"), names.Fresh(tensor+".codes")
	tensors := []*onnx.Tensor{
		rewrite.NewTensor(bookName, t.DataType, []int64{int64(len(book))}, values),
		rewrite.NewTensor(codesName, codesType, t.Dims, codes),
	}
	var nodes []*onnx.Node
	indices := codesName
	if small {
		indices = names.Fresh(tensor + ".indices")
		nodes = append(nodes, cast(names.Fresh(tensor+".cast"), codesName, indices, onnx.Int32))
	}
	nodes = append(nodes, &onnx.Node{
		OpType: "Gather", Name: names.Fresh(tensor + ".share"), Inputs: []string{bookName, indices}, Outputs: []string{tensor},
	})
	rewrite.Replace(m, g, tensor, tensors, nodes)
	return nil
}

func cast(name, in, out string, to onnx.DataType) *onnx.Node {
	return &onnx.Node{
		OpType: "Cast", Name: name, Inputs: []string{in}, Outputs: []string{out},
		Attributes: []*onnx.Attribute{rewrite.Int("to", int64(to))},
	}
}

// rewritable returns the initializer and its weights, or why it cannot be rewritten.
func rewritable(g *onnx.Graph, tensor string, q Grouped) (*onnx.Tensor, Source, error) {
	t, err := rewrite.Initializer(g, tensor)
	if err != nil {
		return nil, nil, fmt.Errorf("quantize: %w", err)
	}
	src, err := TensorSource(t)
	if err != nil {
		return nil, nil, fmt.Errorf("quantize: %w", err)
	}
	groups := 1
	if q.Size > 0 {
		groups = (src.Len() + q.Size - 1) / q.Size
	}
	if len(q.Q) != groups {
		return nil, nil, &RewriteError{tensor, fmt.Sprintf("%d quantisers for %d groups", len(q.Q), groups)}
	}
	return t, src, nil
}

// eachCode calls do with the index and the code of every weight, concurrently.
func eachCode(src Source, q Grouped, do func(i int, code int32)) error {
	type buffer struct{ codes []int32 }
	start := func(int) *buffer { return &buffer{make([]int32, min(src.Len(), weights.Chunk))} }
	_, err := weights.Lanes(src, measureLanes, start, func(b *buffer, w []float32, first int) error {
		if err := finite(w, first); err != nil {
			return err
		}
		codes := b.codes[:len(w)]
		q.Codes(codes, w, first)
		for i, c := range codes {
			do(first+i, c)
		}
		return nil
	})
	return err
}

// Linear rewrites a floating-point initializer of g, which is a graph of m, as W → DequantizeLinear(codes, scale), with
// a Cast after it where W is not float32. All of q are grids. Codes are int8, or int16 where int8 does not hold
// them and the opset is at least 21. One grid is a scalar scale (opset 10 on); one for each index of
// the first axis is per-axis (opset 13 on); groups that divide the last axis are blocks (opset 21 on). Other
// groups and codes are a *RewriteError, weights that are NaN or infinite a *ValueError. The node is named
// tensor + ".dequantize". Codes are held in memory. A graph input that offers to override W is dropped.
func Linear(m *onnx.Model, g *onnx.Graph, tensor string, q Grouped) error {
	t, src, err := rewritable(g, tensor, q)
	if err != nil {
		return err
	}
	layout, err := linearLayout(t, q, rewrite.Opset(m))
	if err != nil {
		return err
	}
	scale := make([]float32, len(q.Q))
	for i, one := range q.Q {
		if len(one.Codebook) > 0 {
			return &RewriteError{tensor, "a codebook is no grid"}
		}
		scale[i] = one.Step
	}
	width := layout.codes.Bits() / 8
	codes := make([]byte, width*src.Len())
	err = eachCode(src, q, func(i int, code int32) {
		if width == 1 {
			codes[i] = byte(code)
		} else {
			binary.LittleEndian.PutUint16(codes[2*i:], uint16(code))
		}
	})
	if err != nil {
		return err
	}
	scales := make([]byte, 4*len(scale))
	onnx.PutFloats(scales, onnx.Float, scale)

	names := rewrite.NewNames(m)
	codesName, scaleName := names.Fresh(tensor+".codes"), names.Fresh(tensor+".scale")
	tensors := []*onnx.Tensor{
		rewrite.NewTensor(codesName, layout.codes, t.Dims, codes),
		rewrite.NewTensor(scaleName, onnx.Float, layout.scale, scales),
	}
	out := tensor
	if t.DataType != onnx.Float {
		out = names.Fresh(tensor + ".float")
	}
	nodes := []*onnx.Node{{
		OpType: "DequantizeLinear", Name: names.Fresh(tensor + ".dequantize"), Inputs: []string{codesName, scaleName}, Outputs: []string{out},
		Attributes: layout.attributes,
	}}
	if out != tensor {
		nodes = append(nodes, cast(names.Fresh(tensor+".cast"), out, tensor, t.DataType))
	}
	rewrite.Replace(m, g, tensor, tensors, nodes)
	return nil
}

// layout is how DequantizeLinear sees groups.
type layout struct {
	codes      onnx.DataType
	scale      []int64 // shape
	attributes []*onnx.Attribute
}

func linearLayout(t *onnx.Tensor, q Grouped, opset int64) (l layout, err error) {
	need := int64(10)
	lo, hi := q.Range()
	l.codes = onnx.Int8
	if lo < math.MinInt8 || hi > math.MaxInt8 {
		l.codes, need = onnx.Int16, 21
	}
	rank := len(t.Dims)
	size := int64(q.Size)
	switch {
	case q.Size == 0 || len(q.Q) == 1:
	case size*t.Dims[0] == product(t.Dims):
		l.scale, l.attributes = t.Dims[:1], []*onnx.Attribute{rewrite.Int("axis", 0)}
		need = max(need, 13)
	case t.Dims[rank-1]%size == 0:
		l.scale = slices.Clone(t.Dims)
		l.scale[rank-1] /= size
		l.attributes = []*onnx.Attribute{rewrite.Int("axis", int64(rank-1)), rewrite.Int("block_size", size)}
		need = max(need, 21)
	default:
		return l, &RewriteError{t.Name, fmt.Sprintf("groups of %d weights are neither the first axis of %v nor divide the last", q.Size, t.Dims)}
	}
	if t.DataType == onnx.BFloat16 {
		need = max(need, 13)
	}
	if opset < need {
		return l, &RewriteError{t.Name, fmt.Sprintf("codes %d to %d in this layout need opset %d, the model has %d", lo, hi, need, opset)}
	}
	return l, nil
}

func product(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}
