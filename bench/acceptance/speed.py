#!/usr/bin/env python3
"""Speed on VGG-16 with Laplace weights (553 MB): effml against zstd, by alternating runs with a warm cache. One JSON line a pair.

    python speed.py [--rounds 5] [--slow-rounds 1]

lossless  against `zstd -3 -T2 && sync`, and decoding against `zstd -d && sync` (effml syncs what it writes by itself; its default
          also decodes the archive once more to check it: `checked` times that, the pair is timed with --no-verify)
balanced  against `zstd -19 -T2` (two minutes a run: --slow-rounds)
"""
import argparse, os, subprocess
from common import Scratch, effml, run, show, spread, vgg16


def synced(*argv):
    """Runs argv, whose last word is the file it writes, and syncs that."""
    return run(['sh', '-c', '"$@" && sync "$0"', argv[-1], *argv])


def alternate(rounds, **sides):
    """Runs the sides in turn; seconds, peak RSS in MB and cpu seconds of each."""
    runs = {k: [] for k in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            subprocess.run(['sync'])
            runs[name].append(side())
    return {k: dict(s=spread([r.wall for r in v]), cpu_s=spread([r.cpu for r in v])['median'], peak_rss_mb=round(max(r.rss for r in v) / 1e6))
            for k, v in runs.items()}


def line(what, sides, fast, slow, **more):
    show(what=what, times_the_peer=round(sides[fast]['s']['median'] / sides[slow]['s']['median'], 3), **sides, **more)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--slow-rounds', type=int, default=1)
    a = p.parse_args()
    model = vgg16()
    n = os.path.getsize(model)
    with Scratch() as at:
        r = alternate(a.rounds, zstd_3=lambda: synced('zstd', '-q', '-f', '-3', '-T2', model, '-o', at('v.zst')),
                      effml=lambda: effml('compress', '--preset', 'lossless', '--no-verify', '--force', model, '-o', at('v.effml')),
                      checked=lambda: effml('compress', '--preset', 'lossless', '--force', model, '-o', at('c.effml')))
        line('encode lossless', r, 'effml', 'zstd_3', ratio=dict(effml=round(n / os.path.getsize(at('v.effml')), 4),
                                                                 zstd_3=round(n / os.path.getsize(at('v.zst')), 4)))
        r = alternate(a.rounds, zstd_d=lambda: synced('zstd', '-q', '-f', '-d', at('v.zst'), '-o', at('z.onnx')),
                      effml=lambda: effml('decompress', '--force', at('v.effml'), '-o', at('e.onnx')))
        run(['cmp', at('e.onnx'), model])
        line('decode lossless', r, 'effml', 'zstd_d', identical=True)
        r = alternate(a.slow_rounds, zstd_19=lambda: synced('zstd', '-q', '-f', '-19', '-T2', model, '-o', at('v.zst')),
                      effml=lambda: effml('compress', '--preset', 'balanced', '--force', model, '-o', at('v.effml')))
        line('balanced', r, 'effml', 'zstd_19', model_mb=round(n / 1e6), ratio=dict(effml=round(n / os.path.getsize(at('v.effml')), 4),
                                                                                    zstd_19=round(n / os.path.getsize(at('v.zst')), 4)))


main()
