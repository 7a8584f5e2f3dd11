// Package dataset turns files into batches for a model.
//
// A [Sample] is a map from the names of fields to tensors; each field says by its [Collate] rule how the samples of a batch
// are put together, so that images, sequences, point clouds, pairs of images and clips come through the same door. A
// [Source] is a row of samples that can be read in any order by several goroutines.
//
// A [Spec] names the files and what is done to them. [Load] reads one or recognises the format of a path, [Open] finds the
// parts (train, val, test) of the data, [Set.Part] opens one, [Part.Bind] fits it to the inputs of a model, and
// [Part.Batches] or [Feed.Batches] yield batches in a deterministic order while other goroutines decode the next ones.
//
// An image is a tensor [H, W, C] of 8-bit (or float32) values with 1 or 3 channels, in the order of red, green, blue, until
// [Preprocess] turns it into float32 [C, H, W].
//
// What is wrong with the data is a [*job.DataError] that names the file and the place in it; what is wrong with a Spec is a
// [*job.UsageError] that names all its mistakes. Nothing here trusts a length that a file states.
package dataset
