#!/usr/bin/env python3
"""The same bytes for any number of threads: every preset with GOMAXPROCS 1, 2 and 7, and --threads. One JSON line a model and preset.

    python threads.py [MODEL.onnx …]    # default: the shared models, torchvision's ResNet-50 (external data) and VGG-16
"""
import hashlib, sys
from common import Scratch, effml, exports, shared_models, show

RUNS = [('1', []), ('2', []), ('7', []), ('2', ['--threads', '5'])]


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha256').hexdigest()


def main():
    models = sys.argv[1:] or shared_models() + exports('dynamo', ['resnet50']) + exports('laplace', ['vgg16'])
    bad = 0
    with Scratch() as at:
        for m in models:
            for preset in ('lossless', 'fast', 'balanced', 'small'):
                made = set()
                for procs, flags in RUNS:
                    effml('compress', '--preset', preset, '--force', *flags, m, '-o', at('m.effml'), env=dict(GOMAXPROCS=procs))
                    made.add(digest(at('m.effml')))
                bad += len(made) > 1
                show(model=m.split('/')[-1], preset=preset, runs=len(RUNS), identical=len(made) == 1)
    sys.exit(1 if bad else 0)


main()
