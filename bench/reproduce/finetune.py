#!/usr/bin/env python3
"""ResNet-20 of others, trained on CIFAR-10, with half of its weights zeroed by magnitude, is retrained: with labels, and without by distillation.

    python finetune.py [--epochs 8] [--ways labels,distill]

The graph has Mul(W, mask) in the place of each W of convolutions and the last layer, with one threshold for all, so that what was zeroed stays zero. Exit 1 where
the accuracy on the test set, evaluated once, is not within 0.3 points of the network's before (91.73 %).
"""
import argparse, json, os
import numpy as np
import onnx
from onnx import helper, numpy_helper
from training import Scratch, data, effml, shared, show, train

RECIPE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'finetune.yaml')


def pruned(path, share):
    """The model with masks, and the part of the masked weights that is zero."""
    m = onnx.load(path)
    g = m.graph
    names = [n.input[1] for n in g.node if n.op_type in ('Conv', 'Gemm')]
    weights = {t.name: numpy_helper.to_array(t) for t in g.initializer if t.name in names}
    limit = np.quantile(np.abs(np.concatenate([w.ravel() for w in weights.values()])), share)
    for name, w in weights.items():
        g.initializer.append(numpy_helper.from_array((np.abs(w) > limit).astype(np.float32), name + '.mask'))
        g.node.insert(0, helper.make_node('Mul', [name, name + '.mask'], [name + '.masked'], name=name + '.prune'))
        for n in g.node:
            if n.op_type in ('Conv', 'Gemm') and n.input[1] == name:
                n.input[1] = name + '.masked'
    return m, float(np.mean(np.concatenate([np.abs(w).ravel() <= limit for w in weights.values()])))


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--epochs', type=int, default=8)
    p.add_argument('--share', type=float, default=0.5)
    p.add_argument('--ways', default='labels,distill')
    a = p.parse_args()
    original, bad = shared('data', 'models', 'resnet20_cifar10.onnx'), False
    preprocess = 'scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225'

    def top1(model):
        return json.loads(effml('eval', model, '--data', data('cifar10'), '--preprocess', preprocess, '--json', '-').out)['top1']

    with Scratch() as at:
        m, zero = pruned(original, a.share)
        onnx.save(m, at('pruned.onnx'))
        before, damaged = top1(original), top1(at('pruned.onnx'))
        for way in a.ways.split(','):
            r = train(at, way + '.onnx', at('pruned.onnx'), '--recipe', RECIPE, '--data', data('cifar10'), '--epochs', a.epochs,
                      *(['--distill', original, '--no-labels'] if way == 'distill' else []))
            masks = {t.name: numpy_helper.to_array(t) for t in onnx.load(at(way + '.onnx')).graph.initializer if t.name.endswith('.mask')}
            same = all(np.array_equal(v, numpy_helper.to_array(next(t for t in m.graph.initializer if t.name == k))) for k, v in masks.items())
            holds = same and r['top1'] >= before - 0.3
            bad = bad or not holds
            show(way=way, zeros=round(zero, 4), before=before, pruned=damaged, after=r['top1'], drop=round(before - r['top1'], 2), masks_unchanged=same,
                 epochs=r['epochs'], images_per_s=round(r['images_per_s']), wall_s=round(r['wall_s']), holds=holds)
    raise SystemExit(bad)


main()
