package ops

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// nonMaxSuppression is NonMaxSuppression: of each class of each image, boxes in the order of their scores (of equal ones the first
// comes first), without those whose intersection over union with one already taken is above a threshold. Boxes are [N, B, 4],
// two opposite corners (y, x, y, x) or the centre (x, y, width, height); scores [N, C, B]; the result is [taken, 3] of image, class
// and box. A score of NaN never passes a threshold, and comes last where there is none.
type nonMaxSuppression struct {
	centre bool
	states *states[suppression]
}

func newNonMaxSuppression(n *Node) (Op, error) {
	return &nonMaxSuppression{n.Bool("center_point_box", false), new(states[suppression])}, nil
}

func (o *nonMaxSuppression) Infer(in []Info) ([]Info, error) {
	for i := range 2 {
		if s := in[i].Shape; s != nil && len(s) != 3 {
			return nil, fmt.Errorf("input %d has shape %s, not three dimensions", i, s)
		}
		if t := in[i].Type; t != onnx.Undefined && t != onnx.Float {
			return nil, fmt.Errorf("input %d is of type %s, not float", i, t)
		}
	}
	return []Info{{Type: onnx.Int64, Shape: Shape{Unknown, Known(3)}}}, nil
}

// suppression is a run; a piece is a class of an image.
type suppression struct {
	boxes, scores  []float32
	classes, n     int // of boxes of an image
	most           int // of boxes of a class
	iou, least     float32
	filter, centre bool
	candidates     [][]int // one a worker
	taken          [][]int // one a piece
}

func (o *nonMaxSuppression) Run(c *Call) error {
	boxes, scores := c.In[0], c.In[1]
	b, s := boxes.Shape, scores.Shape
	if len(b) != 3 || len(s) != 3 || b[2] != 4 || s[0] != b[0] || s[2] != b[1] || boxes.Type != onnx.Float || scores.Type != onnx.Float {
		return fmt.Errorf("boxes are %s and scores %s", boxes, scores)
	}
	r := o.states.get()
	defer o.states.put(r)
	r.boxes, r.scores = tensor.Of[float32](boxes), tensor.Of[float32](scores)
	defer func() { r.boxes, r.scores = nil, nil }()
	r.classes, r.n, r.centre = s[1], b[1], o.centre
	if err := r.limits(c); err != nil {
		return err
	}
	for len(r.candidates) < c.CPU.Threads() {
		r.candidates = append(r.candidates, nil)
	}
	pieces := 0
	if r.most > 0 && r.n > 0 {
		pieces = b[0] * r.classes
	}
	for len(r.taken) < pieces {
		r.taken = append(r.taken, nil)
	}
	c.CPU.Parallel(pieces, r)
	total := 0
	for _, t := range r.taken[:pieces] {
		total += len(t)
	}
	y, err := c.Out(0, onnx.Int64, []int{total, 3})
	if err != nil {
		return err
	}
	out := tensor.Of[int64](y)
	for i, t := range r.taken[:pieces] {
		for _, box := range t {
			out[0], out[1], out[2] = int64(i/r.classes), int64(i%r.classes), int64(box)
			out = out[3:]
		}
	}
	return nil
}

// limits reads the optional inputs: how many boxes of a class (none where it is left out), the thresholds.
func (r *suppression) limits(c *Call) (err error) {
	r.most, r.iou, r.least, r.filter = 0, 0, 0, false
	for i, t := range c.In[2:] {
		switch {
		case t == nil:
		case i == 0:
			if r.most, err = scalar(t); err != nil {
				return fmt.Errorf("input 2: %w", err)
			}
		case t.Type != onnx.Float || t.Len() != 1:
			return fmt.Errorf("input %d is %s, not one float", i+2, t)
		case i == 1:
			if r.iou = tensor.Of[float32](t)[0]; r.iou < 0 || r.iou > 1 {
				return fmt.Errorf("input 3, a threshold, is %g, not in [0, 1]", r.iou)
			}
		default:
			r.least, r.filter = tensor.Of[float32](t)[0], true
		}
	}
	return nil
}

// Piece implements kernel.Task.
func (r *suppression) Piece(i, worker int) {
	scores := r.scores[i*r.n : (i+1)*r.n]
	boxes := r.boxes[i/r.classes*r.n*4:][:r.n*4]
	order, taken := r.candidates[worker][:0], r.taken[i][:0]
	for k, s := range scores {
		if !r.filter || s > r.least {
			order = append(order, k)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(scores[b], scores[a]), a-b) })
	for _, k := range order {
		if len(taken) == r.most {
			break
		}
		box := r.corners(boxes[4*k:])
		if !slices.ContainsFunc(taken, func(t int) bool { return box.overlap(r.corners(boxes[4*t:])) > r.iou }) {
			taken = append(taken, k)
		}
	}
	r.candidates[worker], r.taken[i] = order, taken
}

// box has its corners in order.
type box struct{ x0, y0, x1, y1 float32 }

// corners reads a box.
func (r *suppression) corners(b []float32) box {
	if r.centre {
		w, h := b[2]/2, b[3]/2
		return box{b[0] - w, b[1] - h, b[0] + w, b[1] + h}
	}
	return box{min(b[1], b[3]), min(b[0], b[2]), max(b[1], b[3]), max(b[0], b[2])}
}

// overlap returns the intersection over the union; 0 where one of them or a box is empty.
func (b box) overlap(c box) float32 {
	w, h := min(b.x1, c.x1)-max(b.x0, c.x0), min(b.y1, c.y1)-max(b.y0, c.y0)
	if !(w > 0 && h > 0) { // NaN, too
		return 0
	}
	both, one, other := float32(w*h), b.area(), c.area()
	if all := one + other - both; both > 0 && one > 0 && other > 0 && all > 0 {
		return both / all
	}
	return 0
}

func (b box) area() float32 { return float32((b.x1 - b.x0) * (b.y1 - b.y0)) }
