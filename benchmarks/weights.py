"""What a network weighs: parameters, multiply-accumulates and bytes, counted in the file that is deployed.

MACs are those of convolutions and matrix products for one crop. BN is folded into convolutions in all these files, so
its parameters are not there to be counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.peers import OpenVinoGraph, onnx_session

_PRODUCTS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class Weight:
    """Of one network.

    Attributes:
        parameters: numbers that its graph holds in floating point.
        macs: multiply-accumulates a crop.
        bytes: of its file or files.
    """

    parameters: int
    macs: int
    bytes: int


def weigh(path: Path) -> Weight:
    """Weigh an ONNX file or an OpenVINO IR, whose weights lie beside it."""
    if path.suffix == ".xml":
        parameters, macs = _weigh_ir(path)
        return Weight(parameters, macs, path.stat().st_size + path.with_suffix(".bin").stat().st_size)
    parameters, macs = _weigh_onnx(path)
    return Weight(parameters, macs, path.stat().st_size)


def _weigh_onnx(path: Path) -> tuple[int, int]:
    model = onnx.load(path)
    held = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    shapes = held | _run_shapes(model, held)
    macs = 0
    for node in _products(model):
        left, right = (shapes[name] for name in node.input[:2])
        summed = prod(right[1:]) if node.op_type == "Conv" else left[-1]
        macs += prod(shapes[node.output[0]]) * summed
    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    parameters = sum(prod(t.dims) for t in model.graph.initializer if t.data_type in floats)
    return parameters, macs


def _products(model: Any) -> Iterator[Any]:
    return (node for node in model.graph.node if node.op_type in _PRODUCTS)


def _run_shapes(model: Any, held: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Run one crop through the graph and look what comes by: shapes are rarely all told."""
    taken = model.graph.input[0]
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    known = {*held, taken.name, *(output.name for output in model.graph.output)}
    for node in _products(model):
        for name in (*node.input[:2], node.output[0]):
            if name not in known:
                known.add(name)
                watched.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = onnx_session(watched.SerializeToString())
    shape = [side.dim_value or 1 for side in taken.type.tensor_type.shape.dim]
    kind = onnx.helper.tensor_dtype_to_np_dtype(taken.type.tensor_type.elem_type)
    given = session.run(None, {taken.name: np.zeros([1, *shape[1:]], kind)})
    names = [output.name for output in session.get_outputs()]
    return {name: array.shape for name, array in zip(names, given, strict=True)} | {
        taken.name: (1, *shape[1:])
    }


def _weigh_ir(path: Path) -> tuple[int, int]:
    graph = OpenVinoGraph(path).reshaped(1)
    parameters = macs = 0
    for op in graph.get_ordered_ops():
        kind = op.get_type_name()
        if kind == "Constant" and op.get_element_type().is_real():
            parameters += prod(op.shape)
        elif kind in ("Convolution", "GroupConvolution", "MatMul"):
            left, right = (tuple(op.input_value(i).get_shape()) for i in range(2))
            # Weights are (out, in, height, width), in groups (group, out, in, height, width).
            summed = left[-1] if kind == "MatMul" else prod(right[1 + (kind == "GroupConvolution") :])
            macs += prod(op.output(0).get_shape()) * summed
    return parameters, macs
