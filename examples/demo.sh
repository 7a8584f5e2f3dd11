#!/usr/bin/env bash
# demo.sh EFFML MODEL.onnx DIR: a model into an archive and back, lossy and lossless, with everything written to DIR.
set -euo pipefail
effml=$1 model=$2 dir=$3
name=$(basename "$model" .onnx)
mkdir -p "$dir"

show() {
  printf '\n$ %s\n' "effml $*"
  "$effml" "$@"
}

show compress "$model" -o "$dir/$name.effml" --force
show verify "$dir/$name.effml"
show inspect "$dir/$name.effml"
show decompress "$dir/$name.effml" -o "$dir/$name.onnx" --force
show diff "$model" "$dir/$name.onnx"

show compress --preset lossless "$model" -o "$dir/$name.lossless.effml" --force
show decompress "$dir/$name.lossless.effml" -o "$dir/$name.lossless.onnx" --force
printf '\n$ cmp %s %s\n' "$model" "$dir/$name.lossless.onnx"
cmp "$model" "$dir/$name.lossless.onnx" && echo 'identical, byte for byte'
