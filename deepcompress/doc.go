// Package deepcompress is the compress pipeline: it plans what to do with each tensor of a model, prunes, shares
// and quantises the weights, and writes an archive that is really smaller. It also restores and verifies archives.
//
// The pipeline follows S. Han, H. Mao, W. J. Dally, "Deep Compression: Compressing Deep Neural Networks with
// Pruning, Trained Quantization and Huffman Coding", ICLR 2016, with these deviations: without training data
// nothing is pruned by default; besides k-means codebooks there are uniform grids, which an entropy coder stores
// in fewer bytes at the same error; and levels are chosen per tensor so that the error stays under a stated bound
// (a floor of the signal-to-quantisation-noise ratio) instead of a fixed number of bits.
//
// An archive is decoded, and all its checksums compared, before it gets its name, also after [Run] with the lossless
// preset: the checksums are of the values as they were read, so this proves that the file restores them. It takes about a
// quarter of the time; Config.NoVerify leaves it out.
//
// A [Plan] says what happens to which tensor. Presets are plans that the binary carries (configs/presets).
package deepcompress
