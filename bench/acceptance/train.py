#!/usr/bin/env python3
"""Speed and memory of whole training steps beside PyTorch's, one JSON line a network and number of threads.

    python train.py [--rounds 3] [--seconds 4] [--threads 1,2] [--nets lenet300,…]

Rounds alternate: effml, PyTorch, effml, … ratio is effml's images/s by PyTorch's of the same round: its median and range. Memory is the
peak of the process; PyTorch's without what it takes before it has a network (rss_base_mb). `gflops` counts an operation for each multiplication and each
addition of convolutions and products, three times those of inference; `of_peak` is its part of 200 GFLOP/s a thread. Exit 1 where a ratio is below 1,
or effml takes more memory, or leaves more than 64 kB a step to the garbage collector.
"""
import argparse, json, statistics
from common import effml, peer, show, spread

NETS = {
    'lenet300': ('zoo:lenet_300_100', 64), 'lenet5': ('zoo:lenet5', 64), 'resnet20': ('zoo:resnet20', 128),
    'mobilenet_v2_96': ('zoo:mobilenet_v2,size=96,classes=100', 32), 'mobilenet_v2_224': ('zoo:mobilenet_v2', 16), 'resnet18_224': ('zoo:resnet18', 16),
}
PEAK = 200.0


def ours(net, threads, seconds):
    name, batch = NETS[net]

    def bench(runs):
        return json.loads(effml('bench', name, '--train', '--batch', batch, '--threads', threads, '--runs', runs, '--warmup', 3, '--json', '-').out)
    first = bench(3)
    return bench(max(5, int(1000 * seconds / first['ms']['median'])))


def theirs(net, threads, seconds):
    return json.loads(peer('train.py', '--threads', threads, '--seconds', seconds, '--nets', net).out.strip().splitlines()[-1])


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--seconds', type=float, default=4)
    p.add_argument('--threads', default='1,2')
    p.add_argument('--nets', default=','.join(NETS))
    a = p.parse_args()
    bad = False
    for threads in map(int, a.threads.split(',')):
        for net in a.nets.split(','):
            pairs = [(ours(net, threads, a.seconds), theirs(net, threads, a.seconds)) for _ in range(a.rounds)]
            last = pairs[-1][0]
            rss = max(e['peak_rss_bytes'] for e, _ in pairs) / 1e6
            peer_rss = max(1.048576 * (t['peak_rss_mb'] - t['rss_base_mb']) for _, t in pairs)
            ratio = spread([e['images_per_s'] / t['images_per_s'] for e, t in pairs])
            gflops = statistics.median(e['gflops'] for e, _ in pairs)
            holds = dict(speed=ratio['median'] >= 1, memory=rss <= peer_rss, garbage=last['train']['garbage_bytes'] <= 64_000)
            bad = bad or not all(holds.values())
            show(net=net, threads=threads, batch=last['batch'], ratio=ratio, effml=spread([e['images_per_s'] for e, _ in pairs]),
                 torch=spread([t['images_per_s'] for _, t in pairs]), gflops=round(gflops, 1), of_peak=round(gflops / PEAK / threads, 3),
                 rss_mb=round(rss, 1), torch_rss_mb=round(peer_rss, 1), garbage_kb=round(last['train']['garbage_bytes'] / 1e3, 1),
                 predicted_mb=round(last['train']['memory']['total'] / 1e6, 1), holds=holds)
    raise SystemExit(bad)


main()
