#!/usr/bin/env python3
"""LeNet-300-100 and LeNet-5 on MNIST from scratch, several seeds: error on the test set, mean and standard deviation.

    python mnist.py [--seeds 5] [--epochs N] [--nets mnist-lenet-300-100,mnist-lenet-5]

The networks that Han et al. (Learning both weights and connections, 2015) begin with have errors of 1.64 and 0.80 %. The recipes hold out 5 % of the training set;
the test set is evaluated once, by the network of the last step. Exit 1 where a mean is above those.
"""
import argparse
from training import Scratch, data, errors, show, train

LIMITS = {'mnist-lenet-300-100': 1.64, 'mnist-lenet-5': 0.80}


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--seeds', type=int, default=5)
    p.add_argument('--epochs', type=int, default=0)
    p.add_argument('--nets', default=','.join(LIMITS))
    a = p.parse_args()
    bad = False
    for recipe in a.nets.split(','):
        with Scratch() as at:
            results = [train(at, f'{seed}.onnx', '--recipe', recipe, '--data', data('mnist'), '--seed', seed, *(['--epochs', a.epochs] if a.epochs else []))
                       for seed in range(1, a.seeds + 1)]
        e = errors(results)
        bad = bad or e['mean'] > LIMITS[recipe]
        show(recipe=recipe, limit=LIMITS[recipe], epochs=results[0]['epochs'], val_top1=[r['metrics'][-1]['val']['top1'] for r in results],
             images_per_s=round(results[0]['images_per_s']), wall_s=round(sum(r['wall_s'] for r in results)), holds=e['mean'] <= LIMITS[recipe], **e)
    raise SystemExit(bad)


main()
