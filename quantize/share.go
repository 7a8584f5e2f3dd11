package quantize

import (
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
// Codes are uint8 [shape of W], uint16 for more than 256 levels and from opset 21 on uint4 for up to 16, through a Cast to int32 as Gather wants it; before opset 6, or
// with more than 65,536 levels, int32. Several codebooks lie one after another and count together. Grids are no codebooks and
// are refused, as are weights that are NaN or infinite (*ValueError). The nodes are named tensor + ".share". Codes are
// held in memory. A graph input that offers to override W is dropped.
func Share(m *onnx.Model, g *onnx.Graph, tensor string, q Grouped) error {
	t, src, err := rewritable(g, tensor, q)
	if err != nil {
		return err
	}
	f, err := shareForm(m, t, q)
	if err != nil {
		return err
	}
	return f.replace(m, g, t, inMemory(src, q))
}

// ShareCodes is Share for a tensor of which the codes are known; its values are not looked at. Codes are asked for when the
// model is written. Codes and codebooks that are not smaller than the weights are a *RewriteError.
func ShareCodes(m *onnx.Model, g *onnx.Graph, tensor string, q Grouped, codes Codes) error {
	t, err := groupsOf(g, tensor, q)
	if err != nil {
		return err
	}
	f, err := shareForm(m, t, q)
	if err != nil {
		return err
	}
	bytes := int64(0)
	for _, part := range f.tensors {
		n, err := part.ByteSize()
		if err != nil {
			return fmt.Errorf("quantize: %w", err)
		}
		bytes += n
	}
	if plain, err := t.ByteSize(); err != nil || bytes >= plain {
		return &RewriteError{t.Name, fmt.Sprintf("codes and codebooks take %d bytes, the weights %d", bytes, plain)}
	}
	return f.replace(m, g, t, streamed(codes))
}

func shareForm(m *onnx.Model, t *onnx.Tensor, q Grouped) (*form, error) {
	var book []float32
	begin := make([]int32, len(q.Q)) // of the group's codebook, plus its Origin: position = begin + code
	for i, one := range q.Q {
		if len(one.Codebook) == 0 {
			return nil, &RewriteError{t.Name, "a grid has no codebook"}
		}
		begin[i] = int32(len(book) + one.Origin)
		book = append(book, one.Codebook...)
	}
	values := make([]byte, len(book)*t.DataType.Bits()/8)
	onnx.PutFloats(values, t.DataType, book)
	names := rewrite.NewNames(m)
	f := &form{begin: begin, size: q.Size, codes: rewrite.NewTensor(names.Fresh(t.Name+".codes"), onnx.Int32, t.Dims, nil)}
	bookName, indices := names.Fresh(t.Name+".codebook"), f.codes.Name
	f.tensors = []*onnx.Tensor{rewrite.NewTensor(bookName, t.DataType, []int64{int64(len(book))}, values), f.codes}
	if len(book) <= 1<<16 && rewrite.Opset(m) >= 6 {
		switch {
		case len(book) <= 1<<4 && rewrite.Opset(m) >= 21 && m.IRVersion >= 10: // the versions that brought 4 bits
			f.codes.DataType = onnx.Uint4
		case len(book) <= 1<<8:
			f.codes.DataType = onnx.Uint8
		default:
			f.codes.DataType = onnx.Uint16
		}
		indices = names.Fresh(t.Name + ".indices")
		f.nodes = append(f.nodes, cast(names.Fresh(t.Name+".cast"), f.codes.Name, indices, onnx.Int32))
	}
	f.nodes = append(f.nodes, &onnx.Node{
		OpType: "Gather", Name: names.Fresh(t.Name + ".share"), Inputs: []string{bookName, indices}, Outputs: []string{t.Name},
	})
	return f, nil
}

func cast(name, in, out string, to onnx.DataType) *onnx.Node {
	return &onnx.Node{
		OpType: "Cast", Name: name, Inputs: []string{in}, Outputs: []string{out},
		Attributes: []*onnx.Attribute{rewrite.Int("to", int64(to))},
	}
}

// rewritable returns the initializer and its weights, or why it cannot be rewritten.
func rewritable(g *onnx.Graph, tensor string, q Grouped) (*onnx.Tensor, Source, error) {
	t, err := groupsOf(g, tensor, q)
	if err != nil {
		return nil, nil, err
	}
	src, err := TensorSource(t)
	if err != nil {
		return nil, nil, fmt.Errorf("quantize: %w", err)
	}
	return t, src, nil
}

// groupsOf returns the initializer, and an error unless q has a quantiser for each of its groups.
func groupsOf(g *onnx.Graph, tensor string, q Grouped) (*onnx.Tensor, error) {
	t, err := rewrite.Initializer(g, tensor)
	if err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	n, err := t.NumElements()
	if err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	groups := 1
	if q.Size > 0 {
		groups = (int(n) + q.Size - 1) / q.Size
	}
	if len(q.Q) != groups {
		return nil, &RewriteError{tensor, fmt.Sprintf("%d quantisers for %d groups", len(q.Q), groups)}
	}
	return t, nil
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
// a Cast after it where W is not float32. All of q are grids. Codes are int8, from opset 21 on also int4 where that
// holds them and int16 where int8 does not. One grid is a scalar scale (opset 10 on); one for each index of
// the first axis is per-axis (opset 13 on); groups that divide the last axis are blocks (opset 21 on). Other
// groups and codes are a *RewriteError, weights that are NaN or infinite a *ValueError. The node is named
// tensor + ".dequantize". Codes are held in memory. A graph input that offers to override W is dropped.
func Linear(m *onnx.Model, g *onnx.Graph, tensor string, q Grouped) error {
	t, src, err := rewritable(g, tensor, q)
	if err != nil {
		return err
	}
	lo, hi := q.Range()
	f, err := linearForm(m, t, q, lo, hi)
	if err != nil {
		return err
	}
	return f.replace(m, g, t, inMemory(src, q))
}

// LinearCodes is Linear for a tensor of which the codes, lo to hi, are known; its values are not looked at. Codes are asked
// for when the model is written.
func LinearCodes(m *onnx.Model, g *onnx.Graph, tensor string, q Grouped, lo, hi int32, codes Codes) error {
	t, err := groupsOf(g, tensor, q)
	if err != nil {
		return err
	}
	f, err := linearForm(m, t, q, lo, hi)
	if err != nil {
		return err
	}
	return f.replace(m, g, t, streamed(codes))
}

func linearForm(m *onnx.Model, t *onnx.Tensor, q Grouped, lo, hi int32) (*form, error) {
	layout, err := linearLayout(m, t, q, lo, hi)
	if err != nil {
		return nil, err
	}
	scale := make([]float32, len(q.Q))
	for i, one := range q.Q {
		if len(one.Codebook) > 0 {
			return nil, &RewriteError{t.Name, "a codebook is no grid"}
		}
		scale[i] = one.Step
	}
	scales := make([]byte, 4*len(scale))
	onnx.PutFloats(scales, onnx.Float, scale)
	names := rewrite.NewNames(m)
	f := &form{codes: rewrite.NewTensor(names.Fresh(t.Name+".codes"), layout.codes, t.Dims, nil)}
	scaleName, out := names.Fresh(t.Name+".scale"), t.Name
	f.tensors = []*onnx.Tensor{f.codes, rewrite.NewTensor(scaleName, onnx.Float, layout.scale, scales)}
	if t.DataType != onnx.Float {
		out = names.Fresh(t.Name + ".float")
	}
	f.nodes = []*onnx.Node{{
		OpType: "DequantizeLinear", Name: names.Fresh(t.Name + ".dequantize"), Inputs: []string{f.codes.Name, scaleName}, Outputs: []string{out},
		Attributes: layout.attributes,
	}}
	if out != t.Name {
		f.nodes = append(f.nodes, cast(names.Fresh(t.Name+".cast"), out, t.Name, t.DataType))
	}
	return f, nil
}

// layout is how DequantizeLinear sees groups.
type layout struct {
	codes      onnx.DataType
	scale      []int64 // shape
	attributes []*onnx.Attribute
}

func linearLayout(m *onnx.Model, t *onnx.Tensor, q Grouped, lo, hi int32) (l layout, err error) {
	need, opset := int64(10), rewrite.Opset(m)
	switch {
	case lo >= -8 && hi <= 7 && opset >= 21 && m.IRVersion >= 10: // the versions that brought int4
		l.codes = onnx.Int4
	case lo >= math.MinInt8 && hi <= math.MaxInt8:
		l.codes = onnx.Int8
	case lo >= math.MinInt16 && hi <= math.MaxInt16:
		l.codes, need = onnx.Int16, 21
	default:
		return l, &RewriteError{t.Name, fmt.Sprintf("codes %d to %d are more than an int16 holds", lo, hi)}
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
