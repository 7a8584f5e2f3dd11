#!/usr/bin/env python3
"""Inference beside ONNX Runtime: alternating runs of `effml bench` and peers/infer.py, each in a process of its own, on the same threads. One JSON
line a model, thread count and batch: medians in ms, their range over the pairs, and effml's as a multiple of the peer's (below 1 is faster); then
the geometric mean, with median and range of every model, of the runs and of start-up (load and first run).

    python latency.py [--threads 1,2] [--batch 1,32] [--pairs 5] [--runs 50] [--only resnet50,vgg16]

Twelve networks: ten of torchvision with random weights (1x3x224x224), LeNet-5 and ResNet-20 of the shared data.
"""
import argparse, json, os, statistics, sys
from common import effml, exports, peer, shared, show

NETS = 'alexnet vgg16 resnet18 resnet50 densenet121 squeezenet1_1 mobilenet_v2 mobilenet_v3_large shufflenet_v2_x1_0 efficientnet_b0'.split()
SHARED = dict(lenet5='lenet5_caffe_mnist.onnx', resnet20='resnet20_cifar10.onnx')


def model(name, batch):
    if name in SHARED:
        return shared('data', 'models', SHARED[name])
    return exports('torch' if batch == 1 else f'batch{batch}', [name], *([] if batch == 1 else ['--batch', batch]))[0]


def spread(values):
    """Median, least and largest."""
    return [round(v, 4) for v in (statistics.median(values), min(values), max(values))]


def compare(name, batch, threads, a):
    path, ours, theirs = model(name, batch), [], []
    for _ in range(a.pairs):
        theirs.append(json.loads(peer('infer.py', '--threads', threads, '--batch', batch, '--runs', a.runs, path).out))
        ours.append(json.loads(effml('bench', path, '--threads', threads, '--batch', batch, '--runs', a.runs, '--json', '-').out))
    ours = [dict(ms=o['ms']['median'], load_first_ms=o['load_first_ms'], peak_rss_mb=o['peak_rss_bytes'] / 2**20) for o in ours]
    ratio, low, high = spread([o['ms'] / t['ms'] for o, t in zip(ours, theirs)])
    side = lambda runs: {k: spread([r[k] for r in runs])[0] for k in ours[0]} | dict(ms_range=spread([r['ms'] for r in runs])[1:])
    line = dict(model=name, batch=batch, threads=threads, times_the_peer=ratio, range=[low, high],
                start_times_the_peer=spread([o['load_first_ms'] / t['load_first_ms'] for o, t in zip(ours, theirs)])[0], effml=side(ours), peer=side(theirs))
    show(**line)
    return line


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--threads', default='1,2')
    p.add_argument('--batch', default='1,32')
    p.add_argument('--pairs', type=int, default=5)
    p.add_argument('--runs', type=int, default=50)
    p.add_argument('--only', default='')
    a = p.parse_args()
    for batch in map(int, a.batch.split(',')):
        names = [n for n in NETS + list(SHARED) if not a.only or n in a.only.split(',')]
        for threads in map(int, a.threads.split(',')):
            lines = [compare(n, batch, threads, a) for n in names]
            mean = lambda key: round(statistics.geometric_mean(l[key] for l in lines), 3)
            show(batch=batch, threads=threads, models=len(lines), geometric_mean=mean('times_the_peer'), start_geometric_mean=mean('start_times_the_peer'),
                 worst=max(lines, key=lambda l: l['times_the_peer'])['model'], median_and_range={l['model']: [l['times_the_peer'], *l['range']] for l in lines})


main()
