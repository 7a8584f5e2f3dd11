package dataset

import (
	"fmt"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// table is samples that lie in memory one behind another: a Source for all formats but folders of images.
type table struct {
	n       int
	columns []column
	labels  []int64 // of the field called target, where that is not ""
	target  string
	where   func(i int) string
	file    *mapped.File // behind the columns, nil where they were read
}

// column is the values of one field: n of them, stride bytes apart, or rows of a ragged field.
type column struct {
	Field            // Shape is of one sample; of a ragged column the first dimension does not count
	data    []byte   // nil for strings
	texts   []string // in place of data
	size    int      // bytes (or texts) of a sample, or of a row
	stride  int      // from the beginning of one to that of the next
	offsets []int64  // rows of the samples of a ragged column, n+1 of them
	planar  bool     // the images are [C, H, W] in memory
}

// newColumn takes the first dimension of t for the samples.
func newColumn(name string, t *tensor.Tensor) column {
	c := column{Field: Field{Name: name, Type: t.Type, Shape: t.Shape[1:]}, texts: t.Strings()}
	size := 1
	for _, d := range c.Shape {
		size *= d
	}
	if t.Type == onnx.String {
		c.size, c.stride = size, size
		return c
	}
	c.size = size * tensor.Width(t.Type)
	c.data, c.stride = t.Bytes(), c.size
	return c
}

// read returns the value of sample i.
func (c *column) read(i int) *tensor.Tensor {
	if c.texts != nil {
		return tensor.FromStrings(c.texts[i*c.stride:][:c.size], c.Shape...)
	}
	if c.offsets != nil {
		lo, hi := int(c.offsets[i]), int(c.offsets[i+1])
		shape := append([]int{hi - lo}, c.Shape[1:]...)
		return over(c.data[lo*c.stride:hi*c.stride], c.Type, shape)
	}
	if !c.planar {
		return over(c.data[i*c.stride:][:c.size], c.Type, c.Shape)
	}
	out := tensor.Buffer(c.size)
	h, w, ch := c.Shape[len(c.Shape)-3], c.Shape[len(c.Shape)-2], c.Shape[len(c.Shape)-1]
	interleave(out, c.data[i*c.stride:][:c.size], ch, h*w, tensor.Width(c.Type))
	return over(out, c.Type, c.Shape)
}

// over is tensor.Over, which refuses the address that a slice of no bytes may have.
func over(data []byte, dt onnx.DataType, shape []int) *tensor.Tensor {
	if len(data) == 0 {
		data = tensor.Buffer(0)
	}
	return tensor.Over(data, dt, shape, tensor.Plain)
}

// interleave copies frames of channels planes of n values, width bytes each, so that the values of a pixel lie together.
func interleave(dst, src []byte, channels, n, width int) {
	for size := channels * n * width; len(src) >= size && size > 0; dst, src = dst[size:], src[size:] {
		for c := range channels {
			plane := src[c*n*width:][:n*width]
			if width == 1 {
				for i, v := range plane {
					dst[i*channels+c] = v
				}
				continue
			}
			for i := range n {
				copy(dst[(i*channels+c)*width:][:width], plane[i*width:])
			}
		}
	}
}

func (t *table) Len() int { return t.n }

func (t *table) Fields() []Field {
	var out []Field
	for _, c := range t.columns {
		out = append(out, c.Field)
	}
	if t.target != "" {
		out = append(out, Field{Name: t.target, Kind: Label, Type: onnx.Int64, Shape: []int{}})
	}
	return out
}

func (t *table) Read(i int, s Sample) error {
	for k := range t.columns {
		s[t.columns[k].Name] = t.columns[k].read(i)
	}
	if t.target != "" {
		s[t.target] = tensor.From(t.labels[i : i+1 : i+1])
	}
	return nil
}

func (t *table) Name(i int) string { return t.where(i) }

func (t *table) label(i int) int64 { return t.labels[i] }

func (t *table) Close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}

// asImage makes the column one of images: [N, H, W], [N, C, H, W] or [N, H, W, C], or frames of the latter two, with 1 or 3
// channels. It reports whether the shape allows that.
func (c *column) asImage() bool {
	s := c.Shape
	pixel := func(d int) bool { return d == 1 || d == 3 }
	switch n := len(s); {
	case n == 2 && c.Type == onnx.Uint8:
		c.Shape = []int{s[0], s[1], 1}
	case (n == 3 || n == 4) && pixel(s[n-3]):
		c.Shape = append(append([]int{}, s[:n-3]...), s[n-2], s[n-1], s[n-3])
		c.planar = s[n-3] > 1
	case (n == 3 || n == 4) && pixel(s[n-1]):
	default:
		return false
	}
	c.Kind = Image
	return true
}

// within says where a sample lies in a file.
func within(path, what string) func(i int) string {
	return func(i int) string { return fmt.Sprintf("%s, %s %d", path, what, i) }
}
