"""What the reproductions share: training by `effml train` in a scratch folder, and data as `make data` brings it."""
import json, math, os, statistics, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'acceptance'))
from common import ROOT, Scratch, effml, run, shared, show  # noqa: F401 (scripts take them from here)


def data(name):
    """The folder of a public data set: data/NAME of the checkout, or of EFFML_DATA."""
    folder = os.environ.get('EFFML_DATA') or os.path.join(ROOT, 'data')
    if not os.path.isdir(os.path.join(folder, name)):
        subprocess.run(['go', 'run', './bench/data', '-o', folder, name], cwd=ROOT, check=True, stdout=sys.stderr)
    return os.path.join(folder, name)


def train(at, output, *args):
    """Trains to the file output of the scratch folder and returns the result object. Progress is that of effml, on stderr."""
    argv = [os.environ.get('EFFML') or os.path.join(ROOT, 'bin', 'effml'), 'train', *map(str, args), '-o', at(output), '--json', '-']
    p = subprocess.run(argv, stdout=subprocess.PIPE, text=True)
    if p.returncode not in (0, 3):
        raise SystemExit(f'exit {p.returncode}: {" ".join(argv)}')
    return json.loads(p.stdout)


def errors(results):
    """Test errors in percent: each, mean and standard deviation."""
    e = [100 - r['top1'] for r in results]
    return dict(errors=[round(v, 2) for v in e], mean=round(statistics.mean(e), 3), sd=round(statistics.stdev(e), 3) if len(e) > 1 else math.nan)
