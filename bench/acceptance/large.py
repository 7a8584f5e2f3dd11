#!/usr/bin/env python3
"""A model of 2.7 GB with external data, run: seconds and peak memory of `effml run` and of ONNX Runtime in processes of their own, in turn, and the
difference of the outputs. One JSON line. Exits 1 where effml holds more than 1.3 times the weights or the outputs differ by more than 1e-4 of their range.

    python large.py [--layers 10] [--width 8192] [--batch 1] [--runs 3]

Square layers in turn as MatMul, Gemm with its matrix transposed, and convolution of 1x1, with ReLU between them. `rss` counts the pages of the mapped file
too, which the system may take back at any time; `anonymous` does not.
"""
import argparse, statistics, sys
import numpy as np
from onnx import TensorProto, helper, numpy_helper
from common import Scratch, effml, external, peer, show, size

KINDS = ('MatMul', 'Gemm', 'Conv')


def layer(i, width, x):
    """The nodes of layer i, its matrix's shape and its output."""
    kind, w = KINDS[i % len(KINDS)], f'w{i}'
    if kind == 'Conv':
        nodes = [helper.make_node('Reshape', [x, 'image'], [f'i{i}']), helper.make_node('Conv', [f'i{i}', w], [f'c{i}']), helper.make_node('Reshape', [f'c{i}', 'row'], [f'y{i}'])]
        return nodes, [width, width, 1, 1], f'y{i}'
    return [helper.make_node(kind, [x, w], [f'y{i}'], **dict(transB=1) if kind == 'Gemm' else {})], [width, width], f'y{i}'


def generate(path, layers, width, batch):
    rng, nodes, x = np.random.default_rng(0), [], 'x'
    weights = [numpy_helper.from_array(np.array(v, np.int64), name) for name, v in (('image', [batch, width, 1, 1]), ('row', [batch, width]))]
    with open(path + '.data', 'wb') as f:
        for i in range(layers):
            more, dims, y = layer(i, width, x)
            weights.append(external(f'w{i}', dims, path + '.data', f.tell(), 4 * width * width))
            f.write((rng.standard_normal((width, width), np.float32) * np.float32((2 / width) ** 0.5)).tobytes())
            nodes += more + [helper.make_node('Relu', [y], [f'x{i}'])]
            x = f'x{i}'
    graph = helper.make_graph(nodes, 'large', [helper.make_tensor_value_info('x', TensorProto.FLOAT, [batch, width])],
                              [helper.make_tensor_value_info(x, TensorProto.FLOAT, [batch, width])], weights)
    with open(path, 'wb') as f:
        f.write(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9).SerializeToString())


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--layers', type=int, default=10)
    p.add_argument('--width', type=int, default=8192)
    p.add_argument('--batch', type=int, default=1)
    p.add_argument('--runs', type=int, default=3)
    a = p.parse_args()
    with Scratch() as at:
        model = at('large.onnx')
        generate(model, a.layers, a.width, a.batch)
        np.savez(at('x.npz'), x=np.random.default_rng(1).standard_normal((a.batch, a.width), np.float32))
        ours, theirs = [], []
        for _ in range(a.runs):
            theirs.append(peer('oracle.py', model, at('x.npz'), at('want.npz'), poll_anonymous=True))
            ours.append(effml('run', model, '--input', at('x.npz'), '-o', at('got.npz'), '--force', '--quiet', poll_anonymous=True))
        with np.load(at('got.npz')) as got, np.load(at('want.npz')) as want:
            (name,) = want.files
            difference = float(np.abs(got[name] - want[name]).max() / np.ptp(want[name]))
        n = size([model, model + '.data'])
    side = lambda runs: dict(seconds=round(statistics.median(r.wall for r in runs), 2), rss_gb=round(max(r.rss for r in runs) / 1e9, 2),
                             anonymous_gb=round(max(r.anonymous for r in runs) / 1e9, 2))
    passed = max(r.rss for r in ours) <= 1.3 * n and difference <= 1e-4
    show(what='large', bytes=n, batch=a.batch, max_difference=float(f'{difference:.2g}'), passed=passed, effml=side(ours), peer=side(theirs))
    sys.exit(not passed)


main()
