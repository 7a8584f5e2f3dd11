package onnx_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/effml/effml/onnx"
)

func TestWriteValues(t *testing.T) {
	typed := decode(t, lp(7, lp(5, vi(1, 2), vi(2, 2), lp(5, "\x05\xfe\x01")))).Graph.Initializers[0]
	made := &onnx.Tensor{DataType: onnx.Uint8, Dims: []int64{2}}
	made.SetStream(stream("\x05\xfe"))
	for _, w := range []*onnx.Tensor{typed, made} {
		var b bytes.Buffer
		if n, err := w.WriteValues(&b); n != 2 || err != nil || b.String() != "\x05\xfe" {
			t.Errorf("%q, %d, %v", b.Bytes(), n, err)
		}
	}
	made.Dims = []int64{3}
	for w, want := range map[*onnx.Tensor]string{
		made:                          "a stream of 2 bytes where [3] of UINT8 takes 3",
		{DataType: onnx.String}:       "no size",
		texts(onnx.Float, 2):          "0 bytes of values",
		brokenStream(errors.New("x")): "x",
	} {
		if _, err := w.WriteValues(new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	made.DataType = onnx.DataType(99)
	if _, err := made.WriteValues(new(bytes.Buffer)); err == nil {
		t.Error("values of an unknown type were written")
	}
}

func brokenStream(err error) *onnx.Tensor {
	w := &onnx.Tensor{DataType: onnx.Uint8, Dims: []int64{4}}
	w.SetStream(failing{4, err})
	return w
}
