package modelgen

import (
	"bytes"
	"testing"

	"github.com/effml/effml/onnx"
)

func TestGenerate(t *testing.T) {
	models := Generate(1, 200)
	seen := map[form]bool{}
	roles := map[onnx.Role]bool{}
	for i, m := range models {
		for _, p := range onnx.Check(m) {
			t.Errorf("model %d: %v", i, p)
		}
		for _, r := range m.Tensors() {
			seen[form{r.DataType, r.Storage}] = true
			roles[r.Role] = true
		}
	}
	for _, f := range forms() {
		if !seen[f] {
			t.Errorf("no tensor of type %s in %s", f.dt, f.storage)
		}
	}
	if len(roles) != 4 {
		t.Errorf("roles %v, want all 4", roles)
	}
}

func TestGenerateIsDeterministic(t *testing.T) {
	write := func(seed uint64, n int) [][]byte {
		var all [][]byte
		for _, m := range Generate(seed, n) {
			var b bytes.Buffer
			if _, err := m.WriteTo(&b); err != nil {
				t.Fatal(err)
			}
			for _, r := range m.Tensors() {
				if r.Storage == onnx.StorageExternal {
					raw, err := r.Bytes()
					if err != nil {
						t.Fatal(err)
					}
					b.Write(raw)
				}
			}
			all = append(all, b.Bytes())
		}
		return all
	}
	first, again, other := write(3, 60), write(3, 100), write(4, 60)
	same := 0
	for i := range first {
		if !bytes.Equal(first[i], again[i]) {
			t.Errorf("model %d differs between two runs", i)
		}
		if bytes.Equal(first[i], other[i]) {
			same++
		}
	}
	if same > 5 {
		t.Errorf("%d of 60 models are the same for another seed", same)
	}
}
