package huffman

import "fmt"

// Params is what encoder and decoder both know about the symbols.
type Params struct {
	Min, Max int32 // inclusive range of the symbols; one outside it is corruption
}

// levels returns how many symbols lie in the range, at most 2³².
func (p Params) levels() uint64 { return uint64(int64(p.Max)-int64(p.Min)) + 1 }

// Coder codes one block of symbols. Implementations are stateless values and
// safe for concurrent use.
//
// shape describes the tensor that the block was cut from ({rows, row length} or
// {n}); only coders that look at neighbours use it, and its product may differ
// from the number of symbols.
type Coder interface {
	// Name is the coder's word in plans and tables.
	Name() string
	// ID is the coder's number in archives. It is never given to another coder.
	ID() byte
	// Encode appends the payload of sym to dst. The payload holds everything
	// the decoder needs but len(sym), shape and p; an empty sym has an empty
	// payload. A symbol outside p is a *RangeError.
	Encode(dst []byte, sym []int32, shape []int, p Params) ([]byte, error)
	// Decode fills dst from a payload made with the same length, shape and p.
	// It consumes src exactly; anything else is a *CorruptError. The contents
	// of dst are undefined after an error.
	Decode(dst []int32, src []byte, shape []int, p Params) error
}

// Pricer says what a symbol would cost, for quantisers that choose among levels
// by rate and distortion.
type Pricer interface {
	// Price returns the bits that sym would take if it came next.
	Price(sym int32) float64
	// Advance makes sym the last symbol coded.
	Advance(sym int32)
}

// Pricing is implemented by coders that can price a symbol before it is coded.
type Pricing interface {
	// NewPricer returns a pricer that stands before the first symbol. sample
	// holds symbols like those that will follow (the block as rounded to the
	// nearest level, say): a static coder takes its code lengths from it, an
	// adaptive one may ignore it.
	NewPricer(sample []int32, shape []int, p Params) Pricer
}

// Parts is implemented by coders whose payload says apart where the non-zeros
// are and what they are.
type Parts interface {
	// Parts splits the bytes of a payload into those of the codes and those
	// of the positions (gaps, significance); the two add up to len(src).
	Parts(src []byte) (codes, positions int, err error)
}

// Coders returns all coders in the order of their IDs.
func Coders() []Coder { return []Coder{fixedCoder{}, huffmanCoder{}, relativeCoder{}, contextCoder{}} }

// ByName returns the coder with that name.
func ByName(name string) (Coder, error) {
	for _, c := range Coders() {
		if c.Name() == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("huffman: no coder is named %q", name)
}

// ByID returns the coder that an archive knows by id.
func ByID(id byte) (Coder, error) {
	for _, c := range Coders() {
		if c.ID() == id {
			return c, nil
		}
	}
	return nil, fmt.Errorf("huffman: no coder has the number %d", id)
}

// CorruptError reports bytes that no encoder of this package wrote.
type CorruptError struct {
	Offset int    // byte of the payload at which it was noticed
	Msg    string // what is wrong
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("huffman: corrupt data at byte %d: %s", e.Offset, e.Msg)
}

// corruptf returns a CorruptError.
func corruptf(offset int, format string, args ...any) error {
	return &CorruptError{Offset: offset, Msg: fmt.Sprintf(format, args...)}
}

// RangeError reports a symbol handed to an encoder outside the range that was
// agreed for it, or an empty range.
type RangeError struct {
	Index  int // of the symbol; −1 if Min > Max
	Symbol int32
	Params Params
}

func (e *RangeError) Error() string {
	if e.Index < 0 {
		return fmt.Sprintf("huffman: empty symbol range %d…%d", e.Params.Min, e.Params.Max)
	}
	return fmt.Sprintf("huffman: symbol %d at index %d is outside %d…%d", e.Symbol, e.Index, e.Params.Min, e.Params.Max)
}

// checkSymbols returns a *RangeError unless every symbol lies in p.
func checkSymbols(sym []int32, p Params) error {
	if p.Min > p.Max {
		return &RangeError{Index: -1, Params: p}
	}
	for i, s := range sym {
		if s < p.Min || s > p.Max {
			return &RangeError{Index: i, Symbol: s, Params: p}
		}
	}
	return nil
}

// checkDecode verifies the arguments of a decoder that do not come from src.
func checkDecode(dst []int32, src []byte, p Params) error {
	if p.Min > p.Max {
		return &RangeError{Index: -1, Params: p}
	}
	if len(dst) == 0 && len(src) > 0 {
		return corruptf(0, "%d bytes for no symbols", len(src))
	}
	return nil
}
