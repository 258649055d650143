"""Open a model file on a device and make sure that both are what was asked for."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import DeviceError, MissingExtraError, ModelError
from autoreid_deploy.model import ModelSpec

OPENVINO = "openvino"  # a runtime of its own, see `openvino_session.py`
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class Session(Protocol):
    """What an embedder asks of a network: `ModelSession` runs a model file, a benchmark may run somebody else's.

    Attributes:
        spec: what the network says about itself.
    """

    spec: ModelSpec

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, height, width, 3) uint8, RGB, N of at least 1 -> (N, dim) float32, unit rows."""
        ...


def open_session(path: Path, device: str) -> Session:
    """Open a model file on a device.

    Args:
        path: the model file.
        device: "cpu", "cuda", "cuda:N", "tensorrt" or "openvino".

    Raises:
        MissingExtraError: the runtime is not installed.
        DeviceError: the device is unknown, not offered, or the session came up on another one.
        ModelError: the file is no model, or breaks the contract.
    """
    if device == OPENVINO:
        from autoreid_deploy.openvino_session import OpenVinoSession

        return OpenVinoSession(path)
    return ModelSession(path, device)


class ModelSession:
    """One ONNX Runtime session that keeps the model contract.

    Several threads may call `run` at once. The session itself uses one thread, because threads that each
    decode and run small batches fill the cores better than one batch that is split over all of them.

    Args:
        path: the model file.
        device: "cpu", "cuda", "cuda:N" or "tensorrt".

    Attributes:
        spec: what the file's metadata say.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        DeviceError: the device is unknown, not offered, or the session came up on another one.
        ModelError: the file is no model, or breaks the contract.
    """

    def __init__(self, path: Path, device: str) -> None:
        provider = _provider(device)
        self._session = _open(path, device, provider)
        # ONNX Runtime falls back to the CPU with no more than a line in its log.
        came = self._session.get_providers()
        if came[0] != provider[0]:
            raise DeviceError(
                f"device {device!r} was asked for, but {provider[0]} did not come up and it would all run "
                f"on {came[0]}; see ONNX Runtime's log, or choose device 'cpu'"
            )
        self.spec = ModelSpec.from_metadata(self._session.get_modelmeta().custom_metadata_map, str(path))
        self._check_signature(str(path))
        self._check_answer(str(path))

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed one batch.

        Args:
            images: (N, height, width, 3) uint8, RGB, N of at least 1.

        Returns:
            (N, dim) float32, unit rows.
        """
        rows: NDArray[np.float32] = self._session.run(["embeddings"], {"images": images})[0]
        return rows

    def _check_signature(self, source: str) -> None:
        """Compare what the file declares with the contract; an open size is left to `_check_answer`."""
        images = ("images", "tensor(uint8)", ("batch", self.spec.height, self.spec.width, 3))
        embeddings = ("embeddings", "tensor(float)", ("batch", self.spec.dim))
        for kind, wanted, nodes in (
            ("input", images, self._session.get_inputs()),
            ("output", embeddings, self._session.get_outputs()),
        ):
            came = [(node.name, node.type, tuple(node.shape)) for node in nodes]
            if len(came) != 1 or not _agrees(wanted, came[0]):
                raise ModelError(
                    f"{source}: breaks the model contract: the {kind} should be {_describe([wanted])}, "
                    f"is {_describe(came)}"
                )

    def _check_answer(self, source: str) -> None:
        """Run two pictures: a graph may declare one thing and do another."""
        spec = self.spec
        shape = (2, spec.height, spec.width, 3)
        try:
            rows = self.run(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
        except Exception as error:  # ONNX Runtime's errors have no common base below Exception
            raise ModelError(f"{source}: fails on a batch of two crops: {_first_line(error)}") from error
        if rows.shape != (2, spec.dim):
            raise ModelError(
                f"{source}: breaks the model contract: two crops should give rows of {(2, spec.dim)}, "
                f"gave {rows.shape}"
            )
        lengths = np.linalg.norm(rows, axis=1)
        if not np.allclose(lengths, 1, atol=1e-3):
            raise ModelError(
                f"{source}: breaks the model contract: rows should have length 1, have {lengths[0]:.4g} and "
                f"{lengths[1]:.4g}; the L2 norm belongs into the graph"
            )


def available_devices() -> list[str]:
    """List the devices that the installed ONNX Runtime offers; OpenVINO is none of its.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """
    offered = _onnxruntime().get_available_providers()
    return [device for device, provider in PROVIDERS.items() if provider in offered]


def usable_cores() -> int:
    """Count the cores this process may use: fewer than the machine's under taskset or in many containers."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "cpu") from error
    return onnxruntime


def _provider(device: str) -> tuple[str, dict[str, str]]:
    """Translate a device into ONNX Runtime's provider and its options."""
    kind, colon, number = device.partition(":")
    if kind not in PROVIDERS or (colon and not (kind == "cuda" and number.isdecimal())):
        raise DeviceError(
            f"unknown device {device!r}: expected {', '.join((*PROVIDERS, OPENVINO))} or cuda:N"
        )
    offered = available_devices()
    if kind not in offered:
        extra = {"cuda": "gpu", "tensorrt": "gpu"}.get(kind)
        advice = f"install it with: pip install 'autoreid-deploy[{extra}]', or " if extra else ""
        raise DeviceError(
            f"device {device!r} is not offered by the installed ONNX Runtime, "
            f"which has {', '.join(offered)}; {advice}choose another device"
        )
    return PROVIDERS[kind], {"device_id": number} if number else {}


def _open(path: Path, device: str, provider: tuple[str, dict[str, str]]) -> Any:
    ort = _onnxruntime()
    options = ort.SessionOptions()
    # Anything less than ORT_ENABLE_ALL leaves out the NCHWc layout and runs at a third of the speed.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        return ort.InferenceSession(str(path), options, providers=[provider])
    except Exception as error:  # ONNX Runtime's errors have no common base below Exception
        raise ModelError(f"{path}: can't be loaded on device {device!r}: {_first_line(error)}") from error


def _agrees(wanted: tuple[str, str, Sequence[Any]], came: tuple[str, str, Sequence[Any]]) -> bool:
    """Compare name, type and shape; the batch must be open, any other size may be."""
    if wanted[:2] != came[:2] or len(wanted[2]) != len(came[2]) or isinstance(came[2][0], int):
        return False
    sizes = zip(wanted[2][1:], came[2][1:], strict=True)
    return all(known == size or not isinstance(size, int) for known, size in sizes)


def _describe(nodes: Sequence[tuple[str, str, Sequence[Any]]]) -> str:
    return " and ".join(f"{name} {kind} ({', '.join(map(str, shape))})" for name, kind, shape in nodes)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
