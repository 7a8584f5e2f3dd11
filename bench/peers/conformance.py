#!/usr/bin/env python3
"""Writes ONNX's own operator conformance tests of the installed onnx version, in the classic layout.

    python conformance.py DIR        # DIR/test_NAME/model.onnx, DIR/test_NAME/test_data_set_0/{input,output}_K.pb, DIR/tolerance.tsv

onnx 1.23 generates 1,884. Debian's `libonnx-testdata` has 932 older ones.
"""
import os, sys
import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

out, n, skipped = sys.argv[1], 0, []
os.makedirs(out, exist_ok=True)
tolerance = open(os.path.join(out, 'tolerance.tsv'), 'w')


def proto(value, info):
    kind = info.type.WhichOneof('value')
    if kind == 'tensor_type':
        if isinstance(value, onnx.TensorProto):
            return value
        return numpy_helper.from_array(np.asarray(value), info.name)
    if kind == 'sequence_type':
        return numpy_helper.from_list(list(value), info.name)
    return numpy_helper.from_optional(value, info.name)


for case in load_model_tests(kind='node'):
    if case.model is None:
        continue
    d = os.path.join(out, case.name)
    try:
        for k, (inputs, outputs) in enumerate(case.data_sets):
            s = os.path.join(d, f'test_data_set_{k}')
            os.makedirs(s, exist_ok=True)
            for role, values, infos in (('input', inputs, case.model.graph.input), ('output', outputs, case.model.graph.output)):
                for j, (v, info) in enumerate(zip(values, infos)):
                    open(os.path.join(s, f'{role}_{j}.pb'), 'wb').write(proto(v, info).SerializeToString())
        onnx.save(case.model, os.path.join(d, 'model.onnx'))
        tolerance.write(f'{case.name}\t{case.rtol}\t{case.atol}\n')
        n += 1
    except Exception as e:
        skipped.append((case.name, repr(e)[:80]))
print(n, 'tests written;', len(skipped), 'not:', skipped[:5])
