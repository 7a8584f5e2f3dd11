#!/usr/bin/env python3
"""Steps of training beside PyTorch's from equal weights, one JSON line a network: how far effml's and PyTorch's float32 are from PyTorch's float64.

    python gradients.py [--nets lenet5,resnet20,mobilenet_v2] [--steps 10] [--seeds 8]

One step: `gradient` is that of all parameters together, norm of the difference over the norm, `state` that of running means and variances, both the
root of the mean square over the seeds; effml's must be at most twice PyTorch float32's own. (A gradient jumps where rounding moves a value to the
other side of 0 in front of a Relu: in a single step either may happen to be far nearer, and `gradients` lists all of them.) After --steps steps of SGD
with momentum 0.9 and weight decay 1e-4 from the first seed `weights` compares all parameters: of lenet5 at most 1e-4; the others are chaotic and
reported only. Exit 1 where one is too large.
"""
import argparse, ast, os, subprocess, sys
import numpy as np
import onnx, torch
import torch.nn.functional as F
from onnx import numpy_helper
from common import PEERS, ROOT, Scratch, effml, run, show

NETS = {  # name: (zoo's name, that of the peer, batch, input, classes)
    'lenet5': ('lenet-5', 'lenet5', 64, (1, 28, 28), 10),
    'resnet20': ('resnet-20', 'resnet20', 32, (3, 32, 32), 10),
    'mobilenet_v2': ('mobilenet-v2,size=96,classes=100', 'mobilenet_v2_96', 16, (3, 96, 96), 100),
}
RATE, MOMENTUM, DECAY = 0.01, 0.9, 1e-4


def peers():
    """The networks of the peer's benchmark, as PyTorch modules: its file without what it does at once."""
    path = os.path.join(PEERS, 'train.py')
    tree = ast.parse(open(path).read())
    tree.body = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Assign))]
    names = {}
    exec(compile(tree, path, 'exec'), names)
    return names['NETS']


def tensors(model):
    """Weights and running statistics of an ONNX file, in its order, which is PyTorch's."""
    return [(t.name, numpy_helper.to_array(t)) for t in onnx.load(model).graph.initializer if t.data_type == 1 and t.dims]


def without_dropout(path):
    model = onnx.load(path)
    for n in model.graph.node:
        if n.op_type == 'Dropout':
            n.op_type = 'Identity'
            del n.input[1:], n.attribute[:]
    onnx.save(model, path)


def train(build, weights, x, labels, steps, dtype):
    """The gradients of the first step and the state after the last, by the names of ONNX, in float64."""
    net = build().to(dtype).train()
    for m in net.modules():
        if isinstance(m, torch.nn.Dropout):
            m.p = 0.0
    state = [(n, t) for n, t in net.state_dict().items() if not n.endswith('num_batches_tracked')]
    assert [tuple(t.shape) for _, t in state] == [v.shape for _, v in weights], 'the networks are not the same'
    names = dict(zip([n for n, _ in state], [n for n, _ in weights]))
    net.load_state_dict({n: torch.tensor(v) for (n, _), (_, v) in zip(state, weights)}, strict=False)
    params = dict(net.named_parameters())
    solver = torch.optim.SGD(params.values(), RATE, momentum=MOMENTUM, weight_decay=DECAY)
    for step in range(steps):
        solver.zero_grad()
        F.cross_entropy(net(torch.tensor(x, dtype=dtype)), torch.tensor(labels)).backward()
        if step == 0:
            gradients = {names[n]: p.grad.double().numpy().ravel().copy() for n, p in params.items()}
        solver.step()
    state = {names[n]: t.double().numpy().ravel().copy() for n, t in net.state_dict().items() if n in names}
    return gradients, {n: state[n] for n in gradients}, {n: v for n, v in state.items() if n not in gradients}


def ours(model, batch, out, steps):
    run([GRADIENTS, '-steps', str(steps), '-rate', str(RATE), '-momentum', str(MOMENTUM), '-decay', str(DECAY), model, batch, out])
    data = np.load(out)
    gradients = {n[len('gradient/'):]: data[n].astype(np.float64).ravel() for n in data.files if n.startswith('gradient/')}
    values = {n: data['value/' + n].astype(np.float64).ravel() for n, _ in tensors(model)}
    return gradients, {n: values[n] for n in gradients}, {n: v for n, v in values.items() if n not in gradients}


def error(got, want):
    assert got.keys() == want.keys(), sorted(got.keys() ^ want.keys())
    if not want:
        return 0.0
    return float(np.sqrt(sum(((got[n] - v) ** 2).sum() for n, v in want.items()) / sum((v ** 2).sum() for v in want.values())))


def compare(name, seed, steps, at):
    """The errors of effml and of PyTorch's float32 by what is compared."""
    zoo, peer, batch, shape, classes = NETS[name]
    model, data = at(name + '.onnx'), at('batch.npz')
    effml('zoo', 'make', f'{zoo},seed={seed}', '-o', model, '--force')
    without_dropout(model)
    rng = np.random.default_rng(seed)
    x, labels = rng.standard_normal((batch, *shape)).astype(np.float32), rng.integers(0, classes, batch)
    np.savez(data, x=x, labels=labels)
    build, weights = peers()[peer][0], tensors(model)
    exact, single = (train(build, weights, x, labels, steps, d) for d in (torch.float64, torch.float32))
    we = ours(model, data, at('out.npz'), steps)
    return {what: (error(we[i], exact[i]), error(single[i], exact[i])) for i, what in enumerate(('gradient', 'weights', 'state'))}


def rounded(v):
    return float(f'{v:.2e}')


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--nets', default=','.join(NETS))
    p.add_argument('--steps', type=int, default=10)
    p.add_argument('--seeds', type=int, default=8)
    a = p.parse_args()
    bad = False
    with Scratch() as at:
        global GRADIENTS
        GRADIENTS = at('gradients')
        subprocess.run([os.environ.get('GO', 'go'), 'build', '-o', GRADIENTS, './bench/gradients'], cwd=ROOT, check=True)
        for name in a.nets.split(','):
            ones = [compare(name, seed, 1, at) for seed in range(1, a.seeds + 1)]
            far = {w: [float(np.sqrt(np.mean([r[w][i] ** 2 for r in ones]))) for i in (0, 1)] for w in ('gradient', 'state')}
            far['weights'] = compare(name, 1, a.steps, at)['weights']
            holds = {w: far[w][0] <= 2 * far[w][1] for w in ('gradient', 'state')}
            if name == 'lenet5':
                holds['weights'] = far['weights'][0] <= 1e-4
            bad = bad or not all(holds.values())
            show(net=name, steps=a.steps, seeds=a.seeds, **{w: dict(effml=rounded(e), torch32=rounded(t)) for w, (e, t) in far.items()},
                 gradients=[[rounded(v) for v in r['gradient']] for r in ones], holds=holds)
    sys.exit(bad)


main()
