#!/usr/bin/env python3
"""torchvision's vit_b_16, as PyTorch's exporter writes it for one image at a time, trained for some steps on one: the loss must fall. One JSON line;
exit 1 where it does not.

    python attention.py [--net vit_b_16] [--steps 20] [--batch 1] [--rate 1e-5]
"""
import argparse, os, subprocess, sys
import numpy as np
from common import ROOT, Scratch, exports, run, show


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--net', default='vit_b_16')
    p.add_argument('--steps', type=int, default=20)
    p.add_argument('--batch', type=int, default=1)
    p.add_argument('--rate', type=float, default=1e-5)
    a = p.parse_args()
    rng = np.random.default_rng(1)
    (model,) = exports('torch', [a.net])
    with Scratch() as at:
        subprocess.run([os.environ.get('GO', 'go'), 'build', '-o', at('gradients'), './bench/gradients'], cwd=ROOT, check=True)
        np.savez(at('batch.npz'), x=rng.standard_normal((a.batch, 3, 224, 224)).astype(np.float32), labels=rng.integers(0, 1000, a.batch))
        r = run([at('gradients'), '-steps', str(a.steps), '-rate', str(a.rate), model, at('batch.npz'), at('out.npz')])
    losses = [float(v) for v in r.out.split()]
    show(net=a.net, batch=a.batch, steps=len(losses), first=round(losses[0], 4), last=round(losses[-1], 4), seconds_a_step=round(r.wall / len(losses), 2),
         rss_mb=round(r.rss / 1e6), losses=[round(v, 3) for v in losses])
    sys.exit(not losses[-1] < 0.9 * losses[0])


main()
