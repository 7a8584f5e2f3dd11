package huffman

// Symbol is a type of symbol that AppendHuffman codes.
type Symbol interface{ ~uint8 | ~int32 }

// AppendHuffman appends the Huffman payload of sym, whose symbols lie in
// min…max, to dst.
func AppendHuffman[T Symbol](dst []byte, sym []T, min, max T) []byte {
	w := bitWriter{buf: dst}
	putFixed(&w, sym, min, fixedWidth(Params{int32(min), int32(max)}.levels()))
	return w.finish()
}

// DecodeHuffman fills dst from the payload at the start of src and returns the
// number of bytes it took.
func DecodeHuffman[T Symbol](dst []T, src []byte, min, max T) (n int, err error) {
	r := bitReader{src: src}
	if err := getFixed(&r, dst, min, max); err != nil {
		return 0, err
	}
	return r.close()
}

// huffmanCoder is the Coder of AppendHuffman.
type huffmanCoder struct{}

func (huffmanCoder) Name() string { return "huffman" }
func (huffmanCoder) ID() byte     { return 1 }

func (huffmanCoder) Encode(dst []byte, sym []int32, _ []int, p Params) ([]byte, error) {
	if err := checkSymbols(sym, p); err != nil {
		return dst, err
	}
	return AppendHuffman(dst, sym, p.Min, p.Max), nil
}

func (huffmanCoder) Decode(dst []int32, src []byte, _ []int, p Params) error {
	if err := checkDecode(dst, src, p); err != nil {
		return err
	}
	n, err := DecodeHuffman(dst, src, p.Min, p.Max)
	if err == nil && n != len(src) {
		return corruptf(n, "%d bytes too many", len(src)-n)
	}
	return err
}
