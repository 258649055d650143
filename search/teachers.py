"""Networks that can be asked about crops: an OpenVINO IR of somebody else, or an ONNX file of our own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import InputError
from autoreid_deploy.openvino_session import load_openvino
from autoreid_deploy.session import ModelSession
from search.optim import native_bf16


class Asked(Protocol):
    """A network that gives rows.

    Attributes:
        size: (height, width) of its input.
    """

    size: tuple[int, int]

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float16]:
        """(N, height, width, 3) uint8 RGB -> (N, D) float16 unit rows."""
        ...


def find_teacher(path: Path) -> Asked:
    """Load a teacher.

    Raises:
        InputError: the file is neither of the two kinds.
        MissingExtraError: openvino is not installed.
        ModelError: an ONNX file breaks the model contract.
    """
    if path.suffix == ".xml":
        return _OpenVino(path)
    if path.suffix == ".onnx":
        return _Ours(path)
    raise InputError(f"{path}: expected a teacher that ends in .xml (OpenVINO) or .onnx (python -m export)")


def teacher_id(path: Path) -> str:
    """The file's name and a digest of its weights, which lie beside an IR."""
    beside = path.with_suffix(".bin")
    weights = beside if path.suffix == ".xml" and beside.exists() else path
    return f"{path.stem}@{hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}"


class _Ours:
    def __init__(self, path: Path) -> None:
        self._session = ModelSession(path, "cpu")
        self.size = (self._session.spec.height, self._session.spec.width)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float16]:
        return self._session.run(images).astype(np.float16)


class _OpenVino:
    """An IR that takes BGR, 0 to 255, as Open Model Zoo's do."""

    def __init__(self, path: Path) -> None:
        core: Any = load_openvino().Core()
        try:
            model = core.read_model(path)
        except RuntimeError as error:
            raise InputError(f"{path}: expected an OpenVINO IR; {str(error).splitlines()[-1]}") from error
        shape = model.input(0).get_partial_shape().get_min_shape()
        channels, height, width = (int(side) for side in list(shape)[1:])
        model.reshape([-1, channels, height, width])
        hint = {"INFERENCE_PRECISION_HINT": "bf16"} if native_bf16() else {}
        self._run = core.compile_model(model, "CPU", hint)
        self.size = (height, width)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float16]:
        planes = np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2), np.float32)
        rows = np.asarray(self._run(planes)[0], np.float32).reshape(len(images), -1)
        unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit.astype(np.float16)
