#!/usr/bin/env python3
"""The same answers as ONNX Runtime: each network on the same random inputs, one at a time, by `effml run` and by ONNX Runtime. One JSON line a
network: the largest difference as a part of the range of ONNX Runtime's output for that input, how often the largest output is the same one, and
`varies`, the deviation of an output over the inputs as a part of that range. Exits 1 where
  - a difference exceeds 1e-4 of the range,
  - the largest output differs and is no tie (in ONNX Runtime's output the two are within that limit), or
  - the outputs vary by less than 1e-3 of the range: of such a network agreement says no more than that the last bias is the same.

    python equality.py [--inputs 100] [--threads 2] [--only resnet50,vit_b_16]

Sixteen networks of torchvision by both exporters, with random weights; the trained networks of the shared data; four of these quantised by ONNX Runtime's
quantize_static as QDQ. There both programs add up products of codes in integers, which is exact. Sums of two quantised tensors are float32, added up in
another order: one that lies almost between two codes may become the other one, and that step shows in the output. So of quantised networks 95 of 100
inputs must be within the limit (`exact`: the same bits), the others within 0.02 of the range, which is the limit for their ties too. `as_written` compares,
for information, with ONNX Runtime computing node by node in float32 (ORT_DISABLE_ALL): there steps are common.
"""
import argparse, os, sys
import numpy as np
import onnxruntime as ort
from common import Scratch, answers, exports, peer, random_inputs, shared, shared_models, show

NETS = ('alexnet vgg16 resnet18 resnet50 densenet121 squeezenet1_1 mobilenet_v2 mobilenet_v3_large shufflenet_v2_x1_0 efficientnet_b0 '
        'vit_b_16 swin_t convnext_tiny googlenet regnet_y_400mf mnasnet1_0').split()
LIMIT = 1e-4
STEP, STEPS = 0.02, 0.05  # of quantised networks: a step of a code in the output, and the part of the inputs that may show one
VARIES = 1e-3
QUANTISED = [('resnet20_cifar10',), ('mobilenet_v2_imagenet_dequantised', '--per-channel'), ('squeezenet1.1_imagenet', '--weights', 'uint8'),
             ('vww_mobilenetv1_025_96_float', '--per-channel')]
SCALE = {'squeezenet1.1_imagenet': 64}  # trained on 0…255; the others on about −1…1


def onnxruntime(model, x, threads, level=ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
    o = ort.SessionOptions()
    o.intra_op_num_threads, o.graph_optimization_level, o.log_severity_level = threads, level, 3
    s = ort.InferenceSession(model, o, providers=['CPUExecutionProvider'])
    name = s.get_inputs()[0].name
    return np.stack([s.run(None, {name: sample})[0] for sample in x])


def compare(got, want, limit=LIMIT):
    """How far got is from want: one row a sample."""
    assert got.shape == want.shape, (got.shape, want.shape)
    got, want = (a.reshape(len(a), -1).astype(np.float64) for a in (got, want))
    spread = np.maximum(np.ptp(want, axis=1), 1e-30)
    difference = np.abs(got - want).max(axis=1) / spread
    mine, theirs = got.argmax(axis=1), want.argmax(axis=1)
    rows = np.arange(len(want))
    ties = (mine != theirs) & (want[rows, theirs] - want[rows, mine] <= limit * spread)
    return dict(max_difference=digits(difference.max()), median_difference=digits(np.median(difference)), exact=int((difference == 0).sum()),
                beyond=int((~(difference <= LIMIT)).sum()), same_top1=int((mine == theirs).sum()), ties=int(ties.sum()), inputs=len(want),
                varies=digits(want.std(axis=0).mean() / spread.mean()))


def digits(v):
    return float(f'{v:.2g}')


def holds(c, limit, beyond):
    return c['max_difference'] <= limit and c['beyond'] <= beyond * c['inputs'] and c['same_top1'] + c['ties'] == c['inputs'] and c['varies'] >= VARIES


def models(at):
    """Name, where it comes from, and a function that makes it."""
    for net in NETS:
        for exporter in ('torch', 'dynamo'):
            yield net, exporter, lambda: exports(exporter, [net])[0]
    for path in shared_models():
        yield os.path.splitext(os.path.basename(path))[0], 'shared', lambda: path
    for name, *options in QUANTISED:
        yield name, ' '.join(['quantize_static', *options]), lambda: quantised(at, name, options)


def quantised(at, name, options):
    peer('quantize.py', '--out', at(''), '--model', shared('data', 'models', name + '.onnx'), *options)
    return at(name + '_qdq.onnx')


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--inputs', type=int, default=100)
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--only', default='')
    a = p.parse_args()
    failed = count = 0
    worst = 0.0
    with Scratch() as at:
        for name, source, path in models(at):
            if a.only and name not in a.only.split(','):
                continue
            path = path()
            _, x = random_inputs(path, a.inputs, SCALE.get(name, 1))
            got = answers(path, x, at, a.threads)
            codes = source.startswith('quantize_static')
            limit, beyond = (STEP, STEPS) if codes else (LIMIT, 0)
            c = compare(got, onnxruntime(path, x, a.threads), limit)
            line = dict(model=name, source=source, **c, passed=holds(c, limit, beyond))
            if codes:
                line['as_written'] = compare(got, onnxruntime(path, x, a.threads, ort.GraphOptimizationLevel.ORT_DISABLE_ALL))
            show(**line)
            failed, count = failed + (not line['passed']), count + 1
            if not codes:
                worst = max(worst, c['max_difference'])
    show(models=count, passed=count - failed, failed=failed, worst_difference_in_float32=worst, limit=LIMIT)
    sys.exit(failed > 0)


main()
