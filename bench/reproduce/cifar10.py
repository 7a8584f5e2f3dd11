#!/usr/bin/env python3
"""ResNet-20 on CIFAR-10 from scratch: accuracy on the test set.

    python cifar10.py [--seeds 1] [--recipe cifar10-resnet-20] [--epochs N]

cifar10-resnet-20 takes 30 epochs and must reach 90.5 %; cifar10-resnet-20-paper is the paper's, of 182 epochs and an error of 8.75 %. Nothing is selected on the test set: it is
evaluated once, by the network of the last step. Exit 1 below the limit.
"""
import argparse
from training import Scratch, data, errors, show, train

LIMITS = {'cifar10-resnet-20': 90.5, 'cifar10-resnet-20-paper': 91.25}


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--seeds', type=int, default=1)
    p.add_argument('--epochs', type=int, default=0)
    p.add_argument('--recipe', default='cifar10-resnet-20')
    a = p.parse_args()
    with Scratch() as at:
        results = [train(at, f'{seed}.onnx', '--recipe', a.recipe, '--data', data('cifar10'), '--seed', seed, *(['--epochs', a.epochs] if a.epochs else []))
                   for seed in range(1, a.seeds + 1)]
    e = errors(results)
    limit = LIMITS.get(a.recipe, 0)
    show(recipe=a.recipe, top1=[r['top1'] for r in results], limit=limit, epochs=results[0]['epochs'], val_top1=[r['metrics'][-1].get('val', {}).get('top1') for r in results],
         images_per_s=round(results[0]['images_per_s']), wall_s=round(sum(r['wall_s'] for r in results)), holds=100 - e['mean'] >= limit, **e)
    raise SystemExit(100 - e['mean'] < limit)


main()
