#!/usr/bin/env python3
"""Writes 200-odd small ONNX models that between them hold every data type in every storage form and place.

    python generate.py DIR        # DIR/NAME.onnx, some with DIR/NAME.onnx.data

Places: initializer, Constant node, sub-graph of If, function body, sparse initializer, training info. Forms: raw_data, the typed field
of the data type, external data. Shapes: vector, matrix, scalar, empty. Besides, what a reader of its own may stumble over: unknown
fields, repeated scalars that are not packed, fields out of order, explicit defaults, deep nesting, odd names, metadata everywhere.
"""
import os, sys
import numpy as np
import onnx
from onnx import AttributeProto, TensorProto as T, helper

TYPES = {v: k for k, v in T.DataType.items() if k != 'UNDEFINED'}
BITS = {T.FLOAT: 32, T.UINT8: 8, T.INT8: 8, T.UINT16: 16, T.INT16: 16, T.INT32: 32, T.INT64: 64, T.BOOL: 8, T.FLOAT16: 16, T.DOUBLE: 64,
        T.UINT32: 32, T.UINT64: 64, T.COMPLEX64: 64, T.COMPLEX128: 128, T.BFLOAT16: 16, T.FLOAT8E4M3FN: 8, T.FLOAT8E4M3FNUZ: 8,
        T.FLOAT8E5M2: 8, T.FLOAT8E5M2FNUZ: 8, T.UINT4: 4, T.INT4: 4, T.FLOAT4E2M1: 4, T.FLOAT8E8M0: 8, T.UINT2: 2, T.INT2: 2, T.FLOAT6E2M3: 6,
        T.FLOAT6E3M2: 6}
FIELD = {T.FLOAT: 'float_data', T.COMPLEX64: 'float_data', T.DOUBLE: 'double_data', T.COMPLEX128: 'double_data', T.INT64: 'int64_data',
         T.UINT32: 'uint64_data', T.UINT64: 'uint64_data'}  # all others: int32_data
SHAPES = {'vector': [40], 'matrix': [6, 9], 'scalar': [], 'empty': [0, 4]}


