#!/usr/bin/env python3
"""Evaluation of images beside Pillow + ONNX Runtime: alternating runs of peers/eval.py and `effml eval` on SqueezeNet 1.1 and the 1,000 sample images,
each in a process of its own. A JSON line for each number of threads with images/s and accuracy of both; a line that names the images on which the two
disagree, with the peer's lead of the answer (or of fifth place) that changed, in logits; then, a line a model
file, what `effml eval` says of three networks, from .onnx and from a lossless .effml. Exits 1 below the peer's rate or away from the published accuracy.

    python eval.py [--pairs 3] [--threads 1,2]
"""
import argparse, csv, json, os, statistics, sys
from common import Scratch, cifar10, effml, mnist, peer, shared, show

IMAGES = 'crop=227,channels=bgr,mean=104:117:123'
MODELS = {  # name: (model, data, preprocessing, published top-1, top-5, by how many points they may differ)
    'lenet5': ('lenet5_caffe_mnist.onnx', mnist, 'scale=0.00390625', 99.07, None, 0),
    'resnet20': ('resnet20_cifar10.onnx', cifar10, 'scale=0.00392156862745098,mean=.485:.456:.406,std=.229:.224:.225', 91.73, None, 0),
    'squeezenet': ('squeezenet1.1_imagenet.onnx', lambda: shared('data', 'images', 'imagenet-sample-256'), IMAGES, 62.0, 84.3, 0.3),
}


def evaluate(model, data, preprocess, *more):
    return json.loads(effml('eval', model, '--data', data, '--preprocess', preprocess, '--json', '-', *more).out)


def differing(ours, theirs):
    """The images whose answer, or whose class's being among five, differs; both files hold the images in the same order."""
    for mine, line in zip(csv.DictReader(open(ours)), open(theirs)):
        label, *best = line.rstrip().split('\t')
        classes, values = zip(*((int(c), float(v)) for c, v in (b.split(':') for b in best)))
        five = [int(c) for c in mine['top5'].split()]
        moved = (int(label) in five) != (int(label) in classes)
        if five[0] != classes[0] or moved:
            yield dict(image=os.path.basename(mine['sample']), label=int(label), effml=five, peer=list(classes), lead=round(values[0] - values[1], 4),
                       fourth_to_fifth=round(values[3] - values[4], 4), right=[five[0] == int(label), classes[0] == int(label)], top5_differs=moved)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--pairs', type=int, default=3)
    p.add_argument('--threads', default='1,2')
    a = p.parse_args()
    model, images, failed = shared('data', 'models', 'squeezenet1.1_imagenet.onnx'), shared('data', 'images', 'imagenet-sample-256'), []
    pick = lambda runs: dict(images_per_s=round(statistics.median(r['images_per_s'] for r in runs), 1), top1=runs[0]['top1'], top5=runs[0]['top5'], samples=runs[0]['samples'])
    with Scratch() as at:
        for threads in a.threads.split(','):
            ours, theirs = [], []
            for _ in range(a.pairs):
                theirs.append(json.loads(peer('eval.py', model, '--data', images, '--preprocess', IMAGES, '--threads', threads, '--predictions', at('p.tsv')).out))
                ours.append(evaluate(model, images, IMAGES, '--threads', threads, '--predictions', at('p.csv'), '--force'))
            ratios = [o['images_per_s'] / t['images_per_s'] for o, t in zip(ours, theirs)]
            show(model='squeezenet1.1', threads=int(threads), pairs=a.pairs, times_the_peers_rate=round(statistics.median(ratios), 3),
                 range=[round(min(ratios), 3), round(max(ratios), 3)], effml=pick(ours), peer=pick(theirs))
            if statistics.median(ratios) < 1:
                failed.append(f'slower on {threads}')
        show(images_that_differ=list(differing(at('p.csv'), at('p.tsv'))))
        for name, (file, data, preprocess, top1, top5, within) in MODELS.items():
            model, packed = shared('data', 'models', file), at(name + '.effml')
            effml('compress', '--preset', 'lossless', model, '-o', packed)
            for path in (model, packed):
                r, kind = evaluate(path, data(), preprocess), os.path.splitext(path)[1]
                show(model=name, file=kind, samples=r['samples'], top1=r['top1'], top5=r['top5'], loss=r['loss'], published_top1=top1)
                if abs(r['top1'] - top1) > within + 1e-6 or top5 and abs(r['top5'] - top5) > within + 1e-6:
                    failed.append(name + kind)
    if failed:
        sys.exit('not as it should be: ' + ', '.join(failed))


main()
