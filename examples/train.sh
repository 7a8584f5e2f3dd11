#!/usr/bin/env bash
# train.sh EFFML DATA MODEL.onnx: trains the network of `make demo` on MNIST, whose four IDX files are in the folder DATA (make data SETS=mnist).
# The same instruction set gives the same bytes, whatever the number of threads.
set -euo pipefail
exec "$1" train --recipe mnist-lenet-300-100 --seed 1 --data "$2" -o "$3" --force