def values(dtype, shape, rng):
    """Plausible values of a type in raw layout."""
    bits = BITS[dtype] * int(np.prod(shape, dtype=np.int64))
    if dtype in (T.FLOAT, T.COMPLEX64):
        return rng.laplace(0, 0.1, bits // 32).astype('<f4').tobytes()
    if dtype in (T.DOUBLE, T.COMPLEX128):
        return rng.laplace(0, 0.1, bits // 64).astype('<f8').tobytes()
    if dtype == T.FLOAT16:
        return rng.laplace(0, 0.1, bits // 16).astype('<f2').tobytes()
    if dtype == T.BOOL:
        return rng.integers(0, 2, bits // 8, np.uint8).tobytes()
    if dtype in (T.INT32, T.INT64, T.UINT32, T.UINT64):
        return rng.integers(-5 if dtype in (T.INT32, T.INT64) else 0, 999, bits // BITS[dtype]).astype(f'<i{BITS[dtype] // 8}').tobytes()
    raw = bytearray(rng.integers(0, 256, (bits + 7) // 8, np.uint8).tobytes())
    if bits % 8:
        raw[-1] &= (1 << bits % 8) - 1  # the rest of the last byte is padding
    return bytes(raw)


def tensor(name, dtype, shape, form, rng, folder='', model=''):
    t = T(name=name, data_type=dtype, dims=shape)
    if dtype == T.STRING:
        t.string_data.extend(f'{name} {i} é\x00'.encode() for i in range(int(np.prod(shape))))
        return t
    raw = values(dtype, shape, rng)
    if form == 'raw':
        t.raw_data = raw
    elif form == 'external':
        data = os.path.join(folder, model + '.onnx.data')
        with open(data, 'ab') as f:
            f.write(bytes(-f.tell() % 64))
            offset = f.tell()
            f.write(raw)
        t.data_location = T.EXTERNAL
        for k, v in dict(location=os.path.basename(data), offset=offset, length=len(raw)).items():
            t.external_data.add(key=k, value=str(v))
    else:
        typed(t, raw, dtype)
    return t


def typed(t, raw, dtype):
    """Fills the typed field; types of 2 and 4 bits take one int32 a byte, those of 6 bits one an element, 16-bit floats their bits."""
    if BITS[dtype] == 6:
        bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder='little')[:6 * int(np.prod(t.dims, dtype=np.int64))]
        t.int32_data.extend((bits.reshape(-1, 6) @ (1 << np.arange(6))).tolist())
        return
    field = FIELD.get(dtype, 'int32_data')
    kind = {'float_data': '<f4', 'double_data': '<f8', 'int64_data': '<i8', 'uint64_data': f'<u{BITS[dtype] // 8}'}.get(field)
    if kind is None:
        kind = {T.INT8: 'i1', T.INT16: '<i2', T.INT32: '<i4'}.get(dtype, f'<u{max(1, BITS[dtype] // 8)}')
    getattr(t, field).extend(np.frombuffer(raw, kind).tolist())


def identity_model(tensors, **kw):
    """A graph that passes each tensor on; its checker-clean minimum."""
    nodes = [helper.make_node('Identity', [t.name], ['out_' + t.name], name='pass/' + t.name) for t in tensors]
    outputs = [helper.make_tensor_value_info('out_' + t.name, t.data_type, list(t.dims)) for t in tensors]
    return model(helper.make_graph(nodes, 'g', [], outputs, tensors), **kw)


def model(graph, **kw):
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 25)], ir_version=13, **kw)


def constant_model(t):
    node = helper.make_node('Constant', [], ['c'], value=t)
    return model(helper.make_graph([node], 'g', [], [helper.make_tensor_value_info('c', t.data_type, list(t.dims))]))


def if_model(t):
    def branch(name, t):
        return helper.make_graph([helper.make_node('Identity', [t.name], [name + '_y'])], name, [],
                                 [helper.make_tensor_value_info(name + '_y', t.data_type, list(t.dims))], [t])
    other = T()
    other.CopyFrom(t)
    other.name = 'other'
    node = helper.make_node('If', ['cond'], ['y'], name='choose', then_branch=branch('then', t), else_branch=branch('else', other))
    cond = helper.make_tensor_value_info('cond', T.BOOL, [])
    return model(helper.make_graph([node], 'g', [cond], [helper.make_tensor_value_info('y', t.data_type, list(t.dims))]))


def function_model(t):
    body = [helper.make_node('Constant', [], ['k'], value=t), helper.make_node('Add', ['x', 'k'], ['y'])]
    f = helper.make_function('custom', 'Offset', ['x'], ['y'], body, [helper.make_opsetid('', 25)])
    x, y = (helper.make_tensor_value_info(n, t.data_type, list(t.dims)) for n in 'xy')
    g = helper.make_graph([helper.make_node('Offset', ['x'], ['y'], domain='custom')], 'g', [x], [y])
    return helper.make_model(g, functions=[f], ir_version=10, opset_imports=[helper.make_opsetid('', 25), helper.make_opsetid('custom', 1)])


def sparse_model(dtype, rng):
    v, i = tensor('s', dtype, [3], 'raw', rng), helper.make_tensor('s_indices', T.INT64, [3], [1, 5, 17])
    m = identity_model([tensor('w', T.FLOAT, [4], 'raw', rng)])
    m.graph.sparse_initializer.append(helper.make_sparse_tensor(v, i, [4, 5]))
    return m


def oddities(rng):
    """Models that are legal but that no common exporter writes."""
    w = lambda name='w', n=300: tensor(name, T.FLOAT, [n], 'raw', rng)
    base = identity_model([w()]).SerializeToString()
    yield 'unknown_field', base + bytes([0xBA, 0x3E, 3]) + b'abc' + bytes([0xC0, 0x3E, 7])
    yield 'explicit_default', base + bytes([0x28, 0])                                    # model_version = 0, written out
    yield 'out_of_order', bytes([0x12, 4]) + b'late' + base                              # producer_name before ir_version
    yield 'field_twice', base + bytes([0x12, 3]) + b'one' + bytes([0x12, 3]) + b'two'    # the last one counts
    t = T(name='w', data_type=T.FLOAT, raw_data=np.ones(6, '<f4').tobytes()).SerializeToString() + bytes([8, 2, 8, 3])  # dims not packed
    g = helper.make_graph([helper.make_node('Identity', ['w'], ['y'])], 'g', [], [helper.make_tensor_value_info('y', T.FLOAT, [2, 3])])
    body = g.SerializeToString() + bytes([0x2A, len(t)]) + t
    yield 'unpacked_dims', model(helper.make_graph([], '', [], [])).SerializeToString().replace(bytes([0x3A, 0]), b'') + bytes([0x3A, len(body)]) + body
    m = identity_model([w('wéird/名前.0:1', 64), w(' ', 8)], doc_string='text\nwith lines', producer_name='p', domain='d.e.f')
    helper.set_model_props(m, {'classes': 'a,b', 'é': '\u0000'})
    m.graph.metadata_props.add(key='k', value='v')
    m.graph.node[0].metadata_props.add(key='pkg.torch.onnx.stack_trace', value='File "x.py", line 1\n' * 20)
    m.graph.initializer[0].metadata_props.add(key='k', value='v')
    m.graph.quantization_annotation.add(tensor_name=' ').quant_parameter_tensor_names.add(key='SCALE_TENSOR', value='s')
    yield 'metadata', m
    same = w('first')
    twin = T()
    twin.CopyFrom(same)
    twin.name = 'second'
    yield 'tied', identity_model([same, twin])
    yield 'constant_values', identity_model([helper.make_tensor('w', T.FLOAT, [5000], [0.25] * 5000)])
    yield 'zeros', identity_model([helper.make_tensor('w', T.FLOAT, [200, 200], bytes(160000), raw=True)])
    special = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3.4e38] * 40, '<f4')
    special.view('<u4')[8:16] += 3  # payloads of NaN and neighbours
    yield 'special_floats', identity_model([helper.make_tensor('w', T.FLOAT, [320], special.tobytes(), raw=True)])
    m = identity_model([w()])
    m.training_info.add().initialization.CopyFrom(helper.make_graph([helper.make_node('Constant', [], ['t'], value=w('t'))], 'init', [], [
        helper.make_tensor_value_info('t', T.FLOAT, [300])]))
    yield 'training_info', m
    yield 'all_attributes', attributes_model(rng)
    inner = constant_model(w('c', 20)).graph
    for depth in range(4):
        node = helper.make_node('If', ['cond'], [f'y{depth}'], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([node], f'depth{depth}', [], [helper.make_tensor_value_info(f'y{depth}', T.FLOAT, [20])])
    inner.input.append(helper.make_tensor_value_info('cond', T.BOOL, []))
    yield 'nested', model(inner)


def attributes_model(rng):
    t = tensor('t', T.FLOAT, [50], 'raw', rng)
    sparse = helper.make_sparse_tensor(tensor('v', T.FLOAT, [2], 'raw', rng), helper.make_tensor('i', T.INT64, [2], [0, 3]), [9])
    node = helper.make_node('Anything', ['x'], ['y'], domain='custom', f=1.5, i=-3, s='text', t=t, floats=[0.5, 2.0], ints=[1, -1], strings=['a', 'b'],
                            tensors=[t, t], g=helper.make_graph([], 'empty', [], []), sp=sparse, tp=helper.make_tensor_type_proto(T.FLOAT, ['n', 3]))
    node.attribute.append(AttributeProto(name='none', type=AttributeProto.INTS))
    x, y = (helper.make_tensor_value_info(n, T.FLOAT, ['n', 3]) for n in 'xy')
    return helper.make_model(helper.make_graph([node], 'g', [x], [y]), ir_version=10,
                             opset_imports=[helper.make_opsetid('', 20), helper.make_opsetid('custom', 3)])


def generate(folder):
    """Yields name and model (or its bytes) of all."""
    rng = np.random.default_rng(0)
    for dtype, name in TYPES.items():
        n = name.lower()
        forms = ['typed'] if dtype == T.STRING else ['raw', 'typed', 'external']
        for form in forms:
            for shape in SHAPES if form != 'external' else ['vector', 'matrix']:
                key = f'{n}_{form}_{shape}'
                yield key, identity_model([tensor('w', dtype, SHAPES[shape], form, rng, folder, key)])
        yield f'{n}_constant', constant_model(tensor('c', dtype, [40], forms[0], rng))
        if dtype in (T.FLOAT, T.DOUBLE, T.FLOAT16, T.BFLOAT16, T.INT32, T.INT64, T.UINT8):
            yield f'{n}_if', if_model(tensor('w', dtype, [100], 'raw', rng))
            yield f'{n}_function', function_model(tensor('k', dtype, [40], 'raw', rng))
            yield f'{n}_sparse', sparse_model(dtype, rng)
    yield from oddities(rng)


def write(folder):
    """Fills a folder afresh; the number of models."""
    os.makedirs(folder, exist_ok=True)
    for f in os.listdir(folder):
        os.remove(os.path.join(folder, f))
    n = 0
    for name, m in generate(folder):
        with open(os.path.join(folder, name + '.onnx'), 'wb') as f:
            f.write(m if isinstance(m, bytes) else m.SerializeToString())
        n += 1
    return n


if __name__ == '__main__':
    print(write(sys.argv[1]), 'models')
