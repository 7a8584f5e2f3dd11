package huffman

import "encoding/binary"

// contextCoder is the "context" Coder.
type contextCoder struct{}

func (contextCoder) Name() string { return "context" }
func (contextCoder) ID() byte     { return 3 }

func (contextCoder) Encode(dst []byte, sym []int32, shape []int, p Params) ([]byte, error) {
	for _, s := range sym {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(s))
	}
	return dst, nil
}

func (contextCoder) Decode(dst []int32, src []byte, shape []int, p Params) error {
	if len(src) != 4*len(dst) {
		return &CorruptError{Msg: "wrong length"}
	}
	for i := range dst {
		dst[i] = int32(binary.LittleEndian.Uint32(src[4*i:]))
	}
	return nil
}
