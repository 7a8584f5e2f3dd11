#!/usr/bin/env python3
"""Nothing is lost: models through effml's reader and writer, and through `compress --preset lossless` and `decompress`. One JSON line a group.

    python roundtrip.py [--groups shared,torch,dynamo,conformance,generated] [MODEL.onnx …]

Per model: bench/copy reads and writes it byte for byte; after compress and decompress every tensor of the model is bit-equal, the rest of the
model is equal, Python's onnx.checker passes (with full_check where it passed before), and ONNX Runtime, where it runs the original, gives
bit-equal outputs. `identical` counts models whose files came back byte for byte. Failures go to stderr by name; exit 1 if there is one.
"""
import argparse, glob, os, subprocess, sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import Message
from onnx import TensorProto, numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data
from common import ROOT, WORK, Scratch, conformance, effml, exports, files, run, shared_models, show
import generate

RANDOM = {'tensor(float)': np.float32, 'tensor(double)': np.float64, 'tensor(float16)': np.float16}
WHOLE = {'tensor(int64)': np.int64, 'tensor(int32)': np.int32, 'tensor(uint8)': np.uint8, 'tensor(int8)': np.int8, 'tensor(bool)': np.bool_}


def generated():
    folder = os.path.join(WORK, 'generated')
    generate.write(folder)
    return sorted(glob.glob(os.path.join(folder, '*.onnx')))


GROUPS = {'shared': shared_models, 'torch': lambda: exports('torch'), 'dynamo': lambda: exports('dynamo'), 'conformance': conformance,
          'generated': generated}


def copies(models):
    """How many models bench/copy reproduces, and the lines about those that it does not."""
    r = subprocess.run(['go', 'run', './bench/copy'], cwd=ROOT, input='\n'.join(models), capture_output=True, text=True)
    lines = r.stdout.splitlines()
    if len(lines) != len(models):
        raise SystemExit(r.stderr)
    bad = [l for l in lines if not l.endswith('\tidentical')]
    return len(lines) - len(bad), bad


def there_and_back(job):
    """Path of the decompressed model, or what went wrong."""
    model, folder = job
    os.mkdir(folder)
    back = os.path.join(folder, os.path.basename(model))
    for argv in (['compress', '--preset', 'lossless', model, '-o', folder + '.effml'], ['decompress', folder + '.effml', '-o', back]):
        r = effml(*argv, '-q', expect=None)
        if r.rc:
            return None, f'{argv[0]}: exit {r.rc}: {r.err.strip()}'
    return back, None


def tensors(m, path=''):
    """Every TensorProto of a message, with its place."""
    for field, value in m.ListFields():
        many = value if hasattr(value, '__len__') and not isinstance(value, (str, bytes)) else [value]
        for i, v in enumerate(many):
            if isinstance(v, TensorProto):
                yield f'{path}/{field.name}[{i}]', v
            elif isinstance(v, Message):
                yield from tensors(v, f'{path}/{field.name}[{i}]')


def take_values(model_path):
    """A model without its tensors' values, and those by place: (name, type, dims, bytes)."""
    m, taken = onnx.load(model_path, load_external_data=False), {}
    for place, t in tensors(m):
        if uses_external_data(t):
            load_external_data_for_tensor(t, os.path.dirname(model_path))
            t.ClearField('data_location')
            t.ClearField('external_data')
        bits = list(t.string_data) if t.data_type == TensorProto.STRING else numpy_helper.to_array(t).tobytes()
        taken[place] = t.name, t.data_type, list(t.dims), bits
        for field in ('raw_data', 'float_data', 'int32_data', 'string_data', 'int64_data', 'double_data', 'uint64_data'):
            t.ClearField(field)
    return m, taken


def checks(path):
    """How much of onnx.checker a model passes: full, plain or nothing."""
    for kind, full in (('full', True), ('plain', False)):
        try:
            onnx.checker.check_model(path, full_check=full)
            return kind
        except Exception:
            continue
    return 'nothing'


