#!/usr/bin/env python3
"""Lossless size: effml against `xz -9e` and `zstd --ultra -22`, one JSON line a model and one for the total.

    python size.py [MODEL.onnx …]       # default: the shared models, eight torchvision networks by both exporters, VGG-16

A model with external data counts with all its files, each compressed on its own. What xz and zstd make of a file never changes, so
their sizes are kept in EFFML_WORK/peer-sizes.json under the file's SHA-256 (xz needs about a quarter of an hour for all).
"""
import hashlib, json, os, sys
from common import Scratch, WORK, effml, exports, files, run, shared_models, show, size

KEPT = os.path.join(WORK, 'peer-sizes.json')


def peers(path, at):
    kept = json.load(open(KEPT)) if os.path.exists(KEPT) else {}
    with open(path, 'rb') as f:
        key = hashlib.file_digest(f, 'sha256').hexdigest()
    if key not in kept:
        run(['sh', '-c', f'xz -9e -k -c "{path}" > "{at("xz")}"'])
        run(['zstd', '-q', '-f', '--ultra', '-22', '-T2', path, '-o', at('zst')])
        kept[key] = dict(xz=os.path.getsize(at('xz')), zstd=os.path.getsize(at('zst')))
        json.dump(kept, open(KEPT, 'w'), indent=1)
    return kept[key]


def main():
    models = sys.argv[1:] or shared_models() + exports('torch') + exports('dynamo') + exports('laplace', ['vgg16'])
    total, lost = dict(bytes=0, effml=0, xz=0, zstd=0), []
    with Scratch() as at:
        for m in models:
            effml('compress', '--preset', 'lossless', '--force', m, '-o', at('m.effml'))
            row = dict(bytes=size(files(m)), effml=os.path.getsize(at('m.effml')), xz=0, zstd=0)
            for f in files(m):
                for peer, n in peers(f, at).items():
                    row[peer] += n
            smallest = row['effml'] < min(row['xz'], row['zstd'])
            lost += [] if smallest else [m]
            for k in total:
                total[k] += row[k]
            show(model=os.path.join(os.path.basename(os.path.dirname(m)), os.path.basename(m)), **row,
                 ratio=ratios(row), smallest=smallest)
    show(model='total', **total, ratio=ratios(total), not_smallest=lost)
    sys.exit(1 if lost else 0)


def ratios(row):
    return {k: round(row['bytes'] / row[k], 4) for k in ('effml', 'xz', 'zstd')}


main()
