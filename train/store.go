package train

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/rewrite"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// store has the tensors of all models of a task, by their full names. Graphs that name the same tensor share it.
type store struct {
	models   []*member
	tensors  map[string]*tensor.Tensor
	params   map[string]*parameter
	order    []string        // of the parameters: that of the models
	changing map[string]bool // what steps change: parameters and running states
}

// member is a model of a task.
type member struct {
	Model
	opset  int64
	states []string // full names, in the order of the graph
	stale  []string // nodes of which no running states are known
}

// full returns the name of a tensor of a model in the task.
func full(model, name string) string {
	if model == "" {
		return name
	}
	return model + "/" + name
}

func newStore(models []Model) (*store, error) {
	s := &store{tensors: map[string]*tensor.Tensor{}, params: map[string]*parameter{}, changing: map[string]bool{}}
	for _, m := range models {
		if s.member(m.Name) != nil {
			return nil, job.Usagef("train: two models are called %q", m.Name)
		}
		if m.Model == nil || m.Model.Graph == nil {
			return nil, job.Usagef("train: model %q has no graph", m.Name)
		}
		if err := s.add(&member{Model: m, opset: rewrite.Opset(m.Model)}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// member returns the model of a name, nil where there is none.
func (s *store) member(name string) *member {
	i := slices.IndexFunc(s.models, func(m *member) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return s.models[i]
}

func (s *store) add(m *member) error {
	s.models = append(s.models, m)
	g := m.Model.Model.Graph
	weights, err := m.weights()
	if err != nil {
		return err
	}
	for _, t := range g.Initializers {
		v, err := tensor.FromONNX(t)
		if err != nil {
			return &job.ModelError{Err: fmt.Errorf("train: initializer %q: %w", t.Name, err)}
		}
		name := full(m.Name, t.Name)
		if s.tensors[name] != nil {
			return job.Usagef("train: two models have a tensor %q", name)
		}
		if m.Frozen {
			s.tensors[name] = v
			continue
		}
		s.tensors[name] = v.Clone()
		if slices.Contains(weights, t) {
			if s.params[name], err = newParameter(name, s.tensors[name]); err != nil {
				return err
			}
			s.order, s.changing[name] = append(s.order, name), true
		}
	}
	if m.Frozen {
		return nil
	}
	s.addStates(m)
	return nil
}

// addStates finds the tensors that have running means and variances.
func (s *store) addStates(m *member) {
	from := newOrigins(func(name string) *tensor.Tensor { return s.tensors[full(m.Name, name)] })
	for _, n := range m.Model.Model.Graph.Nodes {
		from.add(n)
		if !normalises(n) {
			continue
		}
		for _, name := range n.Inputs[3:] {
			p, ok := from.of(name)
			switch {
			case !ok:
				m.stale = append(m.stale, n.Name)
			case !s.changing[full(m.Name, p.tensor)]:
				name := full(m.Name, p.tensor)
				m.states, s.changing[name] = append(m.states, name), true
			}
		}
	}
	m.stale = slices.Compact(m.stale)
}

// weights lists what training changes: what [Weights] finds, and what Also names.
func (m *member) weights() ([]*onnx.Tensor, error) {
	if m.Frozen {
		return nil, nil
	}
	g := m.Model.Model.Graph
	list := Weights(g, nil)
	if m.Also == "" {
		return list, nil
	}
	also, err := regexp.Compile(m.Also)
	if err != nil {
		return nil, job.Usagef("train: model %q: also: %w", m.Name, err)
	}
	for _, t := range g.Initializers {
		if !also.MatchString(t.Name) || slices.Contains(list, t) {
			continue
		}
		if t.DataType != onnx.Float {
			return nil, &job.ModelError{Err: fmt.Errorf("train: %q is %s and cannot be trained", full(m.Name, t.Name), tensor.TypeName(t.DataType))}
		}
		list = append(list, t)
	}
	return list, nil
}

// values returns what a step changes beside its solvers' states: parameters, and then running states.
func (s *store) values() (all []Slice) {
	add := func(name string) {
		t := s.tensors[name]
		all = append(all, Slice{"value/" + name, t.Shape, tensor.Of[float32](t)})
	}
	for _, name := range s.order {
		add(name)
	}
	for _, m := range s.models {
		for _, name := range m.states {
			add(name)
		}
	}
	return all
}

// export returns the models that are trained, with values in the place of parameters where there are any.
func (s *store) export(values map[string][]float32) map[string]*onnx.Model {
	out := map[string]*onnx.Model{}
	for _, m := range s.models {
		if m.Frozen {
			continue
		}
		model, graph := *m.Model.Model, *m.Model.Model.Graph
		model.Graph, graph.Initializers = &graph, slices.Clone(graph.Initializers)
		for i, t := range graph.Initializers {
			name := full(m.Name, t.Name)
			if !s.changing[name] {
				continue
			}
			v := s.tensors[name].Clone()
			if given := values[name]; given != nil {
				copy(tensor.Of[float32](v), given)
			}
			changed := v.ToONNX(t.Name)
			changed.DocString = t.DocString
			graph.Initializers[i] = changed
		}
		out[m.Name] = &model
	}
	return out
}
