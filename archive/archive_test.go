package archive

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/effml/effml/onnx"
)

func TestQuick(t *testing.T) {
	data, err := os.ReadFile(os.Getenv("MODEL"))
	if err != nil {
		t.Skip(err)
	}
	m, err := onnx.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	s, err := Write(context.Background(), &b, m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", s)
	r, err := NewReader(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	m2, err := r.Model()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := m2.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), data) {
		t.Error("differs", out.Len(), len(data))
	}
	d, err := r.Verify(context.Background(), 2, nil)
	if err != nil || len(d) > 0 {
		t.Error(d, err)
	}
	s2, err := r.Sizes()
	t.Logf("%+v %v", s2, err)
}
