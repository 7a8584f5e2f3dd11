#!/usr/bin/env python3
"""Instruction sets and threads: each network by EFFML_ISA=generic, avx2 and avx512 with 1, 2 and 7 threads. One JSON line a network and set: whether the bits are
the same for all thread counts, and the largest difference from the first set as a part of its output's range, which may be 1e-5: sums are added up in
another order.

    python isa.py [--inputs 3] [--sets generic,avx2,avx512] [MODEL.onnx …]
"""
import argparse, os, sys
import numpy as np
from common import Scratch, answers, exports, peer, random_inputs, shared_models, show

LIMIT = 1e-5
NETS = 'squeezenet1_1 mobilenet_v2 mobilenet_v3_large shufflenet_v2_x1_0 resnet18 densenet121 convnext_tiny swin_t vit_b_16'.split()


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--inputs', type=int, default=3)
    p.add_argument('--sets', default='generic,avx2,avx512')
    p.add_argument('models', nargs='*')
    a = p.parse_args()
    failed = count = 0
    worst = 0.0
    with Scratch() as at:
        if not a.models:
            peer('quantize.py', '--out', at(''))
        for path in a.models or shared_models() + [at('small_qdq.onnx')] + exports('torch', NETS):
            _, x = random_inputs(path, a.inputs)
            first = None
            for name in a.sets.split(','):
                runs = [answers(path, x, at, threads, EFFML_ISA=name) for threads in (1, 2, 7)]
                same = all(r.tobytes() == runs[0].tobytes() for r in runs)
                first = runs[0] if first is None else first
                difference = float(np.abs(runs[0] - first).max() / np.ptp(first))
                passed = same and difference <= LIMIT
                show(model=os.path.basename(path), isa=name, same_bits=same, max_difference=float(f'{difference:.2g}'), passed=passed)
                failed, count, worst = failed + (not passed), count + 1, max(worst, difference)
    show(cases=count, failed=failed, worst_difference=float(f'{worst:.2g}'), limit=LIMIT)
    sys.exit(failed > 0)


main()
