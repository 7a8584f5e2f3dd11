#!/usr/bin/env python3
"""Weight sharing and Huffman coding of the same 4.1 M Laplace weights: effml against scikit-learn and a Python Huffman coder. One JSON line.

    python kmeans.py [--weights N] [--k 32] [--runs 5]

times_faster compares seconds (effml's are medians, the peer runs once); over_peer_mse, over_optimum_mse and over_entropy are percentages
above the peer's error, the exact optimum's (from the optimal start) and the zero-order entropy.
"""
import argparse, json
from common import ROOT, Scratch, peer, run, show


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--weights', type=int, default=25088 * 4096 // 25)
    p.add_argument('--k', type=int, default=32)
    p.add_argument('--runs', type=int, default=5)
    a = p.parse_args()
    with Scratch() as at:
        run(['go', 'build', '-C', ROOT, '-o', at('sharing'), './bench/sharing'])
        theirs = json.loads(peer('sharing.py', '--weights', a.weights, '--k', a.k, '--save', at('w.f32')).out)
        ours = json.loads(run([at('sharing'), at('w.f32'), str(a.k), str(a.runs)]).out)
    over = lambda x, y: round(100 * (x / y - 1), 4)
    show(what='kmeans', effml=ours, peer=theirs, times_faster=dict(kmeans=round(theirs['kmeans_s'] / ours['kmeans_s'], 1),
         optimised=round(theirs['kmeans_s'] / ours['optimised_s'], 1), huffman=round(theirs['huffman_s'] / ours['huffman_s'], 1)),
         over_peer_mse=over(ours['mse'], theirs['mse']), over_optimum_mse=over(ours['optimised_mse'], ours['optimum_mse']),
         over_entropy=over(ours['bytes'], ours['entropy_bytes']))


main()
