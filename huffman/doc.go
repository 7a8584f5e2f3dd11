// Package huffman turns symbols into bytes and back: it is the only place of
// effml that codes.
//
// Symbols are signed integers of which 0 is the commonest: the codes of a
// quantised tensor, where 0 stands for the weight that is exactly zero. A
// [Coder] codes a block of them; [Coders] lists all. The archive tries those it
// may use and keeps the shortest payload. Four exist:
//
//   - fixed: ⌈log₂ levels⌉ bits a symbol, the yardstick of every ratio;
//   - huffman: canonical, length-limited, table-driven, several streams ([AppendHuffman]);
//   - relative: the sparse form of Deep Compression: a gap and a code for each non-zero;
//   - context: an adaptive binary range coder that looks at the neighbours.
//
// Beside symbols the package codes plain tensor elements without loss
// ([AppendValues]) and small structured byte strings ([AppendMix]).
//
// Every decoder accepts any bytes: it returns a [*CorruptError] rather than
// panic, takes memory only in proportion to what it was handed, and consumes its
// input exactly. No function here keeps state between calls or depends on the
// number of threads.
package huffman
