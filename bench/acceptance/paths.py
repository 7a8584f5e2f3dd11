#!/usr/bin/env python3
"""How much of a training step building and compiling takes where every step has another path through a super-network, which never comes again.
One JSON line a super-network; exit 1 above 10 %.

    python paths.py [--steps 60]

The super-networks are those of BenchmarkSampledPath in train: `candidates`, 21 blocks like MobileNetV2's at 48x48, kernel 3/5/7, expansion 3/6 or
nothing, each with weights of its own; `elastic`, 20 blocks at 32x32 whose kernels, widths and squeeze-and-excitation are slices of the largest ones.
Batch 64, 2 threads. memory_mb is that of activations, garbage_mb what a step leaves to the garbage collector.
"""
import argparse, os, re, subprocess, sys
from common import ROOT, show

NAMES = {'ns/op': 'step_ms', '%building': 'building_percent', 'ms-building/op': 'building_ms', 'nodes': 'gorgonia_nodes', 'segments': 'segments',
         'MB-garbage/op': 'garbage_mb', 'MB': 'memory_mb'}


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--steps', type=int, default=60)
    a = p.parse_args()
    out = subprocess.run([os.environ.get('GO', 'go'), 'test', '-run', '^$', '-bench', 'SampledPath', '-benchtime', f'{a.steps}x', './train'],
                         cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    worst = 0
    for name, line in re.findall(r'^BenchmarkSampledPath/(\w+)\S*\s+\d+\s+(.*)$', out, re.M):
        fields = {NAMES[unit]: float(value) for value, unit in re.findall(r'(\S+)\s+(\S+)', line) if unit in NAMES}
        fields['step_ms'] = round(fields['step_ms'] / 1e6, 1)
        show(supernet=name, steps=a.steps, **fields)
        worst = max(worst, fields['building_percent'])
    if not 0 < worst <= 10:
        sys.exit(1)


main()
