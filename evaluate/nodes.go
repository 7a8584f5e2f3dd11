package evaluate

import (
	"github.com/effml/effml/infer"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
)

// nodes tells what each node does. Shapes are shown as they follow from the model and from given, MACs counted for a batch of one where
// both leave it open.
func (m *model) nodes(given map[string][]int, r *InspectResult) error {
	r.Nodes, r.MACsAt = []NodeInfo{}, []Value{}
	shapes := map[string]ops.Shape{}
	for name, s := range given {
		shape := ops.MakeShape(s...)
		for i, n := range s {
			if n < 0 {
				shape[i] = ops.Unknown
			}
		}
		shapes[name] = shape
	}
	shown, err := infer.Outline(m.Model, shapes)
	if err != nil {
		return err
	}
	one, err := infer.Outline(m.Model, shown.OneSample())
	if err != nil {
		return err
	}
	for _, v := range one.Inputs {
		r.MACsAt = append(r.MACsAt, valueOf(v))
	}
	parameters := map[*onnx.Node]int64{}
	for i := range m.tensors {
		if t := &m.tensors[i]; t.parameter() {
			if n := t.node(); n != nil {
				parameters[n] += t.elements
			}
		}
	}
	at := map[string]*OperatorCount{}
	for i := range r.Operators {
		at[r.Operators[i].Op] = &r.Operators[i]
	}
	for i, n := range one.Nodes {
		info := NodeInfo{Node: n.Name, Op: n.Op, Outputs: []Value{}, MACs: n.Cost.MACs, Moved: n.Cost.Bytes, Parameters: parameters[n.Node]}
		delete(parameters, n.Node) // which another call of a function shares
		outputs := n.Outputs
		if len(shown.Nodes) == len(one.Nodes) { // else a branch of an If was followed in one of them
			outputs = shown.Nodes[i].Outputs
		}
		for _, v := range outputs {
			info.Outputs = append(info.Outputs, valueOf(v))
		}
		if n.Unknown != nil {
			info.Unknown = n.Unknown.Error()
			r.MACsUnknown++
		}
		r.Nodes = append(r.Nodes, info)
		r.MACs += n.Cost.MACs
		r.MovedBytes += n.Cost.Bytes
		if o := at[n.Op]; o != nil {
			o.MACs += n.Cost.MACs
			o.Moved += n.Cost.Bytes
		}
	}
	return nil
}

// valueOf writes a value as the model's own are written; the shape is empty where not even the rank is known.
func valueOf(v infer.Value) Value {
	out := Value{Name: v.Name}
	if v.Type != onnx.Undefined {
		out.Type = typeName(v.Type)
	}
	if v.Shape != nil {
		out.Shape = v.Shape.String()
	}
	return out
}