def feeds(session, model):
    """Inputs: those of the conformance suite, the ones an export was traced with, or made up; None where that is beyond this script."""
    case = os.path.join(os.path.dirname(model), 'test_data_set_0')
    if os.path.isdir(case):
        names, read = {}, numpy_helper.to_array
        for k, value in enumerate(onnx.load(model).graph.input):
            at = os.path.join(case, f'input_{k}.pb')
            if not os.path.exists(at):
                continue
            if value.type.WhichOneof('value') != 'tensor_type':
                return None
            names[value.name] = read(onnx.load_tensor(at))
        return names
    made, rng = {}, np.random.default_rng(0)
    for i in session.get_inputs():
        shape = [d if isinstance(d, int) else 1 for d in i.shape]
        if i.type in RANDOM:
            made[i.name] = rng.standard_normal(shape).astype(RANDOM[i.type])
        elif i.type in WHOLE:
            made[i.name] = np.ones(shape, WHOLE[i.type])
        else:
            return None
    return made


def outputs(path, model):
    """What ONNX Runtime answers, as comparable values; None where it cannot run the model."""
    ort.set_default_logger_severity(4)
    ort.set_seed(1)
    o = ort.SessionOptions()
    o.intra_op_num_threads = 1  # sums in one order
    try:
        s = ort.InferenceSession(path, o, providers=['CPUExecutionProvider'])
        given = feeds(s, model)
        return None if given is None else [flat(v) for v in s.run(None, given)]
    except Exception:
        return None


def flat(v):
    if isinstance(v, list):
        return [flat(x) for x in v]
    return v.tolist() if isinstance(v, np.ndarray) and v.dtype == object else (v.shape, v.dtype.str, v.tobytes()) if hasattr(v, 'tobytes') else v


def same_files(a, b):
    return all(os.path.exists(y) and open(x, 'rb').read() == open(y, 'rb').read() for x, y in zip(files(a), files(b) + [''] * 2))


def compare(model, back, counts):
    """Counts what holds; yields what does not."""
    identical = same_files(model, back)
    counts['identical'] += identical
    (rest, was), (rest_back, now) = take_values(model), take_values(back)
    counts['tensors'] += len(was)
    if was != now:
        yield 'tensors differ: ' + ', '.join(p for p in was.keys() | now.keys() if was.get(p) != now.get(p))
    if rest.SerializeToString(deterministic=True) != rest_back.SerializeToString(deterministic=True):
        yield 'the rest of the model differs'
    before, after = checks(model), checks(back)
    counts['checker ' + before] += 1
    if before != after:
        yield f'onnx.checker: {before} before, {after} after'
    answer = outputs(model, model)
    if answer is None:
        counts['onnxruntime cannot run it'] += 1
    elif answer == outputs(back, model):
        counts['onnxruntime equal'] += 1
    elif identical or answer != outputs(model, model):  # random operators, and outputs of 4 bits, of which it shows stray memory
        counts['onnxruntime answers at random'] += 1
    else:
        yield 'ONNX Runtime answers differently'


def group(name, models):
    counts, failures = Counter(), []
    copied, bad = copies(models)
    failures += bad
    with Scratch() as at, ThreadPoolExecutor(2) as pool:
        jobs = [(m, at(str(i))) for i, m in enumerate(models)]
        for (m, folder), (back, error) in zip(jobs, pool.map(there_and_back, jobs)):
            wrong = [error] if error else compare(m, back, counts)
            failures += [f'{m}\t{w}' for w in wrong]
            run(['rm', '-rf', folder, folder + '.effml'])
    print(*failures, sep='\n', end='\n' if failures else '', file=sys.stderr, flush=True)
    show(group=name, models=len(models), copied_identically=copied, failures=len(failures), **counts)
    return not failures


def main():
    p = argparse.ArgumentParser()
    p.add_argument('models', nargs='*')
    p.add_argument('--groups', default=','.join(GROUPS))
    a = p.parse_args()
    if a.models:
        ok = group('named', [os.path.abspath(m) for m in a.models])
    else:
        ok = all([group(g, GROUPS[g]()) for g in a.groups.split(',')])
    sys.exit(0 if ok else 1)


main()
