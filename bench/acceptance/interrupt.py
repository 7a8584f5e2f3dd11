#!/usr/bin/env python3
"""Ctrl-C while VGG-16 (553 MB) is compressed and decompressed, at several parts of the time that the command takes: exit 130 and nothing
left behind. One JSON line each.

    python interrupt.py [--at 0.1,0.4,0.8]
"""
import argparse, os, shutil, signal, subprocess, sys, time
from common import EFFML, Scratch, effml, show, vgg16


def interrupted(argv, after):
    """Exit code and seconds from SIGINT to exit."""
    p = subprocess.Popen([EFFML, *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    p.send_signal(signal.SIGINT)
    t0 = time.perf_counter()
    return p.wait(), round(time.perf_counter() - t0, 3)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--at', default='0.1,0.4,0.8')
    a = p.parse_args()
    model, bad = vgg16(), 0
    with Scratch() as at:
        archive, out = at('vgg16.effml'), at('out')
        effml('compress', '--preset', 'lossless', '--no-verify', model, '-o', archive)
        commands = dict(lossless=['compress', '--preset', 'lossless', model, '-o', os.path.join(out, 'v.effml')],
                        balanced=['compress', model, '-o', os.path.join(out, 'v.effml'), '--emit-onnx', os.path.join(out, 'v.onnx')],
                        decompress=['decompress', archive, '-o', os.path.join(out, 'v.onnx')])
        for what, argv in commands.items():
            os.makedirs(out)
            whole = effml(*argv).wall
            shutil.rmtree(out)
            for part in map(float, a.at.split(',')):
                after = round(part * whole, 3)
                os.makedirs(out)
                rc, seconds = interrupted(argv, after)
                left = os.listdir(out)
                shutil.rmtree(out)
                bad += rc != 130 or bool(left)
                show(command=what, whole_s=round(whole, 2), after_s=after, exit=rc, stopped_in_s=seconds, left=left)
    sys.exit(1 if bad else 0)


main()
