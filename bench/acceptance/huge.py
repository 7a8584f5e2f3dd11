#!/usr/bin/env python3
"""A model of 6.4 GB, larger than comfortable, through `--preset lossless` and back: peak anonymous memory. One JSON line.

    python huge.py [--tensors 12] [--mib 512]

Twelve float32 tensors of 512 MiB in one external-data file, a megabyte of hole and a megabyte of Laplace noise in turn. Needs 13 GB of disk
below EFFML_WORK: the holes take none in the input, and the output is compared with it block by block and then removed.
"""
import argparse, os
import numpy as np
import onnx
from onnx import TensorProto, helper
from common import Scratch, effml, external, show, size

MB = 1 << 20
ROW = 1024  # floats


def generate(path, tensors, mib):
    """Writes path and path.data; output y[i] = W_i[index], so that every weight is used."""
    rng, nodes, weights, outputs = np.random.default_rng(0), [], [], []
    rows = mib * MB // 4 // ROW
    with open(path + '.data', 'wb') as f:
        for i in range(tensors):
            weights.append(external(f'w{i}', [rows, ROW], path + '.data', i * mib * MB, mib * MB))
            nodes.append(helper.make_node('Gather', [f'w{i}', 'index'], [f'y{i}']))
            outputs.append(helper.make_tensor_value_info(f'y{i}', TensorProto.FLOAT, [ROW]))
            for k in range(1, mib, 2):
                f.seek((i * mib + k) * MB)
                f.write(rng.laplace(0, 0.02, MB // 4).astype(np.float32).tobytes())
        f.truncate(tensors * mib * MB)
    index = helper.make_tensor_value_info('index', TensorProto.INT64, [])
    graph = helper.make_graph(nodes, 'huge', [index], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9)
    with open(path, 'wb') as f:
        f.write(model.SerializeToString())


def same(a, b):
    with open(a, 'rb') as f, open(b, 'rb') as g:
        while True:
            x, y = f.read(1 << 24), g.read(1 << 24)
            if x != y:
                return False
            if not x:
                return True


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--tensors', type=int, default=12)
    p.add_argument('--mib', type=int, default=512)
    a = p.parse_args()
    with Scratch() as at:
        os.mkdir(at('back'))
        model, back = at('huge.onnx'), at('back', 'huge.onnx')
        generate(model, a.tensors, a.mib)
        pack = effml('compress', '--preset', 'lossless', model, '-o', at('huge.effml'), poll_anonymous=True)
        unpack = effml('decompress', at('huge.effml'), '-o', back, poll_anonymous=True)
        n = size([model, model + '.data'])
        show(what='huge', bytes=n, archive=os.path.getsize(at('huge.effml')), ratio=round(n / os.path.getsize(at('huge.effml')), 4),
             compress_s=round(pack.wall, 1), decompress_s=round(unpack.wall, 1), compress_anonymous_mb=round(pack.anonymous / 1e6),
             decompress_anonymous_mb=round(unpack.anonymous / 1e6), files=sorted(os.listdir(at('back'))),
             identical=all(same(at(f), at('back', f)) for f in ('huge.onnx', 'huge.onnx.data')))


main()
