#!/usr/bin/env python3
"""Everything that has a peer, beside it: products of matrices beside PyTorch's, then networks beside ONNX Runtime (latency.py).

Products: alternating runs of kernel's BenchmarkGemm, which packs its operands in each call, and peers/gemm.py, each in a process of its own, on the
same threads. One JSON line a shape and thread count: median GFLOP/s of both and of the ratio (above 1 is faster). Exits 1 below 0.85 for
the square products of 1024 and 2048, or 0.9 for the others.

    python peers.py [--threads 1,2] [--pairs 7] [--seconds 0.3] [--shapes 1024x1024x1024,…] [--latency '--pairs 1 --runs 20'] [--no-latency]
"""
import argparse, json, os, re, shlex, statistics, subprocess, sys
from common import ROOT, Scratch, peer, run, show

SHAPES = '256x256x256,1024x1024x1024,2048x2048x2048,64x300x784,64x500x800,64x3136x576,1000x1x2048'
LARGE = ('1024x1024x1024', '2048x2048x2048')


def ours(binary, shapes, threads, seconds):
    """GFLOP/s by shape, of one run of the benchmark."""
    pattern = f"^BenchmarkGemm$/^({'|'.join(shapes)})$/^threads={threads}$"
    out = run([binary, '-test.run', '^$', '-test.bench', pattern, '-test.benchtime', f'{seconds}s']).out
    return {shape: float(rate) for shape, rate in re.findall(r'BenchmarkGemm/(\w+)/threads=\S+\s.*?([\d.]+) GFLOP/s', out)}


def theirs(shapes, threads):
    lines = peer('gemm.py', '--threads', threads, '--shapes', ','.join(shapes)).out.splitlines()
    return {line['mnk']: line['gflops'] for line in map(json.loads, lines)}


def products(a):
    """Compares the products, and returns those that are too slow."""
    slow = []
    with Scratch() as at:
        binary = at('kernel.test')
        subprocess.run(['go', 'test', '-c', '-o', binary, './kernel'], cwd=ROOT, check=True)
        for threads in map(int, a.threads.split(',')):
            shapes = a.shapes.split(',')
            pairs = [(ours(binary, shapes, threads, a.seconds), theirs(shapes, threads)) for _ in range(a.pairs)]
            for shape in shapes:
                ratios = [o[shape] / t[shape] for o, t in pairs]
                ratio, least = statistics.median(ratios), 0.85 if shape in LARGE else 0.9
                show(mnk=shape, threads=threads, ratio=round(ratio, 3), range=[round(min(ratios), 3), round(max(ratios), 3)], least=least,
                     effml_gflops=round(statistics.median(o[shape] for o, _ in pairs), 1), torch_gflops=round(statistics.median(t[shape] for _, t in pairs), 1))
                if ratio < least:
                    slow.append(f'{shape} on {threads}')
    return slow


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--threads', default='1,2')
    p.add_argument('--pairs', type=int, default=7)
    p.add_argument('--seconds', type=float, default=0.3)
    p.add_argument('--shapes', default=SHAPES)
    p.add_argument('--latency', default='--pairs 1 --runs 20', help='options of latency.py')
    p.add_argument('--no-latency', action='store_true')
    a = p.parse_args()
    slow = products(a)
    if not a.no_latency:
        subprocess.run([sys.executable, os.path.join(os.path.dirname(__file__), 'latency.py'), '--threads', a.threads, *shlex.split(a.latency)], check=True)
    if slow:
        sys.exit('too slow: ' + ', '.join(slow))


main()
