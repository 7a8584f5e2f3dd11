#!/usr/bin/env python3
"""A training that is stopped at a random moment and resumed ends with the same bytes as one that is not.

    python resume.py [--trials 20] [--epochs 2] [--samples 8000]

LeNet-5 with augmentation on a part of MNIST, a checkpoint every 10 steps. Odd trials end the program by SIGKILL, even ones by SIGINT (Ctrl-C), which must exit 130 with a checkpoint. Then the same
with 1, 2 and 7 threads without an interruption. Exit 1 where a file differs.
"""
import argparse, glob, hashlib, json, os, random, shutil, signal, subprocess, time
from common import EFFML, Scratch, mnist, run, show


def digest(path):
    return hashlib.sha256(open(path, 'rb').read()).hexdigest()


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--trials', type=int, default=20)
    p.add_argument('--epochs', type=int, default=2)
    p.add_argument('--samples', type=int, default=8000)
    a = p.parse_args()
    rng, bad = random.Random(1), False
    with Scratch() as at:
        with open(at('data.yaml'), 'w') as f:
            json.dump(dict(path=mnist(), split=dict(train=f'0:{a.samples}', val=f'{a.samples}:{a.samples + 1000}'), augment=dict(pad_crop=2)), f)

        def argv(name, *more):
            return [EFFML, 'train', '--recipe', 'mnist-lenet-5', '--data', at('data.yaml'), '--epochs', str(a.epochs), '--checkpoint-every', '10', '--keep', '2',
                    '-o', at(name), '--quiet', *more]

        t0 = time.perf_counter()
        run(argv('whole.onnx'))
        took, want = time.perf_counter() - t0, digest(at('whole.onnx'))
        show(case='uninterrupted', seconds=round(took, 1), sha256=want)
        for trial in range(a.trials):
            name, kill = f'{trial}.onnx', trial % 2 == 1
            over, part = True, rng.uniform(0.1, 0.95)
            while over:  # it was faster than the first time
                for old in glob.glob(at(f'{trial}.*')):
                    shutil.rmtree(old) if os.path.isdir(old) else os.remove(old)
                p = subprocess.Popen(argv(name), stderr=subprocess.PIPE, text=True)
                time.sleep(part * took)
                p.send_signal(signal.SIGKILL if kill else signal.SIGINT)
                _, err = p.communicate()
                over, part = os.path.exists(at(name)), 0.7 * part
            checkpoints = len([f for f in os.listdir(at(f'{trial}.train')) if f.startswith('step-')]) if os.path.isdir(at(f'{trial}.train')) else 0
            run(argv(name, '--resume', '--json', at(f'{trial}.json')))
            resumed = json.load(open(at(f'{trial}.json'))).get('resumed', 0)
            same = digest(at(name)) == want
            stopped = p.returncode == (-signal.SIGKILL if kill else 130) and (kill or checkpoints > 0)
            bad = bad or not same or not stopped
            show(case='SIGKILL' if kill else 'SIGINT', exit=p.returncode, checkpoints=checkpoints, resumed_at_step=resumed, same=same, said=err.strip()[:120])
        for threads in (1, 2, 7):
            run(argv(f't{threads}.onnx', '--threads', str(threads)))
            same = digest(at(f't{threads}.onnx')) == want
            bad = bad or not same
            show(case='threads', threads=threads, same=same)
    raise SystemExit(bad)


main()
