#!/usr/bin/env python3
"""A small convolutional network quantised by ONNX Runtime's quantize_static, as QDQ or with QLinear operators.

    python quantize.py --out DIR [--format qdq|qoperator] [--per-channel] [--weights int8|uint8] [--model float.onnx]

Writes DIR/small_FORMAT.onnx; DIR/small_float.onnx is what it was made from, unless --model names another network. Weights and
calibration data are random with a fixed seed: the files are for comparing runtimes, not for classifying anything.
"""
import argparse, json, os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

rng = np.random.default_rng(1)


def build():
    """3x32x32 -> conv, depthwise, strided, a residual addition, pooling, two linear layers -> 10."""
    nodes, inits, count = [], [], [0]

    def const(array):
        count[0] += 1
        inits.append(numpy_helper.from_array(array.astype(np.float32), f"w{count[0]}"))
        return f"w{count[0]}"

    def node(op, inputs, **attributes):
        count[0] += 1
        nodes.append(helper.make_node(op, inputs, [f"v{count[0]}"], name=f"{op}_{count[0]}", **attributes))
        return f"v{count[0]}"

    def conv(x, cin, cout, kernel, group=1, stride=1, relu=True):
        scale = np.sqrt(2 / (cin // group * kernel * kernel))
        w = const(rng.normal(0, scale, (cout, cin // group, kernel, kernel)))
        pad = kernel // 2
        y = node("Conv", [x, w, const(rng.normal(0, 0.1, cout))], group=group, strides=[stride] * 2, pads=[pad] * 4, kernel_shape=[kernel] * 2)
        return node("Relu", [y]) if relu else y

    x = conv("input", 3, 16, 3)
    x = conv(x, 16, 16, 3, group=16)
    x = conv(x, 16, 32, 1)
    skip = x = node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = conv(x, 32, 32, 3)
    x = conv(x, 32, 32, 3, relu=False)
    x = node("Relu", [node("Add", [x, skip])])
    x = conv(x, 32, 64, 3, stride=2)
    x = node("GlobalAveragePool", [x])
    x = node("Flatten", [x])
    x = node("Relu", [node("Gemm", [x, const(rng.normal(0, 0.2, (48, 64))), const(rng.normal(0, 0.1, 48))], transB=1)])
    x = node("MatMul", [x, const(rng.normal(0, 0.2, (48, 10)))])
    nodes[-1].output[0] = "output"
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 32, 32])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", 10])], inits)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


class Samples(CalibrationDataReader):
    def __init__(self, model, n=16):
        v = model.graph.input[0]
        shape = [d.dim_value or 1 for d in v.type.tensor_type.shape.dim]
        self.feeds = iter([{v.name: rng.normal(0, 1, shape).astype(np.float32)} for _ in range(n)])

    def get_next(self):
        return next(self.feeds, None)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", required=True)
    p.add_argument("--format", choices=["qdq", "qoperator"], default="qdq")
    p.add_argument("--per-channel", action="store_true")
    p.add_argument("--weights", choices=["int8", "uint8"], default="int8")
    p.add_argument("--model")
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    source, name = a.model, "small"
    if source:
        name = os.path.splitext(os.path.basename(source))[0]
    else:
        source = os.path.join(a.out, "small_float.onnx")
        onnx.save(build(), source)
    path = os.path.join(a.out, f"{name}_{a.format}.onnx")
    if onnx.load(source).opset_import[0].version < 13:  # where scales cannot vary along an axis
        newer = os.path.join(a.out, f"{name}_newer.onnx")
        onnx.save(version_converter.convert_version(onnx.load(source), 17), newer)
        source = newer
    quantize_static(
        source, path, Samples(onnx.load(source)), per_channel=a.per_channel,
        quant_format={"qdq": QuantFormat.QDQ, "qoperator": QuantFormat.QOperator}[a.format],
        # The other QLinear operators are none of ONNX's own.
        op_types_to_quantize=["Conv", "MatMul"] if a.format == "qoperator" else None,
        activation_type=QuantType.QUInt8, weight_type={"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}[a.weights])
    ops = sorted({n.op_type for n in onnx.load(path).graph.node})
    print(json.dumps({"case": f"{name} {a.format}", "file": path, "bytes": os.path.getsize(path), "operators": ops}))


if __name__ == "__main__":
    main()
