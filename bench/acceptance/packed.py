#!/usr/bin/env python3
"""Whether stock runtimes load what `compress --emit-onnx-packed` writes, and compute from it what they compute from the plain model. One JSON line a
model and preset: bytes of the model, of the packed model and of the archive; largest difference of ONNX Runtime's outputs between packed and plain, as a share of the
range of the plain one's; and the same between ONNX Runtime and `effml run` on the packed model. Exits 1 where a difference exceeds --limit or --ours,
or where more than 5 % of the weights are plain there that the archive holds as codes: small tensors of many levels, which a codebook would not make smaller.

    python packed.py [--presets fast,balanced,small,paper] [--limit 1e-5] [--ours 1e-4] [MODEL.onnx …]

The models are those of the shared data and ResNet-18, MobileNetV2 and Swin-T of torchvision with random weights.
"""
import argparse, json, os
import numpy as np
import onnx
import onnxruntime as ort
from common import Scratch, effml, exports, files, shared_models, show, size


def session(path):
    return ort.InferenceSession(path, providers=['CPUExecutionProvider'])


def inputs(s):
    rng = np.random.default_rng(1)
    return {i.name: rng.standard_normal([d if isinstance(d, int) else 2 for d in i.shape]).astype(np.float32) for i in s.get_inputs()}


def difference(a, b):
    return max(float(np.abs(x.astype(np.float64) - y).max() / max(np.ptp(x), 1e-30)) for x, y in zip(a, b))


def left_plain(model, tensors):
    """The share of the weights that were quantised and are initializers of floats all the same."""
    kept = {t.name for t in onnx.load(model, load_external_data=False).graph.initializer}
    coded = [t for t in tensors if t['action'] not in ('kept', 'tied')]
    return sum(t['weights'] for t in coded if t['name'] in kept) / max(1, sum(t['weights'] for t in coded))


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--presets', default='fast,balanced,small,paper')
    p.add_argument('--limit', type=float, default=1e-5)
    p.add_argument('--ours', type=float, default=1e-4)
    p.add_argument('models', nargs='*')
    a, failed = p.parse_args(), 0
    for model in a.models or shared_models() + exports('torch', ['resnet18', 'mobilenet_v2', 'swin_t']):
        for preset in a.presets.split(','):
            with Scratch() as at:
                effml('compress', model, '--preset', preset, '-o', at('m.effml'), '--emit-onnx', at('plain.onnx'), '--emit-onnx-packed', at('packed.onnx'), '--json', at('r.json'))
                plain, packed = session(at('plain.onnx')), session(at('packed.onnx'))
                x = inputs(plain)
                want, got = plain.run(None, x), packed.run(None, x)
                np.savez(at('x.npz'), **x)
                effml('run', at('packed.onnx'), '--input', at('x.npz'), '-o', at('y.npz'))
                ours = np.load(at('y.npz'))
                runtime, own = difference(want, got), difference(got, [ours[o.name] for o in packed.get_outputs()])
                with open(at('r.json')) as f:
                    plain_left = left_plain(at('packed.onnx'), json.load(f)['tensors'])
                ok = runtime <= a.limit and own <= a.ours and plain_left <= 0.05
                failed += not ok
                show(model=os.path.basename(model), preset=preset, ok=ok, bytes=size(files(model)), packed=size(files(at('packed.onnx'))),
                     archive=os.path.getsize(at('m.effml')), packed_to_plain=runtime, effml_to_runtime=own, left_plain=round(plain_left, 4))
    raise SystemExit(failed > 0)


main()
