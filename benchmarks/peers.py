"""Other people's networks behind the face of our own: uint8 RGB crops in, unit rows out, each fed as it was trained.

Two families are known, by the ending of the file. An `.xml` is an OpenVINO IR of the Open Model Zoo: BGR, 0 to 255. An
`.onnx` is one of torchreid's exports: RGB, by 255, ImageNet's mean and deviation. Both take float32 planes (NCHW).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from autoreid_deploy.errors import InputError
from autoreid_deploy.model import ModelSpec
from autoreid_deploy.openvino_session import load_openvino

Feed = Callable[[NDArray[np.uint8]], NDArray[Any]]
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
_RANK = 2  # of what a network for re-identification gives: a row a crop; a detector gives boxes


def zoo_planes(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, H, W, 3) uint8 RGB -> (N, 3, H, W) float32 BGR, 0 to 255."""
    return np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2), np.float32)


def torchreid_planes(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, H, W, 3) uint8 RGB -> (N, 3, H, W) float32 RGB, normalised as ImageNet is."""
    scaled = (images / np.float32(255) - MEAN) / DEVIATION
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)


@dataclass(frozen=True, eq=False)
class Peer:
    """One network of somebody else; a `Session` for the embedder.

    Attributes:
        path: its file.
        spec: name, input and length of a row; nothing else is known.
        feed: makes crops of the input's size into what the network takes.
        network: takes that and gives (N, dim) rows of any length.
    """

    path: Path
    spec: ModelSpec
    feed: Feed
    network: Callable[[NDArray[Any]], NDArray[np.float32]]

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, height, width, 3) uint8, RGB -> (N, dim) float32, unit rows."""
        rows = self.network(self.feed(images)).reshape(len(images), -1)
        unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


def find_peers(folder: Path) -> tuple[list[Peer], list[str]]:
    """Load every network of a folder that gives a row a crop, and name the files that do something else.

    Raises:
        InputError: there is none.
        MissingExtraError: there is an IR, and openvino is not installed.
    """
    peers, others = [], []
    for path in sorted(folder.glob("*")):
        if path.suffix in _LOADERS:
            peer = _LOADERS[path.suffix](path)
            if peer is None:
                others.append(path.name)
            else:
                peers.append(peer)
    if not peers:
        raise InputError(f"{folder}: expected networks for re-identification, .xml or .onnx, found none")
    return peers, others


def _load_onnx(path: Path) -> Peer | None:
    session = onnx_session(path)
    (taken, *more), (given, *_) = session.get_inputs(), session.get_outputs()
    if more or len(taken.shape) != 4 or len(given.shape) != _RANK:
        return None
    spec = _spec(path.stem, taken.shape, given.shape[1])
    return Peer(path, spec, torchreid_planes, lambda planes: session.run(None, {taken.name: planes})[0])


def _load_ir(path: Path) -> Peer | None:
    graph = OpenVinoGraph(path)
    if len(graph.inputs) != 4 or len(graph.outputs) != _RANK:
        return None
    spec = _spec(path.stem, graph.inputs, graph.outputs[1])
    return Peer(path, spec, zoo_planes, graph.compiled(-1, "float32"))


_LOADERS: dict[str, Callable[[Path], Peer | None]] = {".onnx": _load_onnx, ".xml": _load_ir}


def _spec(name: str, taken: Any, dim: Any) -> ModelSpec:
    return ModelSpec(name, int(taken[2]), int(taken[3]), int(dim), {}, {}, "see the file's own terms", {}, {})


def onnx_session(source: Path | bytes) -> Any:
    """Open an ONNX file or its bytes in ONNX Runtime on one thread, as our own session does."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    what = source if isinstance(source, bytes) else str(source)
    return onnxruntime.InferenceSession(what, options, providers=["CPUExecutionProvider"])


class OpenVinoGraph:
    """A file as OpenVINO reads it, an IR or ONNX, run on one thread.

    Args:
        path: the file.

    Raises:
        MissingExtraError: openvino is not installed.
        InputError: it can't be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.inputs, self.outputs = self._shapes()
        except RuntimeError as error:
            raise InputError(f"{path}: OpenVINO can't read it: {str(error).splitlines()[-1]}") from error

    @cached_property
    def _core(self) -> Any:
        return load_openvino().Core()

    def _shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        graph = self._core.read_model(self.path)
        taken, given = (
            port.get_partial_shape().get_min_shape() for port in (graph.input(0), graph.output(0))
        )
        return tuple(taken), tuple(given)

    def reshaped(self, batch: int) -> Any:
        """The graph for one batch size; -1 for any."""
        graph = self._core.read_model(self.path)
        graph.reshape([batch, *self.inputs[1:]])
        return graph

    def compiled(self, batch: int, precision: str) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
        """Make the network a function of one thread.

        Args:
            batch: its size; -1 for any.
            precision: `float32` or `bfloat16`.

        Returns:
            Gives rows that it alone holds; one caller at a time.
        """
        hints = {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        }
        request = self._core.compile_model(self.reshaped(batch), "CPU", hints).create_infer_request()

        def run(feed: NDArray[Any]) -> NDArray[np.float32]:
            request.infer({0: feed})
            return np.array(request.get_output_tensor().data, np.float32)

        return run

    def precisions(self) -> list[str]:
        """What this CPU computes in by instructions of its own."""
        able = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return ["float32", *(["bfloat16"] if "BF16" in able else [])]
