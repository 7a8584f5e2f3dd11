#!/usr/bin/env python3
"""Evaluation of images beside Pillow + ONNX Runtime: alternating runs of peers/eval.py and `effml eval` on SqueezeNet 1.1 and the 1,000 sample images,
each in a process of its own. One JSON line with images/s and accuracy of both; then, a line a model file, what `effml eval` says of LeNet-5 on MNIST
and ResNet-20 on CIFAR-10, from .onnx and from a lossless .effml.

    python eval.py [--pairs 3] [--threads 2]
"""
import argparse, json, os, statistics
from common import Scratch, cifar10, effml, mnist, peer, shared, show

MODELS = {  # name: (model, data, preprocessing, published top-1)
    'lenet5': ('lenet5_caffe_mnist.onnx', mnist, 'scale=0.00390625', 99.07),
    'resnet20': ('resnet20_cifar10.onnx', cifar10, 'scale=0.00392156862745098,mean=.485:.456:.406,std=.229:.224:.225', 91.73),
}


def evaluate(model, data, preprocess, threads):
    return json.loads(effml('eval', model, '--data', data, '--preprocess', preprocess, '--threads', threads, '--json', '-').out)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--pairs', type=int, default=3)
    p.add_argument('--threads', type=int, default=2)
    a = p.parse_args()
    model, images = shared('data', 'models', 'squeezenet1.1_imagenet.onnx'), shared('data', 'images', 'imagenet-sample-256')
    preprocess, ours, theirs = 'crop=227,channels=bgr,mean=104:117:123', [], []
    for _ in range(a.pairs):
        theirs.append(json.loads(peer('eval.py', model, '--data', images, '--preprocess', preprocess, '--threads', a.threads).out))
        ours.append(evaluate(model, images, preprocess, a.threads))
    ratios = [o['images_per_s'] / t['images_per_s'] for o, t in zip(ours, theirs)]
    pick = lambda runs: dict(images_per_s=round(statistics.median(r['images_per_s'] for r in runs), 1), top1=runs[0]['top1'], top5=runs[0]['top5'], samples=runs[0]['samples'])
    show(model='squeezenet1.1', threads=a.threads, pairs=a.pairs, times_the_peers_rate=round(statistics.median(ratios), 3),
         range=[round(min(ratios), 3), round(max(ratios), 3)], effml=pick(ours), peer=pick(theirs))
    with Scratch() as at:
        for name, (file, data, preprocess, want) in MODELS.items():
            model, packed = shared('data', 'models', file), at(name + '.effml')
            effml('compress', '--preset', 'lossless', model, '-o', packed)
            for path in (model, packed):
                r = evaluate(path, data(), preprocess, a.threads)
                show(model=name, file=os.path.splitext(path)[1], samples=r['samples'], top1=r['top1'], top5=r['top5'], loss=r['loss'], published_top1=want)


main()
